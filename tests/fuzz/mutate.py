"""Damages an answer or an error: its bytes, its events, or values in its JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from random import Random

FRAGMENTS = [
    b'"', b"{", b"}", b"[", b"]", b":", b",", b"null", b"true", b"0", b"-1", b"1e400", b"5", b"\\", b"\\ud800", b"\xff",
    b"\xc3", b"\x00", b"\xef\xbb\xbf", b"\r", b"\n", b"\n\n", b"\r\n\r\n", b": ping\n\n", b"data: ", b"[]", b"{}",
    b"data: [DONE]\n\n", b"data: keep-alive\n\n", b"event: error\n", b"event: ping\n", b"id: 1\n", b'{"error":"x"}',
    b'data: {"error":{"message":"m","code":503}}\n\n', b'"index":1', b'"finish_reason":"stop"', b"message_stop",
    b"<html>", b" " * 50, b"[" * 300, b'{"a":' * 300,
]
"""Bytes that are put into a body, or in the place of a piece of it."""

VALUES: list[object] = [
    None, True, False, 0, 1, -1, 2**53, 1.5, "", "x", "stop", "length", "error", "tool_calls", "end_turn", "STOP",
    "é🙂", "9" * 400, [], {}, [None], ["x"], [[]], [{}], {"text": "x"}, {"message": "m"},
    {"error": {"message": "m", "code": 429}},
]
"""Values that are put in the place of one in a document."""

DEEP = b"[" * 260 + b"]" * 260
"""JSON that can be read, but is nested too deep for orjson to write."""

Json = dict[str, object] | list[object]


def mutate(body: bytes, random: Random) -> bytes:
    """The body with one piece of damage, or a few."""
    for _ in range(random.choice((1, 1, 1, 1, 2, 3))):
        body = random.choice((_bytes, _bytes, _events, _json, _json))(body, random)
    return body


def mutate_text(text: str, random: Random) -> str:
    """A header's value with a piece of damage, or a few."""
    return mutate(text.encode(), random).decode("utf-8", "replace")


def _bytes(body: bytes, random: Random) -> bytes:
    start = random.randrange(len(body) + 1)
    end = min(len(body), start + random.choice((1, 2, 5, 20, 100, 400)))
    match random.randrange(7):
        case 0:
            return body[:start] + body[end:]
        case 1:
            return body[:end] + body[start:]
        case 2:
            return body[:start] + random.choice(FRAGMENTS) + body[end:]
        case 3:
            return body[:start] + random.choice(FRAGMENTS) + body[start:]
        case 4:
            flipped = bytes([body[start] ^ 1 << random.randrange(8)]) if start < len(body) else b"\n"
            return body[:start] + flipped + body[start + 1 :]
        case 5:
            return body[:start]
        case _:
            return body[:start] + bytes(random.choices(range(256), k=random.randrange(1, 8))) + body[end:]


def _events(body: bytes, random: Random) -> bytes:
    """Whole events are lost, repeated, swapped, renamed or joined, or the line ends are others."""
    events = body.split(b"\n\n")
    one, other = random.randrange(len(events)), random.randrange(len(events))
    match random.randrange(6):
        case 0:
            del events[one]
        case 1:
            events[one], events[other] = events[other], events[one]
        case 2:
            events.insert(one, events[other])
        case 3:
            events[one] = events[one].replace(b"data", random.choice((b"dat", b"Data", b"data ", b"", b":data")), 1)
        case 4:
            return body.replace(b"\n", random.choice((b"\r\n", b"\r")))
        case _:
            events[one : one + 2] = [b"\n".join(events[one : one + 2])]
    return b"\n\n".join(events)


def _json(body: bytes, random: Random) -> bytes:
    """A value in one of the documents is changed, lost, renamed or put into a list."""
    lines = body.split(b"\n")
    candidates = [number for number, line in enumerate(lines) if b"{" in line or b"[" in line]
    if not candidates:
        return body
    number = random.choice(candidates)
    head = re.match(rb"(?:data: ?)?", lines[number])
    assert head is not None
    try:
        document = orjson.loads(lines[number][head.end() :])
    except ValueError:
        return _bytes(body, random)
    end = b"\r" if lines[number].endswith(b"\r") else b""
    try:
        lines[number] = head[0] + orjson.dumps(_changed(document, random)).replace(b'"\\u0001"', DEEP) + end
    except TypeError:  # surrogates, or too deep
        return body
    return b"\n".join(lines)


def _changed(document: object, random: Random) -> object:
    places = list(_places(document))
    if not places:
        return random.choice(VALUES)
    holder, key = random.choice(places)
    _, other = random.choice(places)
    value = holder[key]  # type: ignore[index, call-overload]  # a key of its own
    match random.randrange(6):
        case 0:
            del holder[key]  # type: ignore[arg-type]
        case 1 if isinstance(holder, dict):
            holder[str(other)] = holder.pop(key)  # type: ignore[arg-type]
        case 2:
            holder[key] = [value]  # type: ignore[index, call-overload]
        case 3:
            holder[key] = "\x01"  # type: ignore[index, call-overload]
        case 4 if isinstance(value, str):
            holder[key] = value[: random.randrange(len(value) + 1)] + random.choice(("", "x", "\n", '"'))  # type: ignore[index, call-overload]
        case _:
            holder[key] = random.choice(VALUES)  # type: ignore[index, call-overload]
    return document


def _places(value: object) -> list[tuple[Json, object]]:
    """Every key of every object and list, with the object or list it is in."""
    found: list[tuple[Json, object]] = []
    if isinstance(value, dict):
        for key, inner in value.items():
            found.append((value, key))
            found += _places(inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found.append((value, index))
            found += _places(inner)
    return found
