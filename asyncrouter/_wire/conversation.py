"""The parts of a conversation as types: what `messages.py` reads and what the wires translate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from asyncrouter._types import Message


@dataclass(slots=True)
class Text:
    """Text of at least one character. `rest` are the fields beside it, such as Anthropic's `cache_control`."""

    text: str
    rest: Message = field(default_factory=dict)


@dataclass(slots=True)
class Media:
    """An image, a recording or a file: either base64 `data` of a known type, or a `url`."""

    path: str
    kind: Literal["image", "audio", "file"]
    media_type: str = ""
    """"image/png"; "" when it is at a URL and only the server there knows."""
    data: str = field(default="", repr=False)
    url: str = ""
    name: str = ""
    rest: Message = field(default_factory=dict)


@dataclass(slots=True)
class ToolUse:
    """A tool call that the model made. `rest` are the fields beside it, such as Google's `extra_content`."""

    path: str
    id: str
    name: str
    arguments: Message
    rest: Message = field(default_factory=dict)


@dataclass(slots=True)
class ToolResult:
    """The result of a tool call. `name` is found by the call's id; "" when no call in the conversation has it."""

    path: str
    id: str
    name: str
    parts: list[Part]
    rest: Message = field(default_factory=dict)


@dataclass(slots=True)
class Thought:
    """What a model has thought, as a block of Anthropic's or a chunk of Mistral's, exactly as it came."""

    path: str
    block: Message


@dataclass(slots=True)
class Other:
    """A part that Chat Completions does not know: a provider's own, exactly as the caller wrote it."""

    path: str
    part: Message


Part = Text | Media | ToolUse | ToolResult | Thought | Other
"""`path` of a part is where it stands in the caller's arguments: `messages[0].content[1]`."""


@dataclass(slots=True)
class ChatMessage:
    """One message with its parts. Consecutive messages of the same role are joined, as Anthropic and Google want it."""

    role: Literal["user", "assistant"]
    parts: list[Part] = field(default_factory=list)


@dataclass(slots=True)
class Conversation:
    """The text of `system` and `developer` messages, wherever they stood, and the other messages in order.

    Tool results belong to the user's messages.
    """

    system: list[Text] = field(default_factory=list)
    messages: list[ChatMessage] = field(default_factory=list)
