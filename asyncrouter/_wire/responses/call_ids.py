"""Gives the tool calls of a conversation ids that the Responses API takes, the same on both sides of each turn.

The API wants ids of at most 64 characters, and every call of a conversation with one of its own. Neither is certain:
other vendors' ids are longer, some hosts send none, and some begin anew at `call_0` in every answer. A call's result
stands behind it, so an id belongs to the nearest call before it that has not been answered yet.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

MAX_LENGTH: Final = 64
"""The longest id of a tool call that OpenAI takes, on either of its APIs."""


class OpenCall(NamedTuple):
    """A call that waits for its result."""

    call_id: str
    path: str
    custom: bool
    """Whether it is a call of a custom tool, whose result is another kind of item."""


class CallIds:
    """The ids of one conversation, in the order in which its messages are read."""

    __slots__ = ("_open", "_used")

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._open: dict[str, list[OpenCall]] = {}

    def __repr__(self) -> str:
        return f"<CallIds {len(self._used)} used, {sum(map(len, self._open.values()))} open>"

    def add(self, path: str, given: object, *, custom: bool = False) -> str:
        """The id to send for a call that has this one."""
        given = given if isinstance(given, str) else ""
        base = shortened(given) or f"call_{len(self._used) + 1}"
        call_id, number = base, 1
        while call_id in self._used:
            number += 1
            call_id = shortened(f"{base}_{number}")
        self._used.add(call_id)
        self._open.setdefault(given, []).append(OpenCall(call_id, path, custom))
        return call_id

    def answer(self, given: object) -> OpenCall | None:
        """The call to which a result with this id belongs, `None` if there is none."""
        waiting = self._open.get(given if isinstance(given, str) else "")
        return waiting.pop(0) if waiting else None

    def unanswered(self) -> OpenCall | None:
        """The first call without a result."""
        return next((call for calls in self._open.values() for call in calls), None)


def shortened(call_id: str) -> str:
    """The id itself, or a digest of it if it is too long; the same digest wherever it stands."""
    if len(call_id) <= MAX_LENGTH:
        return call_id
    return f"call_{hashlib.blake2b(call_id.encode('utf-8', 'replace'), digest_size=16).hexdigest()}"
