"""What becomes of one request: when which bytes come, what goes wrong, and what a client must make of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Literal

import orjson

from .hints import NONE, Hint, draw_hint, in_seconds
from .kinds import CONNECT, CONNECTION, EMPTY, PAUSED, SILENT, STATUSES, TIMEOUT, TORN
from .oddities import HUGE, tear, write_oddly
from .tongues import TONGUES

if TYPE_CHECKING:
    from random import Random

    from .day import ModelDay
    from .speech import Kind, OpenAI

Shape = Literal["text", "thoughtful", "tool"]
SHAPES: tuple[Shape, ...] = ("text", "thoughtful", "tool")


@dataclass(slots=True)
class Fate:
    """One response before it happens; seconds count from the moment of sending (`connect`), then from `connected`."""

    kind: str
    error: str | None = None
    """What the client must raise."""
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
    says_done: bool = False
    """Whether its last piece says that it is the last."""
    shreds: bool = False
    """Its bytes come a few at a time, cut anywhere."""
    words: int = 0
    shape: Shape = "text"
    finish: str = "stop"
    prompt_tokens: int = 0
    told_usd: float | None = None
    hint: Hint = NONE

    def kind_of(self, index: int) -> Kind:
        """Whether a word is text, a thought, or a tool."""
        if self.shape == "tool" and index == self.words - 1:
            return "tool"
        return "thought" if self.shape == "thoughtful" and index < (self.words + 1) // 2 else "text"

    def delay(self, until: float) -> None:
        """Nothing comes before an instant; then all of it at once."""
        self.headers_at = max(self.headers_at, until)
        self.pieces = [(max(at, until), data, words) for at, data, words in self.pieces]
        self.ends_at = max(self.ends_at, until)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request's fate depends on besides chance."""

    model: ModelDay
    number: int
    stream: bool
    size: int
    wall: float
    """The provider's clock."""
    slow: float = 1.0


def draw_fate(random: Random, asked: Asked, kind: str | None) -> Fate:
    """What a request gets that suffers from `kind` (`None`: from nothing)."""
    model = asked.model
    fate = Fate(kind or "fine", connect=model.connect * random.uniform(0.5, 1.5))
    if kind in STATUSES:
        _status(fate, random, asked, kind)
    elif kind in CONNECT:
        fate.error, fate.broken = (TIMEOUT, False) if kind == "hang_connect" else (CONNECTION, True)
        if kind == "hang_connect":
            fate.connect = inf
    else:
        _answer(fate, random, asked, kind)
    return fate


def _status(fate: Fate, random: Random, asked: Asked, kind: str) -> None:
    fate.status, fate.error, code = STATUSES[kind]
    if kind == "402_soon":
        fate.hint = in_seconds(2.0)
    elif kind in PAUSED:
        fate.hint = draw_hint(random, asked.wall)
    fate.headers = {"content-type": "application/json", **fate.hint.headers}
    fate.headers_at = fate.ends_at = random.uniform(0.001, 0.3)
    tongue = TONGUES[asked.model.wire](fate, asked.number)
    body = orjson.dumps(tongue.failure(fate.status, f"{kind} for request #{asked.number}", code))
    fate.pieces = [(fate.headers_at, body, 0)]


def _answer(fate: Fate, random: Random, asked: Asked, kind: str | None) -> None:
    """A success, or what began as one."""
    model = asked.model
    first = random.lognormvariate(0.0, model.sigma) * model.median * asked.slow
    if kind == "straggler":
        first *= model.straggle
    fate.error = TORN.get(kind or "")
    if kind == "huge" and model.roomy:
        fate.error = None
    fate.words = 0 if kind in EMPTY else random.randint(1, model.words)
    fate.prompt_tokens = asked.size // 5 + 1
    fate.shape = random.choices(SHAPES, [80, 10, 10])[0]
    if kind in EMPTY:
        fate.finish = EMPTY[kind]
    elif fate.shape == "tool":
        fate.finish = "tool_calls"
    elif fate.shape == "text":
        fate.finish = random.choices(["stop", "length", "content_filter"], [90, 6, 4])[0]
    if kind == "reset_headers" or kind == "hang_headers":
        fate.headers_at, fate.lost = (inf, False) if kind == "hang_headers" else (first, True)
        return
    if model.wire == "openai" and random.random() < 0.1:
        fate.told_usd = round(random.uniform(0.0, 0.01), 6)
    tongue = TONGUES[model.wire](fate, asked.number)
    fate.headers = {tongue.request_id: f"req-{asked.number}"}
    fate.shreds = random.random() < 0.03
    if kind == "html" or kind == "error_body":
        _page(fate, tongue, kind, first)
    elif asked.stream:
        _stream(fate, random, tongue, kind, first, model.gap)
    else:
        _document(fate, random, tongue, kind, first + model.gap * fate.words)


