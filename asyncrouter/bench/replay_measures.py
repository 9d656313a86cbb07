"""Pools the imputations of a replay into measures with intervals.

Each imputation ("round") gives one column of outcomes, in the order of the calls. A value is the median (of quantiles)
or the mean (of means and shares) over the rounds. An interval is the percentile interval of block bootstrap samples of
all rounds together, so it holds the variation between calls and between imputations. Two columns bound what the
recording does not reach: in the lower one an unobserved end counts as just reached, in the upper one as never; the
lower end of an interval is taken from the first, the upper end from the second.

Shares and counts get an interval at least as wide as Wilson's for the effective sample size: a sample in which all
calls went well bootstraps to an interval of width 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil, floor, inf
from typing import TYPE_CHECKING

import numpy as np

from asyncrouter.bench.definitions import POINTS
from asyncrouter.bench.policy_run import Outcome
from asyncrouter.bench.resampling import block_resamples, rank, row_means, row_quantiles
from asyncrouter.bench.stats import Estimate, finite, min_samples, wilson

if TYPE_CHECKING:
    from asyncrouter.bench.resampling import Floats

Rounds = Sequence[Sequence[Outcome]]
"""Outcomes of all calls, once for each imputation."""
Statistic = Callable[["Floats"], "Floats"]

RESAMPLES = 50
"""Bootstrap samples of each imputation: 20 imputations make 1,000 in all."""


def measure_rounds(rounds: Rounds, n: int, seed: int) -> dict[str, Estimate]:
    """All measures but the cost. `n` is the effective sample size."""
    least = [_column(outcomes, "seconds") for outcomes in rounds]
    observed = [_column(outcomes, "observed") > 0.0 for outcomes in rounds]
    most = [np.where(mask, column, inf) for mask, column in zip(observed, least, strict=True)]
    found = _quantiles(least, most, n, seed)
    success = _share([np.isfinite(column) * 1.0 for column in most], [np.isfinite(column) * 1.0 for column in least],
                     n, seed)
    found["success"] = success if all(mask.all() for mask in observed) else replace(success, high=None)
    for name, field in (("hedges_fired", "hedged"), ("hedges_denied", "denied")):
        columns = [_column(outcomes, field) for outcomes in rounds]
        found[name] = _share(columns, columns, n, seed)
    found["attempts"] = _mean_attempts([_column(outcomes, "sent") for outcomes in rounds], n, seed)
    return found


def cost_estimate(rounds: Rounds, n: int, seed: int, dearest_answer: float) -> Estimate:
    """Dollars for 1,000 calls, between models that were cut off billed for their prompt only, and in full.

    Where the effective sample size is smaller than the number of calls, the interval also holds that more or fewer
    calls than observed need a second answer, at `dearest_answer` USD each.
    """
    least, most = ([_column(outcomes, field) * 1000.0 for outcomes in rounds] for field in ("min_usd", "max_usd"))
    found = _mean(least, most, n, seed)
    if n == len(rounds[0]):
        return found
    second = _second_requests([_column(outcomes, "sent") for outcomes in rounds])
    share, mean = _share(second, second, n, seed), float(np.mean(second))
    doubt = max((share.high or 0.0) - mean, mean - (share.low or 0.0))
    usd = doubt * 1000.0 * dearest_answer
    low, high = max(0.0, float(np.mean(least)) - usd), float(np.mean(most)) + usd
    return replace(found, low=min(found.low or 0.0, low), high=max(found.high or 0.0, high))


def _quantiles(least: Sequence[Floats], most: Sequence[Floats], n: int, seed: int) -> dict[str, Estimate]:
    points = list(POINTS.values())
    value = np.median([row_quantiles(column[None, :], points)[0] for column in least], axis=0)
    low = _interval(least, lambda rows: row_quantiles(rows, points), seed)[0]
    high = _interval(most, lambda rows: row_quantiles(rows, points), seed)[1]
    return {
        f"{name}_e2e": Estimate(finite(value[at]), finite(low[at]), finite(high[at]), n, n >= min_samples(q))
        for at, (name, q) in enumerate(POINTS.items())
    }


def _mean(least: Sequence[Floats], most: Sequence[Floats], n: int, seed: int) -> Estimate:
    """The mean of `least`; the upper end of its interval is that of `most`."""
    low = _interval(least, row_means, seed)[0]
    high = _interval(most, row_means, seed)[1]
    return Estimate(float(np.mean(least)), float(low[0]), float(high[0]), n)


def _share(least: Sequence[Floats], most: Sequence[Floats], n: int, seed: int) -> Estimate:
    """A share, with an interval at least as wide as Wilson's for `n` calls."""
    found = _mean(least, most, n, seed)
    below = wilson(floor(round(float(np.mean(least)) * n, 6)), n).low
    above = wilson(ceil(round(float(np.mean(most)) * n, 6)), n).high
    assert found.low is not None
    assert found.high is not None
    return replace(found, low=min(found.low, below or 0.0), high=max(found.high, above or 0.0))


def _mean_attempts(sent: Sequence[Floats], n: int, seed: int) -> Estimate:
    """The mean of the requests sent, at least as uncertain as the share of calls with a second one."""
    found, second = _mean(sent, sent, n, seed), _second_requests(sent)
    rest, share = float(np.mean(sent) - np.mean(second)), _share(second, second, n, seed)
    assert found.low is not None
    assert found.high is not None
    low, high = rest + (share.low or 0.0), rest + (share.high or 0.0)
    return replace(found, low=min(found.low, low), high=max(found.high, high))


def _second_requests(sent: Sequence[Floats]) -> list[Floats]:
    """Which calls sent a second request: 0 or 1."""
    return [np.clip(column - 1.0, 0.0, 1.0) for column in sent]


def _interval(columns: Sequence[Floats], statistic: Statistic, seed: int) -> tuple[Floats, Floats]:
    """The 95 % percentile interval of a statistic over bootstrap samples of all rounds."""
    draws = np.concatenate([
        statistic(column[index])
        for number, column in enumerate(columns)
        for index in block_resamples(len(column), seed + number, RESAMPLES)
    ])
    draws.sort(axis=0)
    return draws[rank(0.025, len(draws))], draws[rank(0.975, len(draws))]


def _column(outcomes: Sequence[Outcome], field: str) -> Floats:
    return np.array([getattr(outcome, field) for outcome in outcomes], dtype=np.float64)
