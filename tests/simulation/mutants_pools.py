"""Mutants of pools: rules of picking that do not hold, siblings that are not asked, attempts without end."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from asyncrouter._config.catalog import base_name
from asyncrouter._engine.pool_run import PoolRun
from asyncrouter._engine.trace_entry import TraceEntry
from asyncrouter._policies.holds import Holds
from asyncrouter._policies.pools import picking
from asyncrouter._policies.pools import pool as pools
from asyncrouter._policies.pools.affinity import Affinity
from asyncrouter._policies.pools.band import Band
from asyncrouter.shared import OwnAccounts, Reservation

from .mutation import around, mutant

if TYPE_CHECKING:
    from collections.abc import Iterator


@mutant
def siblings_are_passed_over() -> Iterator[None]:
    """After a failure at one member the next step of the chain is asked."""

    def make(failed: Any) -> Any:
        return lambda run, member, error, now, *, alone: failed(run, member, error, now, alone=alone) and False

    with around(PoolRun, "failed", make):
        yield


@mutant
def pools_are_asked_for_ever() -> Iterator[None]:
    """A number of attempts that was given does not bound the requests to a pool."""
    with patch.object(PoolRun, "_has_tried_enough", lambda run: False):
        yield


@mutant
def weights_are_chances() -> Iterator[None]:
    """Weights are kept in the mean only: each call is drawn by chance."""

    def make(weighted: Any) -> Any:
        random = Random(0)

        def draws(members: Any, *, step: bool) -> Any:
            weighted(members, step=step)
            order = [one for one in members for _ in range(round(one.weight))]
            return random.choice(order)

        return draws

    with around(pools, "weighted", make):
        yield


@mutant
def the_cheapest_is_any() -> Iterator[None]:
    """Where the cheapest member is asked for, the least busy one is taken."""
    with patch.dict(picking.RULES, cheapest=picking.least_busy):
        yield


@mutant
def the_first_is_any() -> Iterator[None]:
    """Where the first member is asked for, the least busy one is taken."""
    with patch.dict(picking.RULES, first=picking.least_busy):
        yield


@mutant
def the_least_busy_is_any() -> Iterator[None]:
    """Where the least busy member is asked for, any is taken."""
    with patch.dict(picking.RULES, {"least-busy": lambda members, random: random.choice(members)}):
        yield


@mutant
def the_fastest_is_any() -> Iterator[None]:
    """Where the fastest member is asked for, the least busy one is taken."""
    with patch.dict(picking.RULES, fastest=picking.least_busy):
        yield


@mutant
def a_dead_key_takes_all() -> Iterator[None]:
    """A key that is out takes the members with the provider's other keys, too."""

    def make(refusal: Any) -> Any:
        def refuses(holds: Holds, model: Any, now: float, *, own_key: bool = False) -> Any:
            same = [name for name in holds.keys if base_name(name) == base_name(model.provider)]
            found = (refusal(holds, replace(model, provider=name), now, own_key=own_key) for name in same)
            return next(filter(None, found), None) or refusal(holds, model, now, own_key=own_key)

        return refuses

    with around(Holds, "refusal", make):
        yield


@mutant
def settings_are_the_first_calls() -> Iterator[None]:
    """A pool is asked with the timeouts and retries of the first call there, whatever a later one was given."""
    first: dict[int, Any] = {}

    def make(step_of: Any) -> Any:
        return lambda run, member: first.setdefault(id(member), (member, step_of(run, member)))[1]

    with around(PoolRun, "step_of", make):
        yield


@mutant
def changes_are_not_heard() -> Iterator[None]:
    """A pool does not look again when a member is held, or its breaker opens."""
    with patch.object(pools.PoolState, "look_again", lambda state: None):
        yield


@mutant
def sessions_wander() -> Iterator[None]:
    """A call of a session goes to any member."""

    def make(place: Any) -> Any:
        random = Random(0)

        def wanders(affinity: Affinity, session: str, now: float, may_be_asked: Any) -> Any:
            place(affinity, session, now, may_be_asked)
            able = [one for one in affinity._members if may_be_asked(one)]
            return random.choice(able) if able else None

        return wanders

    with around(Affinity, "place", make):
        yield


@mutant
def sessions_crowd_their_members() -> Iterator[None]:
    """A session stays at its member, however busy that is."""
    with patch.object(Affinity, "_is_overloaded", lambda affinity, member: False):
        yield


@mutant
def members_are_not_named() -> Iterator[None]:
    """The trace says which pool was asked, and not where."""

    def make(bind: Any) -> Any:
        def binds(entry: TraceEntry, step: Any) -> None:
            bind(entry, step)
            entry.attempt.member = None

        return binds

    with around(TraceEntry, "bind", make):
        yield


@mutant
def budgets_are_checked_afterwards() -> Iterator[None]:
    """What attempts in flight will cost is not reserved: each sees only what has been spent."""

    def make(reserve: Any) -> Any:
        async def reserves(accounts: OwnAccounts, charged: Any, amount: int, lapse: float) -> Any:
            found = await reserve(accounts, charged, 0, lapse)
            return found._replace(amount=0) if isinstance(found, Reservation) else found

        return reserves

    with around(OwnAccounts, "reserve", make):
        yield


@mutant
def estimates_are_booked() -> Iterator[None]:
    """The books keep what was reserved, whatever an attempt has cost."""

    def make(settle: Any) -> Any:
        return lambda accounts, reservation, cost: settle(accounts, reservation, reservation.amount)

    with around(OwnAccounts, "settle", make):
        yield


@mutant
def slow_start_for_all() -> Iterator[None]:
    """A member that was slow begins with one request at a time, also where its pool did not leave it out."""

    def make(look: Any) -> Any:
        def looks(band: Band, members: Any, now: float) -> None:
            before = set(band.out)
            look(band, members, now)
            for member in members:
                if member.index in before - band.out.keys():
                    member.came_back()

        return looks

    with around(Band, "look", make):
        yield


@mutant
def health_is_of_the_last_call() -> Iterator[None]:
    """`health()` tells of a pool's slow members as of its last call, however long ago that was."""
    with patch.object(pools.PoolState, "look_if_due", lambda state, now: None):
        yield
