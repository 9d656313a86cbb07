"""Tool calls put together from deltas, as the hosts number them: by index, by id, or by neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter._wire.failure.error_body import part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter._types import Message


class _Call:
    __slots__ = ("arguments", "broken", "id", "length", "names", "rest", "said")

    def __init__(self) -> None:
        self.id = ""
        self.names: list[str] = []  # pieces of one
        self.length = 0  # of all together
        self.arguments: list[str] = []
        self.broken = False
        self.rest: Message = {}
        self.said: dict[str, list[str]] = {}  # pieces of the texts of a call that is no function

    def take(self, delta: Message, function: Message) -> bool:
        """Append a delta; whether it brought a name or arguments."""
        name, arguments, told = function.get("name"), function.get("arguments"), delta.get("id")
        # A delta that gives the id again repeats the head of the call, not its next piece.
        repeated = bool(told) and told == self.id and self._is(name)
        name = "" if repeated or name is None else name
        if isinstance(arguments, dict):  # some hosts send an object where the JSON text of one is due
            arguments = function["arguments"] = _written(arguments)
        elif arguments is None:
            arguments = ""
        if isinstance(told, str) and told:
            self.id = told
        other = self._take_rest(delta)
        if not (isinstance(name, str) and isinstance(arguments, str)):
            self.broken = True
            return False
        if name:
            self.names.append(name)
            self.length += len(name)
        if arguments:
            self.arguments.append(arguments)
        return bool(name or arguments) or other

    def _is(self, name: object) -> bool:
        # Lengths first: joining a name for each of its pieces would take the square of them.
        return isinstance(name, str) and len(name) == self.length and name == "".join(self.names)

    def _take_rest(self, delta: Message) -> bool:
        """What stands beside a function; whether that is the call itself, one of another kind (OpenAI's `custom`)."""
        before = self.kind
        held = self.rest.get(before)
        self.rest.update((key, value) for key, value in delta.items() if key not in {"index", "id", "function"})
        kind = self.kind
        piece = delta.get(kind)
        if kind == "function" or not isinstance(piece, dict):
            return False
        if kind != before or not isinstance(held, dict):
            held, self.said = {}, {}
        for key, value in piece.items():
            held[key] = value
            said = self.said.setdefault(key, [])
            if isinstance(value, str):
                said.append(value)
            else:
                said.clear()
        self.rest[kind] = held
        return True

    @property
    def kind(self) -> str:
        """Its type, if that is under its name here; hosts also write "" or nothing for a function."""
        kind = self.rest.get("type")
        return kind if isinstance(kind, str) and isinstance(self.rest.get(kind), dict) else "function"

    def whole(self) -> Message:
        kind = self.kind
        if kind != "function":
            said = {key: "".join(pieces) for key, pieces in self.said.items() if pieces}
            return {"id": self.id, **self.rest, kind: {**part(self.rest, kind), **said}}
        if len(self.arguments) > 1:
            self.arguments[:] = ["".join(self.arguments)]
        function: Message = {"name": "".join(self.names), "arguments": self.arguments[0] if self.arguments else ""}
        head: Message = {"id": self.id} if self.id else {}
        return {**head, "type": "function", **self.rest, "function": function}


class ToolCalls:
    """The tool calls of one choice so far, in the order in which they began."""

    __slots__ = ("_by_id", "_by_index", "_calls", "broken")

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_id: dict[str, _Call] = {}
        self._by_index: dict[int, _Call] = {}
        self.broken = False
        """Whether something came in the place of a name, arguments or an index that is none."""

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def named(self) -> bool:
        """Whether every call of a function has its name by now."""
        return all(call.names or call.kind != "function" for call in self._calls)

    def take(self, deltas: Sequence[Message], *, whole: bool = False) -> bool:
        """Take in the deltas of one chunk, or the calls of a `whole` message; whether any brought a name or arguments.
        """
        content = False
        for delta in deltas:
            function, index = delta.get("function"), delta.get("index")
            call = self._begin() if whole and index is None else self._call_of(delta)
            if not isinstance(function, dict | None) or (index is not None and type(index) is not int):
                self.broken = True
            content |= call.take(delta, function if isinstance(function, dict) else {})
            self.broken |= call.broken
            self._by_id.setdefault(call.id, call)
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
            known = self._by_id.get(told) if isinstance(told, str) else None
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
