"""An answer of Anthropic's Messages API, put together from its events or taken from one message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter._errors import BadReply, Refused
from asyncrouter._types import Chunk, Usage
from asyncrouter._wire.usage import count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import FinishReason, Message, Reply

FINISH: Mapping[str, FinishReason] = {
    "end_turn": "stop", "stop_sequence": "stop", "pause_turn": "stop",
    "max_tokens": "length", "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""The API's stop reasons. One we do not know counts as "stop"."""

_PIECE = {"text_delta": ("text", "text"), "thinking_delta": ("thinking", "thinking"),
          "input_json_delta": ("tool_use", "partial_json")}
"""For each kind of delta the kind of block it belongs to, and where its piece stands."""


class Block:
    """One content block as it grows: text, thinking, a tool's use, or something that is only kept."""

    __slots__ = ("call", "closed", "given", "kind", "pieces")

    def __init__(self, given: Message, call: int) -> None:
        self.given = given
        self.kind = given.get("type")
        self.call = call
        """Of a tool's use: the how-many-th it is, from 0."""
        self.pieces: list[str] = []
        self.closed = False

    def __repr__(self) -> str:
        return f"<Block {self.kind} {len(self.said)} characters{'' if self.closed else ', open'}>"

    @property
    def said(self) -> str:
        """Its pieces so far."""
        if len(self.pieces) > 1:
            self.pieces[:] = ["".join(self.pieces)]  # asked again, it is there
        return self.pieces[0] if self.pieces else ""

    @property
    def plain(self) -> bool:
        """Whether Chat Completions can say all of it."""
        return self.kind in {"text", "tool_use"} and not self.given.get("citations")

    def tool_call(self) -> Message:
        """A tool's use as a message of Chat Completions carries it."""
        function: Message = {"name": self.given["name"], "arguments": self.said}
        return {"id": self.given["id"], "type": "function", "function": function}

    def native(self) -> Message:
        """The whole block as the API gives it when it does not stream."""
        if self.kind == "text" or self.kind == "thinking":
            return {**self.given, str(self.kind): self.said}
        if self.kind == "tool_use":
            try:
                return {**self.given, "input": orjson.loads(self.said)}
            except ValueError:  # cut by max_tokens
                return self.given
        return self.given


