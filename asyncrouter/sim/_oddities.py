"""How a body is written and cut into pieces: unusual forms of an event stream that change nothing, and an early end."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from asyncrouter.sim._bodies import TimedBytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from random import Random

    from asyncrouter.sim.act import Fault, Oddity

SPLITTING = frozenset({"cuts", "bytes"})
"""The oddities that cut a body into pieces, each of which is written and read by itself."""
MAX_PIECE = 40
"""Bytes between two random cuts at most: short enough to cut most events, and characters of several bytes."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""U+FEFF in UTF-8, which a reader of event streams has to ignore at the beginning."""
_PREFIXES: dict[str, bytes] = {
    "blank": b"data:\n\n",
    "chatter": b": so far, so good\n\n",
    "fields": b"id: 7\nretry: 3000\nmood: good\n",
}
"""What some oddities write before each event."""


def with_oddities(body: Iterable[TimedBytes], oddities: Sequence[Oddity]) -> Iterator[TimedBytes]:
    """An event stream as a server with these oddities writes it."""
    prefix = b"".join(_PREFIXES[oddity] for oddity in ("blank", "chatter", "fields") if oddity in oddities)
    mark = BYTE_ORDER_MARK if "bom" in oddities else b""
    for part in _without_last_blank_line(body) if "no_blank_line" in oddities else body:
        data = part.data
        if data.startswith((b"data: ", b"event: ")):
            data = prefix + data
        if data:
            data, mark = mark + _lines(data, oddities), b""
        yield part._replace(data=data)


def _without_last_blank_line(body: Iterable[TimedBytes]) -> Iterator[TimedBytes]:
    held: TimedBytes | None = None
    for part in body:
        if held is not None:
            yield held._replace(data=held.data.rstrip(b"\r\n")) if part.ending == "end" else held
        held = part
    if held is not None:
        yield held


def _lines(data: bytes, oddities: Sequence[Oddity]) -> bytes:
    # JSON that we write has no line end in it, so a line that begins with "data: " is a field of an event.
    lines = b"\n" + data.replace(b"\r\n", b"\n")
    if "multiline" in oddities:
        lines = lines.replace(b"\ndata: {", b"\ndata: {\ndata: ")
    if "no_space" in oddities:
        lines = lines.replace(b"\ndata: ", b"\ndata:")
    end = b"\r\n" if "crlf" in oddities else b"\r" if "cr" in oddities else b"\n"
    return lines[1:].replace(b"\n", end)


def ended_after(body: Iterable[TimedBytes], byte: int, fault: Fault) -> Iterator[TimedBytes]:
    """A body that is over after so many bytes: by a cut or a reset, with silence, or as if that were all."""
    left = byte
    for part in body:
        if part.ending is None and len(part.data) < left:
            left -= len(part.data)
            yield part
            continue
        yield TimedBytes(part.at, part.data[:left])
        if fault == "cut" or fault == "reset":
            yield TimedBytes(part.at, ending=fault)
        elif fault == "truncated":
            yield TimedBytes(part.at, ending="end")
        return


def split(body: Iterable[TimedBytes], oddities: Sequence[Oddity], random: Random) -> Iterator[TimedBytes]:
    """A body cut into pieces, of one byte with "bytes", of random lengths with "cuts"."""
    for part in body:
        size = len(part.data)
        cuts = [0]
        while cuts[-1] < size:
            cuts.append(min(size, cuts[-1] + (1 if "bytes" in oddities else random.randint(1, MAX_PIECE))))
        for start, stop in pairwise(cuts):
            yield TimedBytes(part.at, part.data[start:stop], part.contents if stop == size else 0)
        if part.ending is not None:
            yield TimedBytes(part.at, ending=part.ending)
