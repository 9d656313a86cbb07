"""What a sample says and how sure that is: quantiles, intervals, and when there is too little to say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

try:
    import numpy as np
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError("asyncrouter.bench needs numpy and plotly: pip install 'asyncrouter[bench]'") from missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
RESAMPLES = 1000
MOST = 5_000_000
"""Draws of one bootstrap at most; a large sample gets fewer resamples, and needs no more."""
LEAST_RESAMPLES = 200
CHUNK = 2_000_000
BEYOND = 10.0
"""Samples that must lie beyond a quantile before it is said: 1,000 for p99, 10,000 for p99.9."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval. `value` is `None` where there is none: nothing was seen, or it never came.

    `enough` is False when `n` samples are too few for it.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    enough: bool = True


def needs(q: float) -> int:
    """How many samples quantile `q` needs."""
    return math.ceil(round(BEYOND / min(q, 1.0 - q), 6))


def rank(q: float, n: int) -> int:
    """The index of quantile `q` in `n` sorted samples: the nearest rank, so that it is always a value that was seen."""
    return min(n - 1, max(0, math.ceil(round(q * n, 9)) - 1))


def wilson(hits: int, n: int, z: float = 1.959964) -> Estimate:
    """A share and its 95 % interval (Wilson 1927), which also holds near 0 and 1."""
    if n == 0:
        return Estimate(None)
    share, extra = hits / n, z * z / n
    middle = (share + extra / 2.0) / (1.0 + extra)
    half = z * math.sqrt(share * (1.0 - share) / n + extra / (4.0 * n)) / (1.0 + extra)
    return Estimate(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)), n)


def resamples(n: int, seed: int, times: int = RESAMPLES) -> Iterator[NDArray[np.intp]]:
    """Bootstrap samples as rows of indices, in chunks. They are made of blocks of neighbours (Künsch 1989).

    Calls that follow one another meet the same trouble; single calls drawn one by one would make the intervals of an
    outage too narrow.
    """
    generator = np.random.default_rng([seed, n])
    length = max(1, round(n ** (1.0 / 3.0)))
    blocks = -(-n // length)
    left = min(times, max(LEAST_RESAMPLES, MOST // max(1, n)))
    while left > 0:
        count = min(left, max(1, CHUNK // n))
        starts = generator.integers(0, n, size=(count, blocks, 1))
        yield ((starts + np.arange(length)) % n).reshape(count, -1)[:, :n]
        left -= count


def bootstrap(
    samples: Sequence[Floats], statistic: Callable[..., Floats], seed: int = 0
) -> tuple[Floats, Floats, Floats]:
    """A statistic of samples that belong together, row for row, with its 95 % interval (percentile bootstrap).

    `statistic` takes arrays of samples by row and gives figures by row.
    """
    n = len(samples[0])
    value = statistic(*(sample[None, :] for sample in samples))[0]
    draws = np.concatenate([statistic(*(sample[index] for sample in samples)) for index in resamples(n, seed)])
    draws.sort(axis=0)
    return value, draws[rank(0.025, len(draws))], draws[rank(0.975, len(draws))]


def quantiles(rows: Floats, wanted: Sequence[float] = QUANTILES) -> Floats:
    """Quantiles of each row, by nearest rank."""
    ranks = [rank(q, rows.shape[1]) for q in wanted]
    chosen: Floats = np.partition(rows, sorted(set(ranks)), axis=1)[:, ranks]
    return chosen


def mean(rows: Floats) -> Floats:
    """The mean of each row, as a column."""
    averaged: Floats = rows.mean(axis=1, keepdims=True)
    return averaged


def estimates(sample: Floats, wanted: Sequence[float] = QUANTILES, seed: int = 0) -> list[Estimate]:
    """Quantiles with their intervals; an infinite one is `None`."""
    n = len(sample)
    if n == 0:
        return [Estimate(None, enough=False) for _ in wanted]
    value, low, high = bootstrap([sample], lambda rows: quantiles(rows, wanted), seed)
    return [
        Estimate(finite(value[at]), finite(low[at]), finite(high[at]), n, n >= needs(q)) for at, q in enumerate(wanted)
    ]


def average(sample: Floats, seed: int = 0) -> Estimate:
    """The mean with its interval."""
    if len(sample) == 0:
        return Estimate(None, enough=False)
    value, low, high = bootstrap([sample], mean, seed)
    return Estimate(finite(value[0]), finite(low[0]), finite(high[0]), len(sample))


def finite(value: float) -> float | None:
    """A number that JSON can carry."""
    return float(value) if math.isfinite(value) else None
