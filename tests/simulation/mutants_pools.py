"""Mutants of pools: rules of picking that do not hold, siblings that are not asked, attempts without end."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from asyncrouter._engine.pool_run import PoolRun
from asyncrouter._policies.pools import picking
from asyncrouter._policies.pools import pool as pools

from .mutation import around, mutant

if TYPE_CHECKING:
    from collections.abc import Iterator


@mutant
def siblings_are_passed_over() -> Iterator[None]:
    """After a failure at one member the next step of the chain is asked."""

    def make(failed: Any) -> Any:
        return lambda run, member, error, now: failed(run, member, error, now) and False

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
def changes_are_not_heard() -> Iterator[None]:
    """A pool does not look again when a member is held, or its breaker opens."""
    with patch.object(pools.PoolState, "look_again", lambda state: None):
        yield
