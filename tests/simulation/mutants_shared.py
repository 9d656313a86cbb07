"""Mutants of state that several routers share: limits that each keeps for itself, holds that nobody else hears of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from asyncrouter._policies.shared_client import SharedClient
from asyncrouter._policies.shared_limit import SharedLimit
from asyncrouter.shared._turns import PlaceTurns

from .mutation import around, mutant

if TYPE_CHECKING:
    from collections.abc import Iterator


@mutant
def limits_are_kept_alone() -> Iterator[None]:
    """Each router keeps the limits as if it were the only one."""
    with patch.object(SharedClient, "share", lambda client, state: None):
        yield


@mutant
def slots_are_counted_alone() -> Iterator[None]:
    """A router is given slots beside its own requests, whatever the others have."""

    def make(slots: Any) -> Any:
        return lambda place, ask, mine, running: slots(place, ask, mine, mine.running)

    with around(PlaceTurns, "_slots", make):
        yield


@mutant
def turns_are_not_booked() -> Iterator[None]:
    """What a router takes ahead of its turn is never said to the store."""

    def make(words: Any) -> Any:
        return lambda limit, demand, now: words(limit, demand, now)._replace(unused=0)

    with around(SharedLimit, "_words", make):
        yield


@mutant
def holds_are_kept_alone() -> Iterator[None]:
    """A hold that one router has met is told to nobody."""
    with patch.object(SharedClient, "_tell_hold", lambda *told: None):
        yield
