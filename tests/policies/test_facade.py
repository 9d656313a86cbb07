"""What a router allows itself: the hedges' token bucket, and what one attempt holds."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrouter import Model, RateLimited, Rejected, Unauthorized
from asyncrouter._events import Events
from asyncrouter._policies.facade import Policies
from asyncrouter._policies.hedge_budget import HedgeBudget, HedgeBudgets
from asyncrouter._policies.pacing import Rank

if TYPE_CHECKING:
    from asyncrouter._policies.lease import Lease
    from asyncrouter.sim import Clock

A = Model(provider="p", id="a", name="A")
B = Model(provider="p", id="b", name="B")
ELSEWHERE = Model(provider="q", id="a", name="A2")

# ── the bucket ───────────────────────────────────────────────────────────────────────────────────────────────────────


def taken(bucket: HedgeBudget, most: int = 100) -> int:
    """How many hedges it gives now."""
    return sum(bucket.take() for _ in range(most))


def test_a_bucket_is_full_at_the_start() -> None:
    """Ten hedges, then none."""
    bucket = HedgeBudget(0.05)

    assert taken(bucket) == 10
    assert repr(bucket) == "<HedgeBudget 0.00 of 10, 0.05 a deposit>"


def test_a_bucket_holds_ten_at_most() -> None:
    """However many calls pay in."""
    bucket = HedgeBudget(1.0)
    for _ in range(1000):
        bucket.deposit()

    assert taken(bucket) == 10


@pytest.mark.parametrize(("rate", "calls"), [(0.05, 20), (0.1, 10), (0.01, 100), (1.0, 1), (0.3, 4)])
def test_so_many_calls_pay_for_one_hedge(rate: float, calls: int) -> None:
    """Twenty deposits of 0.05 are one hedge, although they do not add up to 1 exactly; nineteen are none."""
    bucket = HedgeBudget(rate)
    taken(bucket)
    for _ in range(calls - 1):
        bucket.deposit()
        assert not bucket.take()
    bucket.deposit()

    assert bucket.take()
    assert not bucket.take()


def test_a_hedge_that_was_not_sent_is_given_back() -> None:
    """A refund fills the bucket again, never above ten."""
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
    """Calls that begin with the same model at the same rate share one; others do not."""
    budgets = HedgeBudgets()

    assert budgets.budget_of("a", 0.05) is budgets.budget_of("a", 0.05)
    assert len({id(budgets.budget_of(model, rate)) for model in "ab" for rate in (0.05, 0.1)}) == 4


# ── the lease ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _policies() -> Policies:
    return Policies(asyncio.get_running_loop(), Random(0), Events([]))


def lease_of(policies: Policies, model: Model, at: float = 10.0) -> Lease:
    """What an attempt at `model` holds, the request already under way."""
    lease = policies.lease_now(policies.state_of(model), Rank.FIRST, 0.0)
    assert lease is not None
    lease.mark_sent(at, 100, None, streams=True)
    return lease


def test_a_lease_counts_what_is_in_flight_and_is_given_back_once(clock: Clock) -> None:
    """One more while it lasts, one less when it ends, however often that is said."""
    policies = clock.run(_policies())
    other, lease = lease_of(policies, A), lease_of(policies, A)
    assert policies.state_of(A).pacer.running == 2

    lease.end(11.0, "cancelled")
    lease.end(11.0, "failed", Rejected("gone", status=404))

    assert policies.state_of(A).pacer.running == 1
    assert policies.refusal(A, 11.0) is None
    other.end(12.0, "won")
    assert policies.state_of(A).pacer.running == 0


def test_a_lease_learns_from_an_error(clock: Clock) -> None:
    """A 404 puts the model out, and no other; a Retry-After holds it; a 401 puts its key out for all its models."""
    policies = clock.run(_policies())
    lease_of(policies, A).end(10.0, "failed", Rejected("gone", status=404))
    assert str(policies.refusal(A, 10.0)) == "disabled for 300 s more: gone"
    assert policies.refusal(B, 10.0) is None
    assert policies.refusal(ELSEWHERE, 10.0) is None

    policies = clock.run(_policies())
    lease_of(policies, A).end(10.0, "failed", RateLimited("slow down", status=429, retry_after=5.0))
    refusal = policies.refusal(A, 12.0)
    assert refusal is not None
    assert (str(refusal), refusal.hold) == ("held for 3.00 s more: slow down", 3.0)
    assert policies.refusal(A, 15.0) is None

    policies = clock.run(_policies())
    lease_of(policies, A).end(10.0, "failed", Unauthorized("bad key", status=401))
    refusal = policies.refusal(B, 10.0)
    assert refusal is not None
    assert refusal.hold is None
    assert policies.refusal(ELSEWHERE, 10.0) is None


def test_a_cancelled_attempt_teaches_nothing(clock: Clock) -> None:
    """A key that is out stays out, and a model that is not stays in."""
    policies = clock.run(_policies())
    lease_of(policies, A).end(10.0, "failed", Unauthorized("bad key", status=401))
    lease_of(policies, A).end(11.0, "cancelled")
    lease_of(policies, ELSEWHERE).end(11.0, "cancelled")

    assert policies.refusal(A, 11.0) is not None
    assert policies.refusal(ELSEWHERE, 11.0) is None
