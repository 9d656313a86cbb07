"""Reads the messages of a Chat Completions request into typed parts, for wires that translate them.

What is wrong by itself (no role, arguments that are no JSON) is a `ValueError` that begins with the path of the
mistake. What only some provider has no field for is kept as it came, with its path, for the wire to judge. An
assistant's message may hold what only its author can read; the wire says what of it may go out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import orjson

from asyncrouter._wire.conversation import ChatMessage, Conversation, Media, Other, Text, Thought, ToolResult, ToolUse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from asyncrouter._types import Message
    from asyncrouter._wire.conversation import Part
    from asyncrouter._wire.tool_ids import ToolIds

    Readable = Callable[[str, Message, list[Part]], list[Part]]
    """What may go out of an assistant's message: given its path, the message and its parts in the usual order."""

_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*?)(;base64)?,", re.IGNORECASE)
"""The beginning of a `data:` URL (RFC 2397): media type, parameters, and whether the data are base64."""

_URL_STARTS = ("http://", "https://", "gs://")
"""How the URLs begin that a provider may fetch itself; `gs:` is Google's own storage."""

_MEDIA_TYPES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
"""The registered name of media types that people write otherwise, which Anthropic and Google refuse."""

_AUDIO_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav"}
"""The media type of each `format` of `input_audio`."""


def read_messages(messages: Sequence[Message], ids: ToolIds, readable: Readable) -> Conversation:
    """Read a conversation; tool calls and results get the ids that go out.

    Raises `ValueError` like `messages[2].tool_calls[0].function.arguments: …`.
    """
    conversation, names = Conversation(), dict[str, str]()
    for index, message in enumerate(messages):
        path, role = f"messages[{index}]", message.get("role")
        if role in {"system", "developer"}:
            conversation.system += _system_texts(path, message)
        elif role == "user":
            _append(conversation, "user", _marked(message, _content(path, message)))
        elif role == "assistant":
            parts = _assistant_parts(path, message, ids)
            names |= {part.id: part.name for part in parts if isinstance(part, ToolUse)}
            _append(conversation, "assistant", _marked(message, readable(path, message, parts)))
        elif role == "tool":
            _append(conversation, "user", [_tool_result(path, message, ids, names)])
        else:
            raise ValueError(f"{path}.role: expected system, developer, user, assistant or tool, got {role!r:.80}")
    return conversation


def list_at(path: str, value: object) -> Sequence[object]:
    """The list that must stand at this path; empty for `None`. Raises `ValueError`."""
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise ValueError(f"{path}: expected a list, got {value!r:.80}")
    return value


def text_at(path: str, value: object, *, empty: bool = False) -> str:
    """The text that must stand at this path; `empty` allows "". Raises `ValueError`."""
    if not isinstance(value, str) or not (value or empty):
        raise ValueError(f"{path}: expected text, got {value!r:.80}")
    return value


def _append(conversation: Conversation, role: Literal["user", "assistant"], parts: Sequence[Part]) -> None:
    """Append to the last message if it is of this role, else begin one; a message without parts is left out."""
    if not parts:
        return
    if not conversation.messages or conversation.messages[-1].role != role:
        conversation.messages.append(ChatMessage(role))
    conversation.messages[-1].parts += parts


def _system_texts(path: str, message: Message) -> list[Text]:
    parts = _marked(message, _content(path, message))
    texts = [part for part in parts if isinstance(part, Text)]
    if len(texts) < len(parts):
        raise ValueError(f"{path}.content: expected text in a {message['role']} message")
    return texts


def _marked(message: Message, parts: list[Part]) -> list[Part]:
    """The parts, of which the last has the `cache_control` that stands beside the whole content."""
    mark = message.get("cache_control")
    if mark is not None and parts and not isinstance(last := parts[-1], Thought | Other):
        last.rest = {"cache_control": mark, **last.rest}
    return parts


def _assistant_parts(path: str, message: Message, ids: ToolIds) -> list[Part]:
    """The parts of an assistant's message in the usual order: thoughts, text, pictures, tool calls."""
    parts = _content(path, message)
    if isinstance(refusal := message.get("refusal"), str) and refusal:
        parts.append(Text(refusal))
    if parts and isinstance(parts[-1], Text) and "extra_content" in message:  # Google's signature of the thoughts
        parts[-1].rest["extra_content"] = message["extra_content"]
    # OpenRouter's name for pictures that the model has made.
    for picture in list_at(f"{path}.images", message.get("images")):
        if isinstance(picture, dict) and picture.get("type") == "image_url":
            parts.append(_part(f"{path}.images", picture))
    for index, call in enumerate(list_at(f"{path}.tool_calls", message.get("tool_calls"))):
        parts.append(_tool_use(f"{path}.tool_calls[{index}]", call, ids))
    # LiteLLM's name for Anthropic's signed thoughts, which must stand before everything else and unchanged.
    thoughts = list_at(f"{path}.thinking_blocks", message.get("thinking_blocks"))
    return [*(Thought(f"{path}.thinking_blocks", block) for block in thoughts if isinstance(block, dict)), *parts]


