"""Recorded calls played again under other policies: latency, success and cost, with honest intervals.

Each recorded call keeps what was seen of it: the models that answered it then answer it now as they did. What was not
seen (a model that was not asked; the rest of a turn that was cut off) is drawn from the recorded turns of that model,
several times over (multiple imputation, each from a resampled set of turns: the approximate Bayesian bootstrap of Rubin
and Schenker 1986). An interval holds both doubts: which calls came, and what was drawn. A thousand calls drawn from
fifty turns say no more than fifty turns do: an estimate's `n` is the smaller number.

It takes for granted that a model's turns do not depend on what other models do with the same call, that the models
would not have been slower under the other load, and that retries and breakers stay as they were.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from math import ceil, floor, inf
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from asyncrouter.bench.policy import RESERVE, Bucket, Outcome, Play, Policy, quantile
from asyncrouter.bench.stats import Estimate, finite, needs, quantiles, rank, resamples, wilson
from asyncrouter.bench.survival import Law, Turn, turns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter.bench.stats import Floats
    from asyncrouter.bench.trace import CallRow

IMPUTATIONS = 20
RESAMPLES = 50
"""Of each imputation."""
FEW = 50
"""Recorded turns of a model below which drawing from them is guessing."""
POINTS = {"p50_e2e": 0.5, "p90_e2e": 0.9, "p95_e2e": 0.95, "p99_e2e": 0.99, "p99.9_e2e": 0.999}


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a policy would have done with the recorded calls.

    `after` is its hedge delay in seconds. `unknown` is the share of calls whose end the recording does not reach: their
    times count as "at least" and they as not answered, so that an upper end of an interval may be `None`: the value is
    a lower bound, of `success` too. An estimate's `n` is the number of calls, or of the recorded turns of the model
    that comes first or mostly answers, where those are fewer. `warnings` say where it rests on too little.
    """

    policy: Policy
    after: float | None
    measures: dict[str, Estimate]
    unknown: float
    warnings: tuple[str, ...]


class _Call(NamedTuple):
    lead: float
    turns: dict[str, Turn]


def replay(
    calls: Sequence[CallRow], policies: Sequence[Policy], *, seed: int = 0, imputations: int = IMPUTATIONS
) -> list[Replayed]:
    """Estimate how each policy would have done. The recorded order is that of the models' first turns.

    Raises `ValueError` when nothing was recorded that could be played, or for a policy that names a model that was
    never asked, or a quantile that was not seen.
    """
    if seed < 0:
        raise ValueError(f"seed: expected 0 or more, got {seed}")
    played = [_call(call) for call in calls if call.attempts]
    if not played:
        raise ValueError("no call in this recording has an attempt")
    recorded: dict[str, list[Turn]] = defaultdict(list)
    for call in played:
        for model, turn in call.turns.items():
            recorded[model].append(turn)
    return [_Replay(played, recorded, policy, seed).run(imputations) for policy in policies]


