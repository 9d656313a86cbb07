"""Joins the deltas of tool calls, however a host numbers them: by index, by id, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter._wire.fields import object_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter._types import Message


class _ToolCall:
    """One tool call so far: a function's name and arguments in pieces, or a call of another kind."""

    __slots__ = ("arguments", "id", "malformed", "names", "names_length", "other_pieces", "rest")

    def __init__(self) -> None:
        self.id = ""
        self.names: list[str] = []  # the pieces of one name
        self.names_length = 0
        self.arguments: list[str] = []
        self.malformed = False
        self.rest: Message = {}  # the fields beside id and function
        self.other_pieces: dict[str, list[str]] = {}  # of a call that is no function: the pieces of its texts

    def add_delta(self, delta: Message, function: Message) -> bool:
        """Add a delta, with the `function` in it; whether it brought content."""
        name, arguments, identifier = function.get("name"), function.get("arguments"), delta.get("id")
        # A delta that gives the id again repeats the beginning of the call, and its name is not the next piece of it.
        repeated = bool(identifier) and identifier == self.id and self._has_name(name)
        name = "" if repeated or name is None else name
        if isinstance(arguments, dict):  # some hosts send the object itself, not its JSON text
            arguments = function["arguments"] = _json_text(arguments)
        elif arguments is None:
            arguments = ""
        if isinstance(identifier, str) and identifier:
            self.id = identifier
        brought_other = self._add_rest(delta)
        if not (isinstance(name, str) and isinstance(arguments, str)):
            self.malformed = True
            return False
        if name:
            self.names.append(name)
            self.names_length += len(name)
        if arguments:
            self.arguments.append(arguments)
        return bool(name or arguments) or brought_other

    @property
    def kind(self) -> str:
        """Its type, if a field of that name is there; hosts also write "" or nothing for a function."""
        kind = self.rest.get("type")
        return kind if isinstance(kind, str) and isinstance(self.rest.get(kind), dict) else "function"

    def joined(self) -> Message:
        """The call as a message of an unstreamed answer has it."""
        kind = self.kind
        if kind != "function":
            texts = {key: "".join(pieces) for key, pieces in self.other_pieces.items() if pieces}
            return {"id": self.id, **self.rest, kind: {**object_in(self.rest, kind), **texts}}
        if len(self.arguments) > 1:
            self.arguments[:] = ["".join(self.arguments)]  # joined once, however often it is asked for
        function: Message = {"name": "".join(self.names), "arguments": self.arguments[0] if self.arguments else ""}
        head: Message = {"id": self.id} if self.id else {}
        return {**head, "type": "function", **self.rest, "function": function}

    def _has_name(self, name: object) -> bool:
        # Lengths first: joining the pieces for each of them would take time by their square.
        return isinstance(name, str) and len(name) == self.names_length and name == "".join(self.names)

    def _add_rest(self, delta: Message) -> bool:
        """Keep the fields beside a function; whether they are the call itself, of another kind (OpenAI's `custom`)."""
        before = self.kind
        held = self.rest.get(before)
        self.rest.update((key, value) for key, value in delta.items() if key not in {"index", "id", "function"})
        kind = self.kind
        piece = delta.get(kind)
        if kind == "function" or not isinstance(piece, dict):
            return False
        if kind != before or not isinstance(held, dict):
            held, self.other_pieces = {}, {}
        for key, value in piece.items():
            held[key] = value
            pieces = self.other_pieces.setdefault(key, [])
            if isinstance(value, str):
                pieces.append(value)
            else:
                pieces.clear()
        self.rest[kind] = held
        return True


class ToolCalls:
    """The tool calls of one choice so far, in the order in which they began."""

    __slots__ = ("_by_id", "_by_index", "_calls", "malformed")

    def __init__(self) -> None:
        self._calls: list[_ToolCall] = []
        self._by_id: dict[str, _ToolCall] = {}
        self._by_index: dict[int, _ToolCall] = {}
        self.malformed = False
        """Whether a name, arguments or an index had a type in which nothing can be read."""

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def all_named(self) -> bool:
        """Whether every call of a function has a name."""
        return all(call.names or call.kind != "function" for call in self._calls)

    def add_deltas(self, deltas: Sequence[Message], *, whole: bool = False) -> bool:
        """Add the deltas of one chunk, or the calls of a `whole` message; whether any brought content."""
        content = False
        for delta in deltas:
            function, index = delta.get("function"), delta.get("index")
            call = self._begin() if whole and index is None else self._call_of(delta)
            if not isinstance(function, dict | None) or (index is not None and type(index) is not int):
                self.malformed = True
            content |= call.add_delta(delta, function if isinstance(function, dict) else {})
            self.malformed |= call.malformed
            self._by_id.setdefault(call.id, call)
        return content

    def joined(self) -> tuple[Message, ...]:
        """The calls as a message of an unstreamed answer has them."""
        return tuple(call.joined() for call in self._calls)

    def _call_of(self, delta: Message) -> _ToolCall:
        """The call a delta belongs to: by its index, else by its id; without either, a name begins a new call."""
        index, identifier = delta.get("index"), delta.get("id")
        function = delta.get("function")
        has_name = isinstance(function, dict) and bool(function.get("name"))
        if isinstance(index, int):
            call = self._by_index.get(index)
            # Gemini's OpenAI-compatible endpoint gives index 0 to every one of several calls.
            if call is None or (identifier and call.id and identifier != call.id and has_name):
                call = self._by_index[index] = self._begin()
            return call
        if identifier:
            known = self._by_id.get(identifier) if isinstance(identifier, str) else None
            return known if known is not None else self._begin()
        return self._calls[-1] if self._calls and not has_name else self._begin()

    def _begin(self) -> _ToolCall:
        self._calls.append(call := _ToolCall())
        return call


def _json_text(arguments: Message) -> str | None:
    """The object as JSON text; `None` if it could be read, but is nested too deep to be written."""
    try:
        return orjson.dumps(arguments).decode()
    except TypeError:
        return None