class MessageDraft:
    """A message as far as it has come. `created` is the wall clock's second that `raw` is dated with."""

    __slots__ = ("_blocks", "_broken", "_calls", "_created", "_message", "_stop", "_told", "content", "ended")

    def __init__(self, created: int) -> None:
        self.content = 0
        self.ended = False
        self._created = created
        self._message: Message | None = None
        self._blocks: dict[int, Block] = {}
        self._calls = 0
        self._stop: Message = {}  # stop_reason and what stands beside it
        self._told = False  # usage is final
        self._broken = ""

    def __repr__(self) -> str:
        return f"<MessageDraft {self.content} pieces of content, blocks {list(self._blocks.values())}>"

    @property
    def begun(self) -> bool:
        """Whether anything of an answer has come."""
        return self._message is not None or bool(self._blocks)

    def take(self, event: Message, chunks: list[Chunk] | None) -> None:
        """Take in one event."""
        kind = event.get("type")
        if kind == "content_block_delta":
            self._grow(event, chunks)
        elif kind == "content_block_start":
            self._begin(event.get("index"), event.get("content_block"), chunks)
        elif kind == "content_block_stop":
            block = self._block(event)
            if block is not None:
                self._close(block, chunks)
        elif kind == "message_start":
            self._start(event.get("message"))
        elif kind == "message_delta":
            self._stopped(event.get("delta"), event.get("usage"), chunks)
        elif kind == "message_stop":
            self._close_all(chunks)
            self.ended = True

    def take_whole(self, document: Message) -> None:
        """Take in a message that came in one piece."""
        content = document.get("content")
        if document.get("type") != "message" or not isinstance(content, list):
            return
        self._start({**document, "content": []})
        for index, given in enumerate(content):
            self._begin(index, given, None)
        self._stopped(document, document.get("usage"), None)
        self.ended = True

    def write(self, reply: Reply) -> None:
        """Put what has come so far into `reply`. Its usage only counts when it is final: it begins at one token."""
        reply.build_raw = self.raw
        served = self._message.get("model") if self._message is not None else None
        reply.served_model = served if isinstance(served, str) else None
        reply.text, reply.reasoning = self._said("text"), self._said("thinking")
        reply.tool_calls = tuple(block.tool_call() for block in self._blocks.values() if block.kind == "tool_use")
        reply.finish_reason = self._finish()
        reply.usage = self._usage() if self._told else None

    def verdict(self, params: Mapping[str, object], request_id: str | None) -> AttemptError | None:
        """`None` for an answer that is whole and not empty, else what is wrong with it."""
        reason = self._stop.get("stop_reason")
        if self._broken:
            return BadReply(self._broken, request_id=request_id)
        if not self.ended and reason is None:
            told = "truncated: neither a stop reason nor message_stop has come" if self.begun else "no message came"
            return BadReply(told, request_id=request_id)
        if self._message is None:
            return BadReply("no message: its beginning is missing", request_id=request_id)
        answered = any(block.kind == "tool_use" or (block.kind == "text" and block.said) for block in self._blocks.values())
        if reason == "refusal" and not answered:
            return self._refusal(request_id)
        if self.content or self._finish() == "length" or reason == "stop_sequence" or params.get("stop"):
            return None
        return BadReply(f"empty: neither text nor tool call (stop reason {reason!r})", request_id=request_id)

    def raw(self) -> Message:
        """The answer as one Chat Completions object; what that has no word for stands beside, under its own name.

        `reasoning` is OpenRouter's name, `thinking_blocks` LiteLLM's: sent back in a later turn they keep signed
        thoughts alive. `content_blocks` are all of them, if any is more than text, thoughts and tool calls.
        """
        blocks = list(self._blocks.values())
        message: Message = {"role": "assistant", "content": self._said("text") or None}
        if reasoning := self._said("thinking"):
            message["reasoning"] = reasoning
        thoughts = [block for block in blocks if block.kind in {"thinking", "redacted_thinking"}]
        if thoughts:
            message["thinking_blocks"] = [block.native() for block in thoughts]
        if not all(block.plain or block in thoughts for block in blocks):
            message["content_blocks"] = [block.native() for block in blocks]
        if calls := [block.tool_call() for block in blocks if block.kind == "tool_use"]:
            message["tool_calls"] = calls
        choice: Message = {"index": 0, "message": message, "finish_reason": self._finish() if self._stop else None}
        for name, value in self._stop.items():
            if value is not None:
                choice["native_finish_reason" if name == "stop_reason" else name] = value
        head = {name: value for name, value in (self._message or {}).items() if name in {"id", "model"}}
        raw: Message = {**head, "object": "chat.completion", "created": self._created, "choices": [choice]}
        if self._told:
            raw["usage"] = self._raw_usage()
        return raw

    def _grow(self, event: Message, chunks: list[Chunk] | None) -> None:
        """The path of every token."""
        block, delta = self._block(event), event.get("delta")
        if block is None or type(delta) is not dict:
            return
        kind, place = _PIECE.get(delta.get("type"), ("", ""))  # type: ignore[call-overload]  # any key may be looked up
        if kind != block.kind:
            self._mark(block, delta)
            return
        piece = delta.get(place)
        if type(piece) is not str:
            self._broken = self._broken or f"a {delta.get('type')} without its {place}"
        elif piece:
            self._say(block, piece, chunks)

    def _say(self, block: Block, piece: str, chunks: list[Chunk] | None) -> None:
        block.pieces.append(piece)
        self.content += 1
        if chunks is None:
            return
        if block.kind == "text":
            chunks.append(Chunk(piece))
        elif block.kind == "thinking":
            chunks.append(Chunk("", piece))
        else:
            chunks.append(Chunk("", "", ({"index": block.call, "function": {"arguments": piece}},)))

    def _block(self, event: Message) -> Block | None:
        index = event.get("index")
        block = self._blocks.get(index) if type(index) is int else None
        if block is None:  # its beginning was lost, and with it what it is
            self._broken = self._broken or f"a piece of a block that has not begun (index {index!r:.40})"
        return block
