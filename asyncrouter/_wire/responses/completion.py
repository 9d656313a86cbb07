"""Writes an answer of the Responses API as a Chat Completions object: `reply.raw`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter._wire.fields import object_in
from asyncrouter._wire.origin import ORIGIN
from asyncrouter._wire.responses.judgement import finish_reason, incomplete_reason
from asyncrouter._wire.responses.kept import KEPT
from asyncrouter._wire.responses.usage import write_usage

if TYPE_CHECKING:
    from asyncrouter._types import Message
    from asyncrouter._wire.responses.output import OutputItem
    from asyncrouter._wire.responses.state import AnswerState

_ENVELOPE: Final = ("service_tier", "metadata", "input_transformations", "system_fingerprint", "error")
"""What of a response stands beside its items and is kept under its own name."""


def write_completion(answer: AnswerState) -> Message:
    """The answer as one Chat Completions object; its items as they came stand on the message (`kept.py`)."""
    response = answer.response
    raw: Message = {"id": response.get("id"), "object": "chat.completion"}
    told = response.get("created_at")
    raw["created"] = int(told) if isinstance(told, int | float) else answer.created
    raw["model"] = answer.served_model or ""
    raw["choices"] = [_choice(answer)]
    if usage := object_in(response, "usage"):
        raw["usage"] = write_usage(usage)
    raw |= {name: response[name] for name in _ENVELOPE if response.get(name)}
    return raw


def _choice(answer: AnswerState) -> Message:
    choice: Message = {"index": 0, "message": _message(answer)}
    finish, reason = finish_reason(answer), incomplete_reason(answer)
    choice["finish_reason"] = (reason if finish == "other" else finish) if answer.status else None
    choice["native_finish_reason"] = reason or answer.status or None
    if odds := [token for item in answer.items for token in item.logprobs()]:
        choice["logprobs"] = {"content": odds, "refusal": None}
    return choice


def _message(answer: AnswerState) -> Message:
    message: Message = {"role": "assistant", "content": answer.said or None}
    if refusal := answer.refused:
        message["refusal"] = refusal
    if thoughts := answer.reasoning:
        message["reasoning"] = thoughts
    if calls := [item.tool_call() for item in answer.calls]:
        message["tool_calls"] = calls
    if pictures := [_picture(item) for item in answer.pictures]:
        message["images"] = pictures
    message[ORIGIN] = answer.origin.written(answer.served_model)
    message[KEPT] = [item.native() for item in answer.items]
    return message


def _picture(item: OutputItem) -> Message:
    """A picture in the form in which OpenRouter puts it on a message."""
    kind = item.given.get("output_format")
    url = f"data:image/{kind if isinstance(kind, str) else 'png'};base64,{item.given['result']}"
    return {"type": "image_url", "image_url": {"url": url}}
