"""Collects one answer of the Responses API, from its events or from one response.

How it works. A response is a list of items, each with an id and a place in the list. In a stream an item is announced,
grows by deltas and is given once more as a whole; the last event gives the whole response, which is the truth. Hosts
leave out what they like of this: places, ids, the announcement, the deltas or the whole. So an event finds its item by
place, else by id, else it means the newest one of its kind; whatever the whole has and the deltas had not is added, and
handed to a reader of the stream like a delta. A whole that contradicts its deltas means that something was lost.

Without the last event the stream was cut. An error ends the answer, wherever it stands: as an event, flat or nested, or
in a response that failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from asyncrouter._types import Chunk
from asyncrouter._wire.decoding.not_an_answer import bare_error
from asyncrouter._wire.decoding.weight import MAX_PARTS
from asyncrouter._wire.failure.envelopes import is_error
from asyncrouter._wire.fields import cost_in, object_in
from asyncrouter._wire.responses.completion import write_completion
from asyncrouter._wire.responses.item_index import ItemIndex
from asyncrouter._wire.responses.judgement import finish_reason, judge
from asyncrouter._wire.responses.output import CALLS, PARAGRAPH, OutputItem, well_formed
from asyncrouter._wire.responses.state import AnswerState
from asyncrouter._wire.responses.usage import read_usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Message, Reply
    from asyncrouter._wire.responses.hosts import Target

_DELTAS: Final = {
    "response.output_text.delta": "message",
    "response.refusal.delta": "message",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.reasoning_text.delta": "reasoning",
    "response.function_call_arguments.delta": "function_call",
    "response.custom_tool_call_input.delta": "custom_tool_call",
}
"""The events that bring a piece of an item's text, and the kind of item each belongs to."""

_WHOLE_TEXTS: Final = {
    "response.output_text.done": ("message", "text"),
    "response.refusal.done": ("message", "refusal"),
    "response.function_call_arguments.done": ("function_call", "arguments"),
    "response.custom_tool_call_input.done": ("custom_tool_call", "input"),
}
"""The events that repeat an item's text, the kind of item each belongs to, and the field in which it stands."""

_LAST: Final = {
    "response.completed": "completed", "response.incomplete": "incomplete", "response.failed": "failed",
    "response.cancelled": "cancelled",
}
"""The last events of a stream, and the status each stands for."""


