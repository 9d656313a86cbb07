"""Bootstrap over circular blocks of consecutive calls: intervals of any statistic of one sample, or of paired ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

try:
    import numpy as np
except ModuleNotFoundError as _why:
    raise ModuleNotFoundError("asyncrouter.bench needs numpy and plotly: pip install 'asyncrouter[bench]'") from _why

from asyncrouter.bench.significance import block_length, widening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RESAMPLES = 1000
"""Bootstrap samples of one interval: the usual number for percentile intervals (Efron and Tibshirani 1993)."""
MAX_DRAWS = 5_000_000
"""Values that one bootstrap draws at most, to bound its time; a large sample gets fewer resamples, and needs fewer."""
MIN_RESAMPLES = 200
"""Bootstrap samples of one interval at least: with 200, each end is the fifth value from the edge."""
CHUNK = 2_000_000
"""Values drawn at a time, to bound memory: an index takes eight bytes, so a chunk takes 16 MB."""


def rank(q: float, n: int) -> int:
    """The index of quantile `q` in `n` sorted samples, by nearest rank."""
    return min(n - 1, max(0, math.ceil(round(q * n, 9)) - 1))


def block_resamples(n: int, seed: int, times: int = RESAMPLES) -> Iterator[NDArray[np.intp]]:
    """Circular block bootstrap samples of `n` values: arrays of indices, one sample a row, in chunks of rows."""
    for starts in _block_starts(n, seed, times):
        yield ((starts + np.arange(block_length(n))) % n).reshape(len(starts), -1)[:, :n]


def _block_starts(n: int, seed: int, times: int) -> Iterator[NDArray[np.intp]]:
    """Where the blocks of each sample begin, in chunks: shape (samples, blocks, 1)."""
    generator = np.random.default_rng([seed, n])
    blocks = -(-n // block_length(n))
    left = min(times, max(MIN_RESAMPLES, MAX_DRAWS // max(1, n)))
    while left > 0:
        count = min(left, max(1, CHUNK // n))
        yield generator.integers(0, n, size=(count, blocks, 1))
        left -= count


def bootstrap(
    samples: Sequence[Floats], statistic: Callable[..., Floats], seed: int = 0
) -> tuple[Floats, Floats, Floats]:
    """A statistic of paired samples (arrays of one length) and both ends of its 95 % interval.

    `statistic` takes an array of shape (resamples, n) for each sample, and returns one of shape (resamples,
    statistics).
    """
    n = len(samples[0])
    value = statistic(*(sample[None, :] for sample in samples))[0]
    draws = np.concatenate([statistic(*(sample[index] for sample in samples)) for index in block_resamples(n, seed)])
    low, high = _ends(value, draws, n)
    return value, low, high


def bootstrap_mean(sample: Floats, seed: int = 0) -> tuple[float, float, float]:
    """The mean of a sample and both ends of its interval, as `bootstrap` has them, from sums of blocks: much faster."""
    n, length = len(sample), block_length(len(sample))
    last = n - (-(-n // length) - 1) * length  # the last block is cut, so that a sample has n values
    known = np.isfinite(sample)
    sums, counts = (_prefix_sums(values, length) for values in (np.where(known, sample, 0.0), ~known * 1.0))
    draws = []
    for starts in _block_starts(n, seed, RESAMPLES):
        ends = starts[:, :, 0] + length
        ends[:, -1] += last - length
        total, infinite = ((of[ends] - of[starts[:, :, 0]]).sum(axis=1) for of in (sums, counts))
        draws.append(np.where(infinite > 0.5, np.inf, total / n))
    value = np.array([sample.mean()])
    low, high = _ends(value, np.concatenate(draws)[:, None], n)
    return float(value[0]), float(low[0]), float(high[0])


def _prefix_sums(values: Floats, length: int) -> Floats:
    """Sums of all values before each place of a circle, `length` places beyond its end included."""
    sums: Floats = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values[:length]]))])
    return sums


def _ends(value: Floats, draws: Floats, n: int) -> tuple[Floats, Floats]:
    """Both ends of the 95 % percentile interval, widened because the blocks are few."""
    draws.sort(axis=0)
    low, high = draws[rank(0.025, len(draws))], draws[rank(0.975, len(draws))]
    with np.errstate(invalid="ignore"):  # an infinite end stays infinite: inf - inf
        low, high = (value + widening(n) * (end - value) for end in (low, high))
    return np.nan_to_num(low, nan=-np.inf, neginf=-np.inf, posinf=np.inf), np.nan_to_num(
        high, nan=np.inf, neginf=-np.inf, posinf=np.inf)


def row_quantiles(rows: Floats, wanted: Sequence[float]) -> Floats:
    """Nearest-rank quantiles of each row: shape (rows, quantiles)."""
    ranks = [rank(q, rows.shape[1]) for q in wanted]
    chosen: Floats = np.partition(rows, sorted(set(ranks)), axis=1)[:, ranks]
    return chosen


def row_means(rows: Floats) -> Floats:
    """The mean of each row: shape (rows, 1)."""
    averaged: Floats = rows.mean(axis=1, keepdims=True)
    return averaged
