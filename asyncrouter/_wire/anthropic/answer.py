"""Builds an answer from JSON of Anthropic's Messages API: the events of a stream, or one message.

How it works. A stream is a message in numbered content blocks: `message_start`; for each block `content_block_start`,
deltas, `content_block_stop`; then `message_delta` with the stop reason and the counts, and `message_stop`. A block that
does not have the next number, and a delta to a block that is not open, show that an event was lost: the answer is
marked as one that has lost something, and fails however well it ends. A missing `content_block_stop` takes nothing
away, for the stop reason ends all blocks. Events and deltas of unknown types are skipped, and so are deltas of another
kind than their block's.

An answer is whole when it has a stop reason, after which no content has come: content takes the stop reason back, and
another one must follow. `message_stop` only says that nothing more comes. The counts in `message_start` begin at one
token of output and are final only with `message_delta`, so usage is given only then.
One unstreamed message goes the same way: its blocks are begun one by one, and its end is read like a `message_delta`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._errors import BadReply, Refused
from asyncrouter._types import Chunk
from asyncrouter._wire.anthropic.block import Block
from asyncrouter._wire.anthropic.completion import joined, write_completion
from asyncrouter._wire.anthropic.finish import FINISH, finish_reason
from asyncrouter._wire.anthropic.usage import has_both_counts, read_counts
from asyncrouter._wire.decoding.ends import is_broken, is_word
from asyncrouter._wire.decoding.judgement import broken_off, judge_empty, lost_call
from asyncrouter._wire.decoding.markup import call_left_in, is_blank, is_only_thought
from asyncrouter._wire.decoding.not_an_answer import bare_error
from asyncrouter._wire.decoding.weight import MAX_PARTS
from asyncrouter._wire.failure.envelopes import is_error
from asyncrouter._wire.failure.error_body import one_line
from asyncrouter._wire.fields import grown_counts, object_in
from asyncrouter._wire.json_text import json_text, read_arguments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import FinishReason, Message, Reply
    from asyncrouter._wire.origin import Origin

_STOP_FIELDS = ("stop_reason", "stop_sequence", "stop_details", "container")
"""The fields of a `message_delta`, or of a whole message, that tell why and how it ended."""

_EVENTS = ("message_", "content_block_", "ping", "error")
"""How the types of events begin; they come as documents where a stream was not written as events."""

_NO_ANSWER = ("text", "thinking", "redacted_thinking", "tool_use")
"""Kinds of blocks that are an answer only if there is something in them, or never; tool calls are counted apart."""


class MessageBuilder:
    """Collects one message. Implements `AnswerBuilder`.

    `created` (seconds since the epoch) dates `Reply.raw`, for the API gives no date; `origin` is where it came from.
    """

    __slots__ = (
        "_blocks", "_call_ids", "_calls", "_closed_by_end", "_counts", "_counts_are_final", "_created", "_lost",
        "_message", "_origin", "_stop", "characters", "content", "cost_usd", "ended", "error",
    )

    def __init__(self, created: int, origin: Origin) -> None:
        self.content = self.characters = 0
        self.cost_usd: float | None = None
        self.ended = False
        self.error: Message | None = None
        self._created = created
        self._origin = origin
        self._message: Message | None = None
        self._blocks: list[Block] = []
        self._calls = 0
        self._call_ids: set[str] = set()
        self._closed_by_end: list[Block] = []  # blocks that had no end of their own when the stop reason came
        self._stop: Message = {}  # those of _STOP_FIELDS that have come
        self._counts: Message = {}
        self._counts_are_final = False
        self._lost = ""  # why the answer cannot be whole, "" for no reason

    def __repr__(self) -> str:
        return f"<MessageBuilder {self.content} pieces of content, blocks {self._blocks}>"

    @property
    def started(self) -> bool:
        """Whether anything of an answer has come."""
        return self._message is not None

    def add_event(self, event: Message, chunks: list[Chunk] | None) -> None:
        """Add one event of a stream."""
        kind = event.get("type")
        if kind == "content_block_delta":
            self._add_delta(event, chunks)
        elif kind == "content_block_start":
            self._begin_block(event.get("index"), event.get("content_block"), chunks)
        elif kind == "content_block_stop":
            self._end_block(self._block_of(event), chunks)
        elif kind == "message_start":
            message = event.get("message")
            if not isinstance(message, dict) or message.get("content") != []:
                self._mark_lost("the message's beginning")
            self._begin_message(message)
        elif kind == "message_delta":
            self._add_stop(event.get("delta"), event.get("usage"), chunks)
        elif kind == "message_stop":
            self.ended = True
            self._add_usage(event.get("usage"))
        elif is_error(event.get("error")) or kind == "error":
            self.error, self.ended = event, True
        elif type(kind) is not str:
            self.error = bare_error(event)
            self.ended = self.error is not None
            self._mark_lost("an event without a type")

    def add_document(self, document: Message) -> None:
        """Add a message that came as one document."""
        content, kind = document.get("content"), document.get("type")
        if isinstance(kind, str) and kind.startswith(_EVENTS):
            self.add_event(document, None)
            return
        self.error = document if is_error(document.get("error")) else bare_error(document)
        if kind != "message" or not isinstance(content, list):
            return
        self._begin_message(document)
        for index, given in enumerate(content):
            self._begin_block(index, _with_object(given), None)
        if any(block.kind == "tool_use" and "input" not in block.given for block in self._blocks):
            self._mark_lost("a tool's input")
        self._add_stop(document, document.get("usage"), None)

    def write_to(self, reply: Reply) -> None:
        """Write what has come so far into `reply`."""
        reply._build_raw = self.raw
        served = self._message.get("model") if self._message is not None else None
        reply.served_model = served if isinstance(served, str) else None
        reply.text, reply.reasoning = joined(self._blocks, "text"), joined(self._blocks, "thinking")
        calls = (block.tool_call() for block in self._blocks if block.kind == "tool_use")
        reply.tool_calls = tuple(calls)  # type: ignore[arg-type]  # in this shape
        reply.finish_reason = self._finish_reason()
        reply.usage = read_counts(self._counts) if self._counts_are_final else None

    def check(self, params: Mapping[str, object], request_id: str | None) -> AttemptError | None:
        """`None` for an answer that is whole and not empty, else the error."""
        reason = self._stop.get("stop_reason")
        if self._lost:
            return BadReply(f"something was lost on the way: {self._lost}", request_id=request_id)
        if not isinstance(reason, str):
            message = "truncated: no stop reason has come" if self.started else "no message came"
            return BadReply(message, request_id=request_id)
        if reason not in FINISH and is_broken(reason):
            return broken_off(reason, request_id=request_id)
        if reason == "refusal" and not (self._calls or joined(self._blocks, "text")):
            return self._refusal(request_id)
        finish = self._finish_reason()
        if not all(block.has_valid_input for block in (self._blocks[:-1] if finish == "length" else self._blocks)):
            return BadReply("a tool call whose arguments are no JSON", request_id=request_id)
        nothing_else = not self._calls and all(block.kind in _NO_ANSWER for block in self._blocks)
        if finish == "tool_calls" and nothing_else and (lost := lost_call(params, request_id)) is not None:
            return lost
        if not self._is_answer(reason):
            return self._judge_empty(reason, finish, params, request_id)
        return call_left_in(joined(self._blocks, "text"), params, request_id) if nothing_else else None

    def raw(self) -> Message:
        """The answer as one Chat Completions object."""
        counts = self._counts if self._counts_are_final else None
        return write_completion(self._message, self._blocks, self._stop, counts, self._created, self._origin)

    def _is_answer(self, reason: str) -> bool:
        """Whether there is more in it than thoughts. A turn that pauses is sent back, and goes on from there."""
        if self._calls or any(block.kind not in _NO_ANSWER for block in self._blocks) or reason == "pause_turn":
            return True
        text = joined(self._blocks, "text")
        return not is_blank(text) and not self._is_only_thought

    @property
    def _has_thoughts(self) -> bool:
        return any(block.is_thought for block in self._blocks) or self._is_only_thought

    @property
    def _is_only_thought(self) -> bool:
        return is_only_thought(joined(self._blocks, "text"), cut=self._finish_reason() == "length")

    def _judge_empty(
        self, reason: str, finish: FinishReason, params: Mapping[str, object], request_id: str | None
    ) -> AttemptError | None:
        if reason == "stop_sequence" and not self._has_thoughts:
            return None
        usage = read_counts(self._counts) if self._counts_are_final else None
        return judge_empty(finish, reason, params, request_id, usage=usage, thoughts=self._has_thoughts)

    def _add_delta(self, event: Message, chunks: list[Chunk] | None) -> None:
        """Add a delta to its block: the path of every token."""
        block, delta = self._block_of(event), event.get("delta")
        if block is not None and block.closed and block in self._closed_by_end:
            self._take_back_end()
        if block is None or block.closed or type(delta) is not dict or type(kind := delta.get("type")) is not str:
            self._mark_lost("a piece of a block that is not open")
            return
        piece: object = delta.get("text") if kind == "text_delta" and block.kind == "text" else block.piece(kind, delta)
        if type(piece) is not str:
            self._mark_lost("a piece without its words")
        elif piece:
            self._add_piece(block, piece, chunks)

    def _take_back_end(self) -> None:
        """Content has come after the stop reason, so that was no end: wait for the next one."""
        self._stop = {}
        for block in self._closed_by_end:
            block.closed = False
        self._closed_by_end.clear()

    def _add_piece(self, block: Block, piece: str, chunks: list[Chunk] | None) -> None:
        block.pieces.append(piece)
        self.content += 1
        self.characters += len(piece)
        if chunks is None:
            return
        if block.kind == "text":
            chunks.append(Chunk(piece))
        elif block.kind == "thinking":
            chunks.append(Chunk("", piece))
        else:
            chunks.append(Chunk("", "", ({"index": block.call_index, "function": {"arguments": piece}},)))

    def _block_of(self, event: Message) -> Block | None:
        index = event.get("index")
        return self._blocks[index] if type(index) is int and 0 <= index < len(self._blocks) else None

    def _begin_block(self, index: object, given: object, chunks: list[Chunk] | None) -> None:
        if self._stop:
            self._closed_by_end.clear()
            self._take_back_end()
        if type(given) is not dict or index != len(self._blocks) or self._message is None or index >= MAX_PARTS:
            self._mark_lost("a block out of order")
            return
        self._blocks.append(block := Block(given, self._calls))
        if not block.kind:
            self._mark_lost("a block's type")
        if block.kind == "tool_use":
            self._calls += 1
            self._begin_call(block, chunks)
        elif block.kind not in {"text", "thinking"}:
            self.content += 1
            self.characters += 1
        elif not isinstance(piece := given.get(block.kind), str):
            self._mark_lost("a block without its words")
        elif piece:
            self._add_piece(block, piece, chunks)

    def _begin_call(self, block: Block, chunks: list[Chunk] | None) -> None:
        identifier, name = block.given.get("id"), block.given.get("name")
        if not isinstance(identifier, str) or not identifier:
            identifier = block.given["id"] = self._made_up_id(block)
        elif identifier in self._call_ids:
            identifier = block.given["id"] = f"{identifier}_{block.call_index}"
        self._call_ids.add(identifier)
        if not isinstance(name, str) or not name:
            self._mark_lost("a tool call without a name")
            block.given["name"] = ""
            return
        self.content += 1
        self.characters += len(name)
        if chunks is not None:
            chunks.append(Chunk("", "", ({"index": block.call_index, **block.tool_call()},)))

    def _made_up_id(self, block: Block) -> str:
        """An id for a tool call to which the host gives none; the reply, `raw` and the chunks all have it."""
        told = self._message.get("id") if self._message is not None else None
        tail = "".join(filter(str.isalnum, told))[-24:] if isinstance(told, str) else ""
        return f"toolu_{tail or self._created}_{block.call_index}"

    def _end_block(self, block: Block | None, chunks: list[Chunk] | None) -> None:
        """End a block. A tool call without deltas has its whole input in the block itself, often an empty one."""
        if block is None:
            self._mark_lost("the beginning of a block")
            return
        if block.kind == "tool_use" and not (block.closed or block.pieces):
            given = block.given.get("input")
            if (text := json_text(given)) is not None:
                self._add_piece(block, text, chunks)
            if text is None or not isinstance(given, dict):
                self._mark_lost("a tool's input")
        block.closed = True

    def _begin_message(self, message: object) -> None:
        if not isinstance(message, dict):
            return
        if self._message is None:
            self._message = message
            self._add_counts(message.get("usage"))
        elif self._blocks and message.get("id") != self._message.get("id"):
            self._mark_lost("the end of a first message, before a second one")

    def _add_stop(self, stop: object, usage: object, chunks: list[Chunk] | None) -> None:
        """Add why the message stopped, and what it took; the counts are cumulative."""
        if self._message is None:
            self._mark_lost("the message's beginning")
        if isinstance(stop, dict):
            self._stop |= {name: stop[name] for name in _STOP_FIELDS if stop.get(name) is not None}
        else:
            self._mark_lost("why it stopped")
        if is_word(self._stop.get("stop_reason")):
            self._closed_by_end = [block for block in self._blocks if not block.closed]
            for block in self._closed_by_end:
                self._end_block(block, chunks)
        else:
            self._stop.pop("stop_reason", None)
        self._add_usage(usage or object_in(stop if isinstance(stop, dict) else {}, "usage"))

    def _add_usage(self, usage: object) -> None:
        """Add counts that come with the end, or after it: they are final."""
        self._add_counts(usage)
        self._counts_are_final |= isinstance(usage, dict) and "output_tokens" in usage and has_both_counts(self._counts)

    def _add_counts(self, usage: object) -> None:
        if isinstance(usage, dict):
            self._counts = grown_counts(self._counts, usage)
            if usage.get("output_tokens") == 0:  # the count before is of the beginning only
                self._counts = {**self._counts, "output_tokens": 0}

    def _mark_lost(self, what: str) -> None:
        """Note that a part of the answer is missing: the rest is no whole answer, however it ends."""
        self._lost = self._lost or what

    def _finish_reason(self) -> FinishReason:
        return finish_reason(self._stop.get("stop_reason"), has_calls=self._calls > 0)

    def _refusal(self, request_id: str | None) -> Refused:
        details = object_in(self._stop, "stop_details")
        category, explanation = details.get("category"), details.get("explanation")
        code = category if isinstance(category, str) else "refusal"
        default = f"the model refused to answer ({code})"
        message = one_line(explanation) if isinstance(explanation, str) else default
        return Refused(message, code=code, request_id=request_id)


def _with_object(block: object) -> object:
    """A block of a whole message, with a tool's input as the object that some hosts write as JSON text."""
    text = block.get("input") if isinstance(block, dict) and block.get("type") == "tool_use" else None
    if not isinstance(block, dict) or not isinstance(text, str):
        return block
    try:
        return {**block, "input": read_arguments(text or "{}")}
    except ValueError:
        return block
