"""Is it an answer? What must be there, and what is said when something else stands in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._errors import BadReply, Refused
from asyncrouter._wire.told import excerpt, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Message
    from asyncrouter._wire.assemble import Answer


def verdict(answer: Answer, whole: bool, params: Mapping[str, object], request_id: str | None) -> AttemptError | None:
    """`None` for an answer that is whole and not empty, else what is wrong with it (DESIGN §7)."""
    first = answer.first
    if first is None:
        return BadReply("nothing came: no choices" if whole else "cut before anything came", request_id=request_id)
    if not whole:
        return BadReply("truncated: neither a finish reason nor [DONE] has come", request_id=request_id)
    if answer.content:
        return None
    if first.finish == "content_filter":
        return Refused("the provider's content filter let nothing through", code=first.finish, request_id=request_id)
    # A reply may rightly be empty when its tokens were spent unseen, or when it began with the caller's stop word.
    if first.finish is not None and (first.normal_finish == "length" or params.get("stop")):
        return None
    return BadReply(f"empty: neither text nor tool call (finish reason {first.finish!r})", request_id=request_id)


def bare_fault(document: Message) -> Message | None:
    """An error without the `error` around it (Mistral, older vLLM, FastAPI)."""
    if document.get("choices") or document.get("error"):
        return None
    named = "error" in (document.get("object"), document.get("type"))
    return {"error": document} if named or document.get("detail") or document.get("message") else None


def no_answer(body: bytes, what: str) -> BadReply:
    """A success that brought something else; the beginning of it is quoted."""
    shown = one_line(excerpt(body))
    return BadReply(f"{what}: {shown[:200]!r}" if shown else "an empty body")
