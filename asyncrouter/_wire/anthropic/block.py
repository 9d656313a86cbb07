"""One content block of an Anthropic message as it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from asyncrouter._types import Message

_PIECES = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
_GROWS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "tool_use"}


class Block:
    """Text, thinking, the use of a tool, or something that is only kept: searches, code that ran, sealed thoughts."""

    __slots__ = ("call", "closed", "given", "kind", "pieces")

    def __init__(self, given: Message, call: int) -> None:
        kind = given.get("type")
        self.given = given
        self.kind = kind if isinstance(kind, str) else ""
        self.call = call
        """Of a tool's use: the how-many-th it is, from 0."""
        self.pieces: list[str] = []
        self.closed = False

    def __repr__(self) -> str:
        return f"<Block {self.kind}, {len(self.said)} characters{'' if self.closed else ', open'}>"

    @property
    def said(self) -> str:
        """Its pieces so far: words, thoughts, or the JSON text of a tool's input."""
        if len(self.pieces) > 1:
            self.pieces[:] = ["".join(self.pieces)]  # asked again, it is there
        return self.pieces[0] if self.pieces else ""

    @property
    def spoken(self) -> bool:
        """Whether Chat Completions has a word for all of it."""
        return self.kind in {"text", "tool_use"} and not self.given.get("citations")

    @property
    def usable(self) -> bool:
        """Whether a tool's input is JSON; the API says so of all that have not been cut."""
        if self.kind in {"text", "thinking"} or not (self.pieces or self.kind == "tool_use"):
            return True
        try:
            orjson.loads(self.said)
        except ValueError:
            return False
        return True

    def piece(self, told: str, delta: Message) -> object:
        """The next piece in a delta of this type: "" when it only marks the block, no `str` when something is lost."""
        if _GROWS.get(told) == self.kind:
            return delta.get(_PIECES[told])
        return self._mark(told, delta)

    def tool_call(self) -> Message:
        """The use of a tool as a Chat Completions message carries it."""
        function: Message = {"name": self.given["name"], "arguments": self.said}
        return {"id": self.given["id"], "type": "function", "function": function}

    def native(self) -> Message:
        """The whole block as the API gives it when it does not stream."""
        if self.kind in {"text", "thinking"}:
            return {**self.given, self.kind: self.said}
        try:
            return {**self.given, "input": orjson.loads(self.said)} if self.pieces else self.given
        except ValueError:  # cut by max_tokens
            return self.given

    def _mark(self, told: str, delta: Message) -> object:
        if told == "signature_delta":
            self.given["signature"] = delta.get("signature")
        elif told == "citations_delta":
            held = self.given.get("citations")
            if not isinstance(held, list):
                held = self.given["citations"] = []
            held.append(delta.get("citation"))
        elif told == "input_json_delta":  # of a tool that the server runs
            if not isinstance(piece := delta.get("partial_json"), str):
                return None
            self.pieces.append(piece)
        return ""
