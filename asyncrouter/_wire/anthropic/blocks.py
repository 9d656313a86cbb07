"""Writes the parts of a conversation as content blocks of Anthropic's Messages API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter._errors import Rejected
from asyncrouter._wire.conversation import Media, Other, Text, Thought, ToolResult, ToolUse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter._types import Message
    from asyncrouter._wire.conversation import ChatMessage, Part

MARK: Final = "cache_control"
"""The field of a block that says: the prompt until here is worth caching."""

_OPENING: Final[Message] = {"role": "user", "content": "."}
"""What stands before a greeting of the assistant's: "first message must use the user role", 400."""

_MAX_MARKS: Final = 4
"""How many blocks of a request may be marked ("a maximum of 4 blocks with cache_control may be provided", 400)."""


def write_messages(messages: Sequence[ChatMessage]) -> list[Message]:
    """The messages with their blocks, without the blank texts that the API refuses; an empty message is left out."""
    turns: list[tuple[str, list[Part]]] = []
    for message in messages:
        parts = _without_blank_texts(message.parts)
        if parts and turns and turns[-1][0] == message.role:
            turns[-1][1].extend(parts)
        elif parts:
            turns.append((message.role, parts))
    if turns and turns[-1][0] == "assistant":
        _strip_end(turns[-1][1])
    written: list[Message] = [{"role": role, "content": _content(role, parts)} for role, parts in turns]
    return [_OPENING, *written] if turns and turns[0][0] == "assistant" else written


def text_block(text: Text) -> Message:
    """A text as a block."""
    return {"type": "text", "text": text.text, **extras(text.rest)}


def extras(rest: Message) -> Message:
    """The fields beside a part that the API takes there; it does not know an image's `detail`, for one."""
    return {name: rest[name] for name in (MARK, "citations", "caller") if name in rest}


def limit_marks(body: Message) -> None:
    """Leave out marks that are more than the API takes: the earliest of the messages first, then the system's."""
    surplus = sum(_count_marks(body.get(name)) for name in ("tools", "system", "messages")) - _MAX_MARKS
    for name in ("messages", "system", "tools"):
        if surplus > 0 and isinstance(items := body.get(name), list):
            body[name], surplus = _unmarked(items, surplus)


def _count_marks(items: object) -> int:
    """How many blocks are marked, in a list of blocks or of messages."""
    if not isinstance(items, list):
        return 0
    return sum((MARK in item) + _count_marks(item.get("content")) for item in items if isinstance(item, dict))


def _unmarked(items: list[object], surplus: int) -> tuple[list[object], int]:
    """A copy without the first `surplus` marks, and how many are still to be left out."""
    copied: list[object] = []
    for item in items:
        if isinstance(item, dict) and surplus > 0:
            if isinstance(content := item.get("content"), list):
                content, surplus = _unmarked(content, surplus)
                item = {**item, "content": content}
            if surplus > 0 and MARK in item:
                item = {name: value for name, value in item.items() if name != MARK}
                surplus -= 1
        copied.append(item)
    return copied, surplus


def _without_blank_texts(parts: Sequence[Part]) -> list[Part]:
    return [part for part in parts if not (isinstance(part, Text) and not part.text.strip())]


def _strip_end(parts: list[Part]) -> None:
    """Strip what a prefilled answer ends with: "final assistant content cannot end with trailing whitespace", 400."""
    if parts and isinstance(last := parts[-1], Text):
        parts[-1] = Text(last.text.rstrip(), last.rest)


def _content(role: str, parts: list[Part]) -> object:
    if len(parts) == 1 and isinstance(only := parts[0], Text) and not only.rest:
        return only.text
    if role == "user":  # the answer to a tool call must begin with its result
        parts = sorted(parts, key=lambda part: not isinstance(part, ToolResult))
    return [_block(part) for part in parts]


def _block(part: Part) -> Message:
    match part:
        case Text():
            return text_block(part)
        case Media():
            return _media(part)
        case ToolUse():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments, **extras(part.rest)}
        case ToolResult():
            return _result(part)
        case Thought():
            return part.block
        case Other(path, {"type": "input_audio" | "file" as kind}):
            raise Rejected(f"{path}: the Messages API takes no {kind} like this one")
        case Other():
            return part.part


def _media(media: Media) -> Message:
    if media.kind == "audio":
        raise Rejected(f"{media.path}: the Messages API takes no audio")
    source: Message = {"type": "url", "url": media.url}
    if not media.url:
        source = {"type": "base64", "media_type": media.media_type, "data": media.data}
    is_image = media.kind == "image" or media.media_type.startswith("image/")
    title: Message = {"title": media.name} if media.name and not is_image else {}
    return {"type": "image" if is_image else "document", "source": source, **title, **extras(media.rest)}


def _result(result: ToolResult) -> Message:
    if not result.id:
        raise ValueError(f"{result.path}.tool_call_id: expected the id of a tool call, got nothing")
    block: Message = {"type": "tool_result", "tool_use_id": result.id}
    parts = _without_blank_texts(result.parts)
    if len(parts) == 1 and isinstance(only := parts[0], Text) and not only.rest:
        block["content"] = only.text
    elif parts:
        block["content"] = [_block(part) for part in parts]
    if isinstance(failed := result.rest.get("is_error"), bool):
        block["is_error"] = failed
    return {**block, **extras(result.rest)}
