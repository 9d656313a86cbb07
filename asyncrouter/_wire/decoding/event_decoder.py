"""Decodes a stream of server-sent events into a reply, for every wire.

How it works. Bytes pass through three stages. `EventParser` cuts them into events, wherever the network has cut them.
`read_event` reads the JSON object an event holds. The wire's `AnswerBuilder` knows what the object means and collects
the answer; nothing in this module depends on a vendor.

Reading ends early: `done` becomes true, and later bytes are ignored, after the vendor's last event, the `[DONE]` mark
of Chat Completions, an error event or a broken event. `close()` ends the rest: the caller has no more bytes, for
whatever reason. It decides once whether the answer is whole; nothing is fed after it.

Events that are no JSON object are of three kinds:

- One that never was an object, such as the text "ping", took nothing away. It is skipped and counted.
- One that was an object, but is garbled or has lost the name of its field, took a piece of the answer away. The answer
  fails with `BadReply`, even if a finish reason follows: a text with a hole must not pass for a whole one.
- Stray lines, which are no field of the standard at all, may be an error page, or the bare JSON with which Google
  breaks off a stream. They are kept (up to `MAX_STRAY_BYTES`), and an error in them is the stream's error.

The last event is special. Servers forget the blank line that should end it, so `close()` counts an event that lacks
only this. An event that was cut in the middle is ignored, for the builder knows whether anything is missing: after a
finish reason it was usage at most. What an event read by `close()` brings has been in no chunk; `final()` hands it out.

Headers lie. A body that begins like JSON is one, whatever its content type says: it is kept until it is whole, read as
one document, and handed out by `final()`. A character that was cut in two by the server is put together
(`surrogates.py`). All this is kept off the path of a token: `_is_special` is the one test for it in each feed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import orjson

from asyncrouter._errors import BadReply
from asyncrouter._types import NO_TRACE, Chunk, Reply
from asyncrouter._wire.decoding.documents import read_documents, read_event
from asyncrouter._wire.decoding.first_bytes import first_bytes, without_lead
from asyncrouter._wire.decoding.long_texts import MAX_REST_BYTES, SHORT_BYTES, TOO_LONG, LongTexts
from asyncrouter._wire.decoding.not_an_answer import bare_error, error_in, no_answer
from asyncrouter._wire.decoding.sse import MAX_STRAY_BYTES, STRAY, EventParser
from asyncrouter._wire.decoding.surrogates import HalfCharacters, read_mended
from asyncrouter._wire.decoding.weight import FREE_BYTES, LIGHT_BYTES, TOO_HEAVY, StreamWeight, is_too_heavy
from asyncrouter._wire.failure.error_body import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Message
    from asyncrouter._wire.decoding.answer_builder import AnswerBuilder
    from asyncrouter._wire.decoding.sse import Event
    from asyncrouter._wire.failure.classify import Classifier

_MARK_OF_AN_OBJECT: Final = re.compile(rb'\{\s*"|"\s*:|\}\s*\]')
"""Matches bytes that are, or were, part of a JSON object with a field in it: they were a piece of the answer."""

_ERROR_IN_WORDS: Final = re.compile(rb"\s*\W?(?:error|exception|traceback)\b(?!\s*$)", re.IGNORECASE)
"""Matches data that say in plain words that the answer has failed: `data: [ERROR] engine died`."""

_NEVER_HALVED: Final = (STRAY, b"error")
"""Names of events in which no piece of an answer stands."""

_QUOTED_BYTES = 200
"""How much of a broken event the error message quotes: enough to recognise it, short enough for a log."""


class EventDecoder:
    """Decodes server-sent events that hold one JSON object each. Implements `Decoder`."""

    __slots__ = (
        "_builder", "_bytes", "_classifier", "_closed", "_document", "_error", "_halves", "_is_special", "_params",
        "_parser", "_reply", "_request_id", "_start", "_stray", "_texts", "_told_cost", "_unread", "_unsent",
        "_weight", "done", "skipped",
    )

    def __init__(
        self, builder: AnswerBuilder, classifier: Classifier, params: Mapping[str, object],
        request_id: str | None = None, told_cost: float | None = None, reply: Reply | None = None,
    ) -> None:
        self._builder = builder
        self._classifier = classifier
        self._params = params
        self._request_id = request_id
        self._told_cost = told_cost  # the cost that a header says
        self._parser = EventParser()
        self._bytes = self._unread = 0  # in all; and after FREE_BYTES, since the last event ended
        self._weight = StreamWeight()  # of what comes after FREE_BYTES
        self._texts: LongTexts | None = None  # what was set aside of that
        self._reply = Reply(trace=NO_TRACE) if reply is None else reply
        self._error: AttemptError | None = None
        self._start = b""  # the first bytes, until they say what the body is
        self._document: bytearray | None = None  # the body, if it is one JSON document
        self._halves: HalfCharacters | None = None
        self._stray = b""
        self._unsent: list[Chunk] | None = None  # of the event that `close()` has read
        self._closed = False
        self._is_special = True  # at the start, a JSON document, halves of characters, done or closed
        self.done, self.skipped = False, 0

    def __repr__(self) -> str:
        return f"<EventDecoder {self._builder!r}{' done' if self.done else ''}>"

    @property
    def content(self) -> int:
        """How many pieces of content have come."""
        return self._builder.content

    @property
    def characters(self) -> int:
        """How many characters these pieces have."""
        return self._builder.characters

    @property
    def cost_usd(self) -> float | None:
        """The US dollars the provider says it charged."""
        stated = self._builder.cost_usd
        return stated if stated is not None else self._told_cost

    @property
    def reply(self) -> Reply:
        """The answer so far; the same object every time."""
        self._builder.write_to(self._reply)
        return self._reply

    def feed(self, data: bytes, chunks: list[Chunk] | None = None) -> None:
        """Decode the next bytes; append to `chunks` what they bring."""
        self._bytes += len(data)
        if self._bytes > SHORT_BYTES and not self._closed:
            data = self._weighed(data)
        if self._is_special:
            self._feed_specially(data, chunks)
            return
        builder = self._builder
        events = self._parser.feed(data)
        for event in events:
            document = read_event(event)
            if document is not None:
                builder.add_event(document, chunks)
            elif event[1].strip() == b"[DONE]":
                builder.ended = True
            elif self._has_halves(event):
                here = next(index for index, one in enumerate(events) if one is event)
                self._feed_carefully(events[here:], chunks)
                return
            else:
                self._skip(event)
            if builder.ended:
                self.done = self._is_special = True
                return

    def close(self) -> AttemptError | None:
        """End the answer: `None` if it is whole, else the error. The first call decides."""
        if not self._closed:
            if self._document is not None:
                self._read_document(bytes(self._document))
            elif self._start:
                self._unsent = []
                self._begin_events(self._start, self._unsent)
            if not self.done and self._document is None:
                self._is_special = True
                self._read_unended_event()
                self._add_unended_halves()
            self._closed = self._is_special = True
            self._error = self._error or self._check()
        return self._error

    def would_be_whole(self) -> bool:
        """Whether the answer would be whole if its body ended here; nothing is decided."""
        return self._check() is None

    def final(self) -> Chunk:
        """The chunk that ends a stream: finish reason and usage, and the words of an event that `close()` has read."""
        reply, unsent = self.reply, self._unsent or ()
        if self._document is not None:
            return Chunk(reply.text, reply.reasoning, reply.tool_calls, reply.finish_reason, reply.usage)
        return Chunk(
            "".join(chunk.text for chunk in unsent),
            "".join(chunk.reasoning for chunk in unsent),
            tuple(call for chunk in unsent for call in chunk.tool_calls),
            reply.finish_reason,
            reply.usage,
        )

    def _weighed(self, data: bytes) -> bytes:
        """What is to be read of the next piece of a long stream; nothing once it is too heavy or too long."""
        if self._texts is None:
            self._texts = LongTexts()
        data = self._texts.take(data)
        if self._texts.size and self._halves is None:  # from now on each event is searched for texts to be put back
            self._halves, self._is_special = HalfCharacters(), True
        if self._bytes > FREE_BYTES and self._weight.add(data):
            return self._give_up(TOO_HEAVY)
        ended = max(data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n"), data.rfind(b"\r\r"))
        self._unread = len(data) - ended if ended >= 0 else self._unread + len(data)
        return self._give_up(TOO_LONG) if self._unread > MAX_REST_BYTES else data

    def _give_up(self, reason: str) -> bytes:
        """End a stream that would hold the loop or fill the memory; nothing more of it is read."""
        self._error = self._error or BadReply(reason, request_id=self._request_id)
        self._document = None
        self._texts, self._parser = LongTexts(), EventParser()
        self.done = self._is_special = self._builder.ended = True
        return b""

    def _feed_specially(self, data: bytes, chunks: list[Chunk] | None) -> None:
        """Decode the next bytes where they are not simply more events."""
        if self.done or self._closed:
            return
        if self._document is not None:
            self._feed_document(data)
        elif self._halves is not None:
            self._feed_carefully(self._parser.feed(data), chunks)
        else:
            self._start = without_lead(self._start + data)
            match first_bytes(self._start):
                case "document":
                    self._document = bytearray()
                    self._feed_document(self._start)
                case "events" | "neither":
                    self._begin_events(self._start, chunks)

    def _begin_events(self, start: bytes, chunks: list[Chunk] | None) -> None:
        self._start, self._is_special = b"", False
        self.feed(start, chunks)

    def _feed_document(self, data: bytes) -> None:
        """Keep a piece of a JSON document. A short one that is an error is over when it can be read."""
        assert self._document is not None
        self._document += data
        if len(self._document) <= MAX_STRAY_BYTES and data.rstrip().endswith((b"}", b"]")):
            try:
                document: object = orjson.loads(self._document)
            except ValueError:
                return
            self.done = isinstance(document, dict) and bool(document.get("error") or bare_error(document))

    def _read_document(self, body: bytes) -> None:
        """Read a body that begins like JSON: a document, several of them, or events after all."""
        if is_too_heavy(body, beside=self._texts is not None and self._texts.size > 0):
            self._error = BadReply(TOO_HEAVY, request_id=self._request_id)
            return
        documents = read_documents(body)
        if documents is None and len(body) > LIGHT_BYTES:  # read once more, it would hold the loop
            self._error = no_answer(body, "not whole JSON")
            return
        if documents is None:
            self._document, self._unsent = None, []
            self._begin_events(body, self._unsent)
            return
        for document in documents:
            if not isinstance(document, dict):
                self._error = no_answer(body, "no answer")
                return
            self._builder.add_document(self._put_back(document))

    def _has_halves(self, event: Event) -> bool:
        """Whether halves of characters are why an event cannot be read. From then on each event is read carefully."""
        if event[0] in _NEVER_HALVED or read_mended(event[1]) is None:
            return False
        self._halves, self._is_special = HalfCharacters(), True
        return True

    def _feed_carefully(self, events: Iterable[Event], chunks: list[Chunk] | None) -> None:
        """Add events, with the halves of characters in them put together."""
        builder, halves = self._builder, self._halves
        assert halves is not None
        for event in events:
            documents = halves.documents(read_event(event), b"" if event[0] in _NEVER_HALVED else event[1])
            last = not documents and event[1].strip() == b"[DONE]"
            for document in halves.flush() if last else documents:
                builder.add_event(self._put_back(document), chunks)
            if last:
                builder.ended = True
            elif not documents:
                self._skip(event)
            if builder.ended:
                self.done = True
                return

    def _skip(self, event: Event) -> None:
        """Count an event that holds no object; fail if it once held one."""
        name, data = event
        if not data.strip():
            return
        self.skipped += 1
        if name is STRAY:
            self._stray += data[: max(0, MAX_STRAY_BYTES - len(self._stray))]
        if name is not STRAY and _ERROR_IN_WORDS.match(data):
            self._error = self._classifier.document_error({"error": one_line(data.decode("utf-8", "replace"))})
            self._builder.ended = True
        elif _MARK_OF_AN_OBJECT.search(data):
            found = error_in(data, self._classifier, self._request_id) if name is STRAY else None
            self._error = found or self._broken_event(data)
            self._builder.ended = True

    def _read_unended_event(self) -> None:
        """Count the last event if nothing but its blank line is missing."""
        event = self._parser.pending()
        if event is None:
            return
        if event[0] is STRAY:
            self._stray += event[1][:MAX_STRAY_BYTES]
            return
        self._unsent = self._unsent or []
        if self._halves is not None or (read_event(event) is None and self._has_halves(event)):
            self._add_last_carefully(event)
            return
        document = read_event(event)
        if document is not None:
            self._builder.add_event(document, self._unsent)
        elif event[1].strip() == b"[DONE]":
            self._builder.ended = True

    def _add_last_carefully(self, event: Event) -> None:
        assert self._halves is not None
        documents = self._halves.documents(read_event(event), b"" if event[0] in _NEVER_HALVED else event[1])
        for document in documents:
            self._builder.add_event(self._put_back(document), self._unsent)
        if not documents and event[1].strip() == b"[DONE]":
            self._builder.ended = True

    def _put_back(self, document: Message) -> Message:
        if self._texts is not None:
            self._texts.put_back(document)
        return document

    def _add_unended_halves(self) -> None:
        """Say what is left of a character whose second half has not come."""
        for document in self._halves.flush() if self._halves is not None else ():
            self._unsent = self._unsent or []
            self._builder.add_event(document, self._unsent)

    def _check(self) -> AttemptError | None:
        """The error of the answer as it is now; `None` if it is whole."""
        builder, stray = self._builder, self._stray
        if builder.error is not None:
            return self._classifier.document_error(builder.error, self._request_id)
        error = builder.check(self._params, self._request_id)
        if not stray:
            return error
        if (found := error_in(stray, self._classifier, self._request_id)) is not None:
            return found
        if error is not None and not builder.started:
            return no_answer(stray, "no event stream")
        return error or (self._broken_event(stray) if _MARK_OF_AN_OBJECT.search(stray) else None)

    def _broken_event(self, data: bytes) -> BadReply:
        quoted = one_line(data[:_QUOTED_BYTES].decode("utf-8", "replace"))
        return BadReply(f"a broken event: {quoted!r}", request_id=self._request_id)
