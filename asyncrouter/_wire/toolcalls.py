"""Tool calls put together from deltas, as the hosts number them: by index, by id, or by neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter._types import Message


class _Call:
    __slots__ = ("arguments", "broken", "id", "name", "rest")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.broken = False
        self.rest: Message = {}

    def take(self, delta: Message, function: Message) -> bool:
        """Append a delta; whether it brought a name or arguments."""
        name, arguments, told = function.get("name"), function.get("arguments"), delta.get("id")
        # A delta that gives the id again repeats the head of the call, not its next piece.
        repeated = bool(told) and told == self.id and name == self.name
        name = "" if repeated or name is None else name
        if isinstance(arguments, dict):  # some hosts send an object where the JSON text of one is due
            arguments = _written(arguments)
        elif arguments is None:
            arguments = ""
        if isinstance(told, str) and told:
            self.id = told
        self.rest.update((key, value) for key, value in delta.items() if key not in {"index", "id", "function"})
        if not (isinstance(name, str) and isinstance(arguments, str)):
            self.broken = True
            return False
        self.name += name
        if arguments:
            self.arguments.append(arguments)
        return bool(name or arguments)

    def whole(self) -> Message:
        if len(self.arguments) > 1:
            self.arguments[:] = ["".join(self.arguments)]
        function: Message = {"name": self.name, "arguments": self.arguments[0] if self.arguments else ""}
        head: Message = {"id": self.id} if self.id else {}
        return {**head, "type": "function", **self.rest, "function": function}


class ToolCalls:
    """The tool calls of one choice so far, in the order in which they began."""

    __slots__ = ("_by_index", "_calls", "broken")

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self.broken = False
        """Whether something came in the place of a name, arguments or an index that is none."""

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def named(self) -> bool:
        """Whether every call has its name by now."""
        return all(call.name for call in self._calls)

    def take(self, deltas: Sequence[Message]) -> bool:
        """Take in the deltas of one chunk; whether any brought a name or arguments."""
        content = False
        for delta in deltas:
            function, call = delta.get("function"), self._call_of(delta)
            if not (isinstance(function, dict | None) and isinstance(delta.get("index"), int | None)):
                self.broken = True
            content |= call.take(delta, function if isinstance(function, dict) else {})
            self.broken |= call.broken
        return content

    def whole(self) -> tuple[Message, ...]:
        """The calls so far, as a message carries them."""
        return tuple(call.whole() for call in self._calls)

    def _call_of(self, delta: Message) -> _Call:
        """Which call a delta belongs to: its index says, else its id; without either a name begins a new one."""
        index, told = delta.get("index"), delta.get("id")
        function = delta.get("function")
        begins = isinstance(function, dict) and bool(function.get("name"))
        if isinstance(index, int):
            call = self._by_index.get(index)
            # Gemini's compatible endpoint gives index 0 to every one of several calls.
            if call is None or (told and call.id and told != call.id and begins):
                call = self._by_index[index] = self._begin()
            return call
        if told:
            known = next((call for call in self._calls if call.id == told), None)
            return known if known is not None else self._begin()
        return self._calls[-1] if self._calls and not begins else self._begin()

    def _begin(self) -> _Call:
        self._calls.append(call := _Call())
        return call


def _written(arguments: Message) -> str | None:
    try:
        return orjson.dumps(arguments).decode()
    except TypeError:  # read without complaint, but nested too deep to be written
        return None
