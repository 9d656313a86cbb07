"""What a simulated model does with one request: when it says what, and what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter.sim.laws import Seconds

Phase = Literal["connect", "headers", "end", "done"]
Fault = Literal[
    "refuse",        # connection refused
    "dns",           # no such name
    "tls",           # the handshake fails
    "certificate",   # the certificate is not trusted
    "cut",           # the connection is closed early: at="headers" before any byte, else inside the body
    "reset",         # the same with a reset
    "hang",          # silence for ever, from at="connect", "headers", a content, the "end" or "done" on
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
    "no_done",       # no [DONE], no message_stop
    "no_end",        # neither: it just ends
]
Why = Literal[
    "bad_request", "key", "forbidden", "credit", "missing", "context", "policy", "rate_limit", "overloaded", "server",
    "timeout",
]
Oddity = Literal[
    "crlf",          # CRLF line ends
    "cr",            # CR alone
    "no_space",      # no space after "data:"
    "blank",         # events with blank data
    "chatter",       # comments between the events
    "fields",        # id, retry and unknown fields
    "multiline",     # an event's data on two lines
    "bom",           # a byte order mark
    "no_blank_line", # the last event lacks its blank line
    "two_done",      # the end is told twice
    "cuts",          # split anywhere
    "bytes",         # split at every byte
]
RetryAs = Literal["seconds", "ms", "duration", "date", "iso", "reset", "reset_ms", "body", "text"]

FAULTS: tuple[Fault, ...] = get_args(Fault)
WHYS: tuple[Why, ...] = get_args(Why)
ODDITIES: tuple[Oddity, ...] = get_args(Oddity)
"""Ways of writing an event stream that are allowed (WHATWG HTML, "Server-sent events") and change nothing."""
RETRY_AS: tuple[RetryAs, ...] = get_args(RetryAs)
CONNECT: frozenset[str] = frozenset({"refuse", "dns", "tls", "certificate"})
_PHASES: dict[str, frozenset[str]] = {
    "connect": frozenset({"hang"}),
    "headers": frozenset({"hang", "cut", "reset"}),
    "done": frozenset({"hang", "cut", "reset"}),
}
_TORN = frozenset({"cut", "reset", "hang", "truncated"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One request's fate. `Act()` is a healthy one-word answer at once; every field changes one thing.

    An act says what happens; the wire on which it was asked (Chat Completions, Messages, generateContent) words it.

    Times are seconds, or a law that draws them: `connect` until the socket is ready; from there `headers_after` until
    the response headers (`None`: at once when streaming, else with the body), `first_token` until the first content (or
    the whole of an error), `gap` between contents, `tail` from the last content to the end.

    The answer is `reasoning`, then `refusal`, then `text` (`None`: `tokens` words), then `tool_calls`
    (`{"name": …, "arguments": …}`), a content for each word; it stops at the request's `max_tokens`. `blocked` answers
    nothing, as is done to a forbidden prompt. `finish_reason` is stop, length, tool_calls or content_filter, or a word
    of the provider's. `usage` is counted in words (`False`: not sent; a mapping: sent instead); `cost` in USD is added
    where given. `comments` sends SSE comments (Anthropic: pings) that many seconds apart while there is nothing else to
    send. `streams=False` answers a streamed request with one JSON body; `sse` names oddities of how the stream is
    written. `deaf` goes on, and bills, when the client has left.

    `why` is an error in its provider's own status, shape and words: "context", "credit", "rate_limit", … Or give a
    `status` other than 200, and `code`, `type`, `message`, `metadata`; these go over the words of `why`. `style` says
    whose shapes the Chat Completions wire uses; "bare" leaves the envelope of an error out (Mistral; Google in a
    stream). `retry_after` (seconds, or any text) is told as `retry_as` says (`None`: as this provider does).

    `headers` are added to the response, over its own. `body` replaces the whole body. `fault` strikes before the
    content whose index is `at` (behind the last one: before the finish), or at a phase; or, with `byte`, after so many
    bytes of the body. With `why` or a status, fault "error" is that error inside a 200. Raises `ValueError` for what
    cannot be.

    Faults before an answer: refuse, dns, tls, certificate (no connection), html (a web page). That end one early:
    cut, reset, truncated (looks like an end), gzip_cut, no_finish (no finish reason), no_done (no [DONE]), no_end
    (neither). That are silent: hang (for ever), stall (for `pause` seconds). That garble it: error (in a 200),
    malformed (no JSON), not_utf8. Too much: huge (one content of `size` bytes), endless.

    Whys: bad_request, key, forbidden, credit, missing (no such model), context (too long), policy (refused),
    rate_limit, overloaded, server, timeout. `FAULTS`, `WHYS`, `ODDITIES` (for `sse`) and `RETRY_AS` have them all.

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
    blocked: bool = False
    tool_calls: Sequence[Mapping[str, object]] = ()
    finish_reason: str | None = None
    usage: bool | Mapping[str, object] = True
    cost: float | None = None
    served_model: str | None = None
    streams: bool = True
    sse: Sequence[Oddity] = ()
    comments: float | None = None
    deaf: bool = False
    style: Literal["openai", "openrouter", "bare"] = "openai"
    why: Why | None = None
    status: int = 200
    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    metadata: Mapping[str, object] | None = None
    retry_after: float | str | None = None
    retry_as: RetryAs | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    fault: Fault | None = None
    at: int | Phase = 0
    byte: int | None = None
    pause: float = 60.0
    size: int = 10_000_000

    def __post_init__(self) -> None:
        _one_of("fault", self.fault, FAULTS)
        _one_of("why", self.why, WHYS)
        _one_of("retry_as", self.retry_as, RETRY_AS)
        for oddity in self.sse:
            _one_of("sse", oddity, ODDITIES)
        if isinstance(self.at, str) and self.at in _PHASES and self.fault not in _PHASES[self.at]:
            allowed = ", ".join(repr(fault) for fault in FAULTS if fault in _PHASES[self.at])
            raise ValueError(f"at={self.at!r} goes with fault={allowed}, not {self.fault!r}")
        if self.byte is not None and self.fault not in _TORN:
            raise ValueError(f"byte={self.byte} goes with fault='cut', 'reset', 'hang' or 'truncated'")
        if self.byte is not None and isinstance(self.at, str):
            raise ValueError(f"byte={self.byte} and at={self.at!r} say two places")
        if self.comments is not None and not self.comments > 0:
            raise ValueError(f"comments: expected seconds above 0, got {self.comments!r}")


def _one_of(name: str, given: object, known: Sequence[str]) -> None:
    if given is not None and given not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}, got {given!r}")
