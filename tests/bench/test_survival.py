"""Observations of a model, and the distribution of its times although some were cut off."""

from __future__ import annotations

from random import Random

import pytest

from asyncrouter.bench import AttemptRow
from asyncrouter.bench.survival import KaplanMeier, Observation, observations
from tests.helpers.recorded import answer


def test_an_observation_includes_its_retries() -> None:
    """It lasts from the first request to the end of the last; a timeout or being overtaken censors it."""
    found = observations([
        AttemptRow("a", "first", "failed", "ServerFailed", sent=0.5, ended=1.0),
        AttemptRow("a", "retry", "superseded", sent=1.5, ended=4.0),
        AttemptRow("b", "hedge", "won", sent=3.0, first=4.0, ended=5.0),
        AttemptRow("c", "fallback", "failed", "AttemptTimeout", clock="first_token", sent=5.0, ended=9.0),
        AttemptRow("d", "fallback", "not_sent", "NotSent", queued=9.0, ended=9.0),
    ])

    assert [(one.model, one.event, one.event_observed) for one in found] == [
        ("a", 3.5, False), ("b", 1.0, True), ("c", 4.0, False), ("d", 0.0, True),
    ]
    assert [one.not_sent for one in found] == [False, False, False, True]


def test_a_censored_observation_gives_its_weight_to_longer_ones() -> None:
    """The product-limit estimate, by hand: of 1, 2+, 3, 4 the one censored at 2 shares its weight among 3 and 4."""
    cut = Observation("a", 0.0, 2.0, 2.0, False, False, False, 0.0)
    distribution = KaplanMeier([answer("a", 1, 1), cut, answer("a", 3, 3), answer("a", 4, 4)])
    random = Random(0)
    drawn = [distribution.draw(random) for _ in range(4000)]
    share = {at: sum(one is not None and one.event == at for one in drawn) / 4000 for at in (1, 3, 4)}

    assert share == pytest.approx({1: 0.25, 3: 0.375, 4: 0.375}, abs=0.03)
    assert (distribution.quantile(0.25), distribution.quantile(0.6), distribution.unobserved) == (1, 3, 0.0)
    assert all(one is not None and one.event == 4 for one in (distribution.draw(random, 3.0) for _ in range(20)))
