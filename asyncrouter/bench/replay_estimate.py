"""Estimates what other policies would have done with recorded calls: latency, success and cost, with intervals.

The method, and its sources:

- What was observed is kept. A recorded call keeps the observation of each model that was asked in it: under another
  policy that model does then what it did.
- What was not observed is imputed: for a model that was not asked in a call, or the rest of a time that was cut off, an
  observation is drawn from that model's product-limit distribution (`survival`), given that its event comes later than
  the censored time. Beyond the longest recorded time nothing is known: the call then counts as "at least so long".
- Unobserved outcomes are imputed repeatedly (multiple imputation, Rubin 1987), each time from a bootstrap sample of the
  model's observations (the approximate Bayesian bootstrap of Rubin and Schenker 1986). So an interval covers both
  uncertainties: which calls came, and what was imputed. A value is the median or mean over all imputations.
- A thousand calls imputed from fifty observations say no more than fifty observations do: the effective sample size `n`
  is the number of calls, or of observations of the model that comes first or mostly answers, where these are fewer.

It is assumed that what a model does in a call does not depend on what other models do in it, that models would not have
been slower under the other policy's load, and that retries stay as they were recorded. Breakers and rescues are played
(`replay_standing`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from math import inf
from random import Random
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from asyncrouter.bench.policy import Policy, parse_quantile
from asyncrouter.bench.policy_run import RESERVE_SECONDS, Bucket, Outcome, PolicyRun
from asyncrouter.bench.replay_costs import answer_cost, prompt_cost
from asyncrouter.bench.replay_measures import Rounds, cost_estimate, measure_rounds
from asyncrouter.bench.replay_recorded import by_task, recorded_measures
from asyncrouter.bench.replay_standing import RATE_ALONE, RATE_BESIDE_HEDGE, PlayedBreaker, rescue_delay
from asyncrouter.bench.stats import Estimate
from asyncrouter.bench.survival import KaplanMeier, Observation, observations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter.bench.trace import CallRow

IMPUTATIONS = 20
"""Imputations of every unobserved outcome: at 20 the intervals lose little against infinitely many (Rubin 1987)."""
MORE_IMPUTATIONS = 3
"""Times as many imputations where most of the uncertainty is in what is imputed."""
MIN_OBSERVATIONS = 50
"""Recorded observations of a model below which imputing from them is guessing, and a warning says so."""
USUAL_QUANTILE = 0.9
"""The quantile of its times that a model is given of the deadline by a model before it, as in the router."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a policy would have done with the recorded calls.

    `after` is its hedge delay in seconds, `None` without a hedge. `measures` are by their name in `DEFINITIONS`.
    `unknown` is the share of calls whose end the recording does not reach: their times count as "at least" and they as
    not answered, so the value is a lower bound, of `success` too, and the upper end of an interval may be `None`. An
    estimate's `n` is its effective sample size: the number of calls, or of the recorded observations of the model that
    comes first or mostly answers, where those are fewer. `warnings` say where it rests on too little. `task` is the one
    that was asked for, `None` for calls without one.
    """

    policy: Policy
    after: float | None
    measures: dict[str, Estimate]
    unknown: float
    warnings: tuple[str, ...]
    task: str | None = None


class _Call(NamedTuple):
    """A recorded call: seconds before its first request, the first observation of each model, when it began."""

    lead: float
    observations: dict[str, Observation]
    began: float = 0.0


def replay(
    calls: Sequence[CallRow], policies: Sequence[Policy], *, seed: int = 0, imputations: int = IMPUTATIONS
) -> list[Replayed]:
    """Estimate how each policy would have done, in the order given, for each task apart. The recorded order of models
    is that of their first requests in the calls of the task.

    `seed` fixes what is drawn. Raises `ValueError` when the recording holds no attempt, and for a policy that names a
    model that was never asked, or a quantile that was not observed.
    """
    if seed < 0:
        raise ValueError(f"seed: expected 0 or more, got {seed}")
    usable = by_task([call for call in calls if call.attempts])
    if not usable:
        raise ValueError("no call in this recording has an attempt")
    return [replace(found, task=task) for task, chosen in usable.items()
            for found in _replay_task(chosen, policies, seed, imputations)]


def as_recorded(calls: Sequence[CallRow]) -> list[Replayed]:
    """What the calls of each task came to as they were, for comparison: measured, not estimated."""
    return [Replayed(Policy(name="as recorded"), None, recorded_measures(chosen), 0.0, (), task)
            for task, chosen in by_task([call for call in calls if call.attempts]).items()]


def _replay_task(
    calls: Sequence[CallRow], policies: Sequence[Policy], seed: int, imputations: int
) -> list[Replayed]:
    usable = [_call(call) for call in calls]
    recorded: dict[str, list[Observation]] = defaultdict(list)
    for call in usable:
        for model, one in call.observations.items():
            recorded[model].append(one)
    return [_Estimator(usable, recorded, policy, seed).run(imputations) for policy in policies]


class _Shared(NamedTuple):
    """What all calls of a round share: the buckets of hedges and rescues, the breakers (empty: there are none)."""

    hedges: Bucket
    rescues: Bucket | None
    breakers: dict[str, PlayedBreaker]

    @classmethod
    def of(cls, policy: Policy) -> Self:
        rate = RATE_ALONE if policy.hedge is None else RATE_BESIDE_HEDGE
        models = policy.order or ()
        return cls(Bucket(policy.budget), Bucket(rate) if policy.rescue else None,
                   {model: PlayedBreaker() for model in models} if policy.breaker else {})


class _Estimator:
    """One policy over all calls. Raises `ValueError` for a policy that the recording says nothing about."""

    def __init__(
        self, calls: Sequence[_Call], recorded: Mapping[str, Sequence[Observation]], policy: Policy, seed: int
    ) -> None:
        self._calls, self._recorded, self._seed = calls, recorded, seed
        self._order = policy.order or _recorded_order(calls)
        if unknown := set(self._order) - set(recorded):
            raise ValueError(f"never asked in this recording: {', '.join(sorted(unknown))}")
        self._policy = replace(policy, order=self._order)
        self._reserves = {
            model: KaplanMeier(recorded[model]).quantile(USUAL_QUANTILE) or RESERVE_SECONDS for model in self._order
        }
        self._after = self._hedge_delay()
        self._rescues = {
            model: rescue_delay(recorded[model], recorded[after])
            for model, after in zip(self._order, self._order[1:], strict=False)
        }
        self._prompt_costs = {model: prompt_cost(recorded[model]) for model in self._order}
        self._answer_costs = {model: answer_cost(recorded[model]) for model in self._order}

    def run(self, imputations: int) -> Replayed:
        """Impute so many times, or more where most of what the calls did is imputed."""
        rounds = [self._round(number) for number in range(imputations)]
        if self._effective_n(rounds) < len(self._calls):
            rounds += [self._round(number) for number in range(imputations, MORE_IMPUTATIONS * imputations)]
        unknown = float(np.mean([[not one.observed for one in outcomes] for outcomes in rounds]))
        return Replayed(self._policy, None if self._after == inf else self._after, self._measures(rounds), unknown,
                        tuple(self._warnings()))

    def _hedge_delay(self) -> float:
        hedge, first = self._policy.hedge, self._order[0]
        if not isinstance(hedge, str):
            return inf if hedge is None else hedge
        after = KaplanMeier(self._recorded[first]).quantile(parse_quantile(hedge))
        if after is None:
            raise ValueError(f"{hedge} of {first} was not observed: too many of its requests were cut off before")
        return after

    def _warnings(self) -> list[str]:
        warnings = [
            f"{model} was asked only {count} times" for model in self._order
            if (count := sum(not one.not_sent for one in self._recorded[model])) < MIN_OBSERVATIONS
        ]
        if self._policy.hedge is not None and len(self._order) == 1:
            warnings.append(f"no model but {self._order[0]} was asked: a hedge has no other model to ask")
        return warnings

    def _round(self, number: int) -> list[Outcome]:
        """One imputation of all calls."""
        random = Random(f"{self._seed}:{number}")
        distributions = {
            model: KaplanMeier(random.choices(self._recorded[model], k=len(self._recorded[model])))
            for model in self._order
        }
        shared = _Shared.of(self._policy)
        return [self._run_call(call, distributions, random, shared) for call in self._calls]

    def _run_call(
        self, call: _Call, distributions: Mapping[str, KaplanMeier], random: Random, shared: _Shared
    ) -> Outcome:
        asked: set[str] = set()

        def observe(model: str) -> Observation:
            recorded = None if model in asked else call.observations.get(model)
            asked.add(model)
            if recorded is not None and recorded.event_observed:
                return recorded
            censored_at = -1.0 if recorded is None else recorded.event
            drawn = distributions[model].draw(random, censored_at)
            longest = max(censored_at, distributions[model].longest)
            return drawn or _at_least(model, longest, self._answer_costs[model])

        run = PolicyRun(self._policy, self._order, self._after, observe, self._prompt_costs.__getitem__,
                        self._reserves.__getitem__, lambda model: self._rescues.get(model, inf))
        outcome = run.run(shared.hedges, rescues=shared.rescues, breakers=shared.breakers, began=call.began)
        return outcome._replace(seconds=outcome.seconds + call.lead)

    def _measures(self, rounds: Rounds) -> dict[str, Estimate]:
        n = self._effective_n(rounds)
        found = measure_rounds(rounds, n, self._seed)
        costs = [self._answer_costs[model] for model in self._order]
        if any(one.cost is None for model in self._order for one in self._recorded[model]):
            return found | {"usd_per_1000": Estimate(None, n=n)}
        return found | {"usd_per_1000": cost_estimate(rounds, n, self._seed, max(cost or 0.0 for cost in costs))}

    def _effective_n(self, rounds: Rounds) -> int:
        """The number of calls, or of the observations behind most of their outcomes, if these are fewer."""
        answered = Counter(one.model for outcomes in rounds for one in outcomes if one.model is not None)
        models = {self._order[0], *(model for model, _ in answered.most_common(1))}
        return min(len(self._calls), *(len(self._recorded[model]) for model in models))


def _call(call: CallRow) -> _Call:
    found = observations(call.attempts)
    first: dict[str, Observation] = {}
    for one in found:
        first.setdefault(one.model, one)
    return _Call(found[0].began, first, call.started)


def _recorded_order(calls: Sequence[_Call]) -> tuple[str, ...]:
    """The models by their mean position in the recorded calls; those that were asked more often first among equals."""
    positions: dict[str, list[int]] = defaultdict(list)
    for call in calls:
        for position, model in enumerate(call.observations):
            positions[model].append(position)
    return tuple(sorted(positions, key=lambda model: (
        sum(positions[model]) / len(positions[model]), -len(positions[model])
    )))


def _at_least(model: str, seconds: float, cost: float | None) -> Observation:
    """An observation of which only a lower bound is known; it costs what an answer does."""
    return Observation(model, 0.0, seconds, seconds, True, True, False, cost)
