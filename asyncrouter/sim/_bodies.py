"""The bodies of responses as timed bytes: a stream of events or one JSON body, with the fault that strikes in it.

Nothing here waits. A body is an iterator of `TimedBytes`, each with the instant at which it comes; a front sends what
is due. Iterators are lazy, so that a body of 100 MB or without end takes no memory.
"""

from __future__ import annotations

import math
from itertools import chain, count, cycle, repeat, takewhile
from typing import TYPE_CHECKING, Literal, NamedTuple

from asyncrouter.sim.distributions import draw

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from random import Random

    from asyncrouter.sim._encoder import Encoder
    from asyncrouter.sim._request_log import LoggedRequest

Ending = Literal["end", "cut", "reset"]
"""How a body ends: in order, with its connection closed early, with its connection reset."""
BLOCK = 65_536
"""Bytes in each part of a huge content."""
ENDLESS_TEXT = b"and so on " * 100
"""What an endless body that is not streamed repeats."""
FINAL_FAULTS = frozenset({"cut", "reset", "hang", "error", "truncated", "endless", "interrupted"})
"""The faults after which nothing else of the answer comes."""


class TimedBytes(NamedTuple):
    """Bytes that come `at` seconds after the connection was ready, and how many `contents` they complete.

    With an `ending` there are no bytes: the body is over.
    """

    at: float
    data: bytes = b""
    contents: int = 0
    ending: Ending | None = None


class Scene:
    """An act for one request, with its times drawn: when each content comes, and where the fault strikes.

    `fault_index` is the index of the content before which the fault strikes, the number of contents where it is after
    the last; `inf`: nowhere in the contents. All times are seconds since the connection was ready.
    """

    def __init__(self, encoder: Encoder, request: LoggedRequest, random: Random) -> None:
        self.act = act = encoder.act
        self.encoder = encoder
        self._random = random
        self._request_body = request.body
        # The order of the draws is part of what one seed gives: first content, tail, then gaps as they are needed.
        self._first = draw(act.first_token, random, request.body)
        self._gap = None if callable(act.gap) else act.gap
        self._drawn = [self._first]
        self._tail = draw(act.tail, random, request.body)
        contents = len(encoder.pieces)
        self.fault_index: float = math.inf
        if act.fault is not None and act.byte is None and act.at != "done":
            last = contents - 1 if act.fault == "early_end" else contents  # some words must come after that end
            self.fault_index = last if isinstance(act.at, str) else min(act.at, last)

    @property
    def contents(self) -> int:
        """How many contents the model generates when nobody stops it."""
        ends = self.act.fault in FINAL_FAULTS and self.act.fault != "endless"
        return int(min(len(self.encoder.pieces), self.fault_index if ends else math.inf))

    def content_at(self, index: int) -> float:
        """When a content comes, also one beyond the last; after a stall it is late by the pause."""
        pause = self.act.pause if self.act.fault == "stall" and index >= self.fault_index else 0.0
        if self._gap is not None:
            return self._first + index * self._gap + pause
        while len(self._drawn) <= index:
            self._drawn.append(self._drawn[-1] + draw(self.act.gap, self._random, self._request_body))
        return self._drawn[index] + pause

    def end_at(self) -> float:
        """When an answer that goes well is over."""
        contents = len(self.encoder.pieces)
        at = self.content_at(max(0, contents - 1)) + self._tail
        return at + self.act.pause if self.act.fault == "stall" and self.fault_index >= max(1, contents) else at


# ── a stream ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def streamed_body(scene: Scene, start: float) -> Iterator[TimedBytes]:
    """A body of server-sent events, whose opening, which has no content, comes at `start`."""
    act, encoder = scene.act, scene.encoder
    yield TimedBytes(start, encoder.opening())
    at, contents = start, len(encoder.pieces)
    for index, piece in enumerate(encoder.pieces):
        due = max(start, scene.content_at(index))
        if act.comments is not None:
            yield from _keep_alives(encoder.keep_alive, at, due, act.comments)
        at = due
        if index == scene.fault_index:
            yield from _fault(scene, at, index)
            if act.fault in FINAL_FAULTS:
                return
        yield TimedBytes(at, encoder.content(piece), 1)
    at = max(start, scene.end_at())
    if scene.fault_index == contents:
        yield from _fault(scene, at, contents)
        if act.fault in FINAL_FAULTS:
            return
    if act.fault == "early_end":
        yield TimedBytes(at, ending="cut")
        return
    yield TimedBytes(at, encoder.closing())
    yield from _end(scene, at)


