"""The bodies of responses as timed bytes: a stream of events, or one JSON body, with what goes wrong in them."""

from __future__ import annotations

import math
from itertools import chain, count, cycle, repeat, takewhile
from typing import TYPE_CHECKING, Literal, NamedTuple

from asyncrouter.sim.laws import draw

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from random import Random

    from asyncrouter.sim._seen import Seen
    from asyncrouter.sim._speech import Speech

Ending = Literal["end", "cut", "reset"]
BLOCK = 65_536
FINAL = frozenset({"cut", "reset", "hang", "error", "truncated", "endless"})
"""Faults after which a body does not go on."""


class Beat(NamedTuple):
    """At `at` seconds after the request was received these bytes come, with so many contents; or it is over."""

    at: float
    data: bytes = b""
    contents: int = 0
    ending: Ending | None = None


class Scene:
    """An act with its words and its times: when each content comes, and where the fault strikes."""

    def __init__(self, speech: Speech, seen: Seen, random: Random) -> None:
        self.act = act = speech.act
        self.speech = speech
        self._random = random
        self._body = seen.body
        self._first = draw(act.first_token, random, seen.body)
        self._gap = None if callable(act.gap) else act.gap
        self._drawn = [self._first]
        self._tail = draw(act.tail, random, seen.body)
        contents = len(speech.pieces)
        self.strike: float = math.inf
        if act.fault is not None and act.byte is None and act.at != "done":
            self.strike = contents if isinstance(act.at, str) else min(act.at, contents)

    @property
    def contents(self) -> int:
        """How many contents the model makes, whoever listens."""
        strike = self.strike if self.act.fault in FINAL and self.act.fault != "endless" else math.inf
        return int(min(len(self.speech.pieces), strike))

    def when(self, index: int) -> float:
        """When a content comes: a gap after the one before, and behind a stall its pause later."""
        pause = self.act.pause if self.act.fault == "stall" and index >= self.strike else 0.0
        if self._gap is not None:
            return self._first + index * self._gap + pause
        while len(self._drawn) <= index:
            self._drawn.append(self._drawn[-1] + draw(self.act.gap, self._random, self._body))
        return self._drawn[index] + pause

    def end(self) -> float:
        """When an answer that goes well is over."""
        contents = len(self.speech.pieces)
        at = self.when(max(0, contents - 1)) + self._tail
        return at + self.act.pause if self.act.fault == "stall" and self.strike >= max(1, contents) else at


# ── a stream ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def streamed(scene: Scene, start: float) -> Iterator[Beat]:
    """An SSE body whose first chunk, which says only who speaks, comes at `start`."""
    act, speech = scene.act, scene.speech
    yield Beat(start, speech.opening())
    at, contents = start, len(speech.pieces)
    for index, piece in enumerate(speech.pieces):
        due = max(start, scene.when(index))
        if act.comments is not None:
            yield from _kept_alive(speech.keepalive, at, due, act.comments)
        at = due
        if index == scene.strike:
            yield from _struck(scene, at, index)
            if act.fault in FINAL:
                return
        yield Beat(at, speech.content(piece), 1)
    at = max(start, scene.end())
    if scene.strike == contents:
        yield from _struck(scene, at, contents)
        if act.fault in FINAL:
            return
    yield Beat(at, speech.closing())
    yield from _done(scene, at)


def _struck(scene: Scene, at: float, index: int) -> Iterable[Beat]:
    act, speech = scene.act, scene.speech
    match act.fault:
        case "cut" | "reset" as ending:
            return [Beat(at, ending=ending)]
        case "hang" if act.comments is not None:
            return _kept_alive(speech.keepalive, at, math.inf, act.comments)
        case "error":
            return [Beat(at, speech.error_event()), Beat(at, ending="end")]
        case "truncated":
            event = speech.content(speech.pieces[index]) if index < len(speech.pieces) else speech.closing()
            return [Beat(at, event[: event.find(speech.end) // 2]), Beat(at, ending="end")]
        case "malformed":
            return [Beat(at, speech.malformed())]
        case "not_utf8":
            return [Beat(at, speech.text_event(b"\xff\xfe"), 1)]
        case "huge":
            return _huge(at, speech.text_event(b"\0"), act.size)
        case "endless":
            words = cycle(speech.pieces)
            return (Beat(max(at, scene.when(later)), speech.content(next(words)), 1) for later in count(index))
    return []


def _done(scene: Scene, at: float) -> Iterator[Beat]:
    """What follows the last byte: the end, if nothing goes wrong even there."""
    act = scene.act
    if act.at != "done":
        yield Beat(at, ending="end")
    elif act.fault == "cut" or act.fault == "reset":
        yield Beat(at, ending=act.fault)


def _kept_alive(sign: bytes, since: float, until: float, every: float) -> Iterator[Beat]:
    """Signs of life that far apart, strictly between two instants."""
    instants = (since + number * every for number in count(1))
    return (Beat(at, sign) for at in takewhile(lambda at: at < until, instants))


def _huge(at: float, frame: bytes, size: int) -> Iterator[Beat]:
    """A frame with `size` bytes of text in place of its NUL, in blocks."""
    before, _, after = frame.partition(b"\0")
    blocks = chain(repeat(b"x" * BLOCK, size // BLOCK), (b"x" * (size % BLOCK),))
    yield Beat(at, before)
    yield from (Beat(at, block) for block in blocks if block)
    yield Beat(at, after, 1)


# ── one body ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def buffered(
    scene: Scene, given: bytes | None, headers_after: float | None
) -> tuple[float, Iterable[Beat], int | None]:
    """When the headers come, the beats of one body (`given`, or the whole answer), and its Content-Length."""
    act, strike = scene.act, scene.strike
    at = scene.when(0) if given is not None else scene.end()
    if given is None and act.fault in FINAL and strike < len(scene.speech.pieces):
        at = scene.when(int(strike))
    if act.fault == "hang" and act.at != "end" and strike < math.inf:
        return math.inf if headers_after is None else headers_after, (), None
    headers_at = at if headers_after is None else headers_after
    at = max(at, headers_at)
    beats, length = _body(scene, at, given)
    return headers_at, beats, length


def _body(scene: Scene, at: float, given: bytes | None) -> tuple[Iterable[Beat], int | None]:
    act, speech, strike = scene.act, scene.speech, scene.strike
    if given is None and act.fault in ("huge", "endless"):
        frame = speech.text_body(b"\0")
        if act.fault == "huge":
            return chain(_huge(at, frame, act.size), (Beat(at, ending="end"),)), None
        before = frame.partition(b"\0")[0]
        later = (Beat(max(at, scene.when(index)), b"and so on " * 100, 1) for index in count())
        return chain((Beat(at, before),), later), None
    contents = 0 if given is not None else len(speech.pieces)
    data = given if given is not None else speech.whole()
    half = data[: len(data) // 2]
    match act.fault if strike < math.inf else None:
        case "cut" | "reset" as ending:
            return [Beat(at, half), Beat(at, ending=ending)], len(data)
        case "hang":
            return [Beat(at, half)], len(data)
        case "error" if given is None:
            data, contents = speech.whole(int(strike)), int(strike)
        case "truncated":
            data = half
        case "malformed":
            data = data.replace(b":", b"", 1)
        case "not_utf8":
            data = data.replace(b'":"', b'":"\xff\xfe', 1)
    return [Beat(at, data, contents), Beat(at, ending="end")] if data else [Beat(at, ending="end")], len(data)
