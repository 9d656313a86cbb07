"""What an error body says, whatever its shape: a message, the provider's words for it, and its number."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._types import Message

LONGEST = 500
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_HIDDEN = re.compile(r"<(script|style|head)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_SEEN = 4096  # of an error page


@dataclass(slots=True)
class Told:
    """`names` are the provider's words for the error, the most telling first; `status` the HTTP status it names."""

    message: str = ""
    names: tuple[str, ...] = ()
    status: int | None = None
    canonical: str | None = None
    """OpenRouter's own word, from a documented list: it needs no guessing from the message."""
    error: Message = field(default_factory=dict)
    request_id: str | None = None

    @property
    def relayed(self) -> bool:
        """Whether a gateway tells what another one told it: true of the request, not of our key or our account."""
        return not part(self.error, "metadata").keys().isdisjoint({"raw", "provider_code"})


def read_error(body: bytes) -> Told:
    """What a failed response's body says; text and HTML are taken as the message."""
    try:
        document: object = orjson.loads(body)
    except ValueError:
        return Told(one_line(excerpt(body)))
    return read_document(document)


def read_document(document: object) -> Told:
    """What an error says that came as JSON: an object, a list of one (Google), or a bare string."""
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        return Told(one_line(document if isinstance(document, str) else ""))
    inner = document.get("error")
    error: Message = inner if isinstance(inner, dict) else document
    message = _text(inner if isinstance(inner, str) else error)
    told = Told(message, _names(error), _status(error), _canonical(error), error)
    if isinstance(request_id := document.get("request_id"), str):
        told.request_id = request_id
    _unwrap(told)
    told.message = one_line(told.message)
    return told


def excerpt(body: bytes) -> str:
    """The readable beginning of a body that is no JSON: a page's title, or its text."""
    text = body[:_SEEN].decode("utf-8", "replace")
    if "<" not in text[:256]:
        return text
    title = _TITLE.search(text)
    return title[1] if title and title[1].strip() else _HIDDEN.sub(" ", text)


def one_line(text: str) -> str:
    """A message as it fits into a log: one line, at most 500 characters."""
    line = " ".join(text[: 8 * LONGEST].split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def part(error: Mapping[str, object], name: str) -> Message:
    """The object under `name`, empty when there is none."""
    value = error.get(name)
    return value if isinstance(value, dict) else {}


def _names(error: Message) -> tuple[str, ...]:
    metadata = part(error, "metadata")
    candidates: chain[object] = chain(
        (part(error, "availability").get("code"), metadata.get("error_type"), part(error, "details").get("error_code")),
        (error.get("code"), part(error, "innererror").get("code"), error.get("type"), error.get("status")),
        (metadata.get("reason"), metadata.get("limit_source"), metadata.get("provider_code")),
    )
    return tuple(name for name in candidates if isinstance(name, str) and name and not name.isdigit())


def _canonical(error: Message) -> str | None:
    name = part(error, "availability").get("code") or part(error, "metadata").get("error_type")
    return name if isinstance(name, str) else None


def _status(error: Message) -> int | None:
    """The HTTP status a body names, as a number or in digits. Mistral's four-digit codes are none."""
    for name in ("raw_status_code", "status_code", "code", "status"):
        value = error.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value[:9])
        if isinstance(value, int) and 300 <= value <= 599:
            return value
    return None


def _text(value: object, depth: int = 0) -> str:
    """The words in whatever stands where a message is due: text, JSON in a text, FastAPI's list of complaints."""
    if depth > 4:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, (_text(item, depth + 1) for item in value[:8])))
    if isinstance(value, dict):
        where = value.get("loc")
        place = ".".join(map(str, where)) + ": " if isinstance(where, list) else ""
        inner = value.get("message") or value.get("msg") or value.get("detail") or value.get("error")
        return place + _text(inner, depth + 1)
    return value if isinstance(value, str) else ""


def _unwrap(told: Told) -> None:
    """Look into an error packed inside another one.

    OpenRouter keeps the upstream body in `metadata.raw` under a message that says nothing; Google's compatible
    endpoint writes JSON into `message`.
    """
    raw = part(told.error, "metadata").get("raw")
    packed = raw if isinstance(raw, str) and raw.strip() else told.message
    if not packed.lstrip().startswith(("{", "[")):
        if packed is raw:
            told.message = f"{told.message}: {packed}"
        return
    try:
        document: object = orjson.loads(packed)
    except ValueError:
        return
    inner = document[0] if isinstance(document, list) and document else document
    error = part(inner, "error") or inner if isinstance(inner, dict) else {}
    said = _text(inner)
    if said:
        told.message = f"{told.message}: {said}" if packed is raw else said
    told.names += _names(error)
    told.status = told.status or _status(error)
