"""Pairs the tool calls of a conversation with their results: the Responses API wants each pair whole."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from asyncrouter._wire.tool_ids import ToolIds


class OpenCall(NamedTuple):
    """A call that waits for its result."""

    call_id: str
    path: str
    custom: bool
    """Whether it is a call of a custom tool, whose result is another kind of item."""


class CallIds:
    """The calls of one conversation, in the order in which its messages are read, and the ids to send for them."""

    __slots__ = ("_ids", "_open")

    def __init__(self) -> None:
        self._ids = ToolIds("openai")
        self._open: dict[str, deque[OpenCall]] = {}  # by the ids they had

    def __repr__(self) -> str:
        return f"<CallIds {sum(map(len, self._open.values()))} open>"

    def add(self, path: str, given: object, *, custom: bool = False) -> str:
        """The id to send for a call that has this one."""
        call = OpenCall(self._ids.call(given), path, custom)
        self._open.setdefault(_text(given), deque()).append(call)
        return call.call_id

    def answer(self, given: object) -> OpenCall | None:
        """The call to which a result with this id belongs, `None` if there is none."""
        waiting = self._open.get(_text(given))
        return waiting.popleft() if waiting else None

    def unanswered(self) -> OpenCall | None:
        """The first call without a result."""
        return next((call for calls in self._open.values() for call in calls), None)


def _text(given: object) -> str:
    return given if isinstance(given, str) else ""
