"""Successful responses that hold no answer: an error document in a 200, an HTML page, an empty body."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter._errors import BadReply
from asyncrouter._wire.failure.envelopes import error_by_name, error_in_envelope
from asyncrouter._wire.failure.error_body import excerpt, one_line
from asyncrouter._wire.fields import object_in

if TYPE_CHECKING:
    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Message
    from asyncrouter._wire.failure.classify import Classifier

_QUOTED_CHARACTERS = 200
"""How much of an unreadable body an error message quotes: enough to see whose page it is, short enough for a log."""


def bare_error(document: Message) -> Message | None:
    """The document in an `error` field, if it is an error without one (Mistral, older vLLM, FastAPI, MiniMax)."""
    if document.get("error"):
        return None
    if error_in_envelope(document) is not None:
        return {"error": document}
    if document.get("choices"):
        return None
    if "error" in {str(document.get(name)) for name in ("object", "type", "event", "status")}:
        return {"error": object_in(document, "data") or document}
    if document.get("detail") or isinstance(document.get("message"), str | list):
        return {"error": document}
    named = error_by_name(document)
    return None if named is None else {"error": named}


def error_in(body: bytes, classifier: Classifier, request_id: str | None) -> AttemptError | None:
    """The error in bytes that were no event, if they are a JSON error document."""
    try:
        document: object = orjson.loads(body)
    except ValueError:
        return None
    if isinstance(document, list) and document:
        document = document[0]
    if isinstance(document, dict) and (document.get("error") or bare_error(document)):
        return classifier.document_error(document, request_id)
    return None


def no_answer(body: bytes | bytearray, what: str) -> BadReply:
    """The error for a body without an answer in it: `what` it is, and the beginning of its text."""
    shown = one_line(excerpt(body))
    return BadReply(f"{what}: {shown[:_QUOTED_CHARACTERS]!r}" if shown else "an empty body")
