"""How a body is written and cut: oddities of an event stream that change nothing, and an end after so many bytes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from asyncrouter.sim._bodies import Beat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from random import Random

    from asyncrouter.sim.act import Fault, Oddity

CUTS = frozenset({"cuts", "bytes"})
_BEFORE: dict[str, bytes] = {
    "blank": b"data:\n\n",
    "chatter": b": so far, so good\n\n",
    "fields": b"id: 7\nretry: 3000\nmood: good\n",
}
_LONGEST = 40
"""Bytes between two random cuts at most."""


def written(beats: Iterable[Beat], oddities: Sequence[Oddity]) -> Iterator[Beat]:
    """A stream as an odd server writes it."""
    before = b"".join(_BEFORE[oddity] for oddity in ("blank", "chatter", "fields") if oddity in oddities)
    mark = b"\xef\xbb\xbf" if "bom" in oddities else b""
    for beat in _unended(beats) if "no_blank_line" in oddities else beats:
        data = beat.data
        if data.startswith((b"data: ", b"event: ")):
            data = before + data
        if data:
            data, mark = mark + _lines(data, oddities), b""
        yield beat._replace(data=data)


def _unended(beats: Iterable[Beat]) -> Iterator[Beat]:
    """A stream whose last event has no blank line behind it."""
    held: Beat | None = None
    for beat in beats:
        if held is not None:
            yield held._replace(data=held.data.rstrip(b"\r\n")) if beat.ending == "end" else held
        held = beat
    if held is not None:
        yield held


def _lines(data: bytes, oddities: Sequence[Oddity]) -> bytes:
    # A JSON text of ours has no raw line end, so a line that begins with "data: " is one.
    lined = b"\n" + data.replace(b"\r\n", b"\n")
    if "multiline" in oddities:
        lined = lined.replace(b"\ndata: {", b"\ndata: {\ndata: ")
    if "no_space" in oddities:
        lined = lined.replace(b"\ndata: ", b"\ndata:")
    end = b"\r\n" if "crlf" in oddities else b"\r" if "cr" in oddities else b"\n"
    return lined[1:].replace(b"\n", end)


def torn(beats: Iterable[Beat], byte: int, fault: Fault) -> Iterator[Beat]:
    """A body that is over after so many bytes, by a cut or a reset, in silence, or as if that were all."""
    left = byte
    for beat in beats:
        if beat.ending is None and len(beat.data) < left:
            left -= len(beat.data)
            yield beat
            continue
        yield Beat(beat.at, beat.data[:left])
        if fault == "cut" or fault == "reset":
            yield Beat(beat.at, ending=fault)
        elif fault == "truncated":
            yield Beat(beat.at, ending="end")
        return


def split(beats: Iterable[Beat], oddities: Sequence[Oddity], random: Random) -> Iterator[Beat]:
    """A body in pieces: at every byte, or anywhere."""
    for beat in beats:
        size = len(beat.data)
        places = [0]
        while places[-1] < size:
            places.append(min(size, places[-1] + (1 if "bytes" in oddities else random.randint(1, _LONGEST))))
        for start, stop in pairwise(places):
            yield Beat(beat.at, beat.data[start:stop], beat.contents if stop == size else 0)
        if beat.ending is not None:
            yield Beat(beat.at, ending=beat.ending)
