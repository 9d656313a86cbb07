"""The decoder of a stream of Chat Completions chunks."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

import orjson

from asyncrouter._types import Chunk, Message, Reply
from asyncrouter._wire.assemble import Answer
from asyncrouter._wire.sse import EventParser
from asyncrouter._wire.usage import read_cost
from asyncrouter._wire.verdict import bare_fault, no_answer, verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._wire.classify import Classifier
    from asyncrouter._wire.sse import Event


class Settled(NamedTuple):
    """An answer as it would be if the stream ended now."""

    answer: Answer
    ended: bool
    """The provider has said `[DONE]`."""
    unseen: Chunk
    """What no chunk has carried yet."""


class EventDecoder:
    """Decodes a stream of Chat Completions chunks."""

    __slots__ = (
        "_answer", "_classifier", "_ended", "_error", "_events", "_params", "_reply", "_request_id", "_settled", "done",
        "skipped",
    )

    def __init__(self, classifier: Classifier, params: Mapping[str, object], request_id: str | None = None) -> None:
        self._classifier = classifier
        self._params = params
        self._request_id = request_id
        self._events = EventParser()
        self._answer = Answer()
        self._reply = Reply()
        self._error: AttemptError | None = None
        self._ended = False  # [DONE] has come
        self._settled: Settled | None = None
        self.done = False
        self.skipped = 0

    def __repr__(self) -> str:
        return f"<EventDecoder {self._answer!r}{' done' if self.done else ''}>"

    @property
    def content(self) -> int:
        """Pieces of content so far."""
        return self._answer.content

    @property
    def cost_usd(self) -> float | None:
        """What OpenRouter says it charged."""
        return read_cost(self.settled().answer.usage)

    @property
    def reply(self) -> Reply:
        """The answer so far; the same object every time."""
        self.settled().answer.write(self._reply)
        return self._reply

    def feed(self, data: bytes, chunks: list[Chunk] | None = None) -> None:
        """Take in the next bytes; append to `chunks` what they bring."""
        if self.done:
            return
        self._settled = None
        for event in self._events.feed(data):
            document = read_event(event)
            if document is not None:
                self._answer.take(document, chunks)
                if self._answer.fault is not None:
                    self._error = self._classifier.inside(self._answer.fault, self._request_id)
                    self.done = True
                    return
            elif event[1].strip() == b"[DONE]":
                self._ended = self.done = True
                return
            elif event[1].strip():
                self.skipped += 1

    def end(self) -> AttemptError | None:
        """What an end here is: `None` for a whole answer."""
        if self._error is not None:
            return self._error
        answer, ended, _ = self.settled()
        if answer.fault is not None:
            return self._classifier.inside(answer.fault, self._request_id)
        stray = self._events.stray
        if not answer.choices and stray:
            return stray_error(stray, self._classifier, self._request_id)
        wanted = self._params.get("n")
        whole = ended or answer.finished(wanted if isinstance(wanted, int) else 1)
        return verdict(answer, whole, self._params, self._request_id)

    def final(self) -> Chunk:
        """The chunk that ends a stream: finish reason, usage, and the words of an event that lacks its last line."""
        reply, unseen = self.reply, self.settled().unseen
        return Chunk(unseen.text, unseen.reasoning, unseen.tool_calls, reply.finish_reason, reply.usage)

    def settled(self) -> Settled:
        """The answer if it ended here, worked out once between two feeds."""
        if self._settled is None:
            self._settled = self._look_ahead()
        return self._settled

    def _look_ahead(self) -> Settled:
        """Let an event count whose last blank line has not come; on a copy, for the line may still come."""
        event = None if self.done else self._events.pending()
        if event is None:
            return Settled(self._answer, self._ended, Chunk())
        document = read_event(event)
        if document is None:
            return Settled(self._answer, event[1].strip() == b"[DONE]", Chunk())
        unseen: list[Chunk] = []
        try:
            answer = copy.deepcopy(self._answer)
        except RecursionError:  # nested beyond all reason: judged without the last event
            return Settled(self._answer, False, Chunk())
        answer.take(document, unseen)
        return Settled(answer, False, unseen[0] if unseen else Chunk())


def read_event(event: Event) -> Message | None:
    """An event's JSON object, `None` when it holds none. What is named an error is one, whatever its shape."""
    name, data = event
    try:
        document: object = orjson.loads(data)
    except ValueError:
        document = data.decode("utf-8", "replace") if name == b"error" else None
    if name == b"error" and not (isinstance(document, dict) and "error" in document):
        return {"error": document or "an error event"}
    if not isinstance(document, dict):
        return None
    return document if "choices" in document else bare_fault(document) or document


def stray_error(body: bytes, classifier: Classifier, request_id: str | None) -> AttemptError:
    """What came in the place of an event stream."""
    return hidden_error(body, classifier, request_id) or no_answer(body, "no event stream")


def hidden_error(body: bytes, classifier: Classifier, request_id: str | None) -> AttemptError | None:
    """The error in what came and was no event, if it holds one: Google breaks a stream off with bare JSON."""
    try:
        document: object = orjson.loads(body)
    except ValueError:
        return None
    if isinstance(document, list) and document:
        document = document[0]
    if isinstance(document, dict) and (document.get("error") or bare_fault(document)):
        return classifier.inside(document, request_id)
    return None
