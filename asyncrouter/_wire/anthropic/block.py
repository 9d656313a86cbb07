"""One content block of an Anthropic message as it grows: text, thinking, a tool call, or a block of another kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._wire.json_text import is_object, read_arguments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._types import Message

_FIELDS: Mapping[str, str] = {
    "text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json",
}
"""The field of a delta that holds the next piece, by the delta's type."""

_KINDS: Mapping[str, str] = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "tool_use"}
"""The kind of block that a delta's type belongs to."""

_DIRECT = (None, {"type": "direct"})
"""The `caller` of a tool call that the model itself has made; another one is code that ran on the server."""


class Block:
    """One block so far.

    Blocks of other kinds (web searches, code that ran on the server, redacted thinking) are kept as they began, with
    the input, signature and citations of their deltas, so that they can go back to Anthropic. Other deltas are dropped.
    """

    __slots__ = ("call_index", "closed", "given", "kind", "pieces")

    def __init__(self, given: Message, call_index: int) -> None:
        kind = given.get("type")
        self.given = given
        """The block's JSON object as it began, with what later deltas added beside the pieces."""
        self.kind = kind if isinstance(kind, str) else ""
        self.call_index = call_index
        """Its index among the tool calls, if it is one."""
        self.pieces: list[str] = []
        self.closed = False

    def __repr__(self) -> str:
        return f"<Block {self.kind}, {len(self.joined)} characters{'' if self.closed else ', open'}>"

    @property
    def joined(self) -> str:
        """Its pieces so far: the text, the thinking, or the JSON text of a tool's input."""
        if len(self.pieces) > 1:
            self.pieces[:] = ["".join(self.pieces)]  # joined once, however often it is asked for
        return self.pieces[0] if self.pieces else ""

    @property
    def is_thought(self) -> bool:
        """Whether it is thinking, readable or not."""
        return self.kind in {"thinking", "redacted_thinking"}

    @property
    def fits_chat_completions(self) -> bool:
        """Whether Chat Completions has fields for all of it."""
        if self.kind == "tool_use":
            return self.given.get("caller") in _DIRECT
        return self.kind == "text" and not self.given.get("citations")

    @property
    def has_valid_input(self) -> bool:
        """Whether a tool's input is a JSON object, as it is unless it was cut; true for blocks without an input."""
        if self.kind in {"text", "thinking"} or not (self.pieces or self.kind == "tool_use"):
            return True
        return is_object(self.joined)

    def piece(self, delta_type: str, delta: Message) -> object:
        """The next piece in a delta. "" when it adds something else to the block; no `str` when something is lost."""
        if _KINDS.get(delta_type) == self.kind:
            return delta.get(_FIELDS[delta_type])
        return self._add_other(delta_type, delta)

    def tool_call(self) -> Message:
        """The tool call as a Chat Completions message has it."""
        function: Message = {"name": self.given["name"], "arguments": self.joined}
        return {"id": self.given["id"], "type": "function", "function": function}

    def native(self) -> Message:
        """The block as an unstreamed message of the API has it."""
        if self.kind in {"text", "thinking"}:
            return {**self.given, self.kind: self.joined}
        try:
            return {**self.given, "input": read_arguments(self.joined)} if self.pieces else self.given
        except ValueError:  # cut by max_tokens
            return self.given

    def _add_other(self, delta_type: str, delta: Message) -> object:
        if delta_type == "signature_delta":
            self.given["signature"] = delta.get("signature")
        elif delta_type == "citations_delta":
            held = self.given.get("citations")
            if not isinstance(held, list):
                held = self.given["citations"] = []
            held.append(delta.get("citation"))
        elif delta_type == "input_json_delta":  # of a tool that runs on the server
            if not isinstance(piece := delta.get("partial_json"), str):
                return None
            self.pieces.append(piece)
        elif delta_type == f"{self.kind}_delta":  # of a summary of what came before: "compaction"
            self._grow(delta)
        return ""

    def _grow(self, delta: Message) -> None:
        """Add the fields of a delta to those of the block: its content grows, what else it has comes whole."""
        for name, value in delta.items():
            held = self.given.get(name)
            if name == "content" and isinstance(value, str) and isinstance(held, str):
                self.given[name] = held + value
            elif name != "type" and value is not None:
                self.given[name] = value
