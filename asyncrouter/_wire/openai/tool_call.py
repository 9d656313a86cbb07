"""One tool call of a Chat Completions answer, as it grows from delta to delta."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from asyncrouter._wire.decoding.markup import is_tool_name
from asyncrouter._wire.decoding.surrogates import is_json
from asyncrouter._wire.fields import object_in
from asyncrouter._wire.json_text import json_text, same_json

if TYPE_CHECKING:
    from asyncrouter._types import Message


class ToolCall:
    """One tool call so far: a function's name and arguments in pieces, or a call of another kind.

    `number` is its index in the deltas that a reader of the stream sees.
    """

    __slots__ = (
        "arguments", "arguments_length", "held_back", "id", "is_blank", "malformed", "names", "names_length",
        "number", "other_pieces", "rest", "shown", "told_id",
    )

    def __init__(self, number: int) -> None:
        self.id = ""
        self.told_id = ""
        """Its id in the host's words, which may be another call's as well."""
        self.number = number
        self.names: list[str] = []  # the pieces of one name
        self.names_length = 0
        self.arguments: list[str] = []
        self.arguments_length = 0
        self.held_back = False
        """Whether its arguments are `{}`, which no reader has seen yet."""
        self.is_blank = True
        """Whether every delta has said that it has no name."""
        self.malformed = False
        self.shown = False
        """Whether a reader of the stream has seen its beginning."""
        self.rest: Message = {}  # the fields beside id and function
        self.other_pieces: dict[str, list[str]] = {}  # of a call that is no function: the pieces of its texts

    def add_delta(self, delta: Message, function: Message, *, whole: bool = False) -> int:
        """Add a delta, or a `whole` call, with the `function` in it; the characters of the content that it brought."""
        name, arguments = function.get("name"), function.get("arguments")
        self.is_blank = self.is_blank and "name" in function
        if name is None or self.has_name(name):  # a host that sends the name again does not mean its next piece
            function.pop("name", None)
            name = ""
        elif self.grows_to(name):
            name = function["name"] = name[self.names_length :]
        if isinstance(arguments, dict):  # some hosts send the object itself, not its JSON text
            arguments = function["arguments"] = json_text(arguments)
            whole = True
        elif arguments is None:
            arguments = ""
        if arguments and self._has_arguments(arguments):
            function["arguments"] = arguments = ""
        brought_other = self._add_rest(delta)
        if not (isinstance(name, str) and isinstance(arguments, str)):
            self.malformed = True
            return 0
        if name:
            self.names.append(name)
            self.names_length += len(name)
        if arguments:
            self._add_arguments(arguments, function, may_grow=bool(name) and not whole)
        return len(name) + len(arguments) + brought_other

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
        """The arguments that a reader has had; joined once, however often they are asked for."""
        if self.held_back:
            return ""
        if len(self.arguments) > 1:
            self.arguments[:] = ["".join(self.arguments)]
        return self.arguments[0] if self.arguments else ""

    @property
    def has_tool_name(self) -> bool:
        """Whether its name is one that a tool can have."""
        return is_tool_name("".join(self.names))

    def has_name(self, name: object) -> bool:
        """Whether this is its name so far."""
        # Lengths first: joining the pieces for each of them would take time by their square.
        return isinstance(name, str) and len(name) == self.names_length and name == "".join(self.names)

    def grows_to(self, name: object) -> TypeGuard[str]:
        """Whether this is its name so far and more: some hosts repeat what has come with each piece."""
        if not isinstance(name, str) or not 0 < self.names_length < len(name):
            return False
        return name.startswith("".join(self.names))

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
        return not numbered or bool(self.arguments) or ("type" in delta and not self.grows_to(name))

    def _add_arguments(self, arguments: str, function: Message, *, may_grow: bool) -> None:
        if self.held_back:  # it was no more than a beginning
            self.arguments.clear()
            self.arguments_length = 0
        self.held_back = arguments == "{}" and may_grow and not self.arguments
        self.arguments.append(arguments)
        self.arguments_length += len(arguments)
        if self.held_back:
            function["arguments"] = ""

    def _has_arguments(self, arguments: object) -> bool:
        """Whether these are its arguments so far, and whole: then the call has been sent twice."""
        if not isinstance(arguments, str) or len(arguments) != self.arguments_length:
            return False
        return arguments == self._whole_arguments()

    def _whole_arguments(self) -> str:
        """The arguments if they are a whole object, so that no further piece of them can come; else ""."""
        if not (self.arguments and self.arguments[-1].endswith("}")):
            return ""
        text = "{}" if self.held_back else self.joined_arguments()
        return text if text.startswith("{") and is_json(text) else ""

    def _add_rest(self, delta: Message) -> int:
        """Keep the fields beside a function; the characters of a call that is of another kind (OpenAI's `custom`)."""
        before = self.kind
        held = self.rest.get(before)
        self.rest.update((key, value) for key, value in delta.items() if key not in {"index", "id", "function"})
        kind = self.kind
        piece = delta.get(kind)
        if kind == "function" or not isinstance(piece, dict):
            return 0
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
        return max(1, sum(len(value) for value in piece.values() if isinstance(value, str)))
