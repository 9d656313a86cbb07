"""Loads: the instants of calls, fixed by a seed, at the rate that was asked for."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest

from asyncrouter.bench import Load


def gaps(instants: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(instants)]


def test_constant_arrivals_are_evenly_spaced() -> None:
    """A constant load has a call every 1/rate seconds, from 0 on."""
    assert Load.constant(4, calls=4).arrivals() == [0.0, 0.25, 0.5, 0.75]


def test_a_seed_fixes_the_instants() -> None:
    """The same seed gives the same instants, another seed other ones."""
    load = Load.poisson(10, calls=50)

    assert load.arrivals(1) == load.arrivals(1)
    assert load.arrivals(1) != load.arrivals(2)


@pytest.mark.parametrize(("load", "variation"), [
    (Load.poisson(20, calls=20_000), 1.0), (Load.gamma(20, 0.25, calls=20_000), 2.0),
    (Load.gamma(20, 4.0, calls=20_000), 0.5),
])
def test_rate_and_burstiness_are_as_asked(load: Load, variation: float) -> None:
    """The mean gap is 1/rate, and the gaps' coefficient of variation is 1/sqrt(shape)."""
    found = gaps([0.0, *load.arrivals(3)])

    assert statistics.fmean(found) == pytest.approx(0.05, rel=0.05)
    assert statistics.stdev(found) / statistics.fmean(found) == pytest.approx(variation, rel=0.05)


@pytest.mark.parametrize(("start", "end"), [(10.0, 90.0), (90.0, 10.0), (50.0, 50.0)])
def test_a_ramp_goes_from_one_rate_to_the_other(start: float, end: float) -> None:
    """The first tenth has as many calls as the first rate makes, the last tenth as the last rate does."""
    instants = Load.ramp(start, end, seconds=100.0).arrivals(0)
    slope = (end - start) / 100.0

    assert len([at for at in instants if at < 10.0]) == pytest.approx(10 * start + 50 * slope, rel=0.2)
    assert len([at for at in instants if at >= 90.0]) == pytest.approx(10 * end - 50 * slope, rel=0.2)
    assert instants[-1] < 100.0


def test_a_recording_begins_at_its_first_instant() -> None:
    """Seconds since the epoch become seconds since the first call."""
    assert Load.recorded([1000.0, 1001.5, 1001.5]).arrivals() == [0.0, 1.5, 1.5]


def test_seconds_end_a_load() -> None:
    """No call is due at or after the end."""
    assert Load.constant(2, seconds=1.0, calls=100).arrivals() == [0.0, 0.5]


@pytest.mark.parametrize("make", [
    lambda: Load.poisson(10), lambda: Load.poisson(0, calls=1), lambda: Load.poisson(1, calls=10**23),
    lambda: Load.ramp(1, 1e9, seconds=3600), lambda: Load.constant(1e6, seconds=11), lambda: Load.recorded([2.0, 1.0]),
    lambda: Load.closed(0, calls=5), lambda: Load.closed(2, calls=5).arrivals(),
    lambda: Load.poisson(1, calls=1, cap=0), lambda: Load.recorded([0.0, float("inf")]),
])
def test_an_impossible_load_is_refused(make: object) -> None:
    """A load without an end, a rate, a worker or a cap, or with instants that go back, is a `ValueError`."""
    assert callable(make)
    with pytest.raises(ValueError, match=r"expected|never end|closed loop"):
        make()
