"""Draws the response to one request: when which bytes come, what goes wrong, and the error a client must make of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Literal

import orjson

from .broken_streams import HUGE, break_stream, write_unusually
from .fault_kinds import BAD, BROKEN, CONNECT, CONNECTION, EMPTY, ENDED, PAUSED, PROMPTS, SILENT, STATUSES, TIMEOUT
from .retry_after import NONE, RetryAfter, draw_retry_after, in_seconds
from .wire_openai import OpenAI
from .wires import WIRES

if TYPE_CHECKING:
    from random import Random

    from .scenario import ModelProfile
    from .wire_openai import Kind

Shape = Literal["text", "thoughtful", "tool", "thoughts"]
WARM_UP = 16
"""Up to so many tokens asked for, an answer that ends at their limit without a word is one: a warm-up's."""
SHAPES: tuple[Shape, ...] = ("text", "thoughtful", "tool")


@dataclass(slots=True)
class ScriptedResponse:
    """One response in advance; seconds count from the sending (`connect`), then from `connected`."""

    kind: str
    error: str | None = None
    """The error that the client must raise, `None` for none."""
    connect: float = 0.0
    broken: bool = False
    headers_at: float = 0.0
    lost: bool = False
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[tuple[float, bytes, int]] = field(default_factory=list)
    """When each piece comes, its bytes, and how many words have come by then."""
    ending: Literal["end", "cut", "never"] = "end"
    ends_at: float = inf
    done_sent: bool = False
    """Whether its last piece says that it is the last one."""
    fragmented: bool = False
    """Whether its bytes come a few at a time, cut anywhere."""
    words: int = 0
    shape: Shape = "text"
    arguments: str = "{}"
    """The arguments of its tool."""
    finish: str = "stop"
    prompt_tokens: int = 0
    reported_usd: float | None = None
    retry_after: RetryAfter = NONE
    left: int | None = None
    """How many requests more its headers say may come; `None` where they do not."""

    def kind_of(self, index: int) -> Kind:
        """Whether a word is text, a thought, or a tool."""
        if self.shape == "tool" and index == self.words - 1:
            return "tool"
        if self.shape == "thoughts":
            return "thought"
        return "thought" if self.shape == "thoughtful" and index < self.words // 2 else "text"

    def delay(self, until: float) -> None:
        """Let nothing come before an instant, and then all of it at once."""
        self.headers_at = max(self.headers_at, until)
        self.pieces = [(max(at, until), data, words) for at, data, words in self.pieces]
        self.ends_at = max(self.ends_at, until)


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What the response to a request depends on besides chance."""

    model: ModelProfile
    number: int
    stream: bool
    size: int
    wall: float
    """The provider's clock."""
    slow: float = 1.0
    max_tokens: int | None = None


def draw_response(random: Random, asked: RequestFacts, kind: str | None) -> ScriptedResponse:
    """Draw the response to a request that meets the fault `kind` (`None`: no fault)."""
    model = asked.model
    script = ScriptedResponse(kind or "fine", connect=model.connect * random.uniform(0.5, 1.5))
    if kind in PROMPTS:
        _disliked(script, random, asked, kind)
    elif kind in STATUSES:
        _status(script, random, asked, kind)
    elif kind in CONNECT:
        script.error, script.broken = (TIMEOUT, False) if kind == "hang_connect" else (CONNECTION, True)
        if kind == "hang_connect":
            script.connect = inf
    else:
        _answer(script, random, asked, kind)
    return script


def _status(script: ScriptedResponse, random: Random, asked: RequestFacts, kind: str) -> None:
    script.status, script.error, code = STATUSES[kind]
    if kind == "402_soon":
        script.retry_after = in_seconds(2.0)
    elif kind in PAUSED:
        script.retry_after = draw_retry_after(random, asked.wall)
    script.headers = {"content-type": "application/json", **script.retry_after.headers}
    script.headers_at = script.ends_at = random.uniform(0.001, 0.3)
    wire = WIRES[asked.model.wire](script, asked.number)
    body = orjson.dumps(wire.failure(script.status, f"{kind} for request #{asked.number}", code))
    script.pieces = [(script.headers_at, body, 0)]


def _disliked(script: ScriptedResponse, random: Random, asked: RequestFacts, kind: str) -> None:
    """What a model answers to a prompt that it dislikes."""
    script.status, script.error, words = PROMPTS[kind]
    html = words.startswith("<")
    script.headers = {"content-type": "text/html" if html else "application/json"}
    script.headers_at = script.ends_at = random.uniform(0.001, 0.3)
    message = f"{words} #{asked.number}"
    body = message.encode() if html else orjson.dumps({"error": {"message": message}})
    script.pieces = [(script.headers_at, body, 0)]


