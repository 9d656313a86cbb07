"""Joins the deltas of tool calls, however a host numbers them: by index, by id, or not at all.

Hosts disagree on what a delta repeats. Some send the name with every piece of the arguments, some the whole call twice,
some number all calls 0, some end with a delta in which nothing is. The rules, for a delta that has a name and belongs
by its numbers to a call that has one, too:

- the same name: more of the same call, unless that call's arguments are whole and others come;
- another name: the next call, if arguments have come or the delta is a beginning (it says its type); else the next
  piece of a name that comes in pieces.

What a reader of the stream is to see is mended as well: a name comes once, every call has its own index and an id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._wire.decoding.surrogates import is_json
from asyncrouter._wire.decoding.weight import MAX_PARTS
from asyncrouter._wire.fields import object_in
from asyncrouter._wire.json_text import json_text, same_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter._types import Message


class _ToolCall:
    """One tool call so far: a function's name and arguments in pieces, or a call of another kind."""

    __slots__ = (
        "arguments", "arguments_length", "id", "is_blank", "malformed", "names", "names_length", "number",
        "other_pieces", "rest", "shown", "told_id",
    )

    def __init__(self, number: int) -> None:
        self.id = ""
        self.told_id = ""
        """Its id in the host's words, which may be another call's as well."""
        self.number = number
        """Its index in the deltas that a reader of the stream sees."""
        self.names: list[str] = []  # the pieces of one name
        self.names_length = 0
        self.arguments: list[str] = []
        self.arguments_length = 0
        self.is_blank = True
        """Whether every delta has said that it has no name."""
        self.malformed = False
        self.shown = False
        """Whether a reader of the stream has seen its beginning."""
        self.rest: Message = {}  # the fields beside id and function
        self.other_pieces: dict[str, list[str]] = {}  # of a call that is no function: the pieces of its texts

    def add_delta(self, delta: Message, function: Message) -> bool:
        """Add a delta, with the `function` in it; whether it brought content."""
        name, arguments = function.get("name"), function.get("arguments")
        self.is_blank = self.is_blank and "name" in function
        if name is None or self.has_name(name):  # a host that sends the name again does not mean its next piece
            function.pop("name", None)
            name = ""
        if isinstance(arguments, dict):  # some hosts send the object itself, not its JSON text
            arguments = function["arguments"] = json_text(arguments)
        elif arguments is None:
            arguments = ""
        if arguments and self._has_arguments(arguments):
            function["arguments"] = arguments = ""
        brought_other = self._add_rest(delta)
        if not (isinstance(name, str) and isinstance(arguments, str)):
            self.malformed = True
            return False
        if name:
            self.names.append(name)
            self.names_length += len(name)
        if arguments:
            self.arguments.append(arguments)
            self.arguments_length += len(arguments)
        return bool(name or arguments) or brought_other

    @property
    def kind(self) -> str:
        """Its type, if a field of that name is there; hosts also write "" or nothing for a function."""
        kind = self.rest.get("type")
        return kind if isinstance(kind, str) and isinstance(self.rest.get(kind), dict) else "function"

    @property
    def is_placeholder(self) -> bool:
        """Whether there is nothing in it: some hosts end with such a delta."""
        return self.is_blank and not (self.names or self.arguments) and self.kind == "function"

    @property
    def is_usable(self) -> bool:
        """Whether its arguments are a whole JSON object; nothing, or null, stands for none."""
        text = self.joined_arguments().strip()
        return not text or self.kind != "function" or text == "null" or (text.startswith("{") and is_json(text))

    def joined(self) -> Message:
        """The call as a message of an unstreamed answer has it."""
        kind = self.kind
        if kind != "function":
            texts = {key: "".join(pieces) for key, pieces in self.other_pieces.items() if pieces}
            return {"id": self.id, **self.rest, kind: {**object_in(self.rest, kind), **texts}}
        function: Message = {"name": "".join(self.names), "arguments": self.joined_arguments()}
        return {"id": self.id, "type": "function", **self.rest, "function": function}

    def joined_arguments(self) -> str:
        """The arguments so far; joined once, however often they are asked for."""
        if len(self.arguments) > 1:
            self.arguments[:] = ["".join(self.arguments)]
        return self.arguments[0] if self.arguments else ""

    def has_name(self, name: object) -> bool:
        """Whether this is its name so far."""
        # Lengths first: joining the pieces for each of them would take time by their square.
        return isinstance(name, str) and len(name) == self.names_length and name == "".join(self.names)

    def missing_from(self, call: Message) -> str | None:
        """What the whole call has of the arguments that has not come yet; `None` if it is another call."""
        function = object_in(call, "function") or call
        whole = function.get("arguments")
        if isinstance(whole, dict):
            whole = json_text(whole)
        held = self.joined_arguments()
        if not self.has_name(function.get("name")) or not isinstance(whole, str | None):
            return None
        if not whole or held.startswith(whole.strip()):
            return ""
        return whole[len(held) :] if whole.startswith(held) else "" if same_json(held, whole) else None

    def begins_anew(self, delta: Message, name: str, arguments: object, *, numbered: bool) -> bool:
        """Whether a delta with a name, which belongs to this call by its numbers, is the beginning of another call."""
        if not self.names:
            return False
        if self.has_name(name):
            begins = isinstance(arguments, dict) or (isinstance(arguments, str) and arguments.startswith("{"))
            whole = self._whole_arguments() if begins else ""
            return bool(whole) and arguments != whole
        return not numbered or bool(self.arguments) or "type" in delta

    def _has_arguments(self, arguments: object) -> bool:
        """Whether these are its arguments so far, and whole: then the call has been sent twice."""
        if not isinstance(arguments, str) or len(arguments) != self.arguments_length:
            return False
        return arguments == self._whole_arguments()

    def _whole_arguments(self) -> str:
        """The arguments if they are a whole object, so that no further piece of them can come; else ""."""
        if not (self.arguments and self.arguments[-1].endswith("}")):
            return ""
        text = self.joined_arguments()
        return text if text.startswith("{") and is_json(text) else ""

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
    """The tool calls of one choice so far, in the order in which they began.

    `serial` is text that no other answer has: it is in the ids of calls to which the host gives none.
    """

    __slots__ = ("_by_id", "_by_index", "_calls", "_ids", "_numbers", "_serial", "malformed")

    def __init__(self, serial: str = "") -> None:
        self._serial = serial
        self._calls: list[_ToolCall] = []
        self._numbers: set[int] = set()  # the calls' own
        self._ids: set[str] = set()  # those that are given out
        self._by_id: dict[str, _ToolCall] = {}  # by the host's ids
        self._by_index: dict[int, _ToolCall] = {}
        self.malformed = False
        """Whether a name, arguments or an index had a type in which nothing can be read."""

    def __len__(self) -> int:
        return sum(not call.is_placeholder for call in self._calls)

    @property
    def all_named(self) -> bool:
        """Whether every call of a function has a name."""
        return all(call.names or call.kind != "function" or call.is_placeholder for call in self._calls)

    @property
    def only_begun(self) -> bool:
        """Whether calls have begun, and none of them has come."""
        return bool(self._calls) and not len(self)

    def all_usable(self, *, cut: bool) -> bool:
        """Whether the arguments of every call are JSON; of an answer that was `cut` the last call's may not be."""
        calls = [call for call in self._calls if not call.is_placeholder]
        return all(call.is_usable for call in (calls[:-1] if cut else calls))

    def add_deltas(self, deltas: Sequence[Message], *, whole: bool = False) -> tuple[bool, list[Message]]:
        """Add the deltas of one chunk, or the calls of a `whole` message.

        Returns whether any brought content, and those that a reader of the stream is to see.
        """
        content = False
        shown: list[Message] = []
        fresh: set[int] = set()  # the calls that this chunk has named
        for delta in deltas:
            function, identifier = delta.get("function"), _id_in(delta)
            if function is None and ("name" in delta or "arguments" in delta):  # some hosts do not nest it
                function = delta["function"] = {key: delta.pop(key) for key in ("name", "arguments") if key in delta}
            if not isinstance(function, dict | None):
                self.malformed = True
            function = function if isinstance(function, dict) else {}
            call = self._begin(None) if whole else self._call_of(delta, function, identifier, fresh)
            if identifier and not call.told_id:
                call.told_id = identifier
            if function.get("name"):
                fresh.add(id(call))
            brought = call.add_delta(delta, function)
            content |= brought
            self.malformed |= call.malformed
            if identifier:
                self._by_id.setdefault(identifier, call)
            self._mend(call, delta, function, whole=whole)
            if call.shown and (brought or identifier):
                shown.append(delta)
        return content, shown

    def joined(self) -> tuple[Message, ...]:
        """The calls as a message of an unstreamed answer has them."""
        return tuple(call.joined() for call in self._calls if not call.is_placeholder)

    def fill_up(self, calls: Sequence[Message]) -> list[Message]:
        """The calls of a whole message that no delta has brought: those beyond the ones that have come."""
        return list(calls[len(self) :])

    def complete(self, calls: Sequence[object]) -> tuple[bool, list[Message]]:
        """Add what a whole message has of the calls that have come: arguments that no delta has brought."""
        content = False
        shown: list[Message] = []
        for call, given in zip([call for call in self._calls if not call.is_placeholder], calls, strict=False):
            missing = call.missing_from(given) if isinstance(given, dict) else ""
            if missing is None:
                self.malformed = True
            elif missing and call.kind == "function":
                delta: Message = {"function": {"arguments": missing}}
                content |= call.add_delta(delta, object_in(delta, "function"))
                self._mend(call, delta, object_in(delta, "function"), whole=False)
                shown.append(delta)
        return content, shown

    def _call_of(self, delta: Message, function: Message, identifier: str, fresh: set[int]) -> _ToolCall:
        """The call a delta belongs to: by its index, else by its id; without either, a name begins a new call."""
        index = self._index_in(delta)
        name, arguments = function.get("name"), function.get("arguments")
        if index is not None:
            call = self._by_index.get(index)
        elif identifier:
            call = self._by_id.get(identifier)
        else:
            call = self._calls[-1] if self._calls else None
        if call is None:
            return self._begin(index)
        if not (isinstance(name, str) and name):
            return call
        known = call.told_id
        other_id = identifier and known and identifier != known and self._by_id.get(identifier) is not call
        if identifier and identifier == known:
            return call
        twin = id(call) in fresh and call.has_name(name) and bool(call.arguments) and bool(arguments)
        if other_id or twin or call.begins_anew(delta, name, arguments, numbered=index is not None):
            # Google's compatible endpoint gives index 0 to every one of several calls.
            return self._begin(index)
        return call

    def _index_in(self, delta: Message) -> int | None:
        index = delta.get("index")
        if isinstance(index, str) and index.isascii() and index.isdigit():
            index = int(index[:9])
        elif isinstance(index, float) and index.is_integer():
            index = int(index)
        if index is None or type(index) is int:
            return index
        self.malformed = True
        return None

    def _begin(self, index: int | None) -> _ToolCall:
        number = index if index is not None and index not in self._numbers else len(self._calls)
        while number in self._numbers:
            number += 1
        if len(self._calls) >= MAX_PARTS:
            self.malformed = True
            return self._calls[-1]
        self._numbers.add(number)
        self._calls.append(call := _ToolCall(number))
        if index is not None:
            self._by_index[index] = call
        return call

    def _mend(self, call: _ToolCall, delta: Message, function: Message, *, whole: bool) -> None:
        """Give the call an id once its name is known, and the delta what a reader needs to tell the calls apart."""
        if call.is_placeholder:
            return
        if not call.id and (call.told_id or call.names or call.kind != "function"):
            call.id = self._new_id(call)
        if not call.shown and call.id:
            call.shown = True
            delta["id"] = call.id
            if call.names and isinstance(delta.get("function"), dict) and not whole:
                function["arguments"] = call.joined_arguments()
        if not whole and delta.get("index") != call.number:
            delta["index"] = call.number

    def _new_id(self, call: _ToolCall) -> str:
        """The host's id, unless it has given none, or the same to two calls."""
        identifier = call.told_id or f"call_{self._serial}_{call.number}"
        if identifier in self._ids:
            identifier = f"{identifier}_{call.number}"
        self._ids.add(identifier)
        return identifier


def _id_in(delta: Message) -> str:
    identifier = delta.get("id")
    if isinstance(identifier, str):
        return identifier
    return str(identifier) if type(identifier) is int else ""
