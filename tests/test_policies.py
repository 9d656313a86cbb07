"""What a router allows itself: the hedges' token bucket, and what one attempt holds."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrouter import Model, RateLimited, Rejected, ServerFailed, Unauthorized
from asyncrouter._policies import Bucket, HedgeBudgets, Policies

A = Model(provider="p", id="a", name="A")
B = Model(provider="p", id="b", name="B")
ELSEWHERE = Model(provider="q", id="a", name="A2")

# ── the bucket ───────────────────────────────────────────────────────────────────────────────────────────────────────


def taken(bucket: Bucket, most: int = 100) -> int:
    """How many hedges it gives now."""
    return sum(bucket.take() for _ in range(most))


def test_a_bucket_is_full_at_the_start() -> None:
    """Ten hedges, then none."""
    bucket = Bucket(0.05)

    assert 10 == taken(bucket)
    assert "<Bucket 0.00 of 10, 0.05 a call>" == repr(bucket)


def test_a_bucket_holds_ten_at_most() -> None:
    """However many calls pay in."""
    bucket = Bucket(1.0)
    for _ in range(1000):
        bucket.deposit()

    assert 10 == taken(bucket)


@pytest.mark.parametrize(("rate", "calls"), [(0.05, 20), (0.1, 10), (0.01, 100), (1.0, 1), (0.3, 4)])
def test_so_many_calls_pay_for_one_hedge(rate: float, calls: int) -> None:
    """Twenty deposits of 0.05 are one hedge, although they do not add up to 1 exactly; nineteen are none."""
    bucket = Bucket(rate)
    taken(bucket)
    for _ in range(calls - 1):
        bucket.deposit()
        assert not bucket.take()
    bucket.deposit()

    assert bucket.take()
    assert not bucket.take()


def test_a_hedge_that_was_not_sent_is_given_back() -> None:
    """A refund fills the bucket again, never above ten."""
    bucket = Bucket(0.0)
    bucket.refund()
    assert 10 == taken(bucket)
    bucket.refund()
    assert 1 == taken(bucket)


@given(st.floats(0, 1), st.lists(st.booleans(), max_size=400))
def test_hedges_keep_to_their_share(rate: float, late: list[bool]) -> None:
    """In every prefix of N calls there are at most `rate` · N + 10 hedges."""
    bucket, hedges = Bucket(rate), 0
    for number, hedge in enumerate(late, 1):
        bucket.deposit()
        hedges += hedge and bucket.take()
        assert hedges <= rate * number + 10 + 1e-3


def test_one_bucket_for_each_first_model_and_rate() -> None:
    """Calls that begin with the same model at the same rate share one; others do not."""
    budgets = HedgeBudgets()

    assert budgets.bucket("a", 0.05) is budgets.bucket("a", 0.05)
    assert 4 == len({id(budgets.bucket(model, rate)) for model in "ab" for rate in (0.05, 0.1)})


# ── the lease ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_lease_counts_what_is_in_flight() -> None:
    """One more while it lasts, one less when it ends; a model's attempts are counted by its name."""
    policies = Policies()
    leases = [policies.lease(A), policies.lease(A), policies.lease(B)]
    assert {"A": 2, "B": 1} == policies.in_flight

    leases[0].end(1.0)

    assert {"A": 1, "B": 1} == policies.in_flight


def test_a_lease_is_given_back_once() -> None:
    """A second end changes nothing: neither the count nor what was learned."""
    policies = Policies()
    other, lease = policies.lease(A), policies.lease(A)
    lease.end(1.0)
    lease.end(1.0, Rejected("gone", status=404))
    lease.end(2.0)

    assert {"A": 1} == policies.in_flight
    assert policies.refusal(A, 1.0) is None
    other.end(3.0)
    assert {"A": 0} == policies.in_flight


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=60))
def test_what_is_in_flight_is_what_has_not_ended(steps: list[tuple[int, bool]]) -> None:
    """Whatever the order in which leases begin and end, the counts agree and return to zero."""
    policies = Policies()
    models = [Model(provider="p", id=f"{index}", name=f"{index}") for index in range(10)]
    held = []
    for index, begins in steps:
        if begins:
            held.append((index, policies.lease(models[index])))
        elif held:
            held.pop(index % len(held))[1].end(0.0)
        counts = Counter(f"{index}" for index, _ in held)
        assert counts == Counter({name: count for name, count in policies.in_flight.items() if count})
    for _, lease in held:
        lease.end(0.0)
    assert not any(policies.in_flight.values())


def test_a_lease_learns_from_an_error() -> None:
    """A 404 puts the model out, and no other; a Retry-After holds it; a 401 puts its key out for all its models."""
    policies = Policies()
    policies.lease(A).end(10.0, Rejected("gone", status=404))
    assert "out for 300 s more: gone" == str(policies.refusal(A, 10.0))
    assert policies.refusal(B, 10.0) is None
    assert policies.refusal(ELSEWHERE, 10.0) is None

    policies = Policies()
    policies.lease(A).end(10.0, RateLimited("slow down", status=429, retry_after=5.0))
    refusal = policies.refusal(A, 12.0)
    assert refusal is not None
    assert ("held for 3.00 s more: slow down", 3.0) == (str(refusal), refusal.hold)
    assert policies.refusal(A, 15.0) is None

    policies = Policies()
    policies.lease(A).end(10.0, Unauthorized("bad key", status=401))
    refusal = policies.refusal(B, 10.0)
    assert refusal is not None
    assert ("the key of p is out for 60 s more: bad key", None) == (str(refusal), refusal.hold)
    assert policies.refusal(ELSEWHERE, 10.0) is None


def test_a_lease_that_ends_without_a_word_teaches_nothing() -> None:
    """A cancelled attempt says nothing about its model, and an answer only that its key works."""
    policies = Policies()
    policies.lease(A).end(0.0, Unauthorized("bad key", status=401))
    policies.lease(A).end(1.0)
    assert policies.refusal(A, 1.0) is not None
    policies.lease(A).end(1.0, ServerFailed("oh", status=500))
    assert policies.refusal(A, 1.0) is not None

    policies.lease(A).end(2.0, answered=True)

    assert policies.refusal(A, 2.0) is None


def test_what_policies_say_of_themselves() -> None:
    """A `repr` that helps while debugging."""
    policies = Policies()
    lease = policies.lease(A)

    assert "<Policies in flight: 1, <Standing held: 0, out: 0, keys out: 0>>" == repr(policies)
    assert "<Lease A>" == repr(lease)
    lease.end(0.0)
    assert "<Lease A ended>" == repr(lease)