class _Replay:
    """One policy over all calls."""

    def __init__(
        self, calls: Sequence[_Call], recorded: Mapping[str, Sequence[Turn]], policy: Policy, seed: int
    ) -> None:
        self._calls, self._recorded, self._seed = calls, recorded, seed
        self._order = policy.order or _order(calls)
        if unknown := set(self._order) - set(recorded):
            raise ValueError(f"never asked in this recording: {', '.join(sorted(unknown))}")
        self._policy = replace(policy, order=self._order)
        self._reserves = {model: Law(recorded[model]).quantile(0.9) or RESERVE for model in self._order}
        self._after, self._warnings = self._delay()
        self._prompt_costs = {model: _prompt_cost(recorded[model]) for model in self._order}
        self._answer_costs = {model: _answer_cost(recorded[model]) for model in self._order}

    def run(self, imputations: int) -> Replayed:
        """Play all calls so many times."""
        rounds = [self._round(number) for number in range(imputations)]
        if self._worth(rounds) < len(self._calls):  # most of the doubt is in what is drawn: draw more often
            rounds += [self._round(number) for number in range(imputations, 3 * imputations)]
        unknown = float(np.mean([[not one.known for one in outcomes] for outcomes in rounds]))
        return Replayed(self._policy, None if self._after == inf else self._after, self._measures(rounds), unknown,
                        tuple(self._warnings))

    def _delay(self) -> tuple[float, list[str]]:
        warnings = [
            f"{model} was asked only {count} times" for model in self._order
            if (count := sum(not turn.refused for turn in self._recorded[model])) < FEW
        ]
        warnings += self._too_little_time()
        hedge = self._policy.hedge
        if hedge is not None and len(self._order) == 1:
            warnings.append(f"no model but {self._order[0]} was asked: a hedge has nobody to race with")
        if not isinstance(hedge, str):
            return inf if hedge is None else hedge, warnings
        first = self._order[0]
        after = Law(self._recorded[first]).quantile(quantile(hedge))
        if after is None:
            raise ValueError(f"{hedge} of {first} was not seen: too many of its turns were cut off before")
        return after, warnings

    def _too_little_time(self) -> list[str]:
        """A share of the deadline that a model seldom keeps opens its breaker, and then others have more."""
        deadline, first = self._policy.deadline, self._order[0]
        usual = self._reserves[first]
        if deadline is None or len(self._order) == 1 or (share := deadline / len(self._order)) >= usual:
            return []
        return [f"{first} has {share:.3g} s of a deadline of {deadline:g} s, less than its p90 ({usual:.3g} s): the "
                "breakers that this opens are not played"]

    def _round(self, number: int) -> list[Outcome]:
        random = Random(f"{self._seed}:{number}")
        laws = {model: Law(random.choices(self._recorded[model], k=len(self._recorded[model])))
                for model in self._order}
        bucket = Bucket(self._policy.budget)
        return [self._play(call, laws, random, bucket) for call in self._calls]

    def _play(self, call: _Call, laws: Mapping[str, Law], random: Random, bucket: Bucket) -> Outcome:
        asked: set[str] = set()

        def ask(model: str) -> Turn:
            known = None if model in asked else call.turns.get(model)
            asked.add(model)
            if known is not None and known.known:
                return known
            cut = -1.0 if known is None else known.event
            drawn = laws[model].draw(random, cut)
            return drawn or _at_least(model, max(cut, laws[model].longest), self._answer_costs[model])

        play = Play(self._policy, self._order, self._after, ask, self._prompt_costs.__getitem__,
                    self._reserves.__getitem__)
        outcome = play.run(bucket)
        return outcome._replace(seconds=outcome.seconds + call.lead)

    def _measures(self, rounds: Sequence[Sequence[Outcome]]) -> dict[str, Estimate]:
        n = self._worth(rounds)
        least = [_column(outcomes, "seconds") for outcomes in rounds]
        known = [_column(outcomes, "known") > 0.0 for outcomes in rounds]
        most = [np.where(mask, column, inf) for mask, column in zip(known, least, strict=True)]
        found = _quantile_estimates(least, most, n, self._seed)
        success = _share_estimate([np.isfinite(column) * 1.0 for column in most],
                                  [np.isfinite(column) * 1.0 for column in least], n, self._seed)
        found["success"] = success if all(mask.all() for mask in known) else replace(success, high=None)
        for name, field in (("hedges_fired", "hedged"), ("hedges_denied", "denied")):
            columns = [_column(outcomes, field) for outcomes in rounds]
            found[name] = _share_estimate(columns, columns, n, self._seed)
        sent = [_column(outcomes, "sent") for outcomes in rounds]
        found["attempts"] = _attempts_estimate(sent, n, self._seed)
        cheap, dear = ([_column(outcomes, field) * 1000.0 for outcomes in rounds] for field in ("least", "most"))
        unpriced = any(turn.cost is None for model in self._order for turn in self._recorded[model])
        found["usd_per_1000"] = Estimate(None, n=n) if unpriced else self._cost(cheap, dear, sent, n)
        return found

    def _worth(self, rounds: Sequence[Sequence[Outcome]]) -> int:
        """The calls, or the turns from which most of what they did is drawn, if these are fewer."""
        answered = Counter(one.model for outcomes in rounds for one in outcomes if one.model is not None)
        models = {self._order[0], *(model for model, _ in answered.most_common(1))}
        return min(len(self._calls), *(len(self._recorded[model]) for model in models))

    def _cost(self, cheap: Sequence[Floats], dear: Sequence[Floats], sent: Sequence[Floats], n: int) -> Estimate:
        """Where little was seen, more or fewer calls may need a second answer than these few turns did."""
        found = _mean_estimate(cheap, dear, n, self._seed)
        if n == len(self._calls):
            return found
        more = _second(sent)
        share, mean = _share_estimate(more, more, n, self._seed), float(np.mean(more))
        doubt = max((share.high or 0.0) - mean, mean - (share.low or 0.0))
        usd = doubt * 1000.0 * max(self._answer_costs[model] or 0.0 for model in self._order)
        low, high = max(0.0, float(np.mean(cheap)) - usd), float(np.mean(dear)) + usd
        return replace(found, low=min(found.low or 0.0, low), high=max(found.high or 0.0, high))


def _quantile_estimates(least: Sequence[Floats], most: Sequence[Floats], n: int, seed: int) -> dict[str, Estimate]:
    points = list(POINTS.values())
    value = np.median([quantiles(column[None, :], points)[0] for column in least], axis=0)
    low = _draws(least, lambda rows: quantiles(rows, points), seed)[0]
    high = _draws(most, lambda rows: quantiles(rows, points), seed)[1]
    return {
        name: Estimate(finite(value[at]), finite(low[at]), finite(high[at]), n, n >= needs(q))
        for at, (name, q) in enumerate(POINTS.items())
    }


