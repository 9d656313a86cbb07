"""Reads an error body of any shape: a message, the provider's names for the error, and the status it gives.

Providers agree on little: `{"error": {…}}`, `{"error": "text"}`, `{"detail": […]}` (FastAPI), a list of one (Google),
an error packed as text into another error's message (gateways), HTML, plain text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import orjson

from asyncrouter._repr import MAX_NAME_CHARACTERS
from asyncrouter._wire.decoding.surrogates import read_mended
from asyncrouter._wire.failure.envelopes import MEANING, error_by_name, error_in_envelope, meaning_of_code
from asyncrouter._wire.failure.retry_after import WAITS
from asyncrouter._wire.fields import object_in

if TYPE_CHECKING:
    from asyncrouter._types import Message

_MAX_MESSAGE_CHARACTERS = 500
"""The longest message an error carries: some providers send the whole prompt back in theirs."""

_MAX_PAGE_BYTES = 4096
"""How much of a body that is no JSON is looked at: a page's title and first words stand at its beginning."""

_MAX_COMPLAINTS = 8
"""How many of a list of messages are kept: FastAPI writes one for each field that is wrong."""

_MESSAGE_FIELDS = ("message", "msg", "faultstring", "detail", "error")
"""The fields in which an error has its message; Google's Apigee writes `faultstring`."""

_BESIDE = ("message", "error_description")
"""Fields beside an `error` that is text, in which more of it stands."""

_MAX_DEPTH = 4
"""How many levels deep a message is looked for; hosts that nest it use two."""

# Each ends where the same tag begins again: a page of nothing but beginnings would take quadratic time.
_TITLE = re.compile(r"<title[^<>]*>((?:(?!<title).)*?)</title>", re.IGNORECASE | re.DOTALL)
_NOT_TEXT = re.compile(r"<(script|style|head)\b(?:(?!<\1\b).)*?</\1>|<[^<>]*>", re.IGNORECASE | re.DOTALL)


@dataclass(slots=True)
class ErrorBody:
    """What an error body says."""

    message: str = ""
    """One line for a person, "" when the body has none."""
    names: tuple[str, ...] = ()
    """The provider's names for the error, the most specific first."""
    meaning: str = ""
    """What a number of the vendor's own means, as one of those names; "" for none."""
    status: int | None = None
    """The HTTP status the body gives, whatever the response's own is."""
    openrouter_name: str | None = None
    """OpenRouter's own name for the error: it is from a documented list, so nothing is guessed from the message."""
    error: Message = field(default_factory=dict)
    """The JSON object of the error itself, for details."""
    request_id: str | None = None

    @property
    def relayed(self) -> bool:
        """Whether a gateway passes on another provider's error, which is about its own key and account, not ours."""
        return not object_in(self.error, "metadata").keys().isdisjoint({"raw", "provider_code"})


def read_error_body(body: bytes) -> ErrorBody:
    """Read the body of a failed response; text and HTML are taken as the message."""
    try:
        document: object = orjson.loads(body)
    except ValueError:
        if (document := read_mended(body)) is None:  # half a character is no reason not to read the rest
            return ErrorBody(one_line(excerpt(body)))
    return read_error_document(document)


def read_error_document(document: object) -> ErrorBody:
    """Read an error that is JSON: an object, a list of one (Google), or a bare string."""
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        return ErrorBody(one_line(document if isinstance(document, str) else ""))
    inner = document.get("error") or error_in_envelope(document)
    if isinstance(inner, list) and inner:
        inner = inner[0]
    error: Message = error_in_envelope(inner) or inner if isinstance(inner, dict) else document
    message = _message_in(document, inner, error)
    body = ErrorBody(message, _names(error), status=_status(error), error=error)
    body.openrouter_name = _openrouter_name(error)
    meaning = error.get(MEANING)
    body.meaning = meaning if isinstance(meaning, str) else meaning_of_code(error)
    if error is inner and isinstance(name := document.get("error_type"), str) and name:  # OpenRouter's Responses API
        body.names, body.openrouter_name = (name, *body.names), body.openrouter_name or name
    if error is inner:
        body.error = {**{name: document[name] for name in WAITS if name in document}, **error}
    if isinstance(request_id := document.get("request_id"), str):
        body.request_id = request_id
    _unpack(body)
    body.message = one_line(body.message)
    return body


