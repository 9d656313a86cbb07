"""Gives the tool calls of a conversation ids that a model takes, the same on both sides of each turn.

Vendors disagree about ids: OpenAI takes 64 characters, Anthropic letters, digits, `_` and `-`, Mistral nine letters or
digits. Some hosts send none at all, and some begin anew at `call_0` in every answer. A result stands behind its call,
so it belongs to the nearest call before it that has its id and no result yet.

The new id depends on the old one and on what stands before it, so a conversation that grows keeps its beginning, and
the provider's cache of it.
"""

from __future__ import annotations

import re
from collections import deque
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from asyncrouter._wire.families import IdForm

MAX_LENGTH: Final = 64
"""The longest id that OpenAI takes ("string too long", 400)."""

_MISTRAL_LENGTH: Final = 9
_MISTRAL: Final = re.compile(r"[a-zA-Z0-9]{9}")
_NOT_ANTHROPIC: Final = re.compile(r"[^a-zA-Z0-9_-]")
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


class ToolIds:
    """The ids of one conversation, asked for in the order in which calls and results stand in it."""

    __slots__ = ("_form", "_open", "_used")

    def __init__(self, form: IdForm) -> None:
        self._form = form
        self._used: set[str] = set()
        self._open: dict[str, deque[str]] = {}  # ids of calls without a result, by the ids they had

    def __repr__(self) -> str:
        return f"<ToolIds {self._form}, {len(self._used)} used>"

    def call(self, given: object) -> str:
        """The id to send for a call that has this one."""
        text = given if isinstance(given, str) else ""
        base = text or f"call_{len(self._used) + 1}"
        written, number = formed(base, self._form), 1
        while written in self._used:
            number += 1
            written = formed(f"{base}_{number}", self._form)
        self._used.add(written)
        self._open.setdefault(text, deque()).append(written)
        return written

    def result(self, given: object) -> str:
        """The id to send with a result that has this one; "" if it has none, and no call waits for one."""
        text = given if isinstance(given, str) else ""
        if waiting := self._open.get(text):
            return waiting.popleft()
        return formed(text, self._form) if text else ""


def formed(call_id: str, form: IdForm) -> str:
    """The id itself where it has the form, else one that is made of it."""
    if form == "mistral":
        return call_id if _MISTRAL.fullmatch(call_id) else _short(call_id)
    if form == "anthropic":
        call_id = _NOT_ANTHROPIC.sub("_", call_id)
    return call_id if len(call_id) <= MAX_LENGTH else f"call_{digest(call_id)}"


def digest(text: str) -> str:
    """32 hexadecimal digits that stand for the text, the same every time."""
    return _hash(text).hex()


def _hash(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _short(call_id: str) -> str:
    number = int.from_bytes(_hash(call_id))
    letters = []
    for _ in range(_MISTRAL_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        letters.append(_DIGITS[digit])
    return "".join(letters)