def _mean_estimate(least: Sequence[Floats], most: Sequence[Floats], n: int, seed: int) -> Estimate:
    """The mean of `least`, with an interval that reaches to what `most` would say."""
    low = _draws(least, lambda rows: rows.mean(axis=1, keepdims=True), seed)[0]
    high = _draws(most, lambda rows: rows.mean(axis=1, keepdims=True), seed)[1]
    return Estimate(float(np.mean(least)), float(low[0]), float(high[0]), n)


def _share_estimate(least: Sequence[Floats], most: Sequence[Floats], n: int, seed: int) -> Estimate:
    """A share, whose interval is never narrower than Wilson's: calls that all went well bootstrap to no doubt."""
    found = _mean_estimate(least, most, n, seed)
    below = wilson(floor(round(float(np.mean(least)) * n, 6)), n).low
    above = wilson(ceil(round(float(np.mean(most)) * n, 6)), n).high
    assert found.low is not None
    assert found.high is not None
    return replace(found, low=min(found.low, below or 0.0), high=max(found.high, above or 0.0))


def _attempts_estimate(sent: Sequence[Floats], n: int, seed: int) -> Estimate:
    """The mean of the requests sent, likewise: few calls have a second one."""
    found, more = _mean_estimate(sent, sent, n, seed), _second(sent)
    rest, share = float(np.mean(sent) - np.mean(more)), _share_estimate(more, more, n, seed)
    assert found.low is not None
    assert found.high is not None
    low, high = rest + (share.low or 0.0), rest + (share.high or 0.0)
    return replace(found, low=min(found.low, low), high=max(found.high, high))


def _second(sent: Sequence[Floats]) -> list[Floats]:
    """Which calls sent a second request: 0 or 1."""
    return [np.clip(column - 1.0, 0.0, 1.0) for column in sent]


def _draws(columns: Sequence[Floats], statistic: object, seed: int) -> tuple[Floats, Floats]:
    assert callable(statistic)
    draws = np.concatenate([
        statistic(column[index])
        for number, column in enumerate(columns)
        for index in resamples(len(column), seed + number, RESAMPLES)
    ])
    draws.sort(axis=0)
    return draws[rank(0.025, len(draws))], draws[rank(0.975, len(draws))]


def _column(outcomes: Sequence[Outcome], name: str) -> Floats:
    return np.array([getattr(outcome, name) for outcome in outcomes], dtype=np.float64)


def _call(call: CallRow) -> _Call:
    found = turns(call.attempts)
    first: dict[str, Turn] = {}
    for turn in found:
        first.setdefault(turn.model, turn)
    return _Call(found[0].began, first)


def _order(calls: Sequence[_Call]) -> tuple[str, ...]:
    places: dict[str, list[int]] = defaultdict(list)
    for call in calls:
        for place, model in enumerate(call.turns):
            places[model].append(place)
    return tuple(sorted(places, key=lambda model: (sum(places[model]) / len(places[model]), -len(places[model]))))


def _at_least(model: str, seconds: float, cost: float | None) -> Turn:
    """A turn of which only this is known; it costs what an answer does."""
    return Turn(model, 0.0, seconds, seconds, True, True, False, cost)


def _answer_cost(recorded: Sequence[Turn]) -> float | None:
    """What an answer costs, on average; `None` where that is not known."""
    costs = [turn.cost for turn in recorded if turn.ok and turn.known and turn.ends]
    known = [cost for cost in costs if cost is not None]
    return sum(known) / len(known) if known and len(known) == len(costs) else None


def _prompt_cost(recorded: Sequence[Turn]) -> float:
    """What a request costs that is cut off before it spoke: as recorded, else by the price that answers reveal."""
    lost = [turn.cost for turn in recorded if not turn.known and turn.cost is not None]
    if lost:
        return sum(lost) / len(lost)
    rows = [(turn.input_tokens, turn.output_tokens, turn.cost) for turn in recorded
            if turn.ok and turn.ends and turn.input_tokens and turn.output_tokens and turn.cost]
    if not rows:
        return 0.0
    tokens = np.array([row[:2] for row in rows], dtype=np.float64)
    price, _, found, _ = np.linalg.lstsq(tokens, np.array([row[2] for row in rows], dtype=np.float64), rcond=None)
    if found == 2:
        return max(0.0, float(price[0])) * float(tokens[:, 0].mean())
    # Answers that are all of one length do not tell the two prices apart: then half of it, between nothing and all.
    return sum(row[2] or 0.0 for row in rows) / len(rows) / 2.0
