"""The decoder of a stream of JSON events, for any wire: what the events mean is its draft's business."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from asyncrouter._errors import BadReply
from asyncrouter._types import Chunk, Reply
from asyncrouter._wire.decoding.not_an_answer import hidden_error, no_answer
from asyncrouter._wire.decoding.sse import STRAY, EventParser
from asyncrouter._wire.failure.error_body import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Message
    from asyncrouter._wire.decoding.answer import Draft
    from asyncrouter._wire.decoding.sse import Event
    from asyncrouter._wire.failure.classify import Classifier

_OBJECT: Final = re.compile(rb'\{\s*"|"\s*:|\}\s*\]')
"""The marks of a JSON object with something in it. What is no event but bears them was a piece of the answer."""
_QUOTED = 16384


class _Settled(NamedTuple):
    """An answer as it would be if the stream ended now."""

    draft: Draft
    stray: bytes
    """What came and was no event."""
    unseen: list[Chunk]
    """What no chunk has carried yet."""


class StreamDecoder:
    """Decodes server-sent events that hold one JSON object each.

    An event that is none is skipped and counted. One that was an object and is broken, or has lost its field's name,
    took a piece of the answer with it: the rest is no whole answer any more.
    """

    __slots__ = (
        "_classifier", "_draft", "_error", "_events", "_params", "_reply", "_request_id", "_settled", "_stray", "done",
        "skipped",
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
        self._stray = b""
        self._settled: _Settled | None = None
        self.done = False
        self.skipped = 0

    def __repr__(self) -> str:
        return f"<StreamDecoder {self._draft!r}{' done' if self.done else ''}>"

    @property
    def content(self) -> int:
        """Pieces of content so far."""
        return self._draft.content

    @property
    def cost_usd(self) -> float | None:
        """What the provider says it charged."""
        return self.settled().draft.cost_usd

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
            if document is not None:
                draft.take(document, chunks)
            elif event[1].strip() == b"[DONE]":
                draft.ended = True
            else:
                self._pass_over(event)
            if draft.ended:
                self.done = True
                if draft.fault is not None:
                    self._error = self._classifier.inside(draft.fault, self._request_id)
                return

    def close(self) -> AttemptError | None:
        """What an end here is: `None` for a whole answer."""
        if self._error is not None:
            return self._error
        draft, stray, _ = self.settled()
        if draft.fault is not None:
            return self._classifier.inside(draft.fault, self._request_id)
        error = draft.verdict(self._params, self._request_id)
        if stray:  # an error page, or the bare JSON with which Google breaks a stream off
            if (found := hidden_error(stray, self._classifier, self._request_id)) is not None:
                return found
            if error is not None and not draft.begun:
                return no_answer(stray, "no event stream")
            if _OBJECT.search(stray):
                return error or self._broken(stray)
        return error

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

    def _pass_over(self, event: Event) -> None:
        """Count what is no event; fail if it was one."""
        name, data = event
        if not data.strip():
            return
        self.skipped += 1
        if name is STRAY:
            self._stray += data[: max(0, _QUOTED - len(self._stray))]
        if _OBJECT.search(data):
            found = hidden_error(data, self._classifier, self._request_id) if name is STRAY else None
            self._error = found or self._broken(data)
            self._draft.ended = True

    def _broken(self, data: bytes) -> BadReply:
        told = f"a broken event: {one_line(data[:200].decode('utf-8', 'replace'))!r}"
        return BadReply(told, request_id=self._request_id)

    def _look_ahead(self) -> _Settled:
        """Let an event count whose last blank line has not come; on a copy, for the line may still come."""
        event = None if self.done else self._events.pending()
        if event is None:
            return _Settled(self._draft, self._stray, [])
        if event[0] is STRAY:
            return _Settled(self._draft, self._stray + event[1][:_QUOTED], [])
        document = _read_event(event)
        ended = event[1].strip() == b"[DONE]"
        if document is None and not ended:
            return _Settled(self._draft, self._stray, [])
        unseen: list[Chunk] = []
        try:
            draft = copy.deepcopy(self._draft)
        except RecursionError:  # nested beyond all reason: judged without the last event
            return _Settled(self._draft, self._stray, [])
        if document is not None:
            draft.take(document, unseen)
        draft.ended = draft.ended or ended
        return _Settled(draft, self._stray, unseen)


def _read_event(event: Event) -> Message | None:
    """An event's JSON object, `None` when it holds none. What is named an error is one, whatever its shape."""
    name, data = event
    try:
        document: object = orjson.loads(data)
    except ValueError:
        document = data.decode("utf-8", "replace") if name == b"error" else None
    if type(document) is dict and not name:
        return document
    if name is STRAY:
        return None
    if isinstance(document, list) and len(document) == 1:  # Google wraps its errors
        document = document[0]
    if name == b"error" and not (isinstance(document, dict) and document.get("error")):
        return {"error": document or "an error event"}
    return document if isinstance(document, dict) else None
