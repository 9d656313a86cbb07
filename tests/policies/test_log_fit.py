"""What few samples say about the next one."""

from __future__ import annotations

from math import exp
from random import Random
from statistics import median

import pytest

from asyncrouter._policies.log_fit import LogFit, Prior

FIRST = Prior(1.5, 0.5)
Z95 = 1.6448536
"""The standard deviations of the p95 of a normal distribution."""


def fitted(samples: int, seed: int, median_seconds: float = 0.6) -> LogFit:
    """A fit of lognormal samples with a sigma of 0.35."""
    random, fit = Random(seed), LogFit(FIRST)
    for _ in range(samples):
        fit.add(median_seconds * exp(random.gauss(0.0, 0.35)))
    return fit


@pytest.mark.parametrize(("samples", "times"), [(1, 7.7), (2, 4.7), (5, 3.0), (10, 2.4), (50, 1.9)])
def test_the_p95_comes_down_as_samples_come(samples: int, times: float) -> None:
    """After few samples the p95 is many times the median, and after fifty it is nearly right (1.78)."""
    found = median(fitted(samples, seed).quantile(Z95) for seed in range(500)) / 0.6

    assert found == pytest.approx(times, rel=0.03)


def test_nothing_is_known_at_first() -> None:
    """Without a sample the median is the prior's, and a twentieth takes longer than a minute."""
    fit = LogFit(FIRST)

    assert fit.median == pytest.approx(1.5)
    assert fit.quantile(Z95) == pytest.approx(63.0, rel=0.05)
    assert fit.longer(1.5) == 0.5


def test_a_straggler_among_ten_does_not_double_the_spread() -> None:
    """A sample that is far off counts as far as is credible."""
    fit = fitted(10, 1)
    before = fit.scale
    fit.add(60.0)

    assert fit.scale < 1.6 * before


def test_an_early_cut_says_nearly_nothing() -> None:
    """A sample cut off early has hardly any weight, one cut off late nearly that of a whole one."""
    early, late = fitted(10, 1), fitted(10, 1)
    early.add_cut(0.1)
    late.add_cut(6.0)

    assert early.weight - 10.0 < 0.01
    assert late.weight - 10.0 > 0.9
    assert late.median > early.median


def test_other_models_say_what_to_expect() -> None:
    """The mean of the prior is that of the other models, as far as they are known."""
    fit, unknown = LogFit(FIRST), LogFit(FIRST)
    fit.pool([unknown])
    assert fit.median == pytest.approx(1.5)

    fit.pool([unknown, fitted(50, 1)])
    assert fit.median == pytest.approx(0.6, rel=0.1)


def test_the_mean_of_what_is_longer() -> None:
    """The mean of samples above a value is the lognormal's: at least the value, and near it in the far tail."""
    fit = LogFit(Prior(60.0, 0.3))
    for _ in range(100):
        fit.add(60.0)

    assert fit.mean_above(0.0) == pytest.approx(60.0, rel=0.01)
    assert fit.mean_above(20.0) == pytest.approx(60.0, rel=0.01)
    assert 100.0 < fit.mean_above(100.0) < 120.0
