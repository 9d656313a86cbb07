"""What one attempt holds while it runs, given back once, and what its end teaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._errors import AttemptError, AttemptTimeout, BadReply, ConnectionFailed, RateLimited, ServerFailed

if TYPE_CHECKING:
    from asyncrouter._policies.policies import Policies
    from asyncrouter._policies.target import Target
    from asyncrouter._types import Outcome, Usage

LAPSE = 120.0
"""Seconds for which a probe holds its permit when its attempt has no limit of its own."""


class Lease:
    """One attempt's slot, tokens and breaker permits. `end()` gives them back; a second call does nothing."""

    __slots__ = ("_host", "_model", "_policies", "_sent_at", "_tokens", "ended", "size", "streams", "target")

    def __init__(self, policies: Policies, target: Target, tokens: float) -> None:
        self._policies = policies
        self._tokens = tokens
        self._sent_at: float | None = None
        self._model = self._host = 0
        self.target = target
        self.streams = False
        self.size = 0
        self.ended = False

    def __repr__(self) -> str:
        return f"<Lease {self.target.model.name}{' ended' if self.ended else ''}>"

    def send(self, now: float, size: int, lapse: float | None, *, streams: bool) -> None:
        """The request goes now: `size` bytes, over in `lapse` seconds at the latest (`None` = no limit)."""
        self._sent_at = now
        self.size = size
        self.streams = streams
        lapse = LAPSE if lapse is None else lapse + 1.0
        self._model = self.target.breaker.enter(now, lapse)
        self._host = self.target.account.host.enter(now, lapse)

    def end(
        self, now: float, outcome: Outcome, error: AttemptError | None = None, first_content: float | None = None,
        usage: Usage | None = None,
    ) -> None:
        """Give everything back and learn. `first_content` is seconds since the request was sent, `None` for never."""
        if self.ended:
            return
        self.ended = True
        target, sent_at = self.target, self._sent_at
        used = None if usage is None else float(usage.input_tokens + usage.output_tokens)
        target.pacer.give_back(self._tokens, sent=sent_at is not None, used=used)
        if error is not None:
            self._policies.learn(target, error, now)
        if sent_at is None:
            return
        self._time(now, now - sent_at, outcome, error, first_content)
        self._judge(now, sent_at, outcome, error, answering=first_content is not None)

    def _time(
        self, now: float, spent: float, outcome: Outcome, error: AttemptError | None, first_content: float | None
    ) -> None:
        """Remember how long the first content took, or that it took longer than we waited."""
        target = self.target
        if first_content is not None:
            target.latency(streams=self.streams).add(first_content, self.size, now)
            target.was_slow(now, slow=isinstance(error, AttemptTimeout) and error.clock == "total")
        elif outcome == "superseded" or isinstance(error, AttemptTimeout):
            latency = target.latency(streams=self.streams)
            usual = latency.quantile(0.95, self.size)
            latency.add(spent, self.size, now, cut=True)
            if outcome == "superseded" and usual is not None:
                target.was_slow(now, slow=spent > usual)

    def _judge(
        self, now: float, sent_at: float, outcome: Outcome, error: AttemptError | None, *, answering: bool
    ) -> None:
        """Tell the breakers, the retry budget and the search for a hidden limit."""
        target, host = self.target, self.target.account.host
        if outcome in {"won", "not_accepted"}:
            host.succeeded(self._host, now)
            target.breaker.succeeded(self._model, now)
            target.account.retries.deposit()
            target.pacer.probe.passed(now)
            self._policies.standing.succeeded(target.model)
        elif error is not None and counts(error):
            reached = not isinstance(error, ConnectionFailed) and not is_connect(error)
            host.succeeded(self._host, now) if reached else host.failed(self._host, now, error.message)
            target.breaker.failed(self._model, now, error.message)
        else:
            host.left(self._host)
            # Content before a cancellation is as good as an answer: the model works.
            target.breaker.succeeded(self._model, now) if answering else target.breaker.left(self._model)
        if isinstance(error, RateLimited):
            target.pacer.probe.rejected(now, sent_at, hinted=error.retry_after is not None)


def counts(error: AttemptError) -> bool:
    """Whether this failure says something against the model or its host (DESIGN §7, "remembered")."""
    if isinstance(error, AttemptTimeout):
        return error.clock != "deadline"
    return isinstance(error, ConnectionFailed | ServerFailed | BadReply) or (
        isinstance(error, RateLimited) and error.status == 529
    )


def is_connect(error: AttemptError) -> bool:
    """Whether the connection was what took too long."""
    return isinstance(error, AttemptTimeout) and error.clock == "connect"