def _tool_use(path: str, call: object, ids: ToolIds) -> ToolUse:
    function = call.get("function") if isinstance(call, dict) else None
    if isinstance(call, dict) and isinstance(custom := call.get("custom"), dict):
        # OpenAI's custom tools take a text where functions take an object.
        name = text_at(f"{path}.custom.name", custom.get("name"))
        return ToolUse(path, ids.call(call.get("id")), name, {"input": custom.get("input")})
    if not isinstance(call, dict) or not isinstance(function, dict):
        raise ValueError(f"{path}: expected a call of a function, got {call!r:.80}")
    name = text_at(f"{path}.function.name", function.get("name"))
    arguments = _arguments(f"{path}.function.arguments", function.get("arguments"))
    rest = {key: value for key, value in call.items() if key not in {"id", "type", "index", "function"}}
    return ToolUse(path, ids.call(call.get("id")), name, arguments, rest)


def _arguments(path: str, arguments: object) -> Message:
    """The arguments of a call, which are JSON text, or with some hosts the object itself."""
    if arguments is None or arguments == "":
        return {}
    if isinstance(arguments, str):
        try:
            arguments = orjson.loads(arguments)
        except ValueError as error:
            raise ValueError(f"{path}: not JSON: {error}") from None
        if arguments is None:  # what some models write for none
            return {}
    if not isinstance(arguments, dict):
        raise ValueError(f"{path}: expected a JSON object, got {arguments!r:.80}")
    return arguments


def _tool_result(path: str, message: Message, ids: ToolIds, names: Mapping[str, str]) -> ToolResult:
    identifier, given_name = ids.result(message.get("tool_call_id")), message.get("name")
    rest = {key: value for key, value in message.items() if key not in {"role", "content", "tool_call_id", "name"}}
    name = names.get(identifier) or (given_name if isinstance(given_name, str) else "")
    return ToolResult(path, identifier, name, _content(path, message), rest)


def _content(path: str, message: Message) -> list[Part]:
    """The parts of a message's `content`: a text, or a list of typed parts; empty texts are left out."""
    content = message.get("content")
    if isinstance(content, str):
        return [Text(content)] if content else []
    parts = list_at(f"{path}.content", content)
    read = [_part(f"{path}.content[{index}]", part) for index, part in enumerate(parts)]
    return [part for part in read if not isinstance(part, Text) or part.text]


def _part(path: str, part: object) -> Part:
    if not isinstance(part, dict):
        if isinstance(part, str):
            return Text(part)
        raise ValueError(f"{path}: expected a part with a type, got {part!r:.80}")
    kind = part.get("type")
    if not isinstance(kind, str):
        return Other(path, part)
    inner = part.get(kind)
    rest = {key: value for key, value in part.items() if key not in {"type", kind}}
    if kind in {"thinking", "redacted_thinking"}:
        return Thought(path, part)
    if kind in {"text", "refusal"}:
        return Text(text_at(f"{path}.{kind}", inner, empty=True), rest)
    if kind == "image_url":
        url = inner.get("url") if isinstance(inner, dict) else inner
        return _set_url(Media(f"{path}.image_url.url", "image", rest=rest), url)
    if kind == "input_audio" and isinstance(inner, dict):
        media_type = _AUDIO_TYPES.get(str(inner.get("format")), f"audio/{inner.get('format')}")
        return Media(path, "audio", media_type, text_at(f"{path}.input_audio.data", inner.get("data")), rest=rest)
    if kind == "file" and isinstance(inner, dict) and "file_data" in inner:
        name = inner.get("filename")
        media = Media(f"{path}.file.file_data", "file", name=name if isinstance(name, str) else "", rest=rest)
        return _set_url(media, inner["file_data"])
    return Other(path, part)


def _set_url(media: Media, url: object) -> Media:
    """Fill in the data of a `data:` URL, or the address. Raises `ValueError` for anything else."""
    if isinstance(url, str) and (head := _DATA_URL.match(url)) and head[1] and head[3]:
        media_type = head[1].lower()
        media.media_type, media.data = _MEDIA_TYPES.get(media_type, media_type), url[head.end() :]
    elif isinstance(url, str) and url.startswith(_URL_STARTS):
        media.url = url
    else:
        raise ValueError(f"{media.path}: expected https://… or data:<type>;base64,…, got {url!r:.80}")
    return media
