"""Writes a message of the Messages API as a Chat Completions object, for `Reply.raw`.

What Chat Completions has no field for stands beside, under a name that is in use elsewhere. `reasoning` is OpenRouter's
name and `thinking_blocks` LiteLLM's: sent back in a later request they keep signed thoughts alive. `content_blocks` are
all blocks as they came, where the other fields do not say everything: blocks of other kinds, or thoughts and text that
take turns. With either of them stands `origin`, which says who can read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._wire.anthropic.finish import finish_reason
from asyncrouter._wire.anthropic.usage import write_counts
from asyncrouter._wire.origin import ORIGIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter._types import Message
    from asyncrouter._wire.anthropic.block import Block
    from asyncrouter._wire.origin import Origin

_ORDER = {"thinking": 0, "redacted_thinking": 0, "text": 1, "tool_use": 2}
"""The order in which the fields of a message stand for its blocks: thoughts, one text, tool calls."""


def write_completion(
    message: Message | None, blocks: Sequence[Block], stop: Message, counts: Message | None, created: int,
    origin: Origin,
) -> Message:
    """The whole object. `counts` is the usage if it is final, `created` the date in seconds since the epoch."""
    head = {name: value for name, value in (message or {}).items() if name in {"id", "model"}}
    choice = _choice(blocks, stop, origin.written(head.get("model")))
    raw: Message = {**head, "object": "chat.completion", "created": created, "choices": [choice]}
    if counts is not None:
        raw["usage"] = write_counts(counts)
    return raw


def joined(blocks: Sequence[Block], kind: str) -> str:
    """The text of all blocks of one kind together."""
    return "".join(block.joined for block in blocks if block.kind == kind)


def _choice(blocks: Sequence[Block], stop: Message, origin: Message) -> Message:
    message = _message(blocks)
    if not message.keys().isdisjoint({"thinking_blocks", "content_blocks"}):
        message[ORIGIN] = origin
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
    if thoughts := [block.native() for block in blocks if block.is_thought]:
        message["thinking_blocks"] = thoughts
    if not _says_everything(blocks):
        message["content_blocks"] = [block.native() for block in blocks]
    if calls := [block.tool_call() for block in blocks if block.kind == "tool_use"]:
        message["tool_calls"] = calls
    return message


def _says_everything(blocks: Sequence[Block]) -> bool:
    """Whether thoughts, text and tool calls, written in this order, are these blocks again."""
    if not all(block.fits_chat_completions or block.is_thought for block in blocks):
        return False
    places = [_ORDER[block.kind] for block in blocks]
    return places == sorted(places) and places.count(_ORDER["text"]) <= 1
