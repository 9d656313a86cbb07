"""What one attempt holds while it runs, given back once, and what its end teaches."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from asyncrouter._errors import AttemptError, AttemptTimeout, BadReply, ConnectionFailed, RateLimited, ServerFailed

if TYPE_CHECKING:
    from asyncrouter._policies.facade import Policies
    from asyncrouter._policies.model_state import ModelState
    from asyncrouter._types import Outcome, Usage

LAPSE = 120.0
"""Seconds for which a probe holds its permit when its attempt has no limit of its own."""
SLOW = 2.0
"""Times its own median that a model may be silent before losing a race counts as being slow."""


class Lease:
    """One attempt's slot, tokens and breaker permits. `end()` gives them back; a second call does nothing."""

    __slots__ = (
        "_host", "_model", "_policies", "_rank", "_sent_at", "_slow", "_tokens", "ended", "size", "streams", "target",
    )

    def __init__(self, policies: Policies, target: ModelState, rank: int, tokens: float) -> None:
        self._policies = policies
        self._rank = rank
        self._tokens = tokens
        self._sent_at: float | None = None
        self._model = self._host = 0
        self._slow = False
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
        if self._policies.guarded:
            lapse = LAPSE if lapse is None else lapse + 1.0
            self._model = self.target.breaker.enter(now, lapse)
            self._host = self.target.account.host.enter(now, lapse)

    def be_slow(self, now: float) -> None:
        """It has been silent for so long that a race would be lost, were there a budget for one."""
        if self._policies.guarded and not self._slow:
            self._slow = True
            self.target.was_slow(now)

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
        target.pacer.give_back(self._tokens, self._rank, sent=sent_at is not None, used=used)
        if error is not None:
            self._policies.learn(target, error, now)
        if sent_at is None:
            return
        if first_content is not None:
            target.took(first_content, self.size, now, streams=self.streams)
        elif outcome == "superseded" or isinstance(error, AttemptTimeout):
            self._silent(now, now - sent_at, outcome)
        if outcome in {"won", "not_accepted"}:
            target.account.retries.deposit()
            target.pacer.answered()
            self._policies.standing.succeeded(target.model, now)
        elif isinstance(error, RateLimited) and target.pacer.rejected(sent_at, hinted=error.retry_after is not None):
            self._policies.tell(target.model.name, "paced", error.message)
        if self._policies.guarded:
            self._judge(now, outcome, error, first_content)

    def _silent(self, now: float, spent: float, outcome: Outcome) -> None:
        """It would have taken longer than we waited; whether that is slow is asked when another one was faster."""
        usual = self.target.latency(streams=self.streams).quantile(0.5, self.size)
        self.target.took(spent, self.size, now, streams=self.streams, cut=True)
        if outcome == "superseded" and usual is not None and spent > SLOW * usual:
            self.be_slow(now)

    def _was_quick(self, first_content: float | None) -> bool:
        """Whether an answer speaks for the model; one that comes late and could not be raced says nothing."""
        if self._slow or first_content is None:
            return False
        return first_content <= self._policies.slow_after(self.target.model, self.size, streams=self.streams)

    def _judge(
        self, now: float, outcome: Outcome, error: AttemptError | None, first_content: float | None
    ) -> None:
        """Tell the breakers: of the host whether it was reached, of the model whether it did its work."""
        target, host, answering = self.target, self.target.account.host, first_content is not None
        if answering and target.was_slow_lately(now) and not is_total(error) and self._was_quick(first_content):
            target.was_quick(now)  # whatever became of it after that
        if isinstance(error, ConnectionFailed) or is_connect(error):
            host.failed(self._host, now, error.message)
        elif answering or outcome == "won" or (error is not None and error.status is not None):
            host.succeeded(self._host, now)
        else:
            host.left(self._host)
        if outcome in {"won", "not_accepted"}:
            target.breaker.succeeded(self._model, now)
        elif answering and is_total(error):
            target.breaker.left(self._model)  # the limit is ours; it has only become slow
            self.be_slow(now)
        elif error is not None and counts(error):
            target.breaker.failed(self._model, now, error.message)
        elif answering:
            target.breaker.succeeded(self._model, now)  # it was working when it was cancelled
        else:
            target.breaker.left(self._model)


def counts(error: AttemptError) -> bool:
    """Whether this failure says something against the model or its host (DESIGN §7, "remembered")."""
    if isinstance(error, AttemptTimeout):
        return error.clock != "deadline"
    return isinstance(error, ConnectionFailed | ServerFailed | BadReply) or (
        isinstance(error, RateLimited) and error.status == 529
    )


def is_total(error: AttemptError | None) -> bool:
    """Whether the attempt as a whole was what took too long."""
    return isinstance(error, AttemptTimeout) and error.clock == "total"


def is_connect(error: AttemptError | None) -> TypeGuard[AttemptTimeout]:
    """Whether the connection was what took too long."""
    return isinstance(error, AttemptTimeout) and error.clock == "connect"
