"""Mutants that go too often, too early, too late."""

from __future__ import annotations

import asyncio
import math
from contextlib import ExitStack
from math import inf
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from asyncrouter import AttemptError
from asyncrouter import _attempt as attempts
from asyncrouter import _race as races
from asyncrouter._clock import Clock
from asyncrouter._policies import Breaker, Bucket, Pacer, Policies, RetryBudget, Standing

from .mutation import around, mutant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter._flight import Flight, Lane


@mutant
def hedges_without_budget() -> Iterator[None]:
    """A hedge costs nothing."""
    with patch.object(Bucket, "take", lambda self: True):
        yield


@mutant
def budget_asked_too_early() -> Iterator[None]:
    """The budget is asked when the hedge is scheduled, not when it fires (D2)."""

    def make(watch: Any) -> Any:
        def watched(race: Any) -> None:
            race._bucket = Promised.of(race._bucket)
            watch(race)

        return watched

    with around(races.Race, "_watch", make):
        yield


class Promised:
    """A bucket that has said yes already."""

    @classmethod
    def of(cls, bucket: Any) -> Any:
        """The promise of a bucket that is not empty now."""
        return cls(bucket) if isinstance(bucket, Bucket) and bucket.tokens >= 1.0 else bucket

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)

    def take(self) -> bool:
        """Whatever has become of it since."""
        self._bucket.tokens = max(0.0, self._bucket.tokens - 1.0)
        return True


@mutant
def retries_without_budget() -> Iterator[None]:
    """Every failure may be retried, in an outage too."""
    with patch.object(RetryBudget, "take", lambda self, error: True):
        yield


@mutant
def hedge_clock_from_the_beginning() -> Iterator[None]:
    """A step is late counted from its turn, not from its sending: a queue hedges itself."""

    def make(sent: Any) -> Any:
        def noted(race: Any, lane: Lane) -> None:
            real, lane.sent_at = lane.sent_at, race._call.began
            sent(race, lane)
            lane.sent_at = real

        return noted

    with around(races.Race, "sent", make):
        yield


@mutant
def hedges_queue() -> Iterator[None]:
    """A hedge waits for its turn (M13)."""

    def make(admitted: Any) -> Any:
        async def admits(flight: Flight) -> Any:
            hedged, flight.lane.hedged = flight.lane.hedged, False
            try:
                return await admitted(flight)
            finally:
                flight.lane.hedged = hedged

        return admits

    with ExitStack() as stack:
        stack.enter_context(around(attempts, "_admitted", make))
        stack.enter_context(patch.object(Policies, "goes_at_once", lambda self, model, now: True))
        yield


@mutant
def sleeps_after_the_last_try() -> Iterator[None]:
    """A pause although no try comes after it."""

    def make(retry: Any) -> Any:
        async def retried(engine: Any, call: Any, trace: Any, lane: Lane) -> Any:
            result = await retry(engine, call, trace, lane)
            if isinstance(result, AttemptError) and lane.fits(0.1):
                await asyncio.sleep(0.05)
            return result

        return retried

    with around(races, "retry", make):
        yield


@mutant
def retry_after_ignored() -> Iterator[None]:
    """Nobody is held back by a Retry-After."""

    def make(refusal: Any) -> Any:
        def refuses(standing: Standing, *args: Any) -> Any:
            standing.held.clear()
            return refusal(standing, *args)

        return refuses

    with around(Standing, "refusal", make):
        yield


@mutant
def hint_shortened() -> Iterator[None]:
    """A Retry-After is cut to the cap of the back-off, as decorators do (D1)."""

    def make(learn: Any) -> Any:
        def learns(standing: Standing, model: Any, error: AttemptError, now: float) -> Any:
            if error.retry_after is not None:
                error.retry_after = min(error.retry_after, 1.0)
            return learn(standing, model, error, now)

        return learns

    with around(Standing, "learn", make):
        yield


@mutant
def bad_key_used_again() -> Iterator[None]:
    """A key that was turned down is tried with the next model."""

    def make(refusal: Any) -> Any:
        def refuses(standing: Standing, *args: Any) -> Any:
            standing.keys.clear()
            return refusal(standing, *args)

        return refuses

    with around(Standing, "refusal", make):
        yield


@mutant
def open_breaker_ignored() -> Iterator[None]:
    """Everybody is let through."""
    with patch.object(Breaker, "refuses", lambda self, now: None):
        yield


@mutant
def deadline_for_each_attempt() -> Iterator[None]:
    """The deadline begins anew with each step."""

    def make(opens: Any) -> Any:
        def opened(race: Any, index: int, cause: Any) -> Any:
            call, now = race._call, race._engine.loop.time()
            if call.deadline < inf:
                race._call = call._replace(deadline=call.deadline + (now - call.began), began=call.began)
            return opens(race, index, cause)

        return opened

    with around(races.Race, "_open", make):
        yield


@mutant
def clocks_round_up() -> Iterator[None]:
    """Limits are rounded up to whole seconds (aiohttp above five)."""

    def make(move: Any) -> Any:
        return lambda clock, until, word: move(clock, until if until == inf else math.ceil(until), word)

    with around(Clock, "move", make):
        yield


@mutant
def batch_goes_first() -> Iterator[None]:
    """Whoever waits is served in the order of coming, batch work too."""
    with patch.object(Policies, "lease", lambda self, model, rank, tokens: None), around(
        Pacer, "join", lambda join: lambda self, rank, *more: join(self, 3 - rank, *more)
    ):
        yield


@mutant
def rpm_ignored() -> Iterator[None]:
    """Requests go as they come."""
    with patch.object(Pacer, "_due", lambda self, rank, tokens: self._loop.time()):
        yield
