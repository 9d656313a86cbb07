"""OpenRouter's `reasoning_details`, put together from the pieces in which a stream brings them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter._types import Message

_WORDS: Mapping[str, str] = {"reasoning.text": "text", "reasoning.summary": "summary"}
"""Where the words of a detail stand; one of another kind comes in one piece."""


class Details:
    """The details so far.

    Only the last piece of a thought bears its signature, and Anthropic turns down a conversation with a thought that
    has none: to be of use in a later turn they must be whole again.
    """

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: list[tuple[object, list[str]]] = []

    def __repr__(self) -> str:
        return f"<Details {len(self._found)}>"

    def take(self, details: Sequence[object]) -> None:
        """Take in the details of one delta."""
        for detail in details:
            word = _WORDS.get(str(detail.get("type"))) if isinstance(detail, dict) else None
            if isinstance(detail, dict) and word is not None:
                self._grow(detail, word)
            else:
                self._found.append((detail, []))

    def whole(self) -> list[object]:
        """The details as a message carries them."""
        return [
            {**detail, _WORDS[detail["type"]]: "".join(pieces)} if pieces and isinstance(detail, dict) else detail
            for detail, pieces in self._found
        ]

    def _grow(self, detail: Message, word: str) -> None:
        held, pieces = self._found[-1] if self._found else (None, [])
        if not isinstance(held, dict) or any(held.get(name) != detail.get(name) for name in ("type", "index")):
            held, pieces = {}, []
            self._found.append((held, pieces))
        held.update((name, value) for name, value in detail.items() if value is not None or name not in held)
        if isinstance(said := detail.get(word), str):
            pieces.append(said)