def _answer(script: ScriptedResponse, random: Random, asked: RequestFacts, kind: str | None) -> None:
    """A success, or what began as one."""
    model = asked.model
    first = random.lognormvariate(0.0, model.sigma) * model.median * asked.slow
    if kind == "straggler":
        first *= model.straggler_factor
    script.error = BROKEN.get(kind or "")
    if kind == "huge" and model.unlimited_size:
        script.error = None
    if kind == "length_empty" and (asked.max_tokens or WARM_UP + 1) > WARM_UP:
        script.error = BAD
    script.words = 0 if kind in EMPTY else random.randint(1, model.words)
    if kind == "bad_arguments" and script.words == asked.max_tokens:
        script.words += 1  # with as many tokens as the limit allows its arguments would be cut, and good
    script.prompt_tokens = asked.size // 5 + 1
    script.shape = random.choices(SHAPES, [80, 10, 10])[0]
    if kind in ENDED or kind == "unknown_end":
        _no_answer(script, random, model.wire, kind)
    elif kind in EMPTY:
        script.finish = EMPTY[kind]
    elif script.shape == "tool":
        script.finish = "tool_calls"
    elif script.shape == "text":
        script.finish = random.choices(["stop", "length", "content_filter"], [90, 6, 4])[0]
    if kind == "reset_headers" or kind == "hang_headers":
        script.headers_at, script.lost = (inf, False) if kind == "hang_headers" else (first, True)
        return
    if model.wire == "openai" and random.random() < 0.1:
        script.reported_usd = round(random.uniform(0.0, 0.01), 6)
    wire = WIRES[model.wire](script, asked.number)
    if not script.finish:
        wire.finish = random.choice(wire.interruptions)
    script.headers = {wire.request_id: f"req-{asked.number}"}
    script.fragmented = random.random() < 0.03
    if kind == "html" or kind == "error_body":
        _page(script, wire, kind, first)
    elif asked.stream and kind == "one_body":
        _document(script, random, wire, kind, first + model.gap * script.words)
        script.headers["content-type"] = "text/event-stream"
    elif asked.stream:
        _stream(script, random, wire, kind, first, model.gap)
    else:
        _document(script, random, wire, kind, first + model.gap * script.words)


def _no_answer(script: ScriptedResponse, random: Random, wire: str, kind: str | None) -> None:
    """The shape and the end of what comes whole and is no answer, and of an end that nobody knows."""
    if kind == "thoughts_only":
        script.shape, script.finish = "thoughts", random.choice(["stop", "length"])
    elif kind == "unknown_end":
        script.shape, script.finish = "text", random.choice(["sunset", "NEW_WORD"])
    elif kind == "bad_arguments" and wire != "gemini":
        script.shape, script.finish, script.arguments = "tool", "tool_calls", "{"
    else:
        script.finish = "MALFORMED_FUNCTION_CALL" if kind == "bad_arguments" else ""
        script.shape = "text"


def _page(script: ScriptedResponse, wire: OpenAI, kind: str, at: float) -> None:
    """A web page or an error in the place of an answer."""
    body = b"<html><body>Sorry</body></html>"
    if kind == "error_body":
        body = orjson.dumps(wire.failure(500, f"it broke #{wire.number}", ""))
    script.headers["content-type"] = "text/html" if kind == "html" else "application/json"
    script.pieces, script.headers_at, script.ends_at = [(at, body, 0)], at, at


def _stream(script: ScriptedResponse, random: Random, wire: OpenAI, kind: str | None, first: float, gap: float) -> None:
    labels = {"mislabelled": "application/json", "as_text": "text/plain"}
    script.headers["content-type"] = labels.get(kind or "", "text/event-stream")
    script.headers_at = first * random.uniform(0.1, 0.9)
    pieces, at = script.pieces, first
    pieces.append((script.headers_at, wire.opening(), 0))
    if random.random() < 0.3:
        pieces.append(((script.headers_at + first) / 2, b": PROCESSING\n\n", 0))
    stop = 0 if kind in SILENT or not script.words else random.randrange(script.words) + 1
    broken = kind in BROKEN and kind not in EMPTY and kind not in ENDED and script.error is not None
    for index in range(stop if broken else script.words):
        pieces.append((at, wire.word(index), index + 1))
        at += gap * random.uniform(0.2, 2.0)
        if kind == "stall" and index + 1 == stop:
            at += random.uniform(0.5, 20.0)
    if broken:
        break_stream(script, random, wire, kind, at, stop)
        return
    if kind == "huge":
        pieces.append((at, HUGE, script.words))
    ends = wire.odd_closing(random.randrange(4)) if kind == "odd_end" and type(wire) is OpenAI else wire.closing()
    pieces += [(at, piece, script.words) for piece in ends[: 1 if kind == "cut_usage" else None]]
    script.ends_at = at
    if kind == "hang_done":
        script.ending, script.ends_at = "never", inf
    elif kind not in {"no_done", "cut_usage"}:
        script.done_sent = wire.done != b"" and kind not in {"mislabelled", "as_text"}
        pieces += [(at, wire.done, script.words)] * random.choice([1, 1, 1, 2])
        script.ends_at += random.uniform(0.0, 0.4) if random.random() < 0.2 else 0.0
    if kind in {"cut_done", "cut_usage"}:
        script.ending = "cut"
    if kind != "mislabelled":
        write_unusually(script, random)


def _document(script: ScriptedResponse, random: Random, wire: OpenAI, kind: str | None, at: float) -> None:
    """The whole answer in one JSON body."""
    script.headers["content-type"] = "application/json"
    if kind == "stall":
        at += random.uniform(0.5, 20.0)
    script.headers_at, script.ends_at = at * random.uniform(0.5, 1.0), at
    body = wire.whole()
    errors = {"error_first": 500, "error_middle": 500, "limited_inside": 429, "numbered": 429}
    half, error = len(body) // 2, errors.get(kind or "")
    if error is not None:
        body = orjson.dumps(wire.failure(error, f"it broke #{wire.number}", ""))
        if kind == "numbered" and type(wire) is OpenAI:
            body = wire.numbered()
    elif kind == "binary":
        body = body.replace(b'"', b'"\xff', 1)
    elif kind == "huge":
        body += b" " * 40_000
    script.pieces = [(at, body[:half], 0), (at, body[half:], script.words)]
    if script.error is None or kind in EMPTY or kind in ENDED or error is not None or kind in {"binary", "huge"}:
        return  # what else may happen to the end of a stream cannot happen to a body of known length
    script.pieces = script.pieces[: 0 if kind in {"hang_content", "cut_first"} else 1]
    if kind in {"hang_content", "hang_middle"}:
        script.ending = "never"
    elif kind not in {"truncated", "malformed"}:
        script.ending = "cut"
