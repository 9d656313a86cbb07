"""What a simulated model does with one request: its answer, its times, its faults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter.sim.distributions import Seconds

Phase = Literal["connect", "headers", "end", "done"]
"""Where a fault can strike, beside contents: while connecting, before headers, before the finish reason, at the end.
"""
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
    "interrupted",   # a finish reason that says it broke off: abort, network_error, OTHER, cancelled …
    "early_end",     # the finish reason too early: then the rest of the words, then a cut
    "thoughts_only", # every word is a thought: a good end, and no answer
    "bad_arguments", # a tool call whose arguments are no JSON
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
    "two_done",      # the end of the stream twice
    "cuts",          # split anywhere
    "bytes",         # split at every byte
    "as_text",       # events under Content-Type text/plain
    "as_json",       # events under Content-Type application/json
    "one_body",      # one JSON body under Content-Type text/event-stream
    "whole_message", # the whole message once more in the last chunk
    "usage_in_choice",  # the usage in the choice (Moonshot)
    "blank_envelope",   # a last chunk with an empty id and model (Azure)
    "calls_at_zero", # every tool call at index 0
    "repeated_names",   # the tool's name again with its arguments
    "empty_ids",     # tool calls with an empty id
    "no_ids",        # tool calls without an id
    "placeholder_call", # an empty tool call after the good ones
    "surrogates",    # a character beyond U+FFFF in two halves, each in a delta of its own
]
Style = Literal["openai", "openrouter", "bare", "minimax", "zhipu"]
RetryAs = Literal["seconds", "ms", "duration", "date", "iso", "reset", "reset_ms", "body", "text"]

FAULTS: tuple[Fault, ...] = get_args(Fault)
"""Everything that `Act.fault` can be."""
WHYS: tuple[Why, ...] = get_args(Why)
"""Everything that `Act.why` can be: the cause of an error, which each provider words in its own way."""
ODDITIES: tuple[Oddity, ...] = get_args(Oddity)
"""Everything that `Act.sse` can hold: forms of an event stream that change nothing of the answer. Up to "bytes" they
are allowed ones (WHATWG HTML, "Server-sent events"); the others are not, but are met in the wild. Those from
"whole_message" on belong to Chat Completions and have no effect on other wires.
"""
RETRY_AS: tuple[RetryAs, ...] = get_args(RetryAs)
"""Everything that `Act.retry_as` can be: the forms in which providers say when to come back."""
CONNECT_FAULTS: frozenset[str] = frozenset({"refuse", "dns", "tls", "certificate"})
"""The faults of a connection that is never ready."""
_PHASES: dict[str, frozenset[str]] = {
    "connect": frozenset({"hang"}),
    "headers": frozenset({"hang", "cut", "reset"}),
    "done": frozenset({"hang", "cut", "reset"}),
}
"""The faults that can strike in each phase; in "end", and at a content, any can."""
_BYTE_FAULTS = frozenset({"cut", "reset", "hang", "truncated"})
"""The faults that can strike after a number of bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What one request gets. `Act()` is a healthy answer of one word at once; every field changes one thing.

    An act says what happens; the wire of the request (Chat Completions, Responses, Messages, generateContent) gives it
    its form.

    **Times** are in seconds, or distributions of seconds (`lognormal`, or a function of a `Random`): `connect` until
    the connection is ready; from then on `headers_after` until the response's headers (`None`: at once when streaming,
    else with the body), `first_token` until the first content (or the whole of an error), `gap` between contents,
    `tail` from the last content to the end.

    **The answer** is `reasoning`, then `refusal`, then `text` (`None`: `tokens` words), then `tool_calls`
    (`{"name": …, "arguments": …}`), then `pictures` pictures of one pixel (Anthropic's models draw none); each word,
    each call's name, its arguments and each picture is a content. It stops at the request's `max_tokens`. `blocked`
    answers nothing, as providers do to a forbidden prompt. `finish_reason` is stop, length, tool_calls or
    content_filter, or a provider's own word, also one that nobody knows; `None`: the one that fits. `usage` is counted
    in words (`False`: not sent; a mapping: sent instead); `cost` is billed, in US dollars, and stands in the usage of
    Chat Completions. `served_model` is the model's name in the answer.

    Asked for embeddings, it gives each text a vector of `dimensions` numbers, or of as many as the request asks for:
    always the same for one text, and another one from another model.

    **The stream.** `streams=False` answers a streamed request with one JSON body. `sse` names unusual forms of an event
    stream. `comments` sends SSE comments (Anthropic: pings) that many seconds apart while there is no content. With
    `deaf` the model does not notice that its client has left: it goes on, and bills.

    **Errors.** `why` is an error with its provider's own status, shape and words: "context", "credit", "rate_limit", …
    Or give a `status` other than 200. `code`, `type`, `message` and `metadata` replace the words of `why`; `param` is
    the parameter that OpenAI's errors name. `style` is whose form of Chat Completions is used; "bare" leaves out the
    envelope of an error (as Mistral does, and Google in a stream). Inside a 200 of the Responses API an error is flat,
    nested ("openrouter") or a failed response ("bare"). With fault "error", "minimax" and "zhipu" write the numbers of
    these two hosts into a 200. `retry_after` (seconds, or any text) is sent in the form `retry_as` (`None`: this
    provider's).

    **Faults.** `fault` strikes before the content with index `at` (beyond the last one: before the finish reason), or
    in a phase; or, with `byte`, after so many bytes of the body. With `why` or a status, fault "error" is that error
    inside a 200. `pause` is the length of a stall in seconds, `size` that of a huge content in bytes. `headers` are
    added to those of the response. `body` replaces the whole body. Raises `ValueError` for what cannot be.

    Faults before an answer: refuse, dns, tls, certificate (no connection), html (a web page). Faults that end it early:
    cut, reset, truncated (looks like an end), gzip_cut, no_finish (no finish reason), no_done (no [DONE]), no_end
    (neither), interrupted (a finish reason like abort), early_end (words after the finish reason, then a cut). No
    answer: thoughts_only, bad_arguments (of a tool call, which is added where there is none). Silence: hang (for ever),
    stall (for `pause` seconds). Damage: error (in a 200), malformed (no JSON), not_utf8. Too much: huge (one content of
    `size` bytes), endless.

    Causes of errors: bad_request, key, forbidden, credit, missing (no such model), context (too long), policy
    (refused), rate_limit, overloaded, server, timeout. `FAULTS`, `WHYS`, `ODDITIES` (for `sse`) and `RETRY_AS` list
    every value.

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
    pictures: int = 0
    dimensions: int = 8
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
    style: Style = "openai"
    why: Why | None = None
    status: int = 200
    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    param: str | None = None
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
        for name in ("connect", "headers_after", "first_token", "gap", "tail"):
            _seconds(name, getattr(self, name))
        for name in ("tokens", "pictures", "size"):
            _whole(name, getattr(self, name), 0)
        for name, least in (("dimensions", 1), ("status", 100)):
            _whole(name, getattr(self, name), least)
        if not isinstance(self.text, str | None):
            raise ValueError(f"text: expected text, got {self.text!r:.60}")
        _one_of("fault", self.fault, FAULTS)
        _one_of("why", self.why, WHYS)
        _one_of("retry_as", self.retry_as, RETRY_AS)
        for oddity in self.sse:
            _one_of("sse", oddity, ODDITIES)
        if isinstance(self.at, str) and self.at in _PHASES and self.fault not in _PHASES[self.at]:
            allowed = ", ".join(repr(fault) for fault in FAULTS if fault in _PHASES[self.at])
            raise ValueError(f"at={self.at!r} goes with fault={allowed}, not {self.fault!r}")
        if self.byte is not None and self.fault not in _BYTE_FAULTS:
            raise ValueError(f"byte={self.byte} goes with fault='cut', 'reset', 'hang' or 'truncated'")
        if self.byte is not None and isinstance(self.at, str):
            raise ValueError(f"byte={self.byte} and at={self.at!r} say two places")
        if self.comments is not None and not self.comments > 0:
            raise ValueError(f"comments: expected seconds above 0, got {self.comments!r}")


def _seconds(name: str, given: object) -> None:
    if given is None or callable(given):
        return
    if isinstance(given, bool) or not isinstance(given, int | float) or not given >= 0:
        raise ValueError(f"{name}: expected seconds, 0 or more, or a distribution of them, got {given!r:.60}")


def _whole(name: str, given: object, least: int) -> None:
    if isinstance(given, bool) or not isinstance(given, int) or given < least:
        raise ValueError(f"{name}: expected a whole number, {least} or more, got {given!r:.60}")


def _one_of(name: str, given: object, known: Sequence[str]) -> None:
    if given is not None and given not in known:
        raise ValueError(f"{name}: expected one of {', '.join(known)}, got {given!r}")
