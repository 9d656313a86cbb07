"""What one attempt holds while it runs (a slot, tokens, two breakers' permits), and what its end teaches.

States: taken, sent (`mark_sent`), ended (`end`). Guaranteed: everything is given back once, however the attempt ends;
an attempt that was never sent gives back its tokens too, and teaches nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._errors import AttemptTimeout, RateLimited
from asyncrouter._policies.hidden_limit import FORGET_AFTER
from asyncrouter._policies.lateness import LOSER_SLOW_TIMES, slow_delay
from asyncrouter._policies.scope import (
    USUAL_QUANTILE,
    asks_for_pause,
    counts_against_host,
    is_a_limit,
    is_doubtful,
    is_the_calls,
    is_total_timeout,
    rule_of,
    usual_silence_is_over,
)

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
        "_counts", "_host_generation", "_model_generation", "_observed", "_rank", "_released", "_sent_at", "_size",
        "_slow", "_streams", "_tokens", "ended", "own_key", "state", "untimed",
    )

    def __init__(self, state: ModelState, rank: Rank, tokens: float, *, own_key: bool = False) -> None:
        self.state = state
        self.own_key = own_key
        """Whether the caller has brought a key of its own: then nothing is learned about ours."""
        self.untimed = False
        """Whether its time says nothing about the model: the program has blocked the event loop meanwhile."""
        self.ended = False
        self._released = False
        self._counts = False  # the failure counts for the model's breaker
        self._observed = 0
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
        self._observed = state.doubts.observations
        if not self.own_key:
            state.limits.hidden.sent(now)
        if state.breakers_on:
            lapse = LAPSE_UNLIMITED if total is None else total + LAPSE_EXTRA
            self._model_generation = state.breaker.enter(now, lapse)
            self._host_generation = state.provider.host.enter(now, lapse)

    def mark_slow(self, now: float) -> None:
        """Note that the attempt has been silent for so long that its model counts as slow."""
        if self.state.breakers_on and not self._slow:
            self._slow = True
            self.state.demotion.was_slow(now)

    def release(self, used: float | None = None, *, billed: bool = True) -> None:
        """Give back the slot and the tokens that were not used, before the attempt is judged; a second call is idle.

        `used`: the tokens of the attempt, `None` if not known. `billed`: whether the provider has counted it at all.
        """
        if self._released:
            return
        self._released = True
        if self.own_key:
            self.state.pacer.give_slot_back(self._rank)
            return
        if used is None and not billed:
            used = 0.0
        self.state.pacer.give_back(self._tokens, self._rank, sent=self._sent_at is not None, used=used)

    def withdraw(self) -> None:
        """Give everything back and learn nothing: the request could not be sent, for a reason of this machine's."""
        if self.ended:
            return
        self.ended = True
        if self._sent_at is not None and not self.own_key:
            self.state.limits.hidden.not_sent()
        if self._sent_at is not None and self.state.breakers_on:
            self.state.breaker.released(self._model_generation)
            self.state.provider.host.released(self._host_generation)
        self._sent_at = None
        self.release()

    def end(
        self, now: float, outcome: Outcome, error: AttemptError | None = None, first_content: float | None = None,
        usage: Usage | None = None, *, asked: int = 0, silence: float = 0.0, clock_of_call: bool = True,
        billed: bool = True,
    ) -> None:
        """Give everything back and learn; the scope of `error` is set.

        - `first_content`: seconds since the request was sent, `None` for never.
        - `asked`: a hash of what the caller asks for, or of the key that it brings, if there is an error.
        - `silence`: how long the attempt had been silent when a clock fired; `clock_of_call`: that clock was the
          caller's own, or a share of the deadline.
        - `billed`: whether the provider may have counted the request.
        """
        if self.ended:
            return
        self.ended = True
        state, sent_at = self.state, self._sent_at
        self.release(None if usage is None else float(usage.input_tokens + usage.output_tokens), billed=billed)
        if error is not None:
            self._judge(error, now, asked, silence, clock_of_call=clock_of_call)
        if sent_at is None:
            return
        if self.untimed:
            pass
        elif first_content is not None:
            state.record_latency(first_content, self._size, now, streams=self._streams)
        elif outcome == "superseded" or isinstance(error, AttemptTimeout):
            self._record_silence(now, now - sent_at, outcome)
        if outcome in {"won", "not_accepted"}:
            self._record_answer(now, sent_at)
        elif error is not None and not self.own_key and is_a_limit(error):
            self._record_rejection(now, sent_at, error)
        if state.breakers_on:
            if first_content is not None and not self.untimed and state.demotion.was_slow_lately(now):
                self._tell_demotion(now, error, first_content)
            self._tell_breakers(now, outcome, error, asked, answering=first_content is not None)

    def _judge(self, error: AttemptError, now: float, asked: int, silence: float, *, clock_of_call: bool) -> None:
        """Set the scope of a failure, and remember it where it is the model's, the key's or the host's."""
        state, rule = self.state, rule_of(error)
        doubted = False
        if error.scope is None:  # else whoever knows has said it: the wire, or the engine
            if self._is_the_calls(error, silence, clock_of_call=clock_of_call):
                error.scope = "call"
            elif is_doubtful(error, rule, own_key=self.own_key):
                kind = rule.remembered, error.status
                doubted = not state.doubts.met(kind, asked, self._observed, now, own_key=self.own_key)
                error.scope = rule.scope if not doubted else "call" if self.own_key else "request"
            else:
                error.scope = rule.scope
                doubted = error.scope == "request"
        ours = error.scope in {"request", "call", "local"}
        # A doubtful failure counts for the breaker, too, which has a memory of its own of what was asked.
        self._counts = "breaker" in rule.remembered and not asks_for_pause(error) and (doubted or not ours)
        if not ours:
            state.learn(error, now)

    def _is_the_calls(self, error: AttemptError, silence: float, *, clock_of_call: bool) -> bool:
        if not isinstance(error, AttemptTimeout):
            return is_the_calls(error, own_key=self.own_key)
        if error.clock == "connect":
            return False
        usual = self.state.latency(streams=self._streams).quantile(USUAL_QUANTILE, self._size)
        return not usual_silence_is_over(silence, usual, of_the_call=clock_of_call)

    def _record_answer(self, now: float, sent_at: float) -> None:
        state = self.state
        state.provider.retries.deposit()
        state.doubts.succeeded(own_key=self.own_key)
        if not self.own_key:
            limited = not state.limits.unlimited
            state.limits.answered(now, sent_at)
            if limited:
                state.pacer.look_again()
            if state.holds.keys:
                state.holds.succeeded(state.model, now)

    def _record_silence(self, now: float, seconds: float, outcome: Outcome) -> None:
        """Record that the first content would have come later; a loser that was silent for long was slow."""
        usual = self.state.latency(streams=self._streams).quantile(0.5, self._size)
        self.state.record_latency(seconds, self._size, now, streams=self._streams, censored=True)
        if outcome == "superseded" and usual is not None and seconds > LOSER_SLOW_TIMES * usual:
            self.mark_slow(now)

    def _record_rejection(self, now: float, sent_at: float, error: AttemptError) -> None:
        unavailable = not isinstance(error, RateLimited)
        if self.state.limits.rejected(
            now, sent_at, hinted=error.retry_after is not None, unavailable=unavailable
        ):
            self.state.changed("paced", error.message)
        self.state.pacer.was_rejected(self._rank)
        self.state.pacer.look_again()
        hidden = self.state.limits.hidden
        if hidden.met_by_crowd and hidden.limit is not None:
            self.state.provider.limit_of_a_model = hidden.limit.rate, now + FORGET_AFTER

    def _tell_demotion(self, now: float, error: AttemptError | None, first_content: float) -> None:
        """A quick first content ends a demotion, whatever became of the attempt after that."""
        if self._slow or is_total_timeout(error):
            return
        # An answer that came late because nobody could race it says nothing for the model.
        if first_content <= slow_delay(self.state.latency(streams=self._streams), self._size):
            self.state.demotion.was_quick(now)

    def _tell_breakers(
        self, now: float, outcome: Outcome, error: AttemptError | None, asked: int, *, answering: bool
    ) -> None:
        """Tell the host's breaker whether the host was reached, and the model's whether it did its work."""
        model, host = self.state.breaker, self.state.provider.host
        if error is not None and counts_against_host(error) and error.scope != "local":
            host.failed(self._host_generation, now, error.message)
        elif answering or outcome == "won" or (error is not None and error.status is not None):
            host.succeeded(self._host_generation, now)
        else:
            host.released(self._host_generation)
        if outcome in {"won", "not_accepted"}:
            model.succeeded(self._model_generation, now)
        elif error is not None and error.scope == "local":
            model.released(self._model_generation)
        elif answering and is_total_timeout(error):
            model.released(self._model_generation)  # the limit is ours; the model has only become slow
            self.mark_slow(now)
        elif error is not None and self._counts:
            doubtful = is_doubtful(error, rule_of(error), own_key=self.own_key)
            model.failed(self._model_generation, now, error.message, asked if doubtful else None)
        elif answering:
            model.succeeded(self._model_generation, now)  # it was working when it was cancelled
        else:
            model.released(self._model_generation)
