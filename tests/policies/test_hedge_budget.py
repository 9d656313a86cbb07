"""The hedge budget: how many hedges a bucket gives, how its aim falls with it, and how a denied hedge is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrouter import Hedge, HedgeDenied, Retry, Router
from asyncrouter._events import MAX_NAMES
from asyncrouter._policies.hedge_budget import HedgeBudget, HedgeBudgets
from asyncrouter.sim import Act
from tests.helpers.failing import ONCE

if TYPE_CHECKING:
    from asyncrouter import Trace
    from asyncrouter.sim import Clock, World


# ── the bucket ────────────────────────────────────────────────────────────────────────────────────────────────────────


def taken(bucket: HedgeBudget, most: int = 100) -> int:
    """How many hedges the bucket gives now."""
    return sum(bucket.take() for _ in range(most))


def test_a_bucket_is_full_at_the_start() -> None:
    """A new bucket gives ten hedges, then none."""
    bucket = HedgeBudget(0.05)

    assert taken(bucket) == 10
    assert repr(bucket) == "<HedgeBudget 0.00 of 10, 0.05 a deposit>"


def test_a_bucket_holds_ten_at_most() -> None:
    """However many calls pay in, a bucket gives ten hedges at most."""
    bucket = HedgeBudget(1.0)
    for _ in range(1000):
        bucket.deposit()

    assert taken(bucket) == 10


@pytest.mark.parametrize(("rate", "calls"), [(0.05, 20), (0.1, 10), (0.01, 100), (1.0, 1), (0.3, 4)])
def test_so_many_calls_pay_for_one_hedge(rate: float, calls: int) -> None:
    """1 / rate deposits pay for one hedge, although they do not add up to 1 exactly, and one fewer do not."""
    bucket = HedgeBudget(rate)
    taken(bucket)
    for _ in range(calls - 1):
        bucket.deposit()
        assert not bucket.take()
    bucket.deposit()

    assert bucket.take()
    assert not bucket.take()


def test_a_hedge_that_was_not_sent_is_given_back() -> None:
    """A refund puts one token back, up to ten."""
    bucket = HedgeBudget(0.0)
    bucket.refund()
    assert taken(bucket) == 10
    bucket.refund()
    assert taken(bucket) == 1


@given(st.floats(0, 1), st.lists(st.booleans(), max_size=400))
def test_hedges_keep_to_their_share(rate: float, late: list[bool]) -> None:
    """In every prefix of N calls there are at most `rate` · N + 10 hedges."""
    bucket, hedges = HedgeBudget(rate), 0
    for number, hedge in enumerate(late, 1):
        bucket.deposit()
        hedges += hedge and bucket.take()
        assert hedges <= rate * number + 10 + 1e-3


def test_one_bucket_for_each_first_model_and_rate() -> None:
    """Calls with the same first model and rate share one bucket, and others do not."""
    budgets = HedgeBudgets()

    assert budgets.budget_of("a", 0.05) is budgets.budget_of("a", 0.05)
    assert len({id(budgets.budget_of(model, rate)) for model in "ab" for rate in (0.05, 0.1)}) == 4


# ── its aim, and the buckets of a router ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("taken", "share"), [(0, 1.15), (5, 0.925), (10, 0.7)])
def test_the_aim_falls_with_the_bucket(taken: int, share: float) -> None:
    """The aim is 1.15 times the rate while the bucket is full, and falls to 0.7 times when it is empty."""
    bucket = HedgeBudget(0.04)
    for _ in range(taken):
        assert bucket.take()

    assert bucket.aim == pytest.approx(0.04 * share)


def test_a_thousand_buckets_are_remembered() -> None:
    """Beyond a thousand buckets the oldest is forgotten, and a new one in its place is full."""
    budgets = HedgeBudgets()
    first, second = (budgets.budget_of(name, 0.05) for name in ("first", "second"))
    for bucket in (first, second):
        assert bucket.take()
    for number in range(MAX_NAMES - 1):
        budgets.budget_of(f"m{number}", 0.05)

    assert budgets.budget_of("second", 0.05) is second
    assert budgets.budget_of("first", 0.05).tokens == 10.0


# ── a denied hedge ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_denied_hedge_is_told_once_a_call(clock: Clock, world: World) -> None:
    """A call that is late twice tells of one denied hedge, and the next call of its own."""
    denied: list[HedgeDenied] = []

    def listen(event: object) -> None:
        if isinstance(event, HedgeDenied):
            denied.append(event)

    async def scenario() -> list[Trace]:
        hedge = Hedge(after=1.0, budget=0.0)
        async with Router(world.config(), transport=world.transport(), listeners=[listen], seed=1) as router:
            world.model("a", Act(first_token=2.0))
            for _ in range(10):
                await router.chat("x", chain=["a", "b"], hedge=hedge, retry=ONCE)
            traces = []
            for _ in range(2):
                world.model("a", Act(status=500, first_token=2.0), Act(first_token=2.0))
                reply = await router.chat("x", chain=["a", "b"], hedge=hedge, retry=Retry(attempts=2))
                traces.append(reply.trace)
            return traces

    world.model("b", Act(first_token=9.0))
    traces = clock.run(scenario())

    assert [[one.cause for one in trace.attempts] for trace in traces] == [["first", "retry"]] * 2
    assert [event.trace for event in denied] == traces
    assert {event.reason for event in denied} == {"the hedge budget is used up"}
