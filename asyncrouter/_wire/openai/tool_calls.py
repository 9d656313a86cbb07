"""Joins the deltas of tool calls, however a host numbers them: by index, by id, or not at all.

Hosts disagree on what a delta repeats. Some send the name with every piece of the arguments, some the whole call twice,
some number all calls 0, some end with a delta in which nothing is. The rules, for a delta that has a name and belongs
by its numbers to a call that has one, too:

- the same name: more of the same call, unless that call's arguments are whole and others come;
- another name: the next call, if arguments have come or the delta is a beginning (it says its type); else the next
  piece of a name that comes in pieces, each by itself or with all before it ("read", then "read_file").

Some begin each call with `{}` and send its arguments after that. So a reader of the stream gets these two characters
only when nothing else has come.

What a reader of the stream is to see is mended as well: a name comes once, every call has its own index and an id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._wire.decoding.weight import MAX_PARTS
from asyncrouter._wire.fields import object_in
from asyncrouter._wire.openai.tool_call import ToolCall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter._types import Message


class ToolCalls:
    """The tool calls of one choice so far, in the order in which they began.

    `serial` is text that no other answer has: it is in the ids of calls to which the host gives none.
    """

    __slots__ = ("_by_id", "_by_index", "_calls", "_ids", "_numbers", "_serial", "malformed")

    def __init__(self, serial: str = "") -> None:
        self._serial = serial
        self._calls: list[ToolCall] = []
        self._numbers: set[int] = set()  # the calls' own
        self._ids: set[str] = set()  # those that are given out
        self._by_id: dict[str, ToolCall] = {}  # by the host's ids
        self._by_index: dict[int, ToolCall] = {}
        self.malformed = False
        """Whether a name, arguments or an index had a type in which nothing can be read."""

    def __len__(self) -> int:
        return sum(not call.is_placeholder for call in self._calls)

    @property
    def all_named(self) -> bool:
        """Whether every call of a function has the name of one."""
        calls = (call for call in self._calls if call.kind == "function" and not call.is_placeholder)
        return all(call.has_tool_name for call in calls)

    @property
    def only_begun(self) -> bool:
        """Whether calls have begun, and none of them has come."""
        return bool(self._calls) and not len(self)

    def all_usable(self, *, cut: bool) -> bool:
        """Whether the arguments of every call are JSON; of an answer that was `cut` the last call's may not be."""
        calls = [call for call in self._calls if not call.is_placeholder]
        return all(call.is_usable for call in (calls[:-1] if cut else calls))

    def add_deltas(self, deltas: Sequence[Message], *, whole: bool = False) -> tuple[int, list[Message]]:
        """Add the deltas of one chunk, or the calls of a `whole` message.

        Returns the characters of the content that they brought, and those that a reader of the stream is to see.
        """
        content = 0
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
            brought = call.add_delta(delta, function, whole=whole)
            content += brought
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

    def release(self) -> list[Message]:
        """What has been held back of the arguments, and is all of them."""
        held = [call for call in self._calls if call.held_back]
        for call in held:
            call.held_back = False
        return [{"index": call.number, "function": {"arguments": call.joined_arguments()}} for call in held]

    def fill_up(self, calls: Sequence[Message]) -> list[Message]:
        """The calls of a whole message that no delta has brought: those beyond the ones that have come."""
        return list(calls[len(self) :])

    def complete(self, calls: Sequence[object]) -> tuple[int, list[Message]]:
        """Add what a whole message has of the calls that have come: arguments that no delta has brought."""
        content = 0
        shown: list[Message] = []
        for call, given in zip([call for call in self._calls if not call.is_placeholder], calls, strict=False):
            missing = call.missing_from(given) if isinstance(given, dict) else ""
            if missing is None:
                self.malformed = True
            elif missing and call.kind == "function":
                delta: Message = {"function": {"arguments": missing}}
                content += call.add_delta(delta, object_in(delta, "function"))
                self._mend(call, delta, object_in(delta, "function"), whole=False)
                shown.append(delta)
        return content, shown

    def _call_of(self, delta: Message, function: Message, identifier: str, fresh: set[int]) -> ToolCall:
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

    def _begin(self, index: int | None) -> ToolCall:
        number = index if index is not None and index not in self._numbers else len(self._calls)
        while number in self._numbers:
            number += 1
        if len(self._calls) >= MAX_PARTS:
            self.malformed = True
            return self._calls[-1]
        self._numbers.add(number)
        self._calls.append(call := ToolCall(number))
        if index is not None:
            self._by_index[index] = call
        return call

    def _mend(self, call: ToolCall, delta: Message, function: Message, *, whole: bool) -> None:
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

    def _new_id(self, call: ToolCall) -> str:
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
