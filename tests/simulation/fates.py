"""What becomes of one request: when which bytes come, what goes wrong, and what a client must make of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import formatdate
from math import inf
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from random import Random

    from .day import ModelDay

CONNECTION, TIMEOUT, BAD, SERVER = "ConnectionFailed", "AttemptTimeout", "BadReply", "ServerFailed"

STATUSES: dict[str, tuple[int, str, str]] = {
    # kind: status, error the client must raise, code in the body
    "400": (400, "Rejected", "bad_request"),
    "301": (301, "Rejected", "moved"),
    "401": (401, "Unauthorized", "invalid_api_key"),
    "402": (402, "OutOfCredit", "payment_required"),
    "402_soon": (402, "RateLimited", "in_flight_budget_exhausted"),
    "403": (403, "Unauthorized", "permission_denied"),
    "404": (404, "Rejected", "model_not_found"),
    "408": (408, SERVER, "timeout"),
    "409": (409, SERVER, "conflict"),
    "413": (413, "Rejected", "payload_too_large"),
    "422": (422, "Rejected", "unprocessable"),
    "425": (425, SERVER, "too_early"),
    "429": (429, "RateLimited", "rate_limit_exceeded"),
    "429_money": (429, "OutOfCredit", "insufficient_quota"),
    "498": (498, SERVER, "capacity_exceeded"),
    "499": (499, SERVER, "cancelled"),
    "500": (500, SERVER, "server_error"),
    "501": (501, SERVER, "not_implemented"),
    "502": (502, SERVER, "bad_gateway"),
    "503": (503, SERVER, "unavailable"),
    "504": (504, SERVER, "timeout"),
    "529": (529, "RateLimited", "overloaded_error"),
    "context": (400, "ContextTooLong", "context_length_exceeded"),
    "policy": (400, "Refused", "content_policy_violation"),
}
CONNECT = ("refuse", "certificate", "hang_connect")
TORN: dict[str, str] = {
    "reset_headers": CONNECTION, "hang_headers": TIMEOUT, "hang_content": TIMEOUT, "hang_middle": TIMEOUT,
    "cut_first": CONNECTION, "cut_middle": CONNECTION, "truncated": BAD, "empty": BAD, "malformed": BAD, "html": BAD,
    "error_first": SERVER, "error_middle": SERVER,
}
"""What goes wrong in a response that began as a success, and the error the client must raise."""
HARMLESS = ("hang_done", "stall", "straggler")
"""What a client may live through: silence behind the last word, a pause, a slow day."""
KINDS = (*STATUSES, *CONNECT, *TORN, *HARMLESS)
PAUSED = frozenset({"429", "503", "529", "500", "402_soon"})
"""Statuses that may come with a Retry-After."""
COUNTED = frozenset({CONNECTION, TIMEOUT, BAD, SERVER})
"""Errors that say something against a model; a 529 does too, a 429 does not."""


@dataclass(slots=True)
class Fate:
    """One response before it happens; seconds count from the moment of sending (`connect`), then from `connected`."""

    kind: str
    error: str | None = None
    connect: float = 0.0
    broken: bool = False
    headers_at: float = 0.0
    lost: bool = False
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[tuple[float, bytes, int]] = field(default_factory=list)
    """When, what, and how many words have come with it."""
    ending: Literal["end", "cut", "never"] = "end"
    ends_at: float = inf
    words: int = 0
    prompt_tokens: int = 0
    pause: float | None = None
    """Seconds that a Retry-After asks for, as a careful client reads it ..."""
    dated: bool = False
    """... counted from the sending, for it names an instant."""
    told_usd: float | None = None


def retry_after(random: Random, wall: float) -> tuple[dict[str, str], float | None]:
    """A Retry-After in one of its forms, and the seconds it means (`None`: nothing)."""
    match random.randrange(10):
        case 0:
            return {}, None
        case 1:
            return {"retry-after": "0"}, 0.0
        case 2 | 3:
            seconds = round(random.uniform(0.1, 3.0), 2)
            return {"retry-after": f"{seconds}"}, seconds
        case 4:
            seconds = float(random.randint(1, 30))
            return {"retry-after": f"{seconds:.0f}"}, seconds
        case 5:
            return {"retry-after": random.choice(["-5", "abc", ""])}, None
        case 6:
            seconds = float(random.choice([120, 121, 3600]))
            return {"retry-after": f"{seconds:.0f}"}, seconds
        case 7:
            instant = int(wall) + random.randint(-60, 60)
            # As long after the sending; a client counts from when it reads it.
            return {"retry-after": formatdate(instant, usegmt=True)}, instant - wall
        case 8:
            millis = random.randint(50, 5000)
            return {"retry-after-ms": f"{millis}"}, millis / 1000.0
        case _:
            millis = random.randint(50, 5000)
            return {"retry-after-ms": f"{millis}", "retry-after": "60"}, millis / 1000.0


def draw_fate(
    random: Random, day: ModelDay, kind: str | None, number: int, *, stream: bool, size: int, wall: float, slow: float
) -> Fate:
    """What a request gets that suffers from `kind` (`None`: from nothing)."""
    fate = Fate(kind or "fine", connect=day.connect * random.uniform(0.5, 1.5))
    if kind in STATUSES:
        _status(fate, random, kind, wall)
    elif kind in CONNECT:
        fate.error, fate.broken = (TIMEOUT, False) if kind == "hang_connect" else (CONNECTION, True)
        if kind == "hang_connect":
            fate.connect = inf
    else:
        _answer(fate, random, day, kind, number, stream=stream, size=size, slow=slow)
    return fate


def _status(fate: Fate, random: Random, kind: str, wall: float) -> None:
    fate.status, fate.error, code = STATUSES[kind]
    fate.headers["content-type"] = "application/json"
    if kind in PAUSED:
        headers, fate.pause = retry_after(random, wall)
        fate.headers |= headers
        fate.dated = headers.get("retry-after", "").endswith("GMT")
    if kind == "402_soon":
        fate.headers["retry-after"], fate.pause, fate.dated = "2", 2.0, False
        fate.headers.pop("retry-after-ms", None)
    fate.headers_at = random.uniform(0.001, 0.3)
    body = b'{"error":{"message":"%s of simulated request","code":"%s"}}' % (kind.encode(), code.encode())
    fate.pieces = [(fate.headers_at, body, 0)]
    fate.ends_at = fate.headers_at


def _answer(
    fate: Fate, random: Random, day: ModelDay, kind: str | None, number: int, *, stream: bool, size: int, slow: float
) -> None:
    """A success, or what began as one."""
    first = random.lognormvariate(0.0, day.sigma) * day.median * slow
    gap = day.gap
    if kind == "straggler":
        first *= day.straggle
    fate.error = TORN.get(kind or "")
    fate.words = random.randint(1, day.words)
    fate.prompt_tokens = size // 5 + 1
    if kind == "reset_headers" or kind == "hang_headers":
        fate.headers_at, fate.lost = (inf, False) if kind == "hang_headers" else (first, True)
        return
    if random.random() < 0.1:
        fate.told_usd = round(random.uniform(0.0, 0.01), 6)
    usage = _usage(fate)
    if kind == "html":
        fate.headers = {"content-type": "text/html"}
        fate.pieces, fate.ends_at = [(first, b"<html><body>Sorry</body></html>", 0)], first
    elif stream:
        _stream(fate, random, kind, number, first, gap, usage)
    else:
        _document(fate, random, kind, number, first, gap, usage)


def _usage(fate: Fate) -> bytes:
    cost = b"" if fate.told_usd is None else b',"cost":%s' % repr(fate.told_usd).encode()
    return b'{"prompt_tokens":%d,"completion_tokens":%d%s}' % (fate.prompt_tokens, fate.words, cost)


_EVENT = b'data: {"id":"r%d","object":"chat.completion.chunk","model":"served","choices":[{"index":0,"delta":%s}]}\n\n'
_FINISH = b'data: {"id":"r%d","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'


def _stream(
    fate: Fate, random: Random, kind: str | None, number: int, first: float, gap: float, usage: bytes
) -> None:
    fate.headers = {"content-type": "text/event-stream", "x-request-id": f"req-{number}"}
    fate.headers_at = first * random.uniform(0.1, 0.9)
    pieces = fate.pieces
    pieces.append((fate.headers_at, _EVENT % (number, b'{"role":"assistant","content":""}'), 0))
    if random.random() < 0.3:
        pieces.append(((fate.headers_at + first) / 2, b": PROCESSING\n\n", 0))
    stop = random.randrange(fate.words) + 1  # words before which it goes on whatever happens later
    at = first
    if kind in {"hang_content", "cut_first", "empty", "error_first", "malformed"}:
        stop = 0
    for index in range(fate.words if kind not in TORN else stop):
        pieces.append((at, _EVENT % (number, b'{"content":"%d.%d "}' % (number, index)), index + 1))
        at += gap * random.uniform(0.2, 2.0)
        if kind == "stall" and index + 1 == stop:
            at += random.uniform(0.5, 20.0)
    if kind is None or kind in HARMLESS:
        pieces.append((at, _FINISH % number, fate.words))
        pieces.append((at, b'data: {"choices":[],"usage":%s}\n\n' % usage, fate.words))
        if kind == "hang_done":
            fate.ending = "never"
        else:
            pieces.append((at, b"data: [DONE]\n\n", fate.words))
            fate.ends_at = at + (random.uniform(0.0, 0.4) if random.random() < 0.2 else 0.0)
        return
    fate.ends_at = at
    match kind:
        case "hang_content" | "hang_middle":
            fate.ending, fate.ends_at = "never", inf
            if kind == "hang_content" and random.random() < 0.5:
                pieces += [(at + 0.7 * n, b": PROCESSING\n\n", 0) for n in range(8)]
        case "cut_first" | "cut_middle":
            fate.ending = "cut"
        case "empty":
            pieces.append((at, _FINISH % number, 0))
            pieces.append((at, b"data: [DONE]\n\n", 0))
        case "malformed":
            pieces.append((at, b"data: {not json\n\ndata: [DONE]\n\n", 0))
        case "error_first" | "error_middle":
            pieces.append((at, b'data: {"error":{"message":"it broke","type":"server_error","code":500}}\n\n', stop))


def _document(
    fate: Fate, random: Random, kind: str | None, number: int, first: float, gap: float, usage: bytes
) -> None:
    """The whole answer in one JSON body."""
    fate.headers = {"content-type": "application/json", "x-request-id": f"req-{number}"}
    at = first + gap * fate.words
    if kind == "stall":
        at += random.uniform(0.5, 20.0)
    fate.headers_at = at * random.uniform(0.5, 1.0)
    text = b"".join(b"%d.%d " % (number, index) for index in range(fate.words))
    body = (
        b'{"id":"r%d","object":"chat.completion","model":"served","choices":[{"index":0,"message":'
        b'{"role":"assistant","content":"%s"},"finish_reason":"stop"}],"usage":%s}'
    ) % (number, b"" if kind == "empty" else text, usage)
    fate.ends_at = at
    half = len(body) // 2
    match kind:
        case "hang_content":
            fate.ending = "never"
        case "hang_middle":
            fate.pieces, fate.ending = [(at, body[:half], 0)], "never"
        case "cut_first" | "cut_middle":
            fate.pieces, fate.ending = [(at, body[:half], 0)] if kind == "cut_middle" else [], "cut"
        case "truncated" | "malformed":
            fate.pieces = [(at, body[:half], 0)]
        case "error_first" | "error_middle":
            fate.pieces = [(at, b'{"error":{"message":"it broke","type":"server_error","code":500}}', 0)]
        case _:
            # `hang_done` is nothing that a body of one piece can do.
            fate.pieces = [(at, body[:half], 0), (at, body[half:], fate.words)]
