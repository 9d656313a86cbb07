"""Simulates one call under a policy, from what each model would have done: the router's rules without a router.

How it works. Every model of the chain has one `Observation` for the call: when its first content came or when it
failed, when its answer was whole, what it cost. `PolicyRun` goes from event to event:

- The first model starts at 0. The next one starts when the last running one has failed; or, if the bucket has a token,
  as a hedge: when the only running one has been silent for the hedge's delay, or a hedge has failed while the model
  before it still runs; or, from a bucket of its own, as a rescue: when the only running one has been silent for so long
  that there is hardly a doubt.
- A model whose breaker is open is skipped, unless no other one is left (`replay_standing`).
- The first model whose content comes wins; the others are cancelled. A winner that breaks afterwards has failed, and
  the models that are left, the cancelled ones included, are tried in their order.
- A model is cut off by the policy's `first_token` and `total` timeouts, and by its share of the deadline: with R
  seconds left and n models left, it may be silent for R / n, and may run until R less the usual time of each model
  after it. A model that would have less than `MIN_STEP_SECONDS` is skipped.
- A model that was cut off costs between its prompt alone and its whole answer: how far it had come was not recorded.

Left out, because a recording does not hold them: holds, rate limits, retries other than the recorded ones, races for
answers that are late after their first content, and models that have become slow and are moved to the back.

Where an observation is censored (the recording only says "at least so long"), the outcome is too: `observed` is False,
and the seconds are a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter.bench.policy import Policy
    from asyncrouter.bench.replay_standing import PlayedBreaker
    from asyncrouter.bench.survival import Observation

# A door imports the package's public names only, so these are copies of the router's own constants;
# tests/bench/test_policy_run.py holds both equal.
CAPACITY = 10.0
"""Tokens that fit into a hedge's bucket."""
MIN_STEP_SECONDS = 0.25
"""Seconds of the deadline below which a model is not started."""
RESERVE_SECONDS = 2.0
"""Seconds of the deadline that a running model leaves to each later one whose usual time is not known."""

TICK = 1e-6
"""Seconds by which a censored event comes after its recorded instant: a model is overtaken at the very instant at which
another one has content, and that other one came first."""


class Outcome(NamedTuple):
    """What a call would have come to: `seconds` to the answer of `model`, or `inf` and `None` without an answer.

    `observed` is False when the recording does not reach far enough: the call took at least that long. `min_usd` and
    `max_usd` bill models that were cut off for their prompt only, and in full.
    """

    seconds: float
    observed: bool
    hedged: bool
    won_by_hedge: bool
    denied: bool
    sent: int
    min_usd: float
    max_usd: float
    model: str | None = None


class Bucket:
    """The token bucket of a hedge budget, as the router keeps it: `rate` tokens a call, and full at first.

    Without a `rate` (`None`) every hedge may be sent.
    """

    def __init__(self, rate: float | None) -> None:
        self._rate, self._tokens = rate, CAPACITY

    def deposit(self) -> None:
        """A call has begun."""
        if self._rate is not None:
            self._tokens = min(CAPACITY, self._tokens + self._rate)

    def take(self) -> bool:
        """Whether a hedge may be sent; if so, its token is gone."""
        if self._rate is not None:
            if self._tokens < 1.0 - 1e-6:
                return False
            self._tokens -= 1.0
        return True


@dataclass(slots=True)
class _StepRun:
    """One model that runs in this call: what it will do under the policy's timeouts, and what was observed of it."""

    began: float
    limited: Observation
    observation: Observation
    hedge: bool
    hedge_checked: bool = False
    rescue_checked: bool = False


