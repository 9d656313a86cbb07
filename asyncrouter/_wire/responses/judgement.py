"""Judges an answer of the Responses API: why it ended, and whether it is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._errors import BadReply
from asyncrouter._wire.decoding.ends import finish_of, is_broken
from asyncrouter._wire.decoding.judgement import broken_off, judge_empty
from asyncrouter._wire.decoding.markup import call_left_in, is_blank, is_only_thought, is_tool_name
from asyncrouter._wire.fields import count_in, object_in
from asyncrouter._wire.responses.request import MIN_OUTPUT_TOKENS
from asyncrouter._wire.responses.usage import read_usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import FinishReason
    from asyncrouter._wire.responses.state import AnswerState


def incomplete_reason(answer: AnswerState) -> str:
    """Why an answer is incomplete, in the API's words; "" for one that is complete.

    Hosts that give a reason and call the answer complete have cut it all the same.
    """
    reason = object_in(answer.response, "incomplete_details").get("reason")
    if isinstance(reason, str) and reason:
        return reason
    return "unknown" if answer.status == "incomplete" else ""


def finish_reason(answer: AnswerState) -> FinishReason:
    """Why the answer ended, in the router's words."""
    if reason := incomplete_reason(answer):
        return finish_of(reason)
    if _reached_limit(answer) or _is_cut(answer):
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
    if not all(is_tool_name(call.name) for call in calls):
        return BadReply("a tool call without a tool's name", request_id=request_id)
    whole = calls[:-1] if finish == "length" else calls  # only the last one may be cut by the limit
    if not all(call.usable for call in whole):
        return BadReply("a tool call whose arguments are no JSON object", request_id=request_id)
    if calls or answer.pictures or answer.wants_action:
        return None
    text = answer.text
    only_thought = is_only_thought(text, cut=finish == "length")
    if not is_blank(text) and not only_thought:
        return call_left_in(text, params, request_id)
    usage = read_usage(object_in(answer.response, "usage"))
    thoughts = only_thought or bool(answer.reasoning)
    return judge_empty(finish, reason or answer.status, params, request_id, usage=usage, thoughts=thoughts)


def _is_cut(answer: AnswerState) -> bool:
    """Whether the last part of an answer that calls itself complete says that it is not (vllm-project/vllm#24184)."""
    last = next((item for item in reversed(answer.items) if item.answers), None)
    return last is not None and last.given.get("status") == "incomplete"


def _reached_limit(answer: AnswerState) -> bool:
    """Whether an answer that calls itself complete was cut by the limit of tokens, as llama.cpp's are."""
    limit = answer.limit
    if limit is None or answer.status != "completed":
        return False
    spent = count_in(answer.response.get("usage"), "output_tokens")
    return spent == limit or spent >= max(limit, MIN_OUTPUT_TOKENS)
