"""Mutants that hedge and retry too much, or measure time wrongly."""

from __future__ import annotations

import asyncio
import math
from contextlib import ExitStack
from math import inf
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from asyncrouter import AttemptError
from asyncrouter._engine import attempt as attempts
from asyncrouter._engine import race as races
from asyncrouter._engine import watching
from asyncrouter._engine.clock import Clock
from asyncrouter._engine.hedging import Hedging
from asyncrouter._policies.facade import Policies
from asyncrouter._policies.hedge_budget import HedgeBudget
from asyncrouter._policies.lease import Lease
from asyncrouter._policies.retry_budget import RetryBudget

from .mutation import around, mutant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter._engine.step_run import StepRun


@mutant
def hedges_without_budget() -> Iterator[None]:
    """A hedge takes no token."""
    with patch.object(HedgeBudget, "take", lambda self, tokens=1.0: True):
        yield


@mutant
def budget_asked_too_early() -> Iterator[None]:
    """The budget is asked when the hedge is scheduled, not when it fires (grpc-java)."""

    def make(watch: Any) -> Any:
        def watched(hedging: Any, step_run: StepRun) -> None:
            hedging._second.budget = Promised.of(hedging._second.budget)
            watch(hedging, step_run)

        return watched

    with around(Hedging, "_watch", make):
        yield


class Promised:
    """A budget that has promised a token already."""

    @classmethod
    def of(cls, bucket: Any) -> Any:
        """The promise of a bucket that is not empty now."""
        return cls(bucket) if isinstance(bucket, HedgeBudget) and bucket.tokens >= 1.0 else bucket

    def __init__(self, bucket: HedgeBudget) -> None:
        self._bucket = bucket

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)

    def take(self) -> bool:
        """Whatever has become of it since."""
        self._bucket.tokens = max(0.0, self._bucket.tokens - 1.0)
        return True


@mutant
def retries_without_budget() -> Iterator[None]:
    """A retry takes no token."""
    with patch.object(RetryBudget, "pay_for_retry", lambda self, error, *, given=False: True):
        yield


@mutant
def failures_pay_for_retries() -> Iterator[None]:
    """The token of a retry that fails is refunded."""

    def make(end: Any) -> Any:
        def ended(lease: Lease, now: float, outcome: str, error: Any = None, *more: Any, **named: Any) -> None:
            end(lease, now, outcome, error, *more, **named)
            if error is not None:
                lease.state.provider.retries.tokens += 1.0

        return ended

    with around(Lease, "end", make):
        yield


@mutant
def hedge_clock_too_fast() -> Iterator[None]:
    """An attempt is late in half the time that was asked for."""

    def make(late_first: Any) -> Any:
        def waits(*args: Any) -> float:
            return 0.5 * float(late_first(*args))

        return waits

    with around(watching, "late_first", make):
        yield


@mutant
def hedges_queue() -> Iterator[None]:
    """A hedge waits in the queue."""

    def make(admit: Any) -> Any:
        async def admits(engine: Any, call: Any, step_run: StepRun) -> Any:
            hedged, step_run.hedged = step_run.hedged, False
            try:
                return await admit(engine, call, step_run)
            finally:
                step_run.hedged = hedged

        return admits

    with ExitStack() as stack:
        stack.enter_context(around(attempts, "admit_later", make))
        stack.enter_context(patch.object(Policies, "may_go_at_once", lambda self, model, now, tokens, rank: True))
        yield


@mutant
def sleeps_after_the_last_try() -> Iterator[None]:
    """There is a pause after the last try."""

    def make(retry: Any) -> Any:
        async def retried(engine: Any, call: Any, trace: Any, step_run: StepRun) -> Any:
            result = await retry(engine, call, trace, step_run)
            if isinstance(result, AttemptError) and step_run.fits(0.1):
                await asyncio.sleep(0.05)
            return result

        return retried

    with around(races, "retry", make):
        yield


@mutant
def deadline_for_each_attempt() -> Iterator[None]:
    """The deadline starts anew with each step."""

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
    """Time limits are rounded up to whole seconds (aiohttp, above five seconds)."""

    def make(restart: Any) -> Any:
        return lambda clock, until, *more: restart(clock, until if until == inf else math.ceil(until), *more)

    with around(Clock, "restart", make):
        yield
