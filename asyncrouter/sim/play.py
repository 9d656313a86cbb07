"""An act played for one request: which bytes come when. Pure; both fronts, in-process and socket, send just this."""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncrouter.sim._anthropic import Anthropic
from asyncrouter.sim._bodies import Beat, Scene, buffered, streamed
from asyncrouter.sim._gemini import Gemini
from asyncrouter.sim._oddities import CUTS, split, torn, written
from asyncrouter.sim._openai import OpenAI
from asyncrouter.sim._pauses import in_headers
from asyncrouter.sim._speech import HTML
from asyncrouter.sim.act import CONNECT, Act
from asyncrouter.sim.laws import draw

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from random import Random

    from asyncrouter.sim._bodies import Ending
    from asyncrouter.sim._prompt import Wire
    from asyncrouter.sim._seen import Seen
    from asyncrouter.sim._speech import Speech

STREAM, JSON, PAGE = "text/event-stream; charset=utf-8", "application/json", "text/html; charset=utf-8"
SPEECHES: Mapping[Wire, type[Speech]] = {"openai": OpenAI, "anthropic": Anthropic, "gemini": Gemini}


@dataclass(slots=True)
class Play:
    """One response before it happens. Seconds; `inf` = never. Beats that run out without an ending: silence.

    `broken` names a connection that fails once `connect` is over. From then on `headers_at` and the beats count; `lost`
    is how the connection is lost in place of the headers. A body without a Content-Length is chunked. With `bitwise`
    each beat is written, and read, by itself.

    `speech` is `None` where no model answers. A model makes so many `contents` until `made_at`, whoever listens.
    """

    connect: float = 0.0
    broken: str | None = None
    headers_at: float = 0.0
    lost: Ending | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    beats: Iterator[Beat] = field(default_factory=lambda: iter(()))
    bitwise: bool = False
    speech: Speech | None = None
    contents: int = 0
    made_at: float = 0.0


def play(act: Act, seen: Seen, random: Random) -> Play:
    """Lay out what one request gets."""
    connect = draw(act.connect, random, seen.body)
    if act.fault in CONNECT:
        return Play(connect, broken=act.fault)
    if act.at == "connect":
        return Play(math.inf)
    headers_after = None if act.headers_after is None else draw(act.headers_after, random, seen.body)
    scene = Scene(SPEECHES[seen.wire](act, seen), seen, random)
    if act.at == "headers":
        late = math.inf if act.fault == "hang" else headers_after or 0.0
        lost: Ending | None = "reset" if act.fault == "reset" else "cut" if act.fault == "cut" else None
        played = Play(connect, None, late, lost)
    else:
        played = _response(act, scene, random, connect, headers_after)
    if scene.speech.status == 200 and act.body is None and act.fault != "html":
        played.speech, played.contents = scene.speech, scene.contents
        if act.deaf:
            played.made_at = scene.end()
    return played


def _response(act: Act, scene: Scene, random: Random, connect: float, headers_after: float | None) -> Play:
    speech = scene.speech
    length: int | None = None
    beats: Iterable[Beat]
    if speech.streaming and act.body is None and act.fault != "html":
        kind, headers_at = STREAM, headers_after or 0.0
        beats = streamed(scene, headers_at)
        if act.sse:
            beats = written(beats, act.sse)
    else:
        kind = PAGE if act.fault == "html" else STREAM if speech.streaming else JSON
        headers_at, beats, length = buffered(scene, _given(act, speech), headers_after)
    headers = {"content-type": kind}
    if speech.id_header is not None:
        headers[speech.id_header] = f"req-{speech.number}"
    if act.fault == "gzip_cut":
        beats, length = _cut_gzip(beats)
        headers["content-encoding"] = "gzip"
    if act.byte is not None and act.fault is not None:
        beats = torn(beats, act.byte, act.fault)
    bitwise = not CUTS.isdisjoint(act.sse)
    if bitwise:
        beats = split(beats, act.sse, random)
    if length is not None:
        headers["content-length"] = f"{length}"
    if act.retry_after is not None:
        headers |= in_headers(act, speech.wire)
    if act.headers:
        headers |= {name.lower(): value for name, value in act.headers.items()}
    return Play(connect, None, headers_at, None, speech.status, headers, iter(beats), bitwise)


def answer(status: int, body: bytes) -> Play:
    """A JSON response at once, for what is no model's business."""
    headers = {"content-type": JSON, "content-length": f"{len(body)}"}
    return Play(status=status, headers=headers, beats=iter((Beat(0.0, body), Beat(0.0, ending="end"))))


def _given(act: Act, speech: Speech) -> bytes | None:
    """A body that is no answer of a model, if that is what the act sends."""
    if act.body is not None:
        return act.body
    if act.fault == "html":
        return HTML
    return speech.failure() if speech.status != 200 else None


def _cut_gzip(beats: Iterable[Beat]) -> tuple[list[Beat], int]:
    played = list(beats)
    last, contents = played[-1].at, sum(beat.contents for beat in played)
    # A constant mtime: the same seed gives the same bytes.
    packed = gzip.compress(b"".join(beat.data for beat in played), mtime=0)
    kept = packed[: len(packed) // 2]
    return [Beat(last, kept, contents), Beat(last, ending="end")], len(kept)
