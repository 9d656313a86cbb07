"""Judges an answer in which there is nothing to read, for every wire.

Text, a refusal, a tool call, a picture or sound is an answer. Thoughts are none: they end a race, for the model has
begun to answer, but whoever gets them alone has got nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter._errors import BadReply, Refused
from asyncrouter._wire.fields import object_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import FinishReason, Usage

_WARM_UP_TOKENS: Final = 16
"""Up to this `max_tokens` an empty answer that reached the limit is what was asked for: such calls warm up a model, or
see whether a key works. It is the least that OpenAI's Responses API takes."""

_LIMITS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""The names of the limit of tokens of output."""

def lost_call(params: Mapping[str, object], request_id: str | None) -> BadReply | None:
    """The error for an answer that ends as one with tool calls and has none; `None` if no tools were offered."""
    if not params.get("tools"):
        return None
    return BadReply("a tool call of which nothing has come", request_id=request_id)


def token_limit(params: Mapping[str, object]) -> int | None:
    """The limit of tokens of output in a request's parameters, `None` for none."""
    config = object_in(params, "generationConfig")
    candidates = (*(params.get(name) for name in _LIMITS), config.get("maxOutputTokens"))
    return next((limit for limit in candidates if type(limit) is int), None)


def broken_off(word: str, explanation: object = None, request_id: str | None = None) -> BadReply:
    """The error for an answer that ended with a word which says that it is not whole."""
    told = f"the provider did not finish the answer: finish reason {word!r:.80}"
    if isinstance(explanation, str) and explanation:
        told = f"{told}: {explanation}"
    return BadReply(told, code=word[:80], request_id=request_id)


def judge_empty(
    finish: FinishReason, word: object, params: Mapping[str, object], request_id: str | None, *,
    usage: Usage | None, thoughts: bool,
) -> AttemptError | None:
    """What an answer without anything to read is: an error, or (`None`) what was asked for.

    `word` is the provider's for the end, `None` if none has come. `thoughts` says whether there were any to be seen.
    An answer may rightly be empty if it began with the caller's stop word, or if it was a warm-up.
    """
    if finish == "content_filter":
        message = "the provider's content filter let nothing through"
        return Refused(message, code=word if isinstance(word, str) else None, request_id=request_id)
    if not thoughts and word is not None:
        limit = token_limit(params)
        if finish == "length" and limit is not None and limit <= _WARM_UP_TOKENS:
            return None
        if finish == "stop" and params.get("stop"):
            return None
    hidden = usage.reasoning_tokens if usage is not None else 0
    if thoughts or hidden or finish == "length":
        return _spent_unseen(finish, usage, request_id, thoughts=thoughts or hidden > 0)
    return BadReply(f"empty: neither text nor tool call (finish reason {word!r:.80})", request_id=request_id)


def _spent_unseen(
    finish: FinishReason, usage: Usage | None, request_id: str | None, *, thoughts: bool
) -> BadReply:
    """The error for an answer whose tokens went elsewhere. The same model would spend them in the same way again."""
    if not thoughts:
        told = "empty: neither text nor tool call"
    elif usage is None:
        told = "empty: its tokens went into reasoning, none into an answer"
    else:
        head = f"{usage.reasoning_tokens} of" if usage.reasoning_tokens else "its"
        told = f"empty: {head} {usage.output_tokens} output tokens went into reasoning, none into an answer"
    if finish == "length":
        told += "; the limit of tokens was reached, so max_tokens may be too low"
    elif thoughts:
        told += "; max_tokens may be too low"
    error = BadReply(told, request_id=request_id)
    error.again = "never"
    error.scope = "request"  # another prompt may well be answered
    return error
