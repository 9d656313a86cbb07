"""What one attempt holds while it runs (a slot, tokens, two breakers' permits), and what its end teaches.

States: taken, sent (`mark_sent`), ended (`end`). Guaranteed: everything is given back once, however the attempt ends;
an attempt that was never sent gives back its tokens too, and teaches nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._errors import AttemptTimeout, RateLimited
from asyncrouter._policies.lateness import LOSER_SLOW_TIMES, slow_delay
from asyncrouter._policies.scope import counts_against_host, counts_against_model, is_total_timeout

if TYPE_CHECKING:
    from asyncrouter._errors import AttemptError
    from asyncrouter._policies.model_state import ModelState
    from asyncrouter._policies.pacing import Rank
    from asyncrouter._types import Outcome, Usage

LAPSE_UNLIMITED = 120.0
"""Seconds after which a probe's permit lapses when its attempt has no `total` of its own."""
LAPSE_EXTRA = 1.0
"""Seconds after the attempt's own `total` at which a probe's permit lapses: by then it must have ended."""


class Lease:
    """One attempt's hold on a model. `end()` gives it back; a second call does nothing."""

    __slots__ = (
        "_host_generation", "_model_generation", "_rank", "_sent_at", "_size", "_slow", "_streams", "_tokens", "ended",
        "state",
    )

    def __init__(self, state: ModelState, rank: Rank, tokens: float) -> None:
        self.state = state
        self.ended = False
        self._rank = rank
        self._tokens = tokens
        self._sent_at: float | None = None
        self._model_generation = self._host_generation = 0
        self._slow = False
        self._streams = False
        self._size = 0

    def __repr__(self) -> str:
        return f"<Lease {self.state.model.name}{' ended' if self.ended else ''}>"

    def mark_sent(self, now: float, size: int, total: float | None, *, streams: bool) -> None:
        """Note that the request goes now: `size` bytes, to end within `total` seconds (`None` = no limit)."""
        self._sent_at = now
        self._size = size
        self._streams = streams
        state = self.state
        if state.breakers_on:
            lapse = LAPSE_UNLIMITED if total is None else total + LAPSE_EXTRA
            self._model_generation = state.breaker.enter(now, lapse)
            self._host_generation = state.provider.host.enter(now, lapse)

    def mark_slow(self, now: float) -> None:
        """Note that the attempt has been silent for so long that its model counts as slow."""
        if self.state.breakers_on and not self._slow:
            self._slow = True
            self.state.demotion.was_slow(now)

    def end(
        self, now: float, outcome: Outcome, error: AttemptError | None = None, first_content: float | None = None,
        usage: Usage | None = None,
    ) -> None:
        """Give everything back and learn. `first_content` is seconds since the request was sent, `None` for never."""
        if self.ended:
            return
        self.ended = True
        state, sent_at = self.state, self._sent_at
        used = None if usage is None else float(usage.input_tokens + usage.output_tokens)
        state.pacer.give_back(self._tokens, self._rank, sent=sent_at is not None, used=used)
        if error is not None:
            state.learn(error, now)
        if sent_at is None:
            return
        if first_content is not None:
            state.record_latency(first_content, self._size, now, streams=self._streams)
        elif outcome == "superseded" or isinstance(error, AttemptTimeout):
            self._record_silence(now, now - sent_at, outcome)
        if outcome in {"won", "not_accepted"}:
            state.provider.retries.deposit()
            state.limits.answered(now)
            state.holds.succeeded(state.model, now)
        elif isinstance(error, RateLimited):
            self._record_rejection(now, sent_at, error)
        if state.breakers_on:
            if first_content is not None and state.demotion.was_slow_lately(now):
                self._tell_demotion(now, error, first_content)
            self._tell_breakers(now, outcome, error, answering=first_content is not None)

    def _record_silence(self, now: float, seconds: float, outcome: Outcome) -> None:
        """Record that the first content would have come later; a loser that was silent for long was slow."""
        usual = self.state.latency(streams=self._streams).quantile(0.5, self._size)
        self.state.record_latency(seconds, self._size, now, streams=self._streams, censored=True)
        if outcome == "superseded" and usual is not None and seconds > LOSER_SLOW_TIMES * usual:
            self.mark_slow(now)

    def _record_rejection(self, now: float, sent_at: float, error: RateLimited) -> None:
        if self.state.limits.rejected(now, sent_at, hinted=error.retry_after is not None):
            self.state.changed("paced", error.message)

    def _tell_demotion(self, now: float, error: AttemptError | None, first_content: float) -> None:
        """A quick first content ends a demotion, whatever became of the attempt after that."""
        if self._slow or is_total_timeout(error):
            return
        # An answer that came late because nobody could race it says nothing for the model.
        if first_content <= slow_delay(self.state.latency(streams=self._streams), self._size):
            self.state.demotion.was_quick(now)

    def _tell_breakers(self, now: float, outcome: Outcome, error: AttemptError | None, *, answering: bool) -> None:
        """Tell the host's breaker whether the host was reached, and the model's whether it did its work."""
        model, host = self.state.breaker, self.state.provider.host
        if counts_against_host(error):
            host.failed(self._host_generation, now, error.message)
        elif answering or outcome == "won" or (error is not None and error.status is not None):
            host.succeeded(self._host_generation, now)
        else:
            host.released(self._host_generation)
        if outcome in {"won", "not_accepted"}:
            model.succeeded(self._model_generation, now)
        elif answering and is_total_timeout(error):
            model.released(self._model_generation)  # the limit is ours; the model has only become slow
            self.mark_slow(now)
        elif error is not None and counts_against_model(error):
            model.failed(self._model_generation, now, error.message)
        elif answering:
            model.succeeded(self._model_generation, now)  # it was working when it was cancelled
        else:
            model.released(self._model_generation)
