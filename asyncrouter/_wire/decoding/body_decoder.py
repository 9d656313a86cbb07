"""Decodes one JSON body into a reply, for every wire.

How it works. `feed()` only collects bytes; all reading is done once, by `close()`, because half a JSON document says
nothing. Until then `reply` is empty and `content` is 0, so a race over unstreamed answers is decided at the end.

Four things may stand in a body: the vendor's document; Google's list of fragments, from a stream that was not asked
for as events; an error document in the place of an answer; and an event stream under the wrong content type, which is
handed to an `EventDecoder`. A wire may bring a `shortcut` for its commonest document (`openai/shortcut.py`): it writes
the reply without an `AnswerBuilder`, or returns false and has changed nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter._types import Chunk, Reply
from asyncrouter._wire.decoding.event_decoder import EventDecoder
from asyncrouter._wire.decoding.not_an_answer import no_answer
from asyncrouter._wire.fields import cost_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Message
    from asyncrouter._wire.decoding.answer_builder import AnswerBuilder
    from asyncrouter._wire.failure.classify import Classifier

_EVENT_STREAM_STARTS = (b"data:", b"event:", b":", b"id:", b"retry:")
"""How the first line of an event stream may begin; no JSON document begins like this."""


class BodyDecoder:
    """Decodes one JSON body. Implements `Decoder`; `new_builder` makes an `AnswerBuilder` if one is needed."""

    __slots__ = (
        "_body", "_classifier", "_closed", "_error", "_new_builder", "_params", "_request_id", "_shortcut", "content",
        "cost_usd", "done", "reply", "skipped",
    )

    def __init__(
        self,
        new_builder: Callable[[], AnswerBuilder],
        classifier: Classifier,
        params: Mapping[str, object],
        request_id: str | None = None,
        shortcut: Callable[[Message, Reply], bool] | None = None,
    ) -> None:
        self._new_builder = new_builder
        self._classifier = classifier
        self._params = params
        self._request_id = request_id
        self._shortcut = shortcut
        self._body = bytearray()
        self._closed = False
        self._error: AttemptError | None = None
        self.reply = Reply()
        self.content = 0
        self.cost_usd: float | None = None
        self.done = False
        self.skipped = 0

    def __repr__(self) -> str:
        return f"<BodyDecoder {len(self._body)} bytes>"

    def feed(self, data: bytes, chunks: list[Chunk] | None = None) -> None:
        """Collect the next bytes. `chunks` gets nothing: the whole answer is in `final()`."""
        self._body += data

    def close(self) -> AttemptError | None:
        """Read the body: `None` if it is a whole answer, else the error. The first call decides."""
        if not self._closed:
            self._closed = True
            self._error = self._read(bytes(self._body))
        return self._error

    def final(self) -> Chunk:
        """The one chunk of an answer that came in one piece."""
        reply = self.reply
        return Chunk(reply.text, reply.reasoning, reply.tool_calls, reply.finish_reason, reply.usage)

    def _read(self, body: bytes) -> AttemptError | None:
        if body.lstrip().startswith(_EVENT_STREAM_STARTS):
            return self._read_events(body)
        try:
            document: object = orjson.loads(body)
        except ValueError:
            return no_answer(body, "not whole JSON")
        if self._shortcut is not None and isinstance(document, dict) and self._shortcut(document, self.reply):
            self.content, self.cost_usd = 1, cost_in(document.get("usage"))
            return None
        return self._read_documents(document if isinstance(document, list) and document else [document], body)

    def _read_documents(self, documents: list[object], body: bytes) -> AttemptError | None:
        builder = self._new_builder()
        for document in documents:
            if not isinstance(document, dict):
                return no_answer(body, "no answer")
            builder.add_document(document)
        self._keep(builder)
        if builder.error is not None:
            return self._classifier.document_error(builder.error, self._request_id)
        return builder.check(self._params, self._request_id)

    def _read_events(self, body: bytes) -> AttemptError | None:
        builder = self._new_builder()
        events = EventDecoder(builder, self._classifier, self._params, self._request_id)
        events.feed(body)
        error = events.close()
        self.skipped = events.skipped
        self._keep(builder)
        return error

    def _keep(self, builder: AnswerBuilder) -> None:
        self.content, self.cost_usd = builder.content, builder.cost_usd
        builder.write_to(self.reply)
