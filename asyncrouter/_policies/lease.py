"""What one attempt holds while it runs (a slot, tokens, two breakers' permits), and what its end teaches.

States: taken, sent (`mark_sent`), ended (`end`). Guaranteed: everything is given back once, however the attempt ends;
an attempt that was never sent gives back its tokens too, and teaches nothing.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from asyncrouter._errors import AttemptTimeout, RateLimited
from asyncrouter._policies.estimate import LEAST_P
from asyncrouter._policies.hidden_limit import FORGET_AFTER
from asyncrouter._policies.memory import ANY_KIND, MIN_PACE_CONTENTS, ORDINARY_SILENCE
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
    from collections.abc import Mapping

    from asyncrouter._errors import AttemptError
    from asyncrouter._policies.estimate import Estimate
    from asyncrouter._policies.memory import Answer, RequestKind, Usual
    from asyncrouter._policies.model_state import ModelState
    from asyncrouter._policies.pacing import Rank
    from asyncrouter._policies.slowness import Dimension
    from asyncrouter._types import Outcome, Usage

NOTHING_GIVEN: Mapping[Dimension, float] = MappingProxyType({})
"""No evidence against a model was given before its attempt ended."""
LAPSE_UNLIMITED = 120.0
"""Seconds after which a probe's permit lapses when its attempt has no `total` of its own."""
PROBE_FIRST_P, PROBE_REST_P = 0.05, 0.02
"""The p-values above which a probe was as quick as usual: of its first content, and of its pace and silence."""
LAPSE_EXTRA = 1.0
"""Seconds after the attempt's own `total` at which a probe's permit lapses: by then it must have ended."""


