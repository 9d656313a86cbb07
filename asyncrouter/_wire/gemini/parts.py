"""Keeps the parts of one candidate in their order, for the case that a Chat Completions message cannot say it.

A signature stands on the part it belongs to (a text, a picture, a function call), and Google wants all of them back
where they were. For the usual answer the fields of the message say as much: thoughts (which do not go back), one text,
pictures, calls, in this order. Anything else is kept as it came, as `content_parts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._wire.fields import object_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter._types import Message

SIGNATURE = "thoughtSignature"
"""The field of a part that holds the signature of the thoughts before it."""

_THOUGHT, _TEXT, _PICTURE, _CALL, _OTHER = range(5)
"""The kinds of parts; those before `_OTHER` in the order in which a message's fields stand for them."""


class PartsInOrder:
    """The parts of one candidate so far. Pieces of a text are joined until a signature, or another part, ends it."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[tuple[Message, list[str]]] = []  # each with the pieces of its text

    def __repr__(self) -> str:
        return f"<PartsInOrder {len(self._parts)}>"

    def add(self, parts: Sequence[Message]) -> None:
        """Add the parts of one fragment."""
        for part in parts:
            text = part.get("text")
            if not isinstance(text, str):
                self._parts.append((part, []))
            elif text or SIGNATURE in part:
                self._add_text(part, text)

    @property
    def is_signed(self) -> bool:
        """Whether any part has a signature."""
        return any(SIGNATURE in part for part, _ in self._parts)

    def kept(self) -> list[Message] | None:
        """The parts that go back, in order; `None` if the fields of a message say as much."""
        kinds = [_kind(part) for part, _ in self._parts]
        if kinds == sorted(kinds) and kinds.count(_TEXT) <= 1 and _OTHER not in kinds:
            return None
        return [
            {**part, "text": "".join(pieces)} if pieces else part
            for (part, pieces), kind in zip(self._parts, kinds, strict=True) if kind != _THOUGHT
        ]

    def _add_text(self, part: Message, text: str) -> None:
        held, pieces = self._parts[-1] if self._parts else (part, [])
        if not pieces or SIGNATURE in held or bool(held.get("thought")) != bool(part.get("thought")):
            self._parts.append((dict(part), [text]))
        else:
            pieces.append(text)
            if SIGNATURE in part:
                held[SIGNATURE] = part[SIGNATURE]


def _kind(part: Message) -> int:
    if part.get("thought"):
        return _OTHER if SIGNATURE in part else _THOUGHT
    if isinstance(part.get("text"), str):
        return _TEXT
    if "functionCall" in part:
        return _CALL
    return _PICTURE if is_picture(object_in(part, "inlineData")) else _OTHER


def is_picture(data: Message) -> bool:
    """Whether these inline data are a picture."""
    media_type = data.get("mimeType")
    return isinstance(media_type, str) and media_type.startswith("image/") and isinstance(data.get("data"), str)