def excerpt(body: bytes | bytearray) -> str:
    """The readable beginning of a body that is no JSON: an HTML page's title, or the text."""
    text = body[:_MAX_PAGE_BYTES].decode("utf-8", "replace")
    if "<" not in text[:256]:
        return text
    title = _TITLE.search(text)
    return title[1] if title and title[1].strip() else _NOT_TEXT.sub(" ", text)


def one_line(text: str) -> str:
    """The text as one line of at most 500 characters, fit for a log."""
    line = " ".join(text[: 8 * _MAX_MESSAGE_CHARACTERS].split())
    return line if len(line) <= _MAX_MESSAGE_CHARACTERS else line[: _MAX_MESSAGE_CHARACTERS - 1] + "…"


def _names(error: Message) -> tuple[str, ...]:
    """The names in every field in which a provider writes one, the most specific first."""
    availability, metadata = object_in(error, "availability"), object_in(error, "metadata")
    candidates: chain[object] = chain(
        (availability.get("code"), metadata.get("error_type"), object_in(error, "details").get("error_code")),
        (error.get("code"), object_in(error, "innererror").get("code"), error.get("type"), error.get("status")),
        (str(error.get("__type", "")).rpartition("#")[2],),  # AWS
        (metadata.get("reason"), metadata.get("limit_source"), metadata.get("provider_code")),
    )
    names = (name[:MAX_NAME_CHARACTERS] for name in candidates if isinstance(name, str))
    return tuple(name for name in names if name and not name.isdigit())


def _openrouter_name(error: Message) -> str | None:
    name = object_in(error, "availability").get("code") or object_in(error, "metadata").get("error_type")
    return name if isinstance(name, str) else None


def _status(error: Message) -> int | None:
    """The HTTP status in a body, a number or digits. Mistral's four-digit codes are none."""
    for name in ("raw_status_code", "status_code", "statusCode", "code", "status"):
        value = error.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value[:9])
        if isinstance(value, int) and 300 <= value <= 599:
            return value
    return None


def _message_in(document: Message, inner: object, error: Message) -> str:
    """The message of an error. Under `error` some hosts write only its name, and the words beside it (Spring, OAuth).
    """
    if not isinstance(inner, str):
        named = None if inner or _message(error) else error_by_name(document)
        return _message(error if named is None else named)
    beside = next((told for name in _BESIDE if isinstance(told := document.get(name), str) and told), "")
    return f"{inner}: {beside}" if beside and beside not in inner else inner


def _message(value: object, depth: int = 0) -> str:
    """The text of a message, which may be text, an object around it, or FastAPI's list of complaints."""
    if depth > _MAX_DEPTH:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_message(item, depth + 1) for item in value[:_MAX_COMPLAINTS])))
    if isinstance(value, dict):
        location = value.get("loc")
        field_name = ".".join(map(str, location)) + ": " if isinstance(location, list) else ""
        inner = next(filter(None, map(value.get, _MESSAGE_FIELDS)), None)
        return field_name + _message(inner, depth + 1)
    return value if isinstance(value, str) else ""


def _unpack(body: ErrorBody) -> None:
    """Read an error packed as JSON text inside another one.

    OpenRouter keeps the provider's body in `metadata.raw` under a message that says nothing; Google's OpenAI-compatible
    endpoint writes JSON into `message`.
    """
    raw = object_in(body.error, "metadata").get("raw")
    packed = raw if isinstance(raw, str) and raw.strip() else body.message
    if not packed.lstrip().startswith(("{", "[")):
        if packed is raw:
            body.message = f"{body.message}: {packed}"
        return
    try:
        document: object = orjson.loads(packed)
    except ValueError:
        return
    inner = document[0] if isinstance(document, list) and document else document
    error = object_in(inner, "error") or inner if isinstance(inner, dict) else {}
    if message := _message(inner):
        body.message = f"{body.message}: {message}" if packed is raw else message
    body.names += _names(error)
    body.status = body.status or _status(error)