class Lease:
    """One attempt's hold on a model. `end()` gives it back; a second call does nothing."""

    __slots__ = (
        "_counts", "_first", "_given", "_host_generation", "_learners", "_model_generation", "_number", "_observed",
        "_rank", "_released", "_sent_at", "_tokens", "ended", "own_key", "probes", "state", "streams", "untimed",
        "usual",
    )

    def __init__(self, state: ModelState, rank: Rank, tokens: float, *, own_key: bool = False) -> None:
        self.state = state
        self.own_key = own_key
        """Whether the caller has brought a key of its own: then nothing is learned about ours."""
        self.untimed = False
        """Whether its time says nothing about the model: the program has blocked the event loop meanwhile."""
        self.ended = False
        self.usual: Usual
        """What is usual for such a request, once it is sent."""
        self._released = False
        self._number = 0  # of the request among those to a member of a pool; 0: to none
        self._counts = False  # the failure counts for the model's breaker
        self._observed = 0
        self._rank = rank
        self._tokens = tokens
        self._sent_at: float | None = None
        self._model_generation = self._host_generation = 0
        self.streams = False
        """Whether its answer comes as a stream, once it is sent."""
        self._learners: tuple[Usual, ...] = ()  # what it teaches
        self.probes = False
        """Whether it finds out if a slow model is quick again; if it is not, it teaches nothing: few probes would soon
        make a long trouble what is usual."""
        self._first: float | None = None  # seconds to its first content
        self._given = NOTHING_GIVEN  # the evidence that was given before the attempt ended

    def __repr__(self) -> str:
        return f"<Lease {self.state.model.name}{' ended' if self.ended else ''}>"

    def mark_sent(
        self, now: float, size: int, total: float | None, *, streams: bool, kind: RequestKind = ANY_KIND
    ) -> None:
        """Note that the request goes now: `size` bytes, to end within `total` seconds (`None` = no limit)."""
        self._sent_at = now
        self.streams = streams
        state = self.state
        memory = state.streamed if streams else state.buffered
        if not state.slowness.calm and state.slowness.place(now) == "probe":  # nobody has chosen it for that
            state.slowness.begin_probe(now)
            self.probes = True
        self._learners, self.usual = memory.find(size, kind)
        self._observed = state.doubts.observations
        if state.times is not None:
            self._number = state.times.begin(now)
        if not self.own_key:
            state.limits.hidden.sent(now)
        if state.breakers_on:
            lapse = LAPSE_UNLIMITED if total is None else total + LAPSE_EXTRA
            self._model_generation = state.breaker.enter(now, lapse)
            self._host_generation = state.provider.host.enter(now, lapse)

    def began(self, seconds: float, now: float) -> None:
        """The first content has come, so many seconds after the request was sent."""
        self._first = seconds
        if self.untimed:
            return
        slowness, first = self.state.slowness, self.usual.first
        if not (slowness.calm and seconds <= first.near):
            if self.state.breakers_on:
                slowness.heard()
                slowness.ended("first", self._first_p(seconds), now, self._given.get("first", 0.0), (first, seconds))
            if not (slowness.calm or (slowness.learns("first", now, first.seen) and not self.probes)):
                return
        for usual in self._learners:
            usual.first.add(seconds, now)

    def _first_p(self, seconds: float) -> float:
        first = self.usual.first
        return 1.0 if seconds <= first.near else first.p_value(seconds)

    def is_late(self, dimension: Dimension, value: float, now: float, measure: Estimate | None = None) -> None:
        """Count it against its model that the attempt, not ended yet, takes so long already; `measure`: of its pace."""
        if not self.state.breakers_on:
            return
        usual, given = self.usual, self._given.get(dimension, 0.0)
        estimate = measure or {"first": usual.first, "silence": usual.silence, "pace": usual.pace}[dimension]
        counted = self.state.slowness.cut(dimension, estimate.p_value(value), now, given, (estimate, value))
        self._given = {**self._given, dimension: counted}

    def is_as_usual(self, answer: Answer | None, now: float, *, whole: bool = False) -> bool | None:
        """Whether an attempt that probes its model is as quick as usual; `None` while that is not known."""
        if self._sent_at is None:
            return False
        if self._first is None:
            return None if self.usual.first.p_value(now - self._sent_at) > PROBE_FIRST_P else False
        if self._first_p(self._first) <= PROBE_FIRST_P:
            return False
        if not self.streams or answer is None:
            return True
        if answer.contents < MIN_PACE_CONTENTS and not whole:
            return None if self._pace_p(answer.after(MIN_PACE_CONTENTS)) > PROBE_REST_P else False
        return min(self._pace_p(answer), self._silence_p(answer)) > PROBE_REST_P

    def _pace_p(self, answer: Answer) -> float:
        judged = self.usual.pace_of(answer)
        return 1.0 if judged is None or judged[1] <= judged[0].near else judged[0].p_value(judged[1])

    def _silence_p(self, answer: Answer) -> float:
        usual, silence = self.usual.silence, answer.silence
        return 1.0 if silence < ORDINARY_SILENCE or silence <= usual.near else usual.p_value(silence)

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
        if self._number and self.state.times is not None:
            self.state.times.end(self._number, 0.0, "not_sent")
        self._sent_at = None
        self.release()

    def end(
        self, now: float, outcome: Outcome, error: AttemptError | None = None, usage: Usage | None = None, *,
        answer: Answer | None = None, asked: int = 0, silence: float = 0.0, clock_of_call: bool = True,
        billed: bool = True,
    ) -> None:
        """Give everything back and learn; the scope of `error` is set.

        - `answer`: its contents, as far as they came; `None` where that is not known.
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
        if self._number and state.times is not None:
            state.times.end(self._number, now - sent_at, outcome, error, says_nothing=self.untimed)
        if not self.untimed and (answer is not None or self._first is None or error is not None or self.probes):
            self._record_times(now, sent_at, outcome, error, answer)
            if self.probes and outcome in {"won", "not_accepted"} and self.is_as_usual(answer, now, whole=True):
                state.slowness.passed(now)
        if outcome in {"won", "not_accepted"}:
            self._record_answer(now, sent_at)
        elif error is not None and not self.own_key and is_a_limit(error):
            self._record_rejection(now, sent_at, error)
        if state.breakers_on:
            self._tell_breakers(now, outcome, error, asked, answering=self._first is not None)

    def _judge(self, error: AttemptError, now: float, asked: int, silence: float, *, clock_of_call: bool) -> None:
        """Set the scope of a failure, and remember it where it is the model's, the key's or the host's."""
        state, rule, doubted = self.state, rule_of(error), False
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
        usual = self.usual.first.histogram.quantile(USUAL_QUANTILE) if self._learners else None
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

    def _record_times(
        self, now: float, sent_at: float, outcome: Outcome, error: AttemptError | None, answer: Answer | None
    ) -> None:
        """Learn how long things took, and what that says against the model."""
        if self._first is None:
            if outcome == "superseded" or isinstance(error, AttemptTimeout):
                self._record_silence(now, now - sent_at, outcome)
            return
        if answer is not None and self.streams:
            self._record_contents(now, answer, whole=outcome in {"won", "not_accepted"})
        elif outcome == "won" and self._first <= self.usual.first.near:
            self.state.slowness.ordinary_at = now
        if is_total_timeout(error) and self.state.breakers_on:
            self.state.slowness.cut("pace", LEAST_P, now)  # it flowed: the limit is ours, the model has become slow

    def _record_silence(self, now: float, seconds: float, outcome: Outcome) -> None:
        """Record that the first content would have come later."""
        state = self.state
        if outcome == "superseded" and state.breakers_on and not self._learners[0].first.seen:
            state.slowness.lost_unheard(now)
        self.is_late("first", seconds, now)
        if state.slowness.learns("first", now, self.usual.first.seen) and not self.probes:
            for usual in self._learners:
                usual.first.add_cut(seconds, now)

    def _record_contents(self, now: float, answer: Answer, *, whole: bool) -> None:
        """Record the pace and the longest silence of an answer, and its length if it is whole."""
        slowness = self.state.slowness
        if whole and slowness.calm and self.usual.is_ordinary(answer):
            slowness.ordinary_at = now
        elif self.state.breakers_on:
            self._count_contents(now, answer, whole=whole)
        if slowness.calm or (self._learns_contents(now)):
            for usual in self._learners:
                usual.add_answer(answer, now, whole=whole)

    def _learns_contents(self, now: float) -> bool:
        learns, usual = self.state.slowness.learns, self.usual
        return not self.probes and learns("pace", now, usual.pace.seen) and learns("silence", now, usual.silence.seen)

    def _count_contents(self, now: float, answer: Answer, *, whole: bool) -> None:
        """Count pace and silence of an answer for or against the model."""
        slowness, given, judged = self.state.slowness, self._given, self.usual.pace_of(answer)
        if judged is not None and (whole or answer.contents >= MIN_PACE_CONTENTS):
            slowness.ended("pace", self._pace_p(answer), now, given.get("pace", 0.0), judged)
        if answer.contents < 2:
            return
        silence_p, seen = self._silence_p(answer), (self.usual.silence, answer.silence)
        if whole:
            slowness.ended("silence", silence_p, now, given.get("silence", 0.0), seen)
        elif silence_p < 1.0:
            slowness.cut("silence", silence_p, now, given.get("silence", 0.0), seen)

    def _record_rejection(self, now: float, sent_at: float, error: AttemptError) -> None:
        unavailable, hinted = not isinstance(error, RateLimited), error.retry_after is not None
        if self.state.limits.rejected(now, sent_at, hinted=hinted, unavailable=unavailable):
            self.state.changed("paced", error.message)
        self.state.pacer.was_rejected(self._rank)
        self.state.pacer.look_again()
        hidden = self.state.limits.hidden
        if hidden.met_by_crowd and hidden.limit is not None:
            self.state.provider.limit_of_a_model = hidden.limit.rate, now + FORGET_AFTER

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
        elif error is not None and self._counts:
            doubtful = is_doubtful(error, rule_of(error), own_key=self.own_key)
            model.failed(self._model_generation, now, error.message, asked if doubtful else None)
        elif answering:
            model.succeeded(self._model_generation, now)  # it was working when it was cancelled
        else:
            model.released(self._model_generation)
