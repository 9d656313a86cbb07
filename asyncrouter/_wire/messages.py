"""A Chat Completions conversation, taken apart: what a wire with another language needs to say it in its own words.

What is wrong by itself (no role, arguments that are no JSON) is a `ValueError` that names the place. What only some
provider has no word for is kept as it came, with its place, for the wire to judge.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter._types import Message

_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*?)(;base64)?,", re.IGNORECASE)  # RFC 2397
_WEB = ("http://", "https://", "gs://")
_AUDIO = {"mp3": "audio/mpeg", "wav": "audio/wav"}


@dataclass(slots=True)
class Text:
    """Words, at least one character. `rest` is what stood beside them (Anthropic's `cache_control`)."""

    text: str
    rest: Message = field(default_factory=dict)


@dataclass(slots=True)
class Media:
    """An image, a recording or a file: base64 `data` of a known type, or an address."""

    place: str
    kind: Literal["image", "audio", "file"]
    media_type: str = ""
    """"image/png"; "" when it is at an address and only the server there knows."""
    data: str = field(default="", repr=False)
    url: str = ""
    name: str = ""
    rest: Message = field(default_factory=dict)


@dataclass(slots=True)
class ToolUse:
    """A tool call that the model made. `rest` is what stood beside it (Google's `extra_content`)."""

    place: str
    id: str
    name: str
    arguments: Message
    rest: Message = field(default_factory=dict)


@dataclass(slots=True)
class ToolResult:
    """What a tool gave. `name` is found by the call's id; "" when no call in the conversation has it."""

    place: str
    id: str
    name: str
    parts: list[Part]
    rest: Message = field(default_factory=dict)


@dataclass(slots=True)
class Other:
    """A part that Chat Completions does not know: a provider's own, exactly as the caller wrote it."""

    place: str
    part: Message


Part = Text | Media | ToolUse | ToolResult | Other


@dataclass(slots=True)
class Turn:
    """What one side said until the other spoke; consecutive messages of one side are one turn."""

    role: Literal["user", "assistant"]
    parts: list[Part] = field(default_factory=list)


@dataclass(slots=True)
class Conversation:
    """`system` and `developer` messages, wherever they stood, and the turns. Tool results are the user's."""

    system: list[Text] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)


def read_messages(messages: Sequence[Message]) -> Conversation:
    """Take a conversation apart. Raises `ValueError` like `messages[2].tool_calls[0].function.arguments: …`."""
    conversation, names = Conversation(), dict[str, str]()
    for index, message in enumerate(messages):
        place, role = f"messages[{index}]", message.get("role")
        if role in {"system", "developer"}:
            conversation.system += _words(place, message)
        elif role == "user":
            _add(conversation, "user", _content(place, message))
        elif role == "assistant":
            _add(conversation, "assistant", _said(place, message, names))
        elif role == "tool":
            _add(conversation, "user", [_result(place, message, names)])
        else:
            raise ValueError(f"{place}.role: expected system, developer, user, assistant or tool, got {role!r:.80}")
    return conversation


def _add(conversation: Conversation, role: Literal["user", "assistant"], parts: Sequence[Part]) -> None:
    """Go on with the turn of this side, or begin one; who says nothing has no turn."""
    if not parts:
        return
    if not conversation.turns or conversation.turns[-1].role != role:
        conversation.turns.append(Turn(role))
    conversation.turns[-1].parts += parts


def _words(place: str, message: Message) -> list[Text]:
    parts = _content(place, message)
    words = [part for part in parts if isinstance(part, Text)]
    if len(words) < len(parts):
        raise ValueError(f"{place}.content: expected text in a {message['role']} message")
    return words


def _said(place: str, message: Message, names: dict[str, str]) -> list[Part]:
    parts = _content(place, message)
    if isinstance(refusal := message.get("refusal"), str) and refusal:
        parts.append(Text(refusal))
    if parts and isinstance(parts[-1], Text) and "extra_content" in message:  # Google's signature of the thoughts
        parts[-1].rest["extra_content"] = message["extra_content"]
    for index, call in enumerate(list_at(f"{place}.tool_calls", message.get("tool_calls"))):
        use = _tool_use(f"{place}.tool_calls[{index}]", call)
        names[use.id] = use.name
        parts.append(use)
    # LiteLLM's name for Anthropic's signed thoughts, which must stand before everything else and unchanged.
    thoughts = list_at(f"{place}.thinking_blocks", message.get("thinking_blocks"))
    return [*(Other(f"{place}.thinking_blocks", block) for block in thoughts if isinstance(block, dict)), *parts]


