"""Decoders of Chat Completions: one for a stream of events, one for a single JSON body."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import orjson

from asyncrouter._errors import AttemptError, BadReply, Refused
from asyncrouter._types import Chunk, Message, Reply
from asyncrouter._wire.assemble import Answer
from asyncrouter._wire.sse import EventParser
from asyncrouter._wire.told import excerpt, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._wire.classify import Classifier
    from asyncrouter._wire.sse import Event

_SSE = (b"data:", b"event:", b":", b"id:", b"retry:")


class EventDecoder:
    """Decodes a stream of Chat Completions chunks."""

    __slots__ = (
        "_answer", "_classifier", "_ended", "_error", "_events", "_params", "_reply", "_request_id", "done", "skipped",
    )  # fmt: skip

    def __init__(self, classifier: Classifier, params: Mapping[str, object], request_id: str | None = None) -> None:
        self._classifier = classifier
        self._params = params
        self._request_id = request_id
        self._events = EventParser()
        self._answer = Answer()
        self._reply = Reply()
        self._error: AttemptError | None = None
        self._ended = False  # [DONE] has come
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
        return read_cost(self.settled()[0])

    @property
    def reply(self) -> Reply:
        """The answer so far; the same object every time."""
        self.settled()[0].write(self._reply)
        return self._reply

    def feed(self, data: bytes, chunks: list[Chunk] | None = None) -> None:
        """Take in the next bytes; append to `chunks` what they bring."""
        if self.done:
            return
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
        answer, ended = self.settled()
        if answer.fault is not None:
            return self._classifier.inside(answer.fault, self._request_id)
        stray = self._events.stray
        if not answer.choices and stray:
            return _stray(stray, self._classifier, self._request_id)
        wanted = self._params.get("n")
        whole = ended or answer.finished(wanted if isinstance(wanted, int) else 1)
        return verdict(answer, whole, self._params, self._request_id)

    def final(self) -> Chunk:
        """The chunk that ends a stream: finish reason, usage, and the words of an event that lacks its last line."""
        last: list[Chunk] = []
        self.settled(last)
        reply, chunk = self.reply, last[0] if last else Chunk()
        chunk.finish_reason, chunk.usage = reply.finish_reason, reply.usage
        return chunk

    def settled(self, chunks: list[Chunk] | None = None) -> tuple[Answer, bool]:
        """The answer if it ended here, and whether the provider has said that it does.

        An event whose last blank line has not come counts, on a copy: the line may still come.
        """
        event = None if self.done else self._events.pending()
        if event is None:
            return self._answer, self._ended
        document = read_event(event)
        if document is None:
            return self._answer, event[1].strip() == b"[DONE]"
        answer = copy.deepcopy(self._answer)
        answer.take(document, chunks)
        return answer, False


class BodyDecoder:
    """Decodes one JSON body. Only at its end is anything known, so `content` is 0 until `end()` has been asked."""

    __slots__ = (
        "_answer", "_body", "_classifier", "_document", "_params", "_reply", "_request_id", "_seen", "_verdict",
        "content", "done", "skipped",
    )  # fmt: skip

    def __init__(self, classifier: Classifier, params: Mapping[str, object], request_id: str | None = None) -> None:
        self._classifier = classifier
        self._params = params
        self._request_id = request_id
        self._body = bytearray()
        self._seen = -1
        self._answer = Answer()
        self._document: Message | None = None
        self._verdict: AttemptError | None = None
        self._reply = Reply()
        self.content = 0
        self.done = False
        self.skipped = 0

    def __repr__(self) -> str:
        return f"<BodyDecoder {len(self._body)} bytes>"

    @property
    def cost_usd(self) -> float | None:
        """What OpenRouter says it charged."""
        self._look()
        return read_cost(self._answer)

    @property
    def reply(self) -> Reply:
        """The answer, if the body is whole; the same object every time."""
        self._look()
        self._answer.write(self._reply)
        if (document := self._document) is not None:
            self._reply.build_raw = lambda: document
        return self._reply

    def feed(self, data: bytes, chunks: list[Chunk] | None = None) -> None:
        """Take in the next bytes."""
        self._body += data

    def end(self) -> AttemptError | None:
        """What an end here is: `None` for a whole answer."""
        self._look()
        self.content = self._answer.content
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
        self._answer, self._document = Answer(), None
        body = bytes(self._body)
        if body.lstrip().startswith(_SSE):  # an event stream that calls itself something else
            events = EventDecoder(self._classifier, self._params, self._request_id)
            events.feed(body)
            self._verdict, self._answer, self.skipped = events.end(), events.settled()[0], events.skipped
        else:
            self._verdict = self._read(body)

    def _read(self, body: bytes) -> AttemptError | None:
        try:
            document: object = orjson.loads(body)
        except ValueError:
            return _no_answer(body, "not whole JSON")
        if isinstance(document, list) and document:  # Google wraps its errors
            document = document[0]
        if not isinstance(document, dict):
            return _no_answer(body, "no completion")
        self._answer.take(document)
        if (fault := self._answer.fault or _bare_fault(document)) is not None:
            return self._classifier.inside(fault, self._request_id)
        self._document = document
        return verdict(self._answer, self._answer.finished(), self._params, self._request_id)


def verdict(answer: Answer, whole: bool, params: Mapping[str, object], request_id: str | None) -> AttemptError | None:
    """`None` for an answer that is whole and not empty, else what is wrong with it (DESIGN §7)."""
    first = answer.first
    if first is None:
        return BadReply("nothing came: no choices" if whole else "cut before anything came", request_id=request_id)
    if not whole:
        return BadReply("truncated: neither a finish reason nor [DONE] has come", request_id=request_id)
    if answer.content:
        return None
    if first.finish == "content_filter":
        return Refused("the provider's content filter let nothing through", code=first.finish, request_id=request_id)
    # A reply may rightly be empty when its tokens were spent unseen, or when it began with the caller's stop word.
    if first.finish is not None and (first.normal_finish == "length" or params.get("stop")):
        return None
    return BadReply(f"empty: neither text nor tool call (finish reason {first.finish!r})", request_id=request_id)


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
    return document if "choices" in document else _bare_fault(document) or document


def read_cost(answer: Answer) -> float | None:
    """US dollars charged, as OpenRouter reports them."""
    cost = answer.usage.get("cost") if answer.usage is not None else None
    return float(cost) if isinstance(cost, (int, float)) and not isinstance(cost, bool) and cost >= 0 else None


def _bare_fault(document: Message) -> Message | None:
    """An error without the `error` around it (Mistral, older vLLM, FastAPI)."""
    if document.get("choices") or document.get("error"):
        return None
    named = "error" in (document.get("object"), document.get("type"))
    return {"error": document} if named or document.get("detail") or document.get("message") else None


def _stray(body: bytes, classifier: Classifier, request_id: str | None) -> AttemptError:
    """What came in the place of an event stream."""
    try:
        document: object = orjson.loads(body)
    except ValueError:
        document = None
    if isinstance(document, list) and document:
        document = document[0]
    if isinstance(document, dict) and (document.get("error") or _bare_fault(document)):
        return classifier.inside(document, request_id)
    return _no_answer(body, "no event stream")


def _no_answer(body: bytes, what: str) -> BadReply:
    shown = one_line(excerpt(body))
    return BadReply(f"{what}: {shown[:200]!r}" if shown else "an empty body")
