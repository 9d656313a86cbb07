"""Remembers reasoning that a provider could not read, and keeps it out of later requests.

Encrypted reasoning can be read with the account, at the host and within the time for which it was made. A provider that
cannot read it refuses the whole request; without the reasoning the conversation goes on, at the price of its quality
and of the provider's cache. So all reasoning of a refused request is left out from then on, and the model asked again.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from asyncrouter._events import MAX_NAMES
from asyncrouter._wire.tool_ids import digest

if TYPE_CHECKING:
    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Message

_CODES: Final = frozenset({"invalid_encrypted_content"})

_WORDS: Final = re.compile(
    r"encrypted content .{0,200}could not be (?:verified|decrypted|parsed)|item with id '?rs_\S* not found"
    r"|item '?rs_\S* of type 'reasoning' was provided without its required following item",
    re.IGNORECASE,
)
"""What OpenAI and Azure say of reasoning that they cannot read, or not find (openai/codex PR 3528, mux#59)."""


class LostReasoning:
    """The reasoning items that a provider has refused."""

    __slots__ = ("_marks",)

    def __init__(self) -> None:
        self._marks: dict[str, None] = {}  # a dict for its order

    def __repr__(self) -> str:
        return f"<LostReasoning of {len(self._marks)} items>"

    def learn(self, body: object, error: AttemptError) -> bool:
        """Remember the reasoning of a refused request, if it was refused on that account; whether there is any."""
        if error.code not in _CODES and not _WORDS.search(error.message):
            return False
        items = body.get("input") if isinstance(body, dict) else None
        marks = [_mark(item) for item in items if _is_reasoning(item)] if isinstance(items, list) else []
        self._marks.update(dict.fromkeys(marks))
        while len(self._marks) > MAX_NAMES:
            del self._marks[next(iter(self._marks))]
        return bool(marks)

    def holds(self, item: Message) -> bool:
        """Whether this reasoning item has been refused."""
        return bool(self._marks) and _mark(item) in self._marks


def _is_reasoning(item: object) -> bool:
    return isinstance(item, dict) and item.get("type") == "reasoning"


def _mark(item: Message) -> str:
    return digest(f"{item.get('id')} {item.get('encrypted_content')}")
