"""The decoder of an answer that comes as one JSON document, for any wire: what it means is its draft's business."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter._types import Chunk, Reply
from asyncrouter._wire.streamed import StreamDecoder
from asyncrouter._wire.verdict import bare_fault, no_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._wire.classify import Classifier
    from asyncrouter._wire.streamed import Draft

_SSE = (b"data:", b"event:", b":", b"id:", b"retry:")


class BodyDecoder:
    """Decodes one JSON body. Only at its end is anything known, so `content` is 0 until `end()` has been asked."""

    __slots__ = (
        "_body", "_classifier", "_draft", "_make", "_params", "_reply", "_request_id", "_seen", "_verdict", "content",
        "cost_usd", "done", "skipped",
    )

    def __init__(
        self,
        make: Callable[[], Draft],
        classifier: Classifier,
        params: Mapping[str, object],
        request_id: str | None = None,
    ) -> None:
        self._make = make
        self._classifier = classifier
        self._params = params
        self._request_id = request_id
        self._body = bytearray()
        self._seen = -1
        self._draft = make()
        self._verdict: AttemptError | None = None
        self._reply = Reply()
        self.content = 0
        self.cost_usd: float | None = None
        self.done = False
        self.skipped = 0

    def __repr__(self) -> str:
        return f"<BodyDecoder {len(self._body)} bytes>"

    @property
    def reply(self) -> Reply:
        """The answer, if the body is whole; the same object every time."""
        self._look()
        self._draft.write(self._reply)
        return self._reply

    def feed(self, data: bytes, chunks: list[Chunk] | None = None) -> None:
        """Take in the next bytes."""
        self._body += data

    def end(self) -> AttemptError | None:
        """What an end here is: `None` for a whole answer."""
        self._look()
        self.content = self._draft.content
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
        self._draft = self._make()
        body = bytes(self._body)
        if body.lstrip().startswith(_SSE):  # an event stream that calls itself something else
            events = StreamDecoder(self._draft, self._classifier, self._params, self._request_id)
            events.feed(body)
            self._verdict, self._draft, self.skipped = events.end(), events.settled().draft, events.skipped
        else:
            self._verdict = self._read(body)

    def _read(self, body: bytes) -> AttemptError | None:
        try:
            document: object = orjson.loads(body)
        except ValueError:
            return no_answer(body, "not whole JSON")
        # Google wraps its errors in a list, and lists the fragments of a stream that was not asked for as events.
        for found in document if isinstance(document, list) and document else [document]:
            if not isinstance(found, dict):
                return no_answer(body, "no answer")
            fault = found if found.get("error") else bare_fault(found)
            if fault is not None:
                return self._classifier.inside(fault, self._request_id)
            self._draft.take_whole(found)
        return self._draft.verdict(self._params, self._request_id)
