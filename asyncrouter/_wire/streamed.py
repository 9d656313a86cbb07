"""The decoder of a stream of JSON events, for any wire: what the events mean is its draft's business."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple, Protocol

import orjson

from asyncrouter._errors import BadReply
from asyncrouter._types import Chunk, Reply
from asyncrouter._wire.events import hidden_error, stray_error
from asyncrouter._wire.sse import EventParser

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Message
    from asyncrouter._wire.classify import Classifier
    from asyncrouter._wire.sse import Event


class Draft(Protocol):
    """An answer as far as it has come, in one provider's words."""

    content: int
    """Pieces of content so far."""
    ended: bool
    """The provider has said that nothing more comes."""

    @property
    def begun(self) -> bool:
        """Whether anything of an answer has come."""
        ...

    def take(self, event: Message, chunks: list[Chunk] | None) -> None:
        """Take in one event of a stream; append to `chunks` what it brings. Never raises."""
        ...

    def take_whole(self, document: Message) -> None:
        """Take in an answer that came in one piece. Never raises."""
        ...

    def write(self, reply: Reply) -> None:
        """Put what has come so far into `reply`."""
        ...

    def verdict(self, params: Mapping[str, object], request_id: str | None) -> AttemptError | None:
        """`None` for an answer that is whole and not empty, else what is wrong with it."""
        ...


class _Settled(NamedTuple):
    """An answer as it would be if the stream ended now; `unseen` is what no chunk has carried yet."""

    draft: Draft
    fault: Message | None
    unseen: list[Chunk]


class StreamDecoder:
    """Decodes server-sent events that hold one JSON object each."""

    __slots__ = (
        "_classifier", "_draft", "_error", "_events", "_params", "_reply", "_request_id", "_settled", "cost_usd",
        "done", "skipped",
    )

    def __init__(
        self, draft: Draft, classifier: Classifier, params: Mapping[str, object], request_id: str | None = None
    ) -> None:
        self._draft = draft
        self._classifier = classifier
        self._params = params
        self._request_id = request_id
        self._events = EventParser()
        self._reply = Reply()
        self._error: AttemptError | None = None
        self._settled: _Settled | None = None
        self.cost_usd: float | None = None
        self.done = False
        self.skipped = 0

    def __repr__(self) -> str:
        return f"<StreamDecoder {self._draft!r}{' done' if self.done else ''}>"

    @property
    def content(self) -> int:
        """Pieces of content so far."""
        return self._draft.content

    @property
    def reply(self) -> Reply:
        """The answer so far; the same object every time."""
        self.settled().draft.write(self._reply)
        return self._reply

    def feed(self, data: bytes, chunks: list[Chunk] | None = None) -> None:
        """Take in the next bytes; append to `chunks` what they bring."""
        if self.done:
            return
        self._settled = None
        draft = self._draft
        for event in self._events.feed(data):
            document = _read_event(event)
            if document is None:
                self.skipped += event[1].strip() not in (b"", b"[DONE]")
            elif document.get("error"):
                self._error = self._classifier.inside(document, self._request_id)
                self.done = True
                return
            else:
                draft.take(document, chunks)
                if draft.ended:
                    self.done = True
                    return

    def end(self) -> AttemptError | None:
        """What an end here is: `None` for a whole answer."""
        if self._error is not None:
            return self._error
        draft, fault, _ = self.settled()
        if fault is not None:
            return self._classifier.inside(fault, self._request_id)
        stray = self._events.stray
        if not draft.begun and stray:
            return stray_error(stray, self._classifier, self._request_id)
        error = draft.verdict(self._params, self._request_id)
        if error is None and self.skipped:  # each event is a piece of the answer: what is left has a hole
            error = BadReply(f"malformed events: {self.skipped}", request_id=self._request_id)
        hidden = hidden_error(stray, self._classifier, self._request_id) if error is not None and stray else None
        return hidden or error

    def final(self) -> Chunk:
        """The chunk that ends a stream: finish reason, usage, and the words of an event that lacks its last line."""
        reply, unseen = self.reply, self.settled().unseen
        return Chunk(
            "".join(chunk.text for chunk in unseen),
            "".join(chunk.reasoning for chunk in unseen),
            tuple(call for chunk in unseen for call in chunk.tool_calls),
            reply.finish_reason,
            reply.usage,
        )

    def settled(self) -> _Settled:
        """The answer if it ended here, worked out once between two feeds."""
        if self._settled is None:
            self._settled = self._look_ahead()
        return self._settled

    def _look_ahead(self) -> _Settled:
        """Let an event count whose last blank line has not come; on a copy, for the line may still come."""
        event = None if self.done else self._events.pending()
        document = None if event is None else _read_event(event)
        if document is None:
            return _Settled(self._draft, None, [])
        if document.get("error"):
            return _Settled(self._draft, document, [])
        unseen: list[Chunk] = []
        try:
            draft = copy.deepcopy(self._draft)
        except RecursionError:  # nested beyond all reason: judged without the last event
            return _Settled(self._draft, None, [])
        draft.take(document, unseen)
        return _Settled(draft, None, unseen)


def _read_event(event: Event) -> Message | None:
    """An event's JSON object, `None` when it holds none. What is named an error is one, whatever its shape."""
    name, data = event
    try:
        document: object = orjson.loads(data)
    except ValueError:
        document = data.decode("utf-8", "replace") if name == b"error" else None
    if isinstance(document, list) and len(document) == 1:  # Google wraps its errors
        document = document[0]
    if name == b"error" and not (isinstance(document, dict) and document.get("error")):
        return {"error": document or "an error event"}
    return document if isinstance(document, dict) else None
