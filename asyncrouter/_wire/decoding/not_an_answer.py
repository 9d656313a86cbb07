"""What may stand where an answer is due: an error in disguise, or something that is no answer at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter._errors import BadReply
from asyncrouter._wire.failure.error_body import excerpt, one_line

if TYPE_CHECKING:
    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Message
    from asyncrouter._wire.failure.classify import Classifier


def bare_fault(document: Message) -> Message | None:
    """An error without the `error` around it (Mistral, older vLLM, FastAPI)."""
    if document.get("choices") or document.get("error"):
        return None
    named = "error" in (document.get("object"), document.get("type"))
    return {"error": document} if named or document.get("detail") or document.get("message") else None


def hidden_error(body: bytes, classifier: Classifier, request_id: str | None) -> AttemptError | None:
    """The error in bytes that were no event, if they hold one."""
    try:
        document: object = orjson.loads(body)
    except ValueError:
        return None
    if isinstance(document, list) and document:
        document = document[0]
    if isinstance(document, dict) and (document.get("error") or bare_fault(document)):
        return classifier.inside(document, request_id)
    return None


def no_answer(body: bytes, what: str) -> BadReply:
    """A success that brought something else; the beginning of it is quoted."""
    shown = one_line(excerpt(body))
    return BadReply(f"{what}: {shown[:200]!r}" if shown else "an empty body")