def _page(fate: Fate, tongue: OpenAI, kind: str, at: float) -> None:
    """Something else than an answer, in its place."""
    body = b"<html><body>Sorry</body></html>"
    if kind == "error_body":
        body = orjson.dumps(tongue.failure(500, f"it broke #{tongue.number}", ""))
    fate.headers["content-type"] = "text/html" if kind == "html" else "application/json"
    fate.pieces, fate.headers_at, fate.ends_at = [(at, body, 0)], at, at


def _stream(fate: Fate, random: Random, tongue: OpenAI, kind: str | None, first: float, gap: float) -> None:
    fate.headers["content-type"] = "application/json" if kind == "mislabelled" else "text/event-stream"
    fate.headers_at = first * random.uniform(0.1, 0.9)
    pieces, at = fate.pieces, first
    pieces.append((fate.headers_at, tongue.opening(), 0))
    if random.random() < 0.3:
        pieces.append(((fate.headers_at + first) / 2, b": PROCESSING\n\n", 0))
    stop = 0 if kind in SILENT or not fate.words else random.randrange(fate.words) + 1
    torn = kind in TORN and kind not in EMPTY and fate.error is not None
    for index in range(stop if torn else fate.words):
        pieces.append((at, tongue.word(index), index + 1))
        at += gap * random.uniform(0.2, 2.0)
        if kind == "stall" and index + 1 == stop:
            at += random.uniform(0.5, 20.0)
    if torn:
        tear(fate, random, tongue, kind, at, stop)
        return
    if kind == "huge":
        pieces.append((at, HUGE, fate.words))
    ends = tongue.closing()
    pieces += [(at, piece, fate.words) for piece in ends[: 1 if kind == "cut_usage" else None]]
    fate.ends_at = at
    if kind == "hang_done":
        fate.ending, fate.ends_at = "never", inf
    elif kind not in {"no_done", "cut_usage"}:
        fate.says_done = tongue.done != b"" and kind != "mislabelled"
        pieces += [(at, tongue.done, fate.words)] * random.choice([1, 1, 1, 2])
        fate.ends_at += random.uniform(0.0, 0.4) if random.random() < 0.2 else 0.0
    if kind in {"cut_done", "cut_usage"}:
        fate.ending = "cut"
    if kind != "mislabelled":
        write_oddly(fate, random)


def _document(fate: Fate, random: Random, tongue: OpenAI, kind: str | None, at: float) -> None:
    """The whole answer in one JSON body."""
    fate.headers["content-type"] = "application/json"
    if kind == "stall":
        at += random.uniform(0.5, 20.0)
    fate.headers_at, fate.ends_at = at * random.uniform(0.5, 1.0), at
    body = tongue.whole()
    half, error = len(body) // 2, {"error_first": 500, "error_middle": 500, "limited_inside": 429}.get(kind or "")
    if error is not None:
        body = orjson.dumps(tongue.failure(error, f"it broke #{tongue.number}", ""))
    elif kind == "binary":
        body = body.replace(b'"', b'"\xff', 1)
    elif kind == "huge":
        body += b" " * 40_000
    fate.pieces = [(at, body[:half], 0), (at, body[half:], fate.words)]
    if fate.error is None or kind in EMPTY or error is not None or kind in {"binary", "huge"}:
        return  # what else may happen to the end of a stream cannot happen to a body of known length
    fate.pieces = fate.pieces[: 0 if kind in {"hang_content", "cut_first"} else 1]
    if kind in {"hang_content", "hang_middle"}:
        fate.ending = "never"
    elif kind not in {"truncated", "malformed"}:
        fate.ending = "cut"
