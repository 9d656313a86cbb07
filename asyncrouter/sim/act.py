"""What a simulated model does with one request: when it says what, and what goes wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal, get_args

Law = Callable[[Random], float]
"""A latency law: draws seconds from the world's generator."""
Seconds = float | Law
Phase = Literal["connect", "headers", "end"]
Fault = Literal[
    "refuse",        # connection refused
    "dns",           # no such name
    "tls",           # the handshake fails
    "certificate",   # the certificate is not trusted
    "cut",           # the connection is closed early: at="headers" before any byte, else inside the body
    "reset",         # the same with a reset
    "hang",          # silence for ever, from at="connect", "headers", a content, or the "end" on
    "stall",         # silence for `pause` seconds, then it goes on
    "error",         # an error inside a 200 instead of the rest
    "malformed",     # one event (or the one body) that is no JSON
    "not_utf8",      # one event (or the one body) with bytes that are no UTF-8
    "truncated",     # stops in the middle of an event (or of the body) and ends as if that were all
    "gzip_cut",      # a gzip body cut short inside a right Content-Length
    "huge",          # one content of `size` bytes: a line, or a body, that long
    "endless",       # content without end
    "html",          # a web page
    "no_finish",     # no finish reason
    "no_done",       # no [DONE]
    "no_end",        # neither: it just ends
]
FAULTS: tuple[Fault, ...] = get_args(Fault)
CONNECT: frozenset[str] = frozenset({"refuse", "dns", "tls", "certificate"})
_WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "and", "runs", "far", "away"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One request's fate. `Act()` is a healthy one-word answer at once; every field changes one thing.

    Times are seconds, or a law that draws them: `connect` until the socket is ready; from there `headers_after` until
    the response headers (`None`: at once when streaming, else with the body), `first_token` until the first content (or
    the whole of an error), `gap` between contents, `tail` from the last content to the end.

    The answer is `reasoning`, then `refusal`, then `text` (`None`: `tokens` words), then `tool_calls`
    (`{"name": …, "arguments": …}`), a content for each word; it stops at the request's `max_tokens`. `usage` is counted
    in words (`False`: not sent; a mapping: sent instead); `cost` in USD is added where given. `comments` sends SSE
    comments that many seconds apart while there is nothing else to send. `streams=False` answers a streamed request
    with one JSON body. `style` says whose error shapes are used; `code`, `type`, `message`, `metadata` fill them in.

    A `status` other than 200 is an error response, with `retry_after` (seconds or text) as its header. `headers` are
    added to the response, over its own. `body` replaces the whole body. `fault` strikes before the content whose index
    is `at` (behind the last one: before the finish), or at a phase. Raises `ValueError` for what cannot be.

    `Act(text="")` is an empty answer, `Act(text="", fault="no_end")` only a role, `Act(body=b"")` nothing at all,
    `Act(fault="hang", comments=0.5)` nothing but comments.
    """

    connect: Seconds = 0.0
    headers_after: Seconds | None = None
    first_token: Seconds = 0.0
    gap: Seconds = 0.0
    tail: Seconds = 0.0
    text: str | None = None
    tokens: int = 1
    reasoning: str = ""
    refusal: str = ""
    tool_calls: Sequence[Mapping[str, object]] = ()
    finish_reason: str | None = None
    usage: bool | Mapping[str, object] = True
    cost: float | None = None
    served_model: str | None = None
    streams: bool = True
    comments: float | None = None
    style: Literal["openai", "openrouter"] = "openai"
    status: int = 200
    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    metadata: Mapping[str, object] | None = None
    retry_after: float | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    fault: Fault | None = None
    at: int | Phase = 0
    pause: float = 60.0
    size: int = 10_000_000

    def __post_init__(self) -> None:
        if self.fault is not None and self.fault not in FAULTS:
            raise ValueError(f"fault: expected one of {', '.join(FAULTS)}, got {self.fault!r}")
        if self.at == "connect" and self.fault != "hang":
            raise ValueError(f"at='connect' goes with fault='hang', not {self.fault!r}")
        if self.at == "headers" and self.fault not in ("hang", "cut", "reset"):
            raise ValueError(f"at='headers' goes with fault='hang', 'cut' or 'reset', not {self.fault!r}")
        if self.comments is not None and not self.comments > 0:
            raise ValueError(f"comments: expected seconds above 0, got {self.comments!r}")


def seconds(law: Seconds, random: Random) -> float:
    """The seconds a law gives this time."""
    return law(random) if callable(law) else law


def lognormal(median: float, sigma: float, *, stragglers: float = 0.0, factor: float = 20.0) -> Law:
    """A latency law: lognormal about `median` seconds; a share of `stragglers` takes `factor` times as long."""
    mu = math.log(median)

    def draw(random: Random) -> float:
        drawn = random.lognormvariate(mu, sigma)
        # Always two draws, so that one seed gives the same base latencies whatever the share of stragglers.
        return drawn * factor if random.random() < stragglers else drawn

    return draw


def filler(tokens: int) -> str:
    """A text of that many words."""
    return " ".join(_WORDS[index % len(_WORDS)] for index in range(tokens))