class PolicyRun:
    """One call under a policy with the chain `order` and a hedge after `after` seconds (`inf`: none).

    `observe(model)` gives what a model would do, `prompt_cost(model)` its USD if it were cut off before its answer,
    `reserve(model)` the seconds of the deadline that a running model leaves to it, `rescue_after(model)` the seconds of
    silence after which it is rescued (`inf`: never).
    """

    def __init__(
        self, policy: Policy, order: tuple[str, ...], after: float, observe: Callable[[str], Observation],
        prompt_cost: Callable[[str], float], reserve: Callable[[str], float] = lambda _: RESERVE_SECONDS,
        rescue_after: Callable[[str], float] = lambda _: inf,
    ) -> None:
        self._policy, self._after, self._observe, self._prompt_cost = policy, after, observe, prompt_cost
        self._deadline, self._reserve = inf if policy.deadline is None else policy.deadline, reserve
        self._left, self._rescue_after = list(order), rescue_after
        self._breakers: Mapping[str, PlayedBreaker] = {}
        self._began = 0.0
        self._sent = 0
        self._hedged = self._denied = False
        self._min_usd = self._max_usd = 0.0
        self._running: list[_StepRun] = []

    def run(
        self, bucket: Bucket, *, rescues: Bucket | None = None, breakers: Mapping[str, PlayedBreaker] | None = None,
        began: float = 0.0,
    ) -> Outcome:
        """Run to an answer, to the end of the chain, or to the deadline.

        `rescues` is the bucket of rescues, `breakers` those of the models (`None`: there are none), `began` the instant
        of the call by their clock.
        """
        self._breakers, self._began = breakers or {}, began
        for each in (bucket, rescues):
            if each is not None:
                each.deposit()
        now, deadline = 0.0, self._deadline
        self._start(now, hedge=False)
        while self._running:
            newest = self._running[-1]
            step = min(self._running, key=_next_event)
            event, hedge_due, rescue_due = _next_event(step), self._hedge_due(newest), self._rescue_due(newest, rescues)
            now = min(event, hedge_due, rescue_due)
            if now >= deadline:
                return self._without_answer(deadline)
            if hedge_due < event and hedge_due <= rescue_due:
                self._hedge(bucket, now)
            elif rescue_due < event and rescues is not None:
                newest.rescue_checked = True
                if rescues.take():
                    self._start(now, hedge=False)
            elif step.limited.has_content:
                if (answer := self._win(step, deadline)) is not None:
                    return answer
            else:
                self._fail(step, now, bucket)
        return self._without_answer(now)

    def _hedge_due(self, newest: _StepRun) -> float:
        alone = len(self._running) == 1 and self._left and not newest.hedge_checked
        return newest.began + self._after if alone else inf

    def _rescue_due(self, newest: _StepRun, rescues: Bucket | None) -> float:
        alone = len(self._running) == 1 and self._left and not newest.rescue_checked and rescues is not None
        return newest.began + self._rescue_after(newest.limited.model) if alone else inf

    def _start(self, now: float, *, hedge: bool) -> None:
        if (model := self._next(now)) is None:
            return
        observation = self._observe(model)
        limited = self._limit(observation, now)
        self._sent += not limited.not_sent
        self._hedged |= hedge
        self._running.append(_StepRun(now, limited, observation, hedge))

    def _next(self, now: float) -> str | None:
        """The next model that the deadline leaves time for, and whose breaker lets a call go.

        If no other was sent, the last one starts in any case. If nobody else runs or is left, a model goes although its
        breaker refuses.
        """
        refused: list[str] = []
        while self._left:
            model = self._left.pop(0)
            if model in self._breakers and self._breakers[model].refuses(self._began + now):
                refused.append(model)
            elif self._share(now) >= MIN_STEP_SECONDS or not (self._left or self._sent):
                self._left += refused
                return model
        self._left = refused
        return self._left.pop(0) if refused and not self._running else None

    def _share(self, now: float) -> float:
        return (self._deadline - now) / (len(self._left) + 1)

    def _deadline_limits(self, now: float) -> tuple[float, float]:
        """Seconds that a model may be silent, and may run, so that the models after it have their part of the deadline.

        The last one has all that is left, which `run` watches.
        """
        if not self._left:
            return inf, inf
        share = self._share(now)
        return share, max(share, self._deadline - now - sum(map(self._reserve, self._left)))

    def _limit(self, observation: Observation, now: float) -> Observation:
        """The observation, cut off by this policy's timeouts; a timeout is a failure that is known."""
        share, left = self._deadline_limits(now)
        total = left if self._policy.total is None else min(self._policy.total, left)
        silence = min(share, total, inf if self._policy.first_token is None else self._policy.first_token)
        if _event(observation) > silence:
            return replace(observation, event=silence, end=silence, has_content=False, ok=False, event_observed=True,
                           end_observed=True)
        if observation.has_content and _end(observation) > total:
            return replace(observation, end=total, ok=False, end_observed=True)
        return observation

    def _hedge(self, bucket: Bucket, now: float) -> None:
        self._running[-1].hedge_checked = True
        if bucket.take():
            self._start(now, hedge=True)
        else:
            self._denied = True

    def _win(self, step: _StepRun, deadline: float) -> Outcome | None:
        """The first content has come: the others are cancelled. `None` when it breaks later and the chain goes on."""
        self._running.remove(step)
        for other in self._running:
            self._bill(other, step.began + step.limited.event)
            self._left.insert(0, other.limited.model)
        self._running.clear()
        ended = step.began + step.limited.end
        self._bill(step, min(ended, deadline))
        if step.began + _end(step.limited) >= deadline:
            return self._without_answer(deadline)
        self._note(step, ended)
        if step.limited.ok:
            return self._outcome(ended, step)
        if self._left:
            self._start(ended, hedge=False)
        return None

    def _fail(self, step: _StepRun, now: float, bucket: Bucket) -> None:
        newest = step is self._running[-1]
        self._running.remove(step)
        self._bill(step, now)
        self._note(step, now)
        if not self._left:
            return
        if not self._running:
            self._start(now, hedge=False)
        elif newest and bucket.take():
            self._start(now, hedge=True)

    def _note(self, step: _StepRun, now: float) -> None:
        """Tell the model's breaker that it has answered or failed; nothing where no request was made."""
        breaker = self._breakers.get(step.limited.model)
        if breaker is None or step.limited.not_sent:
            return
        if step.limited.ok and step.limited.has_content:
            breaker.succeeded(self._began + now)
        else:
            breaker.failed(self._began + now)

    def _bill(self, step: _StepRun, now: float) -> None:
        """Add what a model costs that ends now: all of it if it had ended, else between its prompt and all of it."""
        observation = step.observation
        whole = observation.cost or 0.0
        ended = step.limited is observation and now - step.began >= observation.end - TICK
        least = whole if ended else self._prompt_cost(observation.model)
        self._min_usd += least
        self._max_usd += max(least, whole)

    def _without_answer(self, now: float) -> Outcome:
        """The chain has no more models, or the deadline has cancelled those that still run."""
        for step in self._running:
            self._bill(step, now)
        return self._outcome(inf)

    def _outcome(self, seconds: float, step: _StepRun | None = None) -> Outcome:
        observed, hedge, model = True, False, None
        if step is not None:
            observed, hedge, model = step.limited.fully_observed, step.hedge, step.limited.model
        return Outcome(
            seconds, observed, self._hedged, hedge, self._denied, self._sent, self._min_usd, self._max_usd, model
        )


def _next_event(step: _StepRun) -> float:
    return step.began + _event(step.limited)


def _event(observation: Observation) -> float:
    return observation.event if observation.event_observed else observation.event + TICK


def _end(observation: Observation) -> float:
    return observation.end if observation.fully_observed else observation.end + TICK
