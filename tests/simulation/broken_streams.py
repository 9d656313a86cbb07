"""How streams break after so many words, and unusual but correct ways of writing them."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    from .scripted_response import ScriptedResponse
    from .wire_openai import OpenAI

HUGE = b": " + b"x" * 40_000 + b"\n\n"
"""A comment larger than `max_response_bytes`, where that is small."""


def write_unusually(script: ScriptedResponse, random: Random) -> None:
    """Write the same events as some servers do, which must make no difference."""
    match random.randrange(20):
        case 0:
            script.pieces = [(at, data.replace(b"\n", b"\r\n"), words) for at, data, words in script.pieces]
        case 1:
            script.pieces = [(at, data.replace(b"data: ", b"data:"), words) for at, data, words in script.pieces]
        case 2:
            script.pieces = [(at, b"data:\n\n: hm\n\nretry: 10\n\n" + data, words) for at, data, words in script.pieces]
        case 3:
            script.pieces[0] = (script.pieces[0][0], b"\xef\xbb\xbf" + script.pieces[0][1], 0)


def break_stream(
    script: ScriptedResponse, random: Random, wire: OpenAI, kind: str | None, at: float, stop: int
) -> None:
    """Break a stream after `stop` words, at `at` seconds."""
    script.ends_at, pieces = at, script.pieces
    match kind:
        case "hang_content" | "hang_middle":
            script.ending, script.ends_at = "never", inf
            if kind == "hang_content" and random.random() < 0.5:
                pieces += [(at + 0.7 * n, b": PROCESSING\n\n", 0) for n in range(8)]
        case "cut_first" | "cut_middle":
            script.ending = "cut"
        case "cut_inside" | "truncated":
            half = wire.word(min(stop, script.words - 1))
            pieces.append((at, half[: random.randrange(1, len(half) - 6)], stop))
            script.ending = "cut" if kind == "cut_inside" else "end"
        case "malformed":
            pieces.append((at, b'data: {"broken\n\n' + wire.done, stop))
        case "binary":
            pieces.append((at, wire.word(0).replace("·".encode(), b"\xff\xfe"), stop))
        case "error_first" | "error_middle":
            pieces.append((at, wire.broken(500), stop))
        case "limited_inside":
            pieces.append((at, wire.broken(429), stop))
        case "numbered":
            data = b"data: " + wire.numbered() + b"\n\n" if wire.finishes == {} else wire.broken(429)
            pieces.append((at, data, stop))
        case "early_end":
            script.words += stop == script.words  # something comes after that end in any case
            pieces.append((at, wire.early_end(), stop))
            pieces += [(at, wire.word(index), index + 1) for index in range(stop, script.words)]
            script.ending = "cut"
        case "huge":
            pieces.append((at, HUGE, stop))
            script.ending, script.ends_at = "never", inf
