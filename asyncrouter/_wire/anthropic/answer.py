"""An answer of Anthropic's Messages API, put together from its events or taken from one message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter._errors import BadReply, Refused
from asyncrouter._types import Chunk
from asyncrouter._wire.anthropic.block import Block
from asyncrouter._wire.anthropic.usage import read_counts, whole_counts, write_counts
from asyncrouter._wire.decoding.not_an_answer import bare_fault
from asyncrouter._wire.failure.error_body import one_line, part

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

_STOP = ("stop_reason", "stop_sequence", "stop_details", "container")


class MessageDraft:
    """A message as far as it has come. `created` is the wall clock's second that `raw` is dated with."""

    __slots__ = (
        "_blocks", "_broken", "_calls", "_counts", "_created", "_message", "_stop", "_told", "content", "cost_usd",
        "ended", "fault",
    )

    def __init__(self, created: int) -> None:
        self.content = 0
        self.cost_usd: float | None = None
        self.ended = False
        self.fault: Message | None = None
        self._created = created
        self._message: Message | None = None
        self._blocks: list[Block] = []
        self._calls = 0
        self._stop: Message = {}  # stop_reason and what stands beside it
        self._counts: Message = {}
        self._told = False  # the counts are final
        self._broken = ""

    def __repr__(self) -> str:
        return f"<MessageDraft {self.content} pieces of content, blocks {self._blocks}>"

    @property
    def begun(self) -> bool:
        """Whether anything of an answer has come."""
        return self._message is not None

    def take(self, event: Message, chunks: list[Chunk] | None) -> None:
        """Take in one event."""
        kind = event.get("type")
        if kind == "content_block_delta":
            self._grow(event, chunks)
        elif kind == "content_block_start":
            self._begin(event.get("index"), event.get("content_block"), chunks)
        elif kind == "content_block_stop":
            self._close(self._block(event), chunks)
        elif kind == "message_start":
            begun = event.get("message")
            if not isinstance(begun, dict) or begun.get("content") != []:
                self._break("the message's beginning")
            self._start(begun)
        elif kind == "message_delta":
            self._stop_at(event.get("delta"), event.get("usage"), chunks)
        elif kind == "message_stop":
            self.ended = True
        elif event.get("error") or kind == "error":
            self.fault, self.ended = event, True
        elif type(kind) is not str:
            self._break("an event without a type")

    def take_whole(self, document: Message) -> None:
        """Take in a message that came in one piece."""
        content = document.get("content")
        self.fault = document if document.get("error") else bare_fault(document)
        if document.get("type") != "message" or not isinstance(content, list):
            return
        self._start(document)
        for index, given in enumerate(content):
            self._begin(index, given, None)
        if any(block.kind == "tool_use" and "input" not in block.given for block in self._blocks):
            self._break("a tool's input")
        self._stop_at(document, document.get("usage"), None)

    def write(self, reply: Reply) -> None:
        """Put what has come so far into `reply`. Its usage only counts when it is final: it begins at one token."""
        reply._build_raw = self.raw
        served = self._message.get("model") if self._message is not None else None
        reply.served_model = served if isinstance(served, str) else None
        reply.text, reply.reasoning = self._said("text"), self._said("thinking")
        reply.tool_calls = tuple(block.tool_call() for block in self._blocks if block.kind == "tool_use")
        reply.finish_reason = self._finish()
        reply.usage = read_counts(self._counts) if self._told else None

    def verdict(self, params: Mapping[str, object], request_id: str | None) -> AttemptError | None:
        """`None` for an answer that is whole and not empty, else what is wrong with it."""
        reason = self._stop.get("stop_reason")
        if self._broken:
            return BadReply(self._broken, request_id=request_id)
        if reason is None:
            told = "truncated: no stop reason has come" if self.begun else "no message came"
            return BadReply(told, request_id=request_id)
        if reason == "refusal" and not (self._calls or self._said("text")):
            return self._refused(request_id)
        cut = self._finish() == "length"
        if not all(block.usable for block in (self._blocks[:-1] if cut else self._blocks)):
            return BadReply("a tool call whose arguments are no JSON", request_id=request_id)
        if self.content or cut or reason == "stop_sequence" or params.get("stop"):
            return None
        return BadReply(f"empty: neither text nor tool call (stop reason {reason!r})", request_id=request_id)

    def raw(self) -> Message:
        """The answer as one Chat Completions object; what that has no word for stands beside, under its own name.

        `reasoning` is OpenRouter's name, `thinking_blocks` LiteLLM's: sent back in a later turn they keep signed
        thoughts alive. `content_blocks` are all of them, if any is more than text, thoughts and tool calls.
        """
        blocks = self._blocks
        message: Message = {"role": "assistant", "content": self._said("text") or None}
        if reasoning := self._said("thinking"):
            message["reasoning"] = reasoning
        thoughts = [block for block in blocks if block.kind in {"thinking", "redacted_thinking"}]
        if thoughts:
            message["thinking_blocks"] = [block.native() for block in thoughts]
        if not all(block.spoken or block in thoughts for block in blocks):
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
            raw["usage"] = write_counts(self._counts)
        return raw

    def _grow(self, event: Message, chunks: list[Chunk] | None) -> None:
        """The path of every token."""
        block, delta = self._block(event), event.get("delta")
        if block is None or block.closed or type(delta) is not dict or type(told := delta.get("type")) is not str:
            self._break("a piece of a block that is not open")
            return
        piece = delta.get("text") if told == "text_delta" and block.kind == "text" else block.piece(told, delta)
        if type(piece) is not str:
            self._break("a piece without its words")
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
        return self._blocks[index] if type(index) is int and 0 <= index < len(self._blocks) else None

    def _begin(self, index: object, given: object, chunks: list[Chunk] | None) -> None:
        if type(given) is not dict or index != len(self._blocks) or self._message is None or self._stop:
            self._break("a block out of its turn")
            return
        self._blocks.append(block := Block(given, self._calls))
        if not block.kind:
            self._break("a block's type")
        if block.kind == "tool_use":
            self._calls += 1
            self._name(block, chunks)
        elif block.kind not in {"text", "thinking"}:
            self.content += 1
        elif not isinstance(begun := given.get(block.kind), str):
            self._break("a block without its words")
        elif begun:
            self._say(block, begun, chunks)

    def _name(self, block: Block, chunks: list[Chunk] | None) -> None:
        told, name = block.given.get("id"), block.given.get("name")
        if not (isinstance(told, str) and told and isinstance(name, str) and name):
            self._break("a tool call without an id or a name")
            block.given.update(id="", name="")
            return
        self.content += 1
        if chunks is not None:
            chunks.append(Chunk("", "", ({"index": block.call, **block.tool_call()},)))

    def _close(self, block: Block | None, chunks: list[Chunk] | None) -> None:
        """End a block; a tool that takes nothing, or whose input came whole, has its arguments now."""
        if block is None:
            self._break("the beginning of a block")
            return
        if block.kind == "tool_use" and not (block.closed or block.pieces):
            given = block.given.get("input")
            try:
                self._say(block, orjson.dumps(given).decode(), chunks)
            except TypeError:  # nested beyond all reason
                given = None
            if not isinstance(given, dict):
                self._break("a tool's input")
        block.closed = True

    def _start(self, message: object) -> None:
        if isinstance(message, dict) and self._message is None:
            self._message = message
            self._count(message.get("usage"))

    def _stop_at(self, told: object, usage: object, chunks: list[Chunk] | None) -> None:
        """Take in why it stopped and what it took; the counts are cumulative."""
        if self._message is None:
            self._break("the message's beginning")
        if isinstance(told, dict):
            self._stop |= {name: told[name] for name in _STOP if told.get(name) is not None}
        else:
            self._break("why it stopped")
        if isinstance(self._stop.get("stop_reason"), str):
            for block in self._blocks:
                self._close(block, chunks)
        else:
            self._stop.pop("stop_reason", None)
        self._count(usage)
        self._told |= isinstance(usage, dict) and "output_tokens" in usage and whole_counts(self._counts)

    def _count(self, usage: object) -> None:
        if isinstance(usage, dict):
            self._counts |= {name: value for name, value in usage.items() if value is not None}

    def _break(self, why: str) -> None:
        """Something was lost on the way: what is left is no whole answer, however it ends."""
        self._broken = self._broken or f"something was lost on the way: {why}"

    def _said(self, kind: str) -> str:
        return "".join(block.said for block in self._blocks if block.kind == kind)

    def _finish(self) -> FinishReason:
        reason = self._stop.get("stop_reason")
        if isinstance(reason, str):
            return FINISH.get(reason, "stop")
        return "tool_calls" if self._calls else "stop"

    def _refused(self, request_id: str | None) -> Refused:
        details = part(self._stop, "stop_details")
        category, explanation = details.get("category"), details.get("explanation")
        code = category if isinstance(category, str) else "refusal"
        told = one_line(explanation) if isinstance(explanation, str) else f"the model refused to answer ({code})"
        return Refused(told, code=code, request_id=request_id)