def _tool_use(place: str, call: object) -> ToolUse:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict):
        raise ValueError(f"{place}: expected a call of a function, got {call!r:.80}")
    name = text_at(f"{place}.function.name", function.get("name"))
    arguments = _arguments(f"{place}.function.arguments", function.get("arguments"))
    rest = {key: value for key, value in call.items() if key not in {"id", "type", "index", "function"}}
    identifier = call.get("id")
    return ToolUse(place, identifier if isinstance(identifier, str) else "", name, arguments, rest)


def _arguments(place: str, arguments: object) -> Message:
    if arguments is None or arguments == "":
        return {}
    if isinstance(arguments, str):
        try:
            arguments = orjson.loads(arguments)
        except ValueError as error:
            raise ValueError(f"{place}: not JSON: {error}") from None
    if not isinstance(arguments, dict):
        raise ValueError(f"{place}: expected a JSON object, got {arguments!r:.80}")
    return arguments


def _result(place: str, message: Message, names: Mapping[str, str]) -> ToolResult:
    told, name = message.get("tool_call_id"), message.get("name")
    identifier = told if isinstance(told, str) else ""
    rest = {key: value for key, value in message.items() if key not in {"role", "content", "tool_call_id", "name"}}
    named = names.get(identifier) or (name if isinstance(name, str) else "")
    return ToolResult(place, identifier, named, _content(place, message), rest)


def _content(place: str, message: Message) -> list[Part]:
    content = message.get("content")
    if isinstance(content, str):
        return [Text(content)] if content else []
    parts = list_at(f"{place}.content", content)
    read = [_part(f"{place}.content[{index}]", part) for index, part in enumerate(parts)]
    return [part for part in read if not isinstance(part, Text) or part.text]


def _part(place: str, part: object) -> Part:
    if not isinstance(part, dict):
        if isinstance(part, str):
            return Text(part)
        raise ValueError(f"{place}: expected a part with a type, got {part!r:.80}")
    kind = part.get("type")
    inner = part.get(kind) if isinstance(kind, str) else None
    rest = {key: value for key, value in part.items() if key not in {"type", kind}}
    if kind in {"text", "refusal"}:
        return Text(text_at(f"{place}.{kind}", inner, empty=True), rest)
    if kind == "image_url":
        url = inner.get("url") if isinstance(inner, dict) else inner
        return _media(Media(f"{place}.image_url.url", "image", rest=rest), url)
    if kind == "input_audio" and isinstance(inner, dict):
        audio = _AUDIO.get(str(inner.get("format")), f"audio/{inner.get('format')}")
        return Media(place, "audio", audio, text_at(f"{place}.input_audio.data", inner.get("data")), rest=rest)
    if kind == "file" and isinstance(inner, dict) and "file_data" in inner:
        name = inner.get("filename")
        media = Media(f"{place}.file.file_data", "file", name=name if isinstance(name, str) else "", rest=rest)
        return _media(media, inner["file_data"])
    return Other(place, part)


def _media(media: Media, url: object) -> Media:
    """Fill in what an address says: the data themselves (`data:`), or where they are."""
    if isinstance(url, str) and (head := _DATA_URL.match(url)) and head[1] and head[3]:
        media.media_type, media.data = head[1].lower(), url[head.end() :]
    elif isinstance(url, str) and url.startswith(_WEB):
        media.url = url
    else:
        raise ValueError(f"{media.place}: expected https://… or data:<type>;base64,…, got {url!r:.80}")
    return media


def list_at(place: str, value: object) -> Sequence[object]:
    """The list that must stand here; empty for `None`."""
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise ValueError(f"{place}: expected a list, got {value!r:.80}")
    return value


def text_at(place: str, value: object, *, empty: bool = False) -> str:
    """The text that must stand here."""
    if not isinstance(value, str) or not (value or empty):
        raise ValueError(f"{place}: expected text, got {value!r:.80}")
    return value
