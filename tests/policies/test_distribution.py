"""Curves of how long things take: quantiles, what is still to come, and their tails."""

from __future__ import annotations

from math import exp, inf
from random import Random

import pytest

from asyncrouter._policies.distribution import Curve, normal_quantile, normal_tail, observed_curve
from asyncrouter._policies.latency import Histogram

STEPS = Curve([0.0, 1.0, 2.0, 3.0], [1.0, 0.5, 0.5, 0.0])
"""Half ends within the first second, evenly, none in the second one, and the rest in the third."""


def test_the_share_that_takes_longer() -> None:
    """Between two points of a curve the share falls evenly."""
    assert [STEPS.longer(seconds) for seconds in (0.0, 0.5, 1.0, 1.5, 2.5, 9.0)] == [1.0, 0.75, 0.5, 0.5, 0.25, 0.0]


def test_quantiles_are_the_inverse() -> None:
    """A quantile is the seconds within which a share ends."""
    assert [STEPS.quantile(q) for q in (0.0, 0.25, 0.5, 0.75, 1.0)] == [0.0, 0.5, 1.0, 2.5, 3.0]


def test_the_mean_time_still_to_come() -> None:
    """What has taken longer than a second takes another second and a half in the mean."""
    assert [STEPS.mean_left(seconds) for seconds in (0.0, 1.0, 2.0, 2.5, 3.0)] == [1.5, 1.5, 0.5, 0.25, 0.0]


def test_the_first_instant_that_is_worth_it() -> None:
    """The first instant is found at which more is still to come than a threshold; `inf` if there is none."""
    assert STEPS.first_worth(0.0, 1.4) == 0.0
    assert STEPS.first_worth(0.0, 1.5) == inf
    assert STEPS.first_worth(1.5, 0.9) == 1.5


def test_the_first_lull() -> None:
    """A lull begins where hardly any end over the next second."""
    assert STEPS.first_lull(0.0, 1.0, 0.1) == 1.0
    assert STEPS.first_lull(0.0, 1.0, 2.0) == 0.0


@pytest.mark.parametrize("share", [0.5, 0.1, 0.001, 1e-5])
def test_normal_quantiles(share: float) -> None:
    """The quantile of a normal distribution has that share beyond it."""
    assert normal_tail(normal_quantile(share)) == pytest.approx(share, rel=1e-6)


def curve(sigma: float, samples: int = 5000) -> Curve:
    """The curve of lognormal samples of half a second."""
    random, histogram = Random(7), Histogram()
    for _ in range(samples):
        histogram.add(0.5 * exp(random.gauss(0.0, sigma)), 0.0)
    return observed_curve(histogram.observed, histogram.censored, histogram.count)


@pytest.mark.parametrize("sigma", [0.2, 0.35, 1.0])
def test_a_tail_that_was_not_seen_goes_on_as_a_lognormal(sigma: float) -> None:
    """Of 5,000 lognormal samples even the quantile of one in 100,000 is right to a fifth."""
    found, right = curve(sigma).quantile(1 - 1e-5), 0.5 * exp(4.265 * sigma)

    assert found == pytest.approx(right, rel=0.2 if sigma < 1.0 else 0.6)


def test_what_was_cut_off_stays_in_the_tail() -> None:
    """Where a twentieth is always cut off at a second, a twentieth takes longer than that."""
    histogram = Histogram()
    for number in range(1000):
        if number % 20 == 0:
            histogram.add_cut(1.0, 0.0)
        else:
            histogram.add(0.5, 0.0)

    made = observed_curve(histogram.observed, histogram.censored, histogram.count)

    assert made.longer(0.9) == pytest.approx(0.05, rel=0.5)
    assert made.quantile(0.5) == pytest.approx(0.5, rel=0.02)


def after_a_bulk(cut_at: float, stragglers: int) -> Curve:
    """The curve of 1,000 samples of about half a second, and of stragglers that were all cut off at this instant."""
    random, histogram = Random(7), Histogram()
    for _ in range(1000):
        histogram.add(0.5 * exp(random.gauss(0.0, 0.35)), 0.0)
    for _ in range(stragglers):
        histogram.add_cut(cut_at, 0.0)
    return observed_curve(histogram.observed, histogram.censored, histogram.count)


@pytest.mark.parametrize(("cut_at", "stragglers"), [(3.0, 50), (4.0, 30), (6.0, 15)])
def test_where_none_ends_for_long_the_tail_is_as_long(cut_at: float, stragglers: int) -> None:
    """Of stragglers that are all cut off, as they lose their races, at least ten more seconds are expected."""
    made = after_a_bulk(cut_at, stragglers)

    assert made.mean_left(cut_at) > 10.0
    assert made.mean_left(1.6) > 10.0


def test_the_last_that_end_say_how_soon_the_next_ones_will() -> None:
    """Without stragglers a fifth of a second more is expected of who has taken three times as long as usual."""
    assert 0.1 < after_a_bulk(3.0, 0).mean_left(1.5) < 0.4
