"""An act played for one request: which bytes come when. Pure; both fronts, in-process and socket, send just this."""

from __future__ import annotations

import gzip
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncrouter.sim._bodies import Beat, Scene, buffered, streamed
from asyncrouter.sim._openai import HTML, OpenAI
from asyncrouter.sim.act import CONNECT, Act, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from random import Random

    from asyncrouter.sim._bodies import Ending

STREAM, JSON, PAGE = "text/event-stream; charset=utf-8", "application/json", "text/html; charset=utf-8"


@dataclass(slots=True)
class Play:
    """One response before it happens. Seconds; `inf` = never. Beats that run out without an ending: silence.

    `broken` names a connection that fails once `connect` is over. From then on `headers_at` and the beats count; `lost`
    is how the connection is lost in place of the headers. A body without a Content-Length is chunked.
    """

    connect: float
    broken: str | None = None
    headers_at: float = 0.0
    lost: Ending | None = None
    status: int = 200
    headers: Mapping[str, str] | None = None
    beats: Iterator[Beat] = field(default_factory=lambda: iter(()))


def play(act: Act, model: str, number: int, body: Mapping[str, object], random: Random) -> Play:
    """Lay out what one request gets."""
    connect = seconds(act.connect, random)
    if act.fault in CONNECT:
        return Play(connect, broken=act.fault)
    if act.at == "connect":
        return Play(math.inf)
    headers_after = None if act.headers_after is None else seconds(act.headers_after, random)
    if act.at == "headers":
        if act.fault == "hang":
            return Play(connect, headers_at=math.inf)
        return Play(connect, headers_at=headers_after or 0.0, lost="reset" if act.fault == "reset" else "cut")
    return _response(act, Scene(act, OpenAI(act, model, number, body), random), connect, headers_after)


def _response(act: Act, scene: Scene, connect: float, headers_after: float | None) -> Play:
    asked = scene.speech.streaming and act.streams and act.status == 200
    length: int | None = None
    beats: Iterable[Beat]
    if asked and act.body is None and act.fault != "html":
        kind, headers_at = STREAM, headers_after or 0.0
        beats = streamed(scene, headers_at)
    else:
        kind = PAGE if act.fault == "html" else STREAM if asked else JSON
        headers_at, beats, length = buffered(scene, _given(act, scene), headers_after)
    headers = {"content-type": kind, "x-request-id": f"req-{scene.speech.number}"}
    if act.fault == "gzip_cut":
        beats, length = _cut_gzip(beats)
        headers["content-encoding"] = "gzip"
    if length is not None:
        headers["content-length"] = f"{length}"
    if act.retry_after is not None:
        headers["retry-after"] = f"{act.retry_after}"
    headers |= {name.lower(): value for name, value in act.headers.items()}
    return Play(connect, None, headers_at, None, act.status, headers, iter(beats))


def answer(status: int, body: bytes) -> Play:
    """A JSON response at once, for what is no model's business."""
    headers = {"content-type": JSON, "content-length": f"{len(body)}"}
    return Play(0.0, None, 0.0, None, status, headers, iter((Beat(0.0, body), Beat(0.0, ending="end"))))


def _given(act: Act, scene: Scene) -> bytes | None:
    """A body that is no answer of a model, if that is what the act sends."""
    if act.body is not None:
        return act.body
    if act.fault == "html":
        return HTML
    return scene.speech.failure() if act.status != 200 else None


def _cut_gzip(beats: Iterable[Beat]) -> tuple[list[Beat], int]:
    played = list(beats)
    last, contents = played[-1].at, sum(beat.contents for beat in played)
    # A constant mtime: the same seed gives the same bytes.
    packed = gzip.compress(b"".join(beat.data for beat in played), mtime=0)
    kept = packed[: len(packed) // 2]
    return [Beat(last, kept, contents), Beat(last, ending="end")], len(kept)
