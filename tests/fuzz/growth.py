"""Checks that twice the input takes twice the time, with inputs that a careless reader would read again and again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.fuzz.check import WIRES

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

STEEPEST = 3.0
"""How many times as long twice the input may take: 2 and the machine's noise; quadratic work takes 4."""

TRIES = 6
"""How often a ratio is measured at most before it counts."""

SIZE = 100_000
"""Bytes of the smaller input: some milliseconds of work."""

Input = tuple[str, bytes, int]
"""Content type, body, and how many bytes are fed at a time."""

EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'

SHAPES: dict[str, Callable[[int], Input]] = {
    "events": lambda size: ("text/event-stream", EVENT * (size // len(EVENT)), 1000),
    "one long line": lambda size: ("text/event-stream", b"data: " + b"x" * size, 100),
    "one long line without a field": lambda size: ("text/event-stream", b"x" * size, 100),
    "lines of one event": lambda size: ("text/event-stream", b"data: 1\n" * (size // 8), 100),
    "lines without a field": lambda size: ("text/event-stream", b"<html>\n" * (size // 7), 100),
    "events without a field": lambda size: ("text/event-stream", b'{"a":1}\n\n' * (size // 9), 100),
    "names": lambda size: ("text/event-stream", b"event: a\n" * (size // 9), 100),
    "blank lines": lambda size: ("text/event-stream", b"\r\n" * (size // 2), 7),
    "comments": lambda size: ("text/event-stream", b": x\n\n" * (size // 5), 7),
    "events that are none": lambda size: ("text/event-stream", b"data: ping\n\n" * (size // 12), 100),
    "a body": lambda size: ("application/json", b'{"choices":"' + b"x" * size + b'"}', 100),
    "a page": lambda size: ("application/json", b"<title" * (size // 6), 1000),
    "a nest": lambda size: ("application/json", b"[" * size, 1000),
    "tool calls": lambda size: ("text/event-stream", b"".join(_call(n) for n in range(size // 100)), 1000),
    "items": lambda size: ("text/event-stream", b"".join(_item(n) for n in range(size // 250)), 1000),
    "blocks": lambda size: ("text/event-stream", _START + b"".join(_block(n) for n in range(size // 200)), 1000),
}
_START = b'data: {"type":"message_start","message":{"type":"message","content":[],"usage":{}}}\n\n'


def steep(progress: Callable[[str], None] = lambda _: None) -> list[str]:
    """The shapes whose time grows faster than their size, each with the ratio of a doubling."""
    found = []
    for name, shape in SHAPES.items():
        for wire in WIRES:
            ratio = _ratio(wire, shape)
            progress(f"{wire}, {name}: {ratio:.2f}")
            if ratio > STEEPEST:
                found.append(f"{wire}, {name}: twice the input takes {ratio:.1f} times as long")
    return found


def steep_repetition(body: bytes, random: Random) -> str | None:
    """What is wrong with the time that a repeated piece of some input takes, `None` for nothing."""
    start = random.randrange(len(body) + 1)
    piece = body[start : start + random.choice((1, 3, 20, 200))] or b"x"
    wire, kind = random.choice(list(WIRES)), random.choice(("text/event-stream", "application/json"))
    head, step = body[: random.choice((0, start))], random.choice((50, 5000))
    ratio = _ratio(wire, lambda size: (kind, head + piece * (size // len(piece)), step))
    if ratio <= STEEPEST:
        return None
    return f"{wire}, {kind}: {piece!r} repeated twice as often takes {ratio:.1f} times as long"


def _ratio(wire: str, shape: Callable[[int], Input]) -> float:
    """How many times as long twice the input takes, the least of a few tries."""
    ratio = 9.9
    for _ in range(TRIES):
        once, twice = _seconds(wire, shape(SIZE)), _seconds(wire, shape(2 * SIZE))
        ratio = min(ratio, twice / max(once, 2e-4))
        if ratio <= STEEPEST:
            break
    return ratio


def _seconds(wire: str, given: Input) -> float:
    kind, body, step = given
    began = time.process_time()
    decoder = WIRES[wire].decoder({"content-type": kind}, {})
    for start in range(0, len(body), step):
        decoder.feed(body[start : start + step])
    decoder.close()
    decoder.reply.raw  # noqa: B018  # it is put together on demand
    WIRES[wire].failure(400, {"retry-after": body[:8000].decode("utf-8", "replace")}, body)
    return time.process_time() - began


def _call(number: int) -> bytes:
    call = b'{"index":%d,"id":"c%d","function":{"name":"f","arguments":"{}"}}' % (number, number)
    return b'data: {"choices":[{"index":0,"delta":{"tool_calls":[%b]}}]}\n\n' % call


def _item(number: int) -> bytes:
    item = b'"item":{"type":"function_call","id":"fc_%d","call_id":"c","name":"f","arguments":"{}"}' % number
    return (
        b'data: {"type":"response.output_item.added","output_index":%d,%b}\n\n'
        b'data: {"type":"response.output_item.done",%b}\n\n'
    ) % (number, item, item)


def _block(number: int) -> bytes:
    return (
        b'data: {"type":"content_block_start","index":%d,"content_block":{"type":"text","text":"a"}}\n\n'
        b'data: {"type":"content_block_stop","index":%d}\n\n'
    ) % (number, number)
