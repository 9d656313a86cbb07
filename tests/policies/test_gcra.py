"""One rate limit kept evenly: spacing, bursts, large requests and corrections."""

from __future__ import annotations

import pytest

from asyncrouter._policies.gcra import Gcra


def instants(limit: Gcra, requests: int, units: float = 1.0, now: float = 0.0) -> list[float]:
    """The instants at which so many requests may go, each as soon as the one before it has gone."""
    went = []
    for _ in range(requests):
        now = limit.due(now, units)
        limit.take(now, units)
        went.append(now)
    return went


def test_requests_are_spaced_evenly() -> None:
    """At four a second requests go every quarter of a second, and a pause saves nothing up."""
    limit = Gcra(4.0)

    assert instants(limit, 3) == [0.0, 0.25, 0.5]
    assert instants(limit, 2, now=100.0) == [100.0, 100.25]


def test_a_burst_goes_at_once() -> None:
    """A burst of three goes at once, then one every quarter of a second; after a pause three go again."""
    limit = Gcra(4.0, 3.0)

    assert instants(limit, 5) == [0.0, 0.0, 0.0, 0.25, 0.5]
    assert instants(limit, 4, now=100.0) == [100.0, 100.0, 100.0, 100.25]


def test_more_than_a_burst_goes_when_the_bucket_is_empty() -> None:
    """A request larger than the burst goes when the bucket is empty, and the next one waits for all of it."""
    limit = Gcra(4.0, 2.0)

    assert instants(limit, 2, 10.0) == [0.0, 2.5]
    assert instants(limit, 1) == [4.75]


def test_what_was_not_used_can_be_used() -> None:
    """Units that were taken and not used are given back, and those used beyond what was taken are owed."""
    limit = Gcra(4.0, 1.0)
    limit.take(0.0, 10.0)
    assert limit.due(0.0) == 2.5
    limit.correct(0.0, -8.0)
    assert limit.due(0.0) == 0.5
    limit.correct(0.0, 4.0)

    assert limit.due(0.0) == 1.5


@pytest.mark.parametrize(("per_minute", "room"), [(53, 11), (53, 13), (7, 30), (77, 9), (1000, 90)])
@pytest.mark.parametrize("at", [54.112093320316944, 86_400.1, 2_592_000.7])
def test_all_that_there_is_room_for_goes_at_once(per_minute: float, room: int, at: float) -> None:
    """The instant at which a bucket is empty is a sum of many: its rounding makes none wait for which there is room."""
    limit = Gcra(per_minute / 60.0 * 0.98, float(room))
    limit.set_room(at - 5.0, float(room), at_most=1.0)

    assert instants(limit, room, now=at) == [at] * room
    assert limit.due(at) > at + 0.01


def test_batch_work_goes_as_soon_as_all_has_leaked_away() -> None:
    """What was taken in three parts has leaked away at the instant at which the whole has."""
    limit = Gcra(10.0, 5.0)
    for _ in range(3):
        limit.take(0.0)

    assert limit.due(0.3, batch=True) == 0.3