class ResponseAnswer(AnswerState):
    """Collects one answer. Implements `AnswerBuilder`.

    `target` is the host that answers, `created` and `limit` are those of `AnswerState`; `serial` is letters and digits
    that stand for the id of a response without one.
    """

    __slots__ = (
        "_call_count", "_call_ids", "_index", "_open", "_open_id", "_open_index", "_restarts_call_ids",
        "_serial", "_speaking", "characters", "content", "ended", "error",
    )

    def __init__(self, target: Target, created: int, serial: str, limit: int | None = None) -> None:
        super().__init__(target.origin, created, limit)
        self._restarts_call_ids = target.restarts_call_ids
        self._serial = serial
        self._index = ItemIndex()
        self._call_count = 0
        self._call_ids: set[str] = set()
        self._speaking: OutputItem | None = None  # the message that has said something last
        self._open: list[str] | None = None  # its pieces, while it grows, and the marks of its deltas
        self._open_id: object = None
        self._open_index: object = None
        self.content = self.characters = 0
        self.ended = False
        self.error: Message | None = None

    def __repr__(self) -> str:
        return f"<ResponseAnswer {self.content} pieces of content, items {self.items}>"

    @property
    def cost_usd(self) -> float | None:
        """The US dollars the provider says it charged."""
        return cost_in(self.response.get("usage"))

    def add_event(self, event: Message, chunks: list[Chunk] | None) -> None:
        """Add one event."""
        kind = event.get("type")
        if kind == "response.output_text.delta" and self._open is not None:
            # The path of nearly every token.
            piece = event.get("delta")
            if (
                type(piece) is str
                and event.get("item_id") == self._open_id
                and event.get("output_index") == self._open_index
            ):
                if piece:
                    self._open.append(piece)
                    self.content += 1
                    self.characters += len(piece)
                    if chunks is not None:
                        chunks.append(Chunk(piece))
                return
        if is_error(event.get("error")) or kind == "error":
            self._fail(event if event.get("error") else {"error": event})
        elif type(kind) is not str:
            if (bare := bare_error(event)) is not None:
                self._fail(bare)
            self._break("an event without a type")
        elif kind in _DELTAS:
            self._add_delta(event, _DELTAS[kind], chunks)
        elif kind in _WHOLE_TEXTS:
            self._add_whole_text(event, *_WHOLE_TEXTS[kind], chunks)
        elif kind == "response.output_item.added":
            item = object_in(event, "item")
            known = self._index.find(item.get("id"), event.get("output_index"), "")
            if known is None or known.kind != item.get("type"):
                self._announce(item, event.get("output_index"), chunks)
        elif kind == "response.output_item.done":
            self._complete(object_in(event, "item"), event.get("output_index"), chunks)
        elif kind in _LAST:
            if not isinstance(event.get("response"), dict):
                self._break("its response")
            self._end(object_in(event, "response"), _LAST[kind], chunks)
        elif kind == "response.created":
            self._begin(object_in(event, "response"))

    def add_document(self, document: Message) -> None:
        """Add a response that came as one document, or one of the events of a stream that came as documents."""
        if isinstance(kind := document.get("type"), str) and kind.startswith("response."):
            self.add_event(document, None)
            return
        if document.get("object") != "response" and not isinstance(document.get("output"), list):
            self.error = document if is_error(document.get("error")) else bare_error(document)
            self._break("a document that is no response")
            return
        if self.started:
            self._break("more than one response")
            return
        if not isinstance(document.get("output"), list):
            self._break("its output")
        self._end(document, "completed", None)

    def write_to(self, reply: Reply) -> None:
        """Write what has come so far into `reply`."""
        reply.served_model = self.served_model
        reply.text = self.text
        reply.reasoning = self.reasoning
        reply.tool_calls = tuple(item.tool_call() for item in self.calls)  # type: ignore[misc]  # in this shape
        reply.usage = read_usage(object_in(self.response, "usage"), self.response.get("service_tier"))
        reply.finish_reason = finish_reason(self)
        reply._build_raw = self.raw

    def check(self, params: Mapping[str, object], request_id: str | None) -> AttemptError | None:
        """`None` for an answer that is whole and not empty, else the error."""
        return judge(self, params, request_id)

    def raw(self) -> Message:
        """The answer as one Chat Completions object."""
        return write_completion(self)

    def _begin(self, response: Message) -> None:
        known, told = self.response.get("id"), response.get("id")
        if known and told and known != told:
            self._break("more than one response")
        self.response = {**self.response, **response, "output": None}

    def _announce(self, given: Message, index: object, chunks: list[Chunk] | None) -> OutputItem:
        """Add an item. A tool call is content with its name, also before its arguments come."""
        self._open = None  # deltas without marks mean the newest item
        item = OutputItem(given, index, len(self.items), self._call_count)
        if len(self.items) >= MAX_PARTS:
            self._break("more items than an answer has")
            return item
        self.items.append(item)
        self._index.add(item)
        if item.kind in CALLS:
            self._call_count += 1
            if item.name:
                self._name_call(item, chunks)
        return item

    def _name_call(self, item: OutputItem, chunks: list[Chunk] | None) -> None:
        """Give a call its id, now that its name is known, and say what has come of it."""
        item.call_id = self._call_id(item)
        self._say_call(item, item.said, chunks, first=True)

    def _call_id(self, item: OutputItem) -> str:
        """The id of a call: no other call's, and made up where the host gives none."""
        told = item.given.get("call_id")
        call_id = told if isinstance(told, str) and told else item.id or ""
        if not call_id or self._restarts_call_ids:
            call_id = f"{call_id or f'call_{item.call}'}_{self._response_tail()}"
        if call_id in self._call_ids:
            call_id = f"{call_id}_{item.call}"
        self._call_ids.add(call_id)
        return call_id

    def _response_tail(self) -> str:
        """Letters and digits that no other response has."""
        told = self.response.get("id")
        tail = "".join(filter(str.isalnum, told))[-16:] if isinstance(told, str) else ""
        return tail or self._serial

    def _add_delta(self, event: Message, kind: str, chunks: list[Chunk] | None) -> None:
        item_id, index, piece = event.get("item_id"), event.get("output_index"), event.get("delta")
        item = self._index.find(item_id, index, kind)
        if item is None:
            item = self._announce({"type": kind, "id": item_id} if item_id else {"type": kind}, index, chunks)
        if type(piece) is not str or item.kind != kind:
            self._break("a piece of an item")
        elif event["type"] == "response.refusal.delta":
            self._open = None
            self._say(item, item.refusals, piece, chunks)
        elif kind == "reasoning":
            part = event.get("summary_index", event.get("content_index"))
            between = PARAGRAPH if item.pieces and part != item.part else ""
            item.part = part
            self._say(item, item.pieces, between + piece if piece else "", chunks)
        else:
            self._say(item, item.pieces, piece, chunks)
            if kind == "message":
                self._open, self._open_id, self._open_index = item.pieces, item_id, index

    def _add_whole_text(
        self, event: Message, kind: str, field: str, chunks: list[Chunk] | None
    ) -> None:
        """Take a text that is whole where no delta has brought any of it; hosts that give no other event say it here.
        """
        text, item = event.get(field), self._index.find(event.get("item_id"), event.get("output_index"), kind)
        if isinstance(text, str) and text and (item is None or not (item.pieces or item.refusals or item.whole)):
            self._add_delta({**event, "type": f"response.{field}.delta", "delta": text}, kind, chunks)

    def _complete(self, given: Message, index: object, chunks: list[Chunk] | None) -> OutputItem | None:
        """Take a whole item, and say of it what no delta has said; the item, `None` if it cannot be read."""
        kind = given.get("type")
        if type(kind) is not str or not well_formed(given):
            self._break("an item")
            return None
        item = self._index.find(given.get("id"), index, kind)
        if item is None:
            item = self._announce(given, index, chunks)
        rest = item.complete(given) if item.kind == kind else None
        if rest is None:
            self._break("the pieces of an item do not add up to it")
            return None
        if item.kind in CALLS and item.name and not item.call_id:
            self._name_call(item, chunks)
        text, refusal = rest
        self._say(item, item.pieces, text, chunks)
        self._say(item, item.refusals, refusal, chunks)
        if item.kind in CALLS and not item.said:
            self._say(item, item.pieces, "{}" if item.kind == "function_call" else "", chunks)
        return item

    def _say(self, item: OutputItem, pieces: list[str], piece: str, chunks: list[Chunk] | None) -> None:
        if not piece:
            return
        if item.kind == "message" and item is not self._speaking:
            # A reader has the text in the order in which it comes, so that is the order in which the items must speak.
            if item.pieces or item.refusals or (self._speaking is not None and item.number < self._speaking.number):
                self._break("its messages came out of order")
            self._speaking = item
        if pieces is item.pieces and item.refusals:  # the reply has a message's text first
            self._break("its messages came out of order")
        pieces.append(piece)
        if item.kind in CALLS and item.call_id:
            self._say_call(item, piece, chunks)
            return
        self.content += 1
        self.characters += len(piece)
        if item.kind in CALLS:  # said as soon as its name is known
            return
        if chunks is not None:
            chunks.append(Chunk("", piece) if item.kind == "reasoning" else Chunk(piece))

    def _say_call(self, item: OutputItem, piece: str, chunks: list[Chunk] | None, *, first: bool = False) -> None:
        self.content += 1
        self.characters += len(piece) + (len(item.name) if first else 0)
        if chunks is not None:
            chunks.append(Chunk("", "", (item.call_delta(piece, first=first),)))

    def _end(self, response: Message, status: str, chunks: list[Chunk] | None) -> None:
        """Take the whole response; what it does not repeat stands as it has come."""
        self.ended = True
        output = response.get("output")
        self._begin(response)
        self._index.place(self.items)
        if not isinstance(output, list | None):
            self._break("its output")
        repeated: list[int] = []
        for index, given in enumerate(output if isinstance(output, list) else ()):
            item = self._complete(given, index, chunks) if isinstance(given, dict) else None
            if item is None:
                self._break("an item")
            elif item.answers:
                repeated.append(item.number)
        if output and repeated != [item.number for item in self.items if item.answers]:
            self._break("the response does not hold the items that have come")
        told = response.get("status")
        self.status = told if isinstance(told, str) else status
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else details
        if not isinstance(told, str | None) or not isinstance(reason, str | None):
            self._break("its status")
        if self.status == "failed" or is_error(response.get("error")):
            self._fail(response if response.get("error") else {"error": "the response failed"})

    def _fail(self, error: Message) -> None:
        if self.error is None:
            self.error = {name: error[name] for name in ("error", "error_type") if name in error}
            self.ended = True

    def _break(self, what: str) -> None:
        """Something cannot be read: what is left is no whole answer, however it ends."""
        self.broken = self.broken or what
