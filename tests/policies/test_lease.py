"""What one attempt holds and gives back once, and what its end teaches."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Model, RateLimited, Rejected, Unauthorized, Usage
from asyncrouter._policies.pacing import Rank
from tests.helpers.policies import ELSEWHERE, A, B, new_policies

if TYPE_CHECKING:
    from asyncrouter._policies.facade import Policies
    from asyncrouter._policies.lease import Lease
    from asyncrouter.sim import Clock


def lease_of(policies: Policies, model: Model, at: float = 10.0) -> Lease:
    """The lease of an attempt at `model` whose request was sent at `at`."""
    lease = policies.lease_now(policies.state_of(model), Rank.FIRST, 0.0)
    assert lease is not None
    lease.mark_sent(at, 100, None, streams=True)
    return lease


def test_a_lease_counts_what_is_in_flight_and_is_given_back_once(clock: Clock) -> None:
    """A lease counts as running until it ends, and a second end changes nothing."""
    policies = clock.run(new_policies())
    other, lease = lease_of(policies, A), lease_of(policies, A)
    assert policies.state_of(A).pacer.running == 2

    lease.end(11.0, "cancelled")
    lease.end(11.0, "failed", Rejected("gone", status=404))

    assert policies.state_of(A).pacer.running == 1
    assert policies.refusal(A, 11.0) is None
    other.end(12.0, "won")
    assert policies.state_of(A).pacer.running == 0


def test_a_lease_learns_from_an_error(clock: Clock) -> None:
    """A 404 disables the model, a Retry-After holds it, and a 401 disables its key for all its models."""
    policies = clock.run(new_policies())
    gone = Rejected("gone", status=404)
    gone.definite = True
    lease_of(policies, A).end(10.0, "failed", gone)
    assert str(policies.refusal(A, 10.0)) == "disabled for 300 s more: gone"
    assert policies.refusal(B, 10.0) is None
    assert policies.refusal(ELSEWHERE, 10.0) is None

    policies = clock.run(new_policies())
    lease_of(policies, A).end(10.0, "failed", RateLimited("slow down", status=429, retry_after=5.0))
    refusal = policies.refusal(A, 12.0)
    assert refusal is not None
    assert (str(refusal), refusal.hold) == ("held for 3.00 s more: slow down", 3.0)
    assert policies.refusal(A, 15.0) is None

    policies = clock.run(new_policies())
    lease_of(policies, A).end(10.0, "failed", Unauthorized("bad key", status=401))
    refusal = policies.refusal(B, 10.0)
    assert refusal is not None
    assert refusal.hold is None
    assert policies.refusal(ELSEWHERE, 10.0) is None


def test_a_cancelled_attempt_teaches_nothing(clock: Clock) -> None:
    """A cancelled attempt changes nothing about its model and key."""
    policies = clock.run(new_policies())
    lease_of(policies, A).end(10.0, "failed", Unauthorized("bad key", status=401))
    lease_of(policies, A).end(11.0, "cancelled")
    lease_of(policies, ELSEWHERE).end(11.0, "cancelled")

    assert policies.refusal(A, 11.0) is not None
    assert policies.refusal(ELSEWHERE, 11.0) is None


LIMITED = Model(provider="p", id="limited", name="limited", rpm=6.0, tpm=6000.0, max_concurrent=1)


def taken(policies: Policies, now: float) -> list[float]:
    """Until when the requests and the tokens are used up that the limits of our key let through."""
    limits = policies.state_of(LIMITED).limits
    return [max(limit._until, now) for limit in (limits._requests, limits._tokens) if limit is not None]


@pytest.mark.parametrize("outcome", ["won", "cancelled", "not sent", "withdrawn"])
@pytest.mark.parametrize("waited", [0.0, 11.0])
def test_a_callers_own_key_takes_a_slot_only(clock: Clock, outcome: str, waited: float) -> None:
    """Under a key of the caller's nothing is taken of the limits of ours, nor given back to them, however it ends.

    `waited`: for so long it has stood in the queue for the one slot.
    """
    async def scenario() -> tuple[list[list[float]], list[int]]:
        policies = await new_policies()
        state = policies.state_of(LIMITED)
        ours = policies.lease_now(state, Rank.FIRST, 500.0)
        assert ours is not None
        found, running = [taken(policies, waited)], []
        ticket = state.pacer.join(Rank.FIRST, 50.0, inf) if waited else None
        ours.mark_sent(0.0, 100, None, streams=True)
        ours.end(0.0, "cancelled")
        await asyncio.sleep(waited)
        own = policies.lease_now(state, Rank.FIRST, 50.0, own_key=True) if ticket is None else (
            policies.lease_granted(state, ticket, own_key=True)
        )
        assert own is not None
        for ended in (False, True):
            if ended:
                end(own, outcome, waited)
            found.append(taken(policies, waited))
            running.append(state.pacer.running)
        return found, running

    limits, running = clock.run(scenario())

    assert running == [1, 0]
    assert [each for one in limits[1:] for each in one] == pytest.approx(limits[0] * 2)


def end(lease: Lease, outcome: str, now: float) -> None:
    """End a lease as an attempt does that was answered, cancelled, cancelled before it was sent, or had no room."""
    if outcome != "not sent":
        lease.mark_sent(now, 100, None, streams=True)
    if outcome == "withdrawn":
        lease.withdraw()
    elif outcome == "won":
        lease.end(now, "won", usage=Usage(input_tokens=1000, output_tokens=1000))
    else:
        lease.end(now, "cancelled")
