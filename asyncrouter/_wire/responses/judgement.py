"""Judges an answer of the Responses API: why it ended, and whether it is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._errors import BadReply, Refused
from asyncrouter._wire.decoding.ends import finish_of, is_broken
from asyncrouter._wire.decoding.judgement import broken_off
from asyncrouter._wire.fields import count_in, object_in
from asyncrouter._wire.responses.request import MIN_OUTPUT_TOKENS, output_limit
from asyncrouter._wire.responses.usage import read_usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import FinishReason
    from asyncrouter._wire.responses.state import AnswerState


def incomplete_reason(answer: AnswerState) -> str:
    """Why an answer is incomplete, in the API's words; "" for one that is complete."""
    if answer.status != "incomplete":
        return ""
    reason = object_in(answer.response, "incomplete_details").get("reason")
    return reason if isinstance(reason, str) and reason else "unknown"


def finish_reason(answer: AnswerState) -> FinishReason:
    """Why the answer ended, in the router's words."""
    if reason := incomplete_reason(answer):
        return finish_of(reason)
    if _reached_limit(answer):
        return "length"
    return "tool_calls" if answer.calls else "stop"


def judge(answer: AnswerState, params: Mapping[str, object], request_id: str | None) -> AttemptError | None:
    """`None` for an answer that is whole and not empty, else the error."""
    if answer.broken:
        return BadReply(f"something was lost on the way: {answer.broken}", request_id=request_id)
    if not answer.status:
        told = "truncated: the last event has not come" if answer.started else "no response came"
        return BadReply(told, request_id=request_id)
    if answer.status not in {"completed", "incomplete"}:
        return BadReply(f"no answer: the response is {answer.status!r:.40}", request_id=request_id)
    if is_broken(reason := incomplete_reason(answer)):
        return broken_off(reason, request_id=request_id)
    finish, calls = finish_reason(answer), answer.calls
    if not all(call.name for call in calls):
        return BadReply("a tool call without a name", request_id=request_id)
    if finish != "length" and not all(call.usable for call in calls):
        return BadReply("a tool call whose arguments are no JSON object", request_id=request_id)
    if answer.text or calls or answer.pictures:
        return None
    if finish == "content_filter":
        return Refused("the provider's content filter let nothing through", code=finish, request_id=request_id)
    return _no_answer(answer, finish, params, request_id)


def _no_answer(
    answer: AnswerState, finish: FinishReason, params: Mapping[str, object], request_id: str | None
) -> AttemptError | None:
    """The error for a good end without text, tool call or picture. Warm-ups ask for no more than a few tokens."""
    limit, usage = output_limit(params), read_usage(object_in(answer.response, "usage"))
    thoughts = any(item.kind == "reasoning" for item in answer.items) or bool(usage and usage.reasoning_tokens)
    if finish == "length" and limit is not None and limit <= MIN_OUTPUT_TOKENS and not thoughts:
        return None
    spent = f"{usage.reasoning_tokens} of {usage.output_tokens} output tokens went" if usage else "its tokens went"
    told = f"empty: {spent} into reasoning, none into an answer" if thoughts else "empty: neither text nor tool call"
    if finish == "length":
        told += "; the limit of tokens was reached, a larger max_tokens may help"
    error = BadReply(told, request_id=request_id)
    if thoughts:
        error.again = "never"  # it would think as long again
    return error


def _reached_limit(answer: AnswerState) -> bool:
    """Whether an answer that calls itself complete was cut by the limit of tokens, as llama.cpp's are."""
    limit = answer.limit
    if limit is None or answer.status != "completed":
        return False
    spent = count_in(answer.response.get("usage"), "output_tokens")
    return spent == limit or spent >= max(limit, MIN_OUTPUT_TOKENS)
