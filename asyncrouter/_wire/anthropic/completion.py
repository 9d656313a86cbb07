"""Writes a message of the Messages API as a Chat Completions object, for `Reply.raw`.

What Chat Completions has no field for stands beside, under a name that is in use elsewhere. `reasoning` is OpenRouter's
name and `thinking_blocks` LiteLLM's: sent back in a later request they keep signed thoughts alive. `content_blocks`
are all blocks, if any of them is more than text, thinking and tool calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._wire.anthropic.finish import finish_reason
from asyncrouter._wire.anthropic.usage import write_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter._types import Message
    from asyncrouter._wire.anthropic.block import Block


def write_completion(
    message: Message | None, blocks: Sequence[Block], stop: Message, counts: Message | None, created: int
) -> Message:
    """The whole object. `counts` is the usage if it is final, `created` the date in seconds since the epoch."""
    head = {name: value for name, value in (message or {}).items() if name in {"id", "model"}}
    raw: Message = {**head, "object": "chat.completion", "created": created, "choices": [_choice(blocks, stop)]}
    if counts is not None:
        raw["usage"] = write_counts(counts)
    return raw


def joined(blocks: Sequence[Block], kind: str) -> str:
    """The text of all blocks of one kind together."""
    return "".join(block.joined for block in blocks if block.kind == kind)


def _choice(blocks: Sequence[Block], stop: Message) -> Message:
    message = _message(blocks)
    finish = finish_reason(stop.get("stop_reason"), has_calls="tool_calls" in message) if stop else None
    choice: Message = {"index": 0, "message": message, "finish_reason": finish}
    for name, value in stop.items():
        if value is not None:
            choice["native_finish_reason" if name == "stop_reason" else name] = value
    return choice


def _message(blocks: Sequence[Block]) -> Message:
    message: Message = {"role": "assistant", "content": joined(blocks, "text") or None}
    if reasoning := joined(blocks, "thinking"):
        message["reasoning"] = reasoning
    thoughts = [block for block in blocks if block.kind in {"thinking", "redacted_thinking"}]
    if thoughts:
        message["thinking_blocks"] = [block.native() for block in thoughts]
    if not all(block.fits_chat_completions or block in thoughts for block in blocks):
        message["content_blocks"] = [block.native() for block in blocks]
    if calls := [block.tool_call() for block in blocks if block.kind == "tool_use"]:
        message["tool_calls"] = calls
    return message
