"""What one attempt holds and gives back once, and what its end teaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter import RateLimited, Rejected, Unauthorized
from asyncrouter._policies.pacing import Rank
from tests.helpers.policies import ELSEWHERE, A, B, new_policies

if TYPE_CHECKING:
    from asyncrouter import Model
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
