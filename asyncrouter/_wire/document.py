"""The decoder of a Chat Completion that comes as one JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter._types import Chunk, Reply
from asyncrouter._wire.assemble import Answer
from asyncrouter._wire.events import EventDecoder
from asyncrouter._wire.plain import write_plain
from asyncrouter._wire.usage import read_cost
from asyncrouter._wire.verdict import bare_fault, no_answer, verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._wire.classify import Classifier

_SSE = (b"data:", b"event:", b":", b"id:", b"retry:")


class DocumentDecoder:
    """Decodes one JSON body. Only at its end is anything known, so `content` is 0 until `end()` has been asked."""

    __slots__ = (
        "_body", "_classifier", "_params", "_pieces", "_reply", "_request_id", "_seen", "_usage", "_verdict", "content",
        "done", "skipped",
    )

    def __init__(self, classifier: Classifier, params: Mapping[str, object], request_id: str | None = None) -> None:
        self._classifier = classifier
        self._params = params
        self._request_id = request_id
        self._body = bytearray()
        self._seen = -1
        self._pieces = 0
        self._usage: object = None
        self._verdict: AttemptError | None = None
        self._reply = Reply()
        self.content = 0
        self.done = False
        self.skipped = 0

    def __repr__(self) -> str:
        return f"<DocumentDecoder {len(self._body)} bytes>"

    @property
    def cost_usd(self) -> float | None:
        """What OpenRouter says it charged."""
        self._look()
        return read_cost(self._usage)

    @property
    def reply(self) -> Reply:
        """The answer, if the body is whole; the same object every time."""
        self._look()
        return self._reply

    def feed(self, data: bytes, chunks: list[Chunk] | None = None) -> None:
        """Take in the next bytes."""
        self._body += data

    def end(self) -> AttemptError | None:
        """What an end here is: `None` for a whole answer."""
        self._look()
        self.content = self._pieces
        return self._verdict

    def final(self) -> Chunk:
        """The one chunk of an answer that came in one piece."""
        reply = self.reply
        return Chunk(reply.text, reply.reasoning, reply.tool_calls, reply.finish_reason, reply.usage)

    def _look(self) -> None:
        """Read the body as it is now; once, however often it is asked for."""
        if self._seen == len(self._body):
            return
        self._seen = len(self._body)
        self._pieces, self._usage = 0, None
        body = bytes(self._body)
        if body.lstrip().startswith(_SSE):  # an event stream that calls itself something else
            events = EventDecoder(self._classifier, self._params, self._request_id)
            events.feed(body)
            self._verdict, self.skipped = events.end(), events.skipped
            self._keep(events.settled().answer)
        else:
            self._verdict = self._read(body)

    def _read(self, body: bytes) -> AttemptError | None:
        try:
            document: object = orjson.loads(body)
        except ValueError:
            return no_answer(body, "not whole JSON")
        if isinstance(document, list) and document:  # Google wraps its errors
            document = document[0]
        if not isinstance(document, dict):
            return no_answer(body, "no completion")
        if write_plain(document, self._reply):
            self._pieces, self._usage = 1, document.get("usage")
            return None
        answer = Answer()
        answer.take(document)
        self._keep(answer)
        if (fault := answer.fault or bare_fault(document)) is not None:
            return self._classifier.inside(fault, self._request_id)
        self._reply.build_raw = document.copy  # not a lambda: replies cross processes
        return verdict(answer, answer.finished(), self._params, self._request_id)

    def _keep(self, answer: Answer) -> None:
        self._pieces, self._usage = answer.content, answer.usage
        answer.write(self._reply)
