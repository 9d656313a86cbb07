"""Mutants that learn what they should not, or keep or give back what they should not."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from asyncrouter import RateLimited
from asyncrouter._engine import race as races
from asyncrouter._policies import lease as leases
from asyncrouter._policies.breaker import Breaker
from asyncrouter._policies.estimate import Estimate
from asyncrouter._policies.lease import Lease
from asyncrouter._policies.pacing import Pacer
from asyncrouter._policies.scope import Rule
from asyncrouter._policies.slowness import Slowness

from .mutation import around, mutant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter._engine.step_run import StepRun


def counting(outcome: str) -> Any:
    """Count an attempt with this outcome as a failure of its model."""

    def make(end: Any) -> Any:
        def ended(lease: Lease, now: float, became: str, *more: Any, **named: Any) -> None:
            if became == outcome and lease._sent_at is not None and not lease.ended:
                lease.state.breaker.failed(lease._model_generation, now, f"it was {outcome}")
            end(lease, now, became, *more, **named)

        return ended

    return around(Lease, "end", make)


COUNTS = Rule("model", "breaker")
"""The rule of a failure that counts against its model."""


def never(*_: object, **__: object) -> bool:
    """No failure is the call's own."""
    return False


@mutant
def losers_count() -> Iterator[None]:
    """A lost race is a failure of its model (failsafe-go)."""
    with counting("superseded"):
        yield


@mutant
def cancellations_count() -> Iterator[None]:
    """A cancelled attempt is a failure of its model."""
    with counting("cancelled"):
        yield


@mutant
def rate_limits_count() -> Iterator[None]:
    """A 429 is a failure of its model."""

    def make(rule_of: Any) -> Any:
        return lambda error: COUNTS if isinstance(error, RateLimited) else rule_of(error)

    with around(leases, "rule_of", make):
        yield


@mutant
def requests_turned_down_count() -> Iterator[None]:
    """A rejected request is a failure of its model."""
    with patch.object(leases, "rule_of", lambda error: COUNTS), patch.object(leases, "is_the_calls", never):
        yield


@mutant
def stale_results_count() -> Iterator[None]:
    """The result of a call sent before the breaker opened counts as its probe's (resilience4j)."""
    with around(Breaker, "failed", lambda failed: lambda self, _, *more: failed(self, self.generation, *more)):
        yield


@mutant
def neutral_closes() -> Iterator[None]:
    """A cancelled probe closes the breaker (Polly 8)."""

    def released(breaker: Breaker, generation: int) -> None:
        if breaker.state == "half_open" and generation == breaker.generation:
            breaker._change("closed")

    with patch.object(Breaker, "released", released):
        yield


@mutant
def permit_leaks_on_cancel() -> Iterator[None]:
    """A probe that is cancelled keeps its permit until it lapses (resilience4j #544)."""
    with patch.object(Breaker, "released", lambda self, generation: None):
        yield


@mutant
def permits_do_not_lapse() -> Iterator[None]:
    """A permit never lapses."""
    with around(Breaker, "enter", lambda enter: lambda self, now, lapse: enter(self, now, inf)):
        yield


@mutant
def slots_leak_on_failure() -> Iterator[None]:
    """A failed attempt keeps its slot."""

    def make(end: Any) -> Any:
        def ended(lease: Lease, now: float, outcome: str, error: Any = None, *more: Any, **named: Any) -> None:
            if error is not None and lease._sent_at is not None:
                lease.ended = True
            end(lease, now, outcome, error, *more, **named)

        return ended

    with around(Lease, "end", make):
        yield


@mutant
def settled_twice() -> Iterator[None]:
    """The lease of a cancelled attempt is given back twice."""

    def make(end: Any) -> Any:
        def ended(lease: Lease, now: float, outcome: str, error: Any = None, *more: Any, **named: Any) -> None:
            end(lease, now, outcome, error, *more, **named)
            if outcome == "cancelled":
                lease.ended = lease._released = False
                end(lease, now, outcome, error, *more, **named)

        return ended

    with around(Lease, "end", make):
        yield


@mutant
def hedge_outlives_its_caller() -> Iterator[None]:
    """A cancelled caller leaves its hedge running (hedge-python)."""

    def make(stop: Any) -> Any:
        def stops(race: Any, step_run: StepRun, outcome: str) -> None:
            if outcome == "cancelled" and step_run.task is not None:
                race._running.remove(step_run)
            else:
                stop(race, step_run, outcome)

        return stops

    with around(races.Race, "_stop", make):
        yield


@mutant
def nobody_is_served_next() -> Iterator[None]:
    """A slot that becomes free wakes no waiting request."""

    def make(give_back: Any) -> Any:
        def given_back(pacer: Pacer, *args: Any, **more: Any) -> None:
            with patch.object(Pacer, "_serve", lambda self: None):
                give_back(pacer, *args, **more)

        return given_back

    with around(Pacer, "give_back", make):
        yield


@mutant
def only_the_quick_are_counted() -> Iterator[None]:
    """The latency of a lost race is not recorded (tower, resilience4j)."""

    with patch.object(Estimate, "add_cut", lambda self, value, now: None):
        yield


@mutant
def slow_for_ever() -> Iterator[None]:
    """A demoted model stays demoted, however quick it is."""
    with patch.object(Slowness, "_return", lambda self, now, evidence: None):
        yield


@mutant
def breaker_sticks() -> Iterator[None]:
    """An open breaker stays open for ever (OmniRoute #13836)."""

    def make(opens: Any) -> Any:
        def opened(breaker: Breaker, *more: Any) -> None:
            opens(breaker, *more)
            breaker.until = inf

        return opened

    with around(Breaker, "_open", make):
        yield
