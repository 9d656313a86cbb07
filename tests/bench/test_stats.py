"""What a sample says, and how sure that is."""

from __future__ import annotations

import numpy as np
import pytest

from asyncrouter.bench.stats import average, estimates, needs, rank, wilson


def test_a_quantile_is_a_value_that_was_seen() -> None:
    """The nearest rank: p50 of four is the second, p99 of a hundred the 99th."""
    assert [rank(0.5, 4), rank(0.99, 100), rank(1.0, 100), rank(0.0, 10)] == [1, 98, 99, 0]


def test_a_quantile_needs_ten_samples_beyond_it() -> None:
    """1,000 for p99 and 10,000 for p99.9."""
    assert [needs(q) for q in (0.5, 0.95, 0.99, 0.999)] == [20, 200, 1000, 10000]
    assert [one.enough for one in estimates(np.arange(200.0), [0.95, 0.99])] == [True, False]


def test_a_call_that_never_answered_makes_the_tail_infinite() -> None:
    """p50 is a number, p99 is none where more than one in a hundred failed."""
    sample = np.append(np.ones(980), np.full(20, np.inf))

    assert [one.value for one in estimates(sample, [0.5, 0.99])] == [1.0, None]


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """The 95 % interval of a mean and of a p90 holds the true one in most of sixty samples."""
    hits = np.zeros(2)
    for seed in range(60):
        sample = np.random.default_rng(seed).exponential(1.0, 250)
        low_high = average(sample), estimates(sample, [0.9])[0]
        for at, (one, truth) in enumerate(zip(low_high, (1.0, np.log(10.0)), strict=True)):
            assert one.low is not None
            assert one.high is not None
            hits[at] += one.low <= truth <= one.high

    assert hits.min() >= 51


def test_neighbours_that_fare_alike_widen_an_interval() -> None:
    """An outage is one event, not a hundred: runs of equal values say less than the same values in any order."""
    run = np.repeat(np.random.default_rng(0).normal(size=40), 50)
    mixed = np.random.default_rng(1).permutation(run)
    widths = [(one.high or 0.0) - (one.low or 0.0) for one in (average(run), average(mixed))]

    assert widths[0] > 2.0 * widths[1]


@pytest.mark.parametrize(("hits", "n", "low", "high"), [
    (10, 10, 0.722, 1.0), (0, 10, 0.0, 0.278), (50, 100, 0.404, 0.596),
])
def test_a_share_has_an_interval_at_its_ends_too(hits: int, n: int, low: float, high: float) -> None:
    """Wilson's, as in his table: ten out of ten is not certainty."""
    found = wilson(hits, n)

    assert (found.low, found.high) == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))
