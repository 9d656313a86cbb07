"""Quantiles, means and shares of samples, with their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from asyncrouter.bench.resampling import bootstrap, bootstrap_mean, rank, row_means
from asyncrouter.bench.stats import (
    binomial_interval,
    effective_n,
    estimate_mean,
    estimate_quantiles,
    min_samples,
    wilson,
)


def test_a_quantile_is_an_observed_value() -> None:
    """By nearest rank, p50 of four is the second value, and p99 of a hundred the 99th."""
    assert [rank(0.5, 4), rank(0.99, 100), rank(1.0, 100), rank(0.0, 10)] == [1, 98, 99, 0]


def test_a_quantile_needs_ten_samples_beyond_it() -> None:
    """p99 needs 1,000 samples, p99.9 needs 10,000."""
    assert [min_samples(q) for q in (0.5, 0.95, 0.99, 0.999)] == [20, 200, 1000, 10000]
    assert [one.enough for one in estimate_quantiles(np.arange(200.0), [0.95, 0.99])] == [True, False]


def test_a_call_that_never_answered_makes_the_tail_infinite() -> None:
    """Where more than one call in a hundred failed, p50 has a number and p99 has none."""
    sample = np.append(np.ones(980), np.full(20, np.inf))

    assert [one.value for one in estimate_quantiles(sample, [0.5, 0.99])] == [1.0, None]


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """The 95 % intervals of a mean and of a p90 hold the true value in at least 51 of 60 samples."""
    hits = np.zeros(2)
    for seed in range(60):
        sample = np.random.default_rng(seed).exponential(1.0, 250)
        found = estimate_mean(sample), estimate_quantiles(sample, [0.9])[0]
        for at, (one, truth) in enumerate(zip(found, (1.0, np.log(10.0)), strict=True)):
            assert one.low is not None
            assert one.high is not None
            hits[at] += one.low <= truth <= one.high

    assert hits.min() >= 51


def test_dependent_calls_widen_an_interval() -> None:
    """Runs of equal values, as an outage makes them, give a wider interval than the same values in any order."""
    run = np.repeat(np.random.default_rng(0).normal(size=40), 50)
    mixed = np.random.default_rng(1).permutation(run)
    widths = [(one.high or 0.0) - (one.low or 0.0) for one in (estimate_mean(run), estimate_mean(mixed))]

    assert widths[0] > 2.0 * widths[1]


@pytest.mark.parametrize(("hits", "n", "low", "high"), [
    (10, 10, 0.722, 1.0), (0, 10, 0.0, 0.278), (50, 100, 0.404, 0.596),
])
def test_a_share_has_an_interval_at_its_ends_too(hits: int, n: int, low: float, high: float) -> None:
    """It is Wilson's: ten out of ten is not certainty."""
    found = wilson(hits, n)

    assert (found.low, found.high) == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))


def test_the_interval_of_a_tail_holds_the_truth() -> None:
    """Of 1,000 independent calls the interval of p99 holds the truth in about 95 % of the runs, here at least in 92."""
    generator = np.random.default_rng(7)
    found = [estimate_quantiles(generator.exponential(size=1000), [0.99])[0] for _ in range(100)]
    truth = float(-np.log(0.01))

    assert sum((one.low or 0.0) <= truth <= (one.high or np.inf) for one in found) >= 92


def test_the_binomial_interval_is_exact() -> None:
    """Ten throws of a fair coin: 2 to 8 heads in the middle 95 %."""
    assert binomial_interval(10, 0.5) == (2, 8)
    assert binomial_interval(1, 0.99) == (1, 1)


def test_calls_that_are_late_together_count_for_less() -> None:
    """A hundred late calls in a row tell less than a hundred scattered ones."""
    together, scattered = np.arange(1000) < 100, np.arange(1000) % 10 == 0

    assert effective_n(together) < 100.0
    assert effective_n(scattered) > 900.0
    assert effective_n(np.zeros(10, dtype=bool)) == 10.0


def test_the_mean_from_sums_of_blocks_is_the_bootstraps() -> None:
    """The quick way draws the same samples: the same value and interval, infinite ones included."""
    for sample in (np.random.default_rng(0).normal(size=301), np.append(np.ones(99), np.inf)):
        [value], [low], [high] = bootstrap([sample], row_means, 3)
        assert bootstrap_mean(sample, 3) == pytest.approx((value, low, high))
