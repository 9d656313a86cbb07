"""Statistics of a sample: quantiles, means and shares, each with a 95 % interval, or "n too small".

The estimators, and what each assumes:

- **Quantiles** are nearest-rank: the smallest observed value that at least a share q of the sample does not exceed. So
  a quantile is always an observed value. A failed call has the value infinity; where a quantile falls on one it has no
  number (`None`).
- **Intervals of quantiles** are order statistics: the binomial interval of how many values lie below, for an effective
  number of calls. Calls that are late together count for less: the autocorrelation of "later than the quantile" is
  summed up to a lag of 2·n^(1/3). The bootstrap's intervals of p99 are too narrow.
- **Shares** have Wilson's score interval (Wilson 1927), which also holds near 0 and 1, for the same effective number.
- **Intervals** of means and paired differences come from the percentile bootstrap over circular blocks of 3·n^(1/3)
  consecutive calls (Künsch 1989; Politis and Romano 1992), widened because the blocks are few (`significance`).
  Consecutive calls meet the same trouble, so drawing single calls would make the interval of an outage too narrow.
  Assumed: the run is stationary, and dependence is shorter than a block.
- A quantile is **stated** only when at least ten samples are expected beyond it; with fewer, its interval is mostly the
  largest observed value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from asyncrouter.bench.resampling import bootstrap_mean, rank
from asyncrouter.bench.significance import Z_95, largest_lag, student

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from asyncrouter.bench.resampling import Floats

    Series = NDArray[np.float64] | NDArray[np.bool_]

QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
"""The quantiles that are estimated unless others are asked for."""
SAMPLES_BEYOND = 10.0
"""Samples expected beyond a quantile before it is stated: 1,000 calls for p99, 10,000 for p99.9."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval.

    `value` is `None` where there is no number: nothing was observed (`n` is 0), the true value is infinite (too many
    calls were never answered), or it is not known (a price). `low` and `high` are `None` where that end of the interval
    is infinite or not known. `n` is the number of samples the estimate rests on; `enough` is False when they are too
    few for it to be stated.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    enough: bool = True


def min_samples(q: float) -> int:
    """The sample size from which quantile `q` is stated."""
    return math.ceil(round(SAMPLES_BEYOND / min(q, 1.0 - q), 6))


def wilson(hits: float, n: float, z: float = Z_95) -> Estimate:
    """The share `hits / n` with Wilson's score interval; no value where `n` is 0."""
    if n == 0:
        return Estimate(None)
    share, extra = hits / n, z * z / n
    middle = (share + extra / 2.0) / (1.0 + extra)
    half = z * math.sqrt(share * (1.0 - share) / n + extra / (4.0 * n)) / (1.0 + extra)
    return Estimate(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)), math.ceil(n))


def estimate_share(hit: Sequence[bool] | NDArray[np.bool_]) -> Estimate:
    """The share of consecutive calls that are hits, with Wilson's interval for their effective number."""
    if len(hit) == 0:
        return Estimate(None)
    hits = np.asarray(hit, dtype=np.bool_)
    share, effective = float(hits.mean()), effective_n(hits)
    return replace(wilson(share * effective, effective), value=share, n=len(hits))


def effective_n(series: Series) -> float:
    """The number of independent calls that tell as much about the mean of a series as these consecutive ones.

    n / (1 + 2 Σ w(k) r(k)) with the autocorrelation r at lags k of 1 to L; never more than n. The weights w have a flat
    top: 1 up to half of L, then falling to 0 (Politis and Romano 1995). Two corrections for a small n: the
    autocorrelations are measured around the sample's own mean, which makes their sum too small by the share
    (1 + 2 Σ w) / n; and that sum is itself uncertain, as a variance with n / (1 + 2 Σ w²) degrees of freedom is, so
    that Student's distribution stands in the place of the normal one.
    """
    n, centred = len(series), series - series.mean()
    variance = float(centred @ centred)
    lags = min(largest_lag(n), n - 1)
    if variance == 0.0 or lags < 1:
        return float(n)
    weights = [min(1.0, 2.0 - 2.0 * lag / (lags + 1.0)) for lag in range(1, lags + 1)]
    sums = sum(weight * float(centred[:-lag] @ centred[lag:]) for lag, weight in enumerate(weights, 1))
    inflation = (1.0 + 2.0 * sums / variance) / max(0.5, 1.0 - (1.0 + 2.0 * sum(weights)) / n)
    freedom = max(2.0, n / (1.0 + 2.0 * sum(weight * weight for weight in weights)))
    return n / max(1.0, inflation) * (Z_95 / student(Z_95, freedom)) ** 2


def binomial_interval(n: int, q: float) -> tuple[int, int]:
    """The central 95 % interval of a binomial count: where its cumulated share reaches 2.5 % and 97.5 %."""
    middle, half = n * q, 12.0 * math.sqrt(n * q * (1.0 - q)) + 12.0  # what lies beyond has no share to speak of
    counts = np.arange(max(0, math.floor(middle - half)), min(n, math.ceil(middle + half)) + 1)
    logs = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(q)
            + (n - k) * math.log1p(-q) for k in counts.tolist()]
    shares = np.cumsum(np.exp(logs))
    low, high = (int(np.searchsorted(shares, share)) for share in (0.025, 0.975))
    return int(counts[low]), int(counts[min(high, len(counts) - 1)])


def estimate_quantiles(sample: Floats, wanted: Sequence[float] = QUANTILES) -> list[Estimate]:
    """Quantiles of a sample with their intervals, in the order of `wanted`."""
    n = len(sample)
    if n == 0:
        return [Estimate(None, enough=False) for _ in wanted]
    ordered = np.sort(sample)
    return [_estimate_quantile(sample, ordered, q) for q in wanted]


def _estimate_quantile(sample: Floats, ordered: Floats, q: float) -> Estimate:
    n, value = len(sample), ordered[rank(q, len(sample))]
    effective = max(1, round(effective_n(sample > value)))
    low, high = (count / effective * n for count in binomial_interval(effective, q))
    first, last = max(0, math.ceil(low) - 1), math.floor(high)
    top = float(ordered[last]) if last < n else math.inf
    return Estimate(finite(value), finite(ordered[first]), finite(top), n, n >= min_samples(q))


def estimate_mean(sample: Floats, seed: int = 0) -> Estimate:
    """The mean of a sample with its interval."""
    if len(sample) == 0:
        return Estimate(None, enough=False)
    value, low, high = bootstrap_mean(sample, seed)
    return Estimate(finite(value), finite(low), finite(high), len(sample))


def finite(value: float) -> float | None:
    """`value`, or `None` where it is infinite or not a number: JSON has neither."""
    return float(value) if math.isfinite(value) else None
