"""Decodes one JSON body into a reply, for every wire.

How it works. `feed()` only collects bytes; all reading is done once, by `close()`, because half a JSON document says
nothing. Until then `reply` is empty and `content` is 0, so a race over unstreamed answers is decided at the end.

Four things may stand in a body: the vendor's document; the pieces of a stream in a list, not written as events
(Google); an error document in the place of an answer; and an event stream under the wrong content
type. The first bytes say which, and an event stream goes on to an `EventDecoder` as it comes, so that its content is
seen at once. A wire may bring a `shortcut` for its commonest document (`openai/shortcut.py`): it writes the reply
without an `AnswerBuilder`, or returns false and has changed nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter._errors import BadReply
from asyncrouter._types import NO_TRACE, Chunk, Reply
from asyncrouter._wire.decoding.documents import read_documents
from asyncrouter._wire.decoding.event_decoder import EventDecoder
from asyncrouter._wire.decoding.first_bytes import first_bytes, without_lead
from asyncrouter._wire.decoding.long_texts import MAX_REST_BYTES, TOO_LONG, LongTexts
from asyncrouter._wire.decoding.not_an_answer import no_answer
from asyncrouter._wire.decoding.weight import LIGHT_BYTES, MAX_WEIGHT, TOO_HEAVY, WEIGHT_BESIDE, weight
from asyncrouter._wire.fields import cost_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Message
    from asyncrouter._wire.decoding.answer_builder import AnswerBuilder
    from asyncrouter._wire.failure.classify import Classifier

class BodyDecoder:
    """Decodes one JSON body. Implements `Decoder`; `new_builder` makes an `AnswerBuilder` if one is needed."""

    __slots__ = (
        "_body", "_classifier", "_closed", "_error", "_events", "_is_document", "_new_builder", "_params", "_reply",
        "_request_id", "_shortcut", "_texts", "_told_cost", "_weight", "characters", "content", "cost_usd", "done",
        "skipped",
    )

    def __init__(
        self,
        new_builder: Callable[[], AnswerBuilder],
        classifier: Classifier,
        params: Mapping[str, object],
        request_id: str | None = None,
        shortcut: Callable[[Message, Reply], bool] | None = None,
        told_cost: float | None = None,
    ) -> None:
        self._new_builder = new_builder
        self._classifier = classifier
        self._params = params
        self._request_id = request_id
        self._shortcut = shortcut
        self._told_cost = told_cost  # the cost that a header says
        self._body = bytearray()
        self._weight = 0  # of a body that is large
        self._texts: LongTexts | None = None  # what was set aside of one
        self._is_document = False  # whether the first bytes say so
        self._events: EventDecoder | None = None  # reads the body if it is an event stream
        self._closed = False
        self._error: AttemptError | None = None
        self._reply = Reply(trace=NO_TRACE)
        self.content = self.characters = 0
        self.cost_usd = told_cost
        self.done = False
        self.skipped = 0

    def __repr__(self) -> str:
        return f"<BodyDecoder {len(self._body)} bytes>"

    @property
    def reply(self) -> Reply:
        """The answer so far."""
        return self._reply if self._events is None else self._events.reply

    def feed(self, data: bytes, chunks: list[Chunk] | None = None) -> None:
        """Collect the next bytes. `chunks` gets nothing, for the whole answer is in `final()`; unless they are events.
        """
        if self._closed:
            return
        if self._is_document or (data.startswith(b"{") and not self._body and self._events is None):
            self._is_document = True
            if len(self._body) + len(data) > LIGHT_BYTES:
                data = self._weighed(data)
            self._body += data
        elif self._events is not None:
            self._feed_events(self._events, data, chunks)
        else:
            self._begin(data, chunks)

    def would_be_whole(self) -> bool:
        """A document is judged when it is whole."""
        return False

    def close(self) -> AttemptError | None:
        """Read the body: `None` if it is a whole answer, else the error. The first call decides."""
        if not self._closed:
            self._closed = True
            if self._events is None:
                self._error = self._error or self._read(self._body)
                self._body = bytearray()  # what has been read is not kept twice
            else:
                self._error = self._events.close()
                self._count(self._events)
        return self._error

    def final(self) -> Chunk:
        """The one chunk of an answer that came in one piece."""
        if self._events is not None:
            return self._events.final()
        reply = self._reply
        return Chunk(reply.text, reply.reasoning, reply.tool_calls, reply.finish_reason, reply.usage)

    def _begin(self, data: bytes, chunks: list[Chunk] | None) -> None:
        """Look at the first bytes: from them on it is a document, or events."""
        self._body[:] = without_lead(bytes(self._body) + data)
        match first_bytes(bytes(self._body)):
            case "events":
                self._events = EventDecoder(
                    self._new_builder(), self._classifier, self._params, self._request_id, self._told_cost, self._reply
                )
                self._feed_events(self._events, bytes(self._body), chunks)
            case "document" | "neither":
                self._is_document = True

    def _weighed(self, data: bytes) -> bytes:
        """What is to be read of the next piece of a long body; nothing once it is too heavy or too long."""
        if self._texts is None:
            self._texts, self._weight = LongTexts(), weight(self._body)
        data = self._texts.take(data)
        self._weight += weight(data)
        if self._weight > (WEIGHT_BESIDE if self._texts.size else MAX_WEIGHT):
            self._error = BadReply(TOO_HEAVY, request_id=self._request_id)
        elif len(self._body) + len(data) > MAX_REST_BYTES:
            self._error = BadReply(TOO_LONG, request_id=self._request_id)
        if self._error is None:
            return data
        self._body.clear()
        self._texts = LongTexts()
        self.done = True
        return b""

    def _feed_events(self, events: EventDecoder, data: bytes, chunks: list[Chunk] | None) -> None:
        events.feed(data, chunks)
        self._count(events)

    def _count(self, events: EventDecoder) -> None:
        self.content, self.characters, self.cost_usd = events.content, events.characters, events.cost_usd
        self.done, self.skipped = events.done, events.skipped

    def _read(self, body: bytearray) -> AttemptError | None:
        try:
            document: object = orjson.loads(body)
        except ValueError:
            document = None  # the error holds a copy of the body: nothing more is done while it is held
        if document is None:
            documents = read_documents(body)
            if documents is None:
                return no_answer(body, "not whole JSON")
            return self._read_documents([self._put_back(document) for document in documents], body)
        document = self._put_back(document)
        if self._shortcut is not None and isinstance(document, dict) and self._shortcut(document, self._reply):
            stated = cost_in(document.get("usage"))
            self.content, self.characters = 1, len(self._reply.text)
            self.cost_usd = stated if stated is not None else self._told_cost
            return None
        return self._read_documents(document if isinstance(document, list) and document else [document], body)

    def _put_back(self, document: object) -> object:
        return document if self._texts is None else self._texts.put_back(document)

    def _read_documents(self, documents: list[object], body: bytearray) -> AttemptError | None:
        builder = self._new_builder()
        for document in documents:
            if not isinstance(document, dict):
                return no_answer(body, "no answer")
            builder.add_document(document)
        self._keep(builder)
        if builder.error is not None:
            return self._classifier.document_error(builder.error, self._request_id)
        return builder.check(self._params, self._request_id)

    def _keep(self, builder: AnswerBuilder) -> None:
        stated = builder.cost_usd
        self.content, self.characters = builder.content, builder.characters
        self.cost_usd = stated if stated is not None else self._told_cost
        builder.write_to(self._reply)