def _fault(scene: Scene, at: float, index: int) -> Iterable[TimedBytes]:
    """What the fault puts before the content of this index, or in the place of all that follows."""
    act, encoder = scene.act, scene.encoder
    match act.fault:
        case "cut" | "reset" as ending:
            return [TimedBytes(at, ending=ending)]
        case "hang" if act.comments is not None:
            return _keep_alives(encoder.keep_alive, at, math.inf, act.comments)
        case "error":
            return [TimedBytes(at, encoder.error_event()), TimedBytes(at, ending="end")]
        case "interrupted":
            encoder.interrupt(index)
            return [TimedBytes(at, encoder.closing()), TimedBytes(at, ending="end")]
        case "early_end":
            return [TimedBytes(at, encoder.early_end())]
        case "truncated":
            event = encoder.content(encoder.pieces[index]) if index < len(encoder.pieces) else encoder.closing()
            return [TimedBytes(at, event[: event.find(encoder.event_end) // 2]), TimedBytes(at, ending="end")]
        case "malformed":
            return [TimedBytes(at, encoder.malformed_event())]
        case "not_utf8":
            return [TimedBytes(at, encoder.text_event(b"\xff\xfe"), 1)]
        case "huge":
            return _huge(at, encoder.text_event(b"\0"), act.size)
        case "endless":
            pieces = cycle(encoder.pieces)
            return (
                TimedBytes(max(at, scene.content_at(later)), encoder.content(next(pieces)), 1) for later in count(index)
            )
    return []


def _end(scene: Scene, at: float) -> Iterator[TimedBytes]:
    """The end of a body whose last byte has been sent, or the fault that strikes there."""
    act = scene.act
    if act.at != "done":
        yield TimedBytes(at, ending="end")
    elif act.fault == "cut" or act.fault == "reset":
        yield TimedBytes(at, ending=act.fault)


def _keep_alives(data: bytes, since: float, until: float, interval: float) -> Iterator[TimedBytes]:
    """Keep-alives at this interval, strictly between two instants."""
    instants = (since + number * interval for number in count(1))
    return (TimedBytes(at, data) for at in takewhile(lambda at: at < until, instants))


def _huge(at: float, frame: bytes, size: int) -> Iterator[TimedBytes]:
    """A frame with `size` bytes of text in the place of its NUL, in parts."""
    before, _, after = frame.partition(b"\0")
    blocks = chain(repeat(b"x" * BLOCK, size // BLOCK), (b"x" * (size % BLOCK),))
    yield TimedBytes(at, before)
    yield from (TimedBytes(at, block) for block in blocks if block)
    yield TimedBytes(at, after, 1)


# ── one body ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def buffered_body(
    scene: Scene, given: bytes | None, headers_after: float | None
) -> tuple[float, Iterable[TimedBytes], int | None]:
    """A body in one piece: when its headers come, its timed bytes, and its Content-Length (`None`: it has none).

    The body is `given`, or the model's whole answer.
    """
    act, fault_index = scene.act, scene.fault_index
    at = scene.content_at(0) if given is not None else scene.end_at()
    if given is None and act.fault in FINAL_FAULTS and fault_index < len(scene.encoder.pieces):
        at = scene.content_at(int(fault_index))
    if act.fault == "hang" and act.at != "end" and fault_index < math.inf:
        return math.inf if headers_after is None else headers_after, (), None
    headers_at = at if headers_after is None else headers_after
    body, length = _body(scene, max(at, headers_at), given)
    return headers_at, body, length


def _body(scene: Scene, at: float, given: bytes | None) -> tuple[Iterable[TimedBytes], int | None]:
    act, encoder, fault_index = scene.act, scene.encoder, scene.fault_index
    if given is None and act.fault in ("huge", "endless"):
        frame = encoder.text_body(b"\0")
        if act.fault == "huge":
            return chain(_huge(at, frame, act.size), (TimedBytes(at, ending="end"),)), None
        before = frame.partition(b"\0")[0]
        later = (TimedBytes(max(at, scene.content_at(index)), ENDLESS_TEXT, 1) for index in count())
        return chain((TimedBytes(at, before),), later), None
    if act.fault == "interrupted" and given is None:
        encoder.interrupt(int(fault_index))
    contents = 0 if given is not None else len(encoder.pieces)
    data = given if given is not None else encoder.body()
    half = data[: len(data) // 2]
    match act.fault if fault_index < math.inf else None:
        case "cut" | "reset" as ending:
            return [TimedBytes(at, half), TimedBytes(at, ending=ending)], len(data)
        case "early_end":
            return [TimedBytes(at, half), TimedBytes(at, ending="cut")], len(data)
        case "hang":
            return [TimedBytes(at, half)], len(data)
        case "error" if given is None:
            data, contents = encoder.body(int(fault_index)), int(fault_index)
        case "truncated":
            data = half
        case "malformed":
            data = data.replace(b":", b"", 1)
        case "not_utf8":
            data = data.replace(b'":"', b'":"\xff\xfe', 1)
    end = TimedBytes(at, ending="end")
    return [TimedBytes(at, data, contents), end] if data else [end], len(data)
