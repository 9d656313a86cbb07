"""The decoder of an answer that comes as one JSON document, for any wire: what it means is its draft's business."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from asyncrouter._types import Chunk, Reply
from asyncrouter._wire.decoding.events import StreamDecoder
from asyncrouter._wire.decoding.not_an_answer import no_answer
from asyncrouter._wire.openai.usage import read_cost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Message
    from asyncrouter._wire.decoding.answer import Draft
    from asyncrouter._wire.failure.classify import Classifier

_SSE = (b"data:", b"event:", b":", b"id:", b"retry:")


class BodyDecoder:
    """Decodes one JSON body. Only at its end is anything known, so `content` is 0 until `close()` has been asked.

    `make` makes a draft. `shortcut` may write the commonest answer into the reply without one, or say no.
    """

    __slots__ = (
        "_body", "_classifier", "_cost", "_make", "_params", "_pieces", "_reply", "_request_id", "_seen", "_shortcut",
        "_verdict", "content", "done", "skipped",
    )

    def __init__(
        self,
        make: Callable[[], Draft],
        classifier: Classifier,
        params: Mapping[str, object],
        request_id: str | None = None,
        shortcut: Callable[[Message, Reply], bool] | None = None,
    ) -> None:
        self._make = make
        self._classifier = classifier
        self._params = params
        self._request_id = request_id
        self._shortcut = shortcut
        self._body = bytearray()
        self._seen = -1
        self._pieces = 0
        self._cost: float | None = None
        self._verdict: AttemptError | None = None
        self._reply = Reply()
        self.content = 0
        self.done = False
        self.skipped = 0

    def __repr__(self) -> str:
        return f"<BodyDecoder {len(self._body)} bytes>"

    @property
    def cost_usd(self) -> float | None:
        """What the provider says it charged."""
        self._look()
        return self._cost

    @property
    def reply(self) -> Reply:
        """The answer, if the body is whole; the same object until more bytes come."""
        self._look()
        return self._reply

    def feed(self, data: bytes, chunks: list[Chunk] | None = None) -> None:
        """Take in the next bytes."""
        self._body += data

    def close(self) -> AttemptError | None:
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
        if self._seen >= 0:  # what was read until now is the beginning of something else
            self._pieces, self._cost, self._reply = 0, None, Reply()
        self._seen = len(self._body)
        body = bytes(self._body)
        if body.lstrip().startswith(_SSE):  # an event stream that calls itself something else
            events = StreamDecoder(self._make(), self._classifier, self._params, self._request_id)
            events.feed(body)
            self._verdict, self.skipped = events.close(), events.skipped
            self._keep(events.settled().draft)
        else:
            self._verdict = self._read(body)

    def _read(self, body: bytes) -> AttemptError | None:
        try:
            document: object = orjson.loads(body)
        except ValueError:
            return no_answer(body, "not whole JSON")
        if self._shortcut is not None and isinstance(document, dict) and self._shortcut(document, self._reply):
            self._pieces, self._cost = 1, read_cost(document.get("usage"))
            return None
        draft = self._make()
        # Google wraps its errors in a list, and lists the fragments of a stream that was not asked for as events.
        for found in document if isinstance(document, list) and document else [document]:
            if not isinstance(found, dict):
                return no_answer(body, "no answer")
            draft.take_whole(found)
        self._keep(draft)
        if draft.fault is not None:
            return self._classifier.inside(draft.fault, self._request_id)
        return draft.verdict(self._params, self._request_id)

    def _keep(self, draft: Draft) -> None:
        self._pieces, self._cost = draft.content, draft.cost_usd
        draft.write(self._reply)
