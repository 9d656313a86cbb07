"""Mutants that take the time for which the program blocks the event loop for the models' own."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from asyncrouter._engine import admission
from asyncrouter._engine.sent_attempt import SentAttempt
from asyncrouter._engine.timers import MIN_LOOKS, Timers
from asyncrouter._policies.lease import Lease

from .mutation import around, mutant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter._engine.step_run import StepRun


@mutant
def late_timers_strike_at_once() -> Iterator[None]:
    """A timer that comes late ends an attempt whose answer lies in the socket (every library with `wait_for`)."""
    with patch.object(Timers, "_look", lambda self, began, *_: self._call_due(began)):
        yield


@mutant
def hardly_late_timers_strike_at_once() -> Iterator[None]:
    """A long block that ends just after a limit makes its timer look as if it had come in time."""

    def make(look: Any) -> Any:
        def looks(timers: Timers, began: float, count: int, most: int) -> None:
            if most > MIN_LOOKS:
                look(timers, began, count, most)
            else:
                timers._call_due(began)

        return looks

    with around(Timers, "_look", make):
        yield


@mutant
def blocked_time_is_learned() -> Iterator[None]:
    """An answer that lay in the socket while the loop was blocked is a sample of how quick its model is."""

    def make(end: Any) -> Any:
        def ends(lease: Lease, *args: Any, **more: Any) -> None:
            lease.untimed = False
            end(lease, *args, **more)

        return ends

    with around(Lease, "end", make):
        yield


@mutant
def blocked_time_is_blamed() -> Iterator[None]:
    """A limit that passed while the loop was blocked is the model's fault."""

    def make(excuse: Any) -> Any:
        return lambda sent, error, now: excuse(sent, None, now)

    with around(SentAttempt, "_excuse", make):
        yield


@mutant
def limits_run_while_blocked() -> Iterator[None]:
    """The time for which the loop is blocked is part of what a model has to answer."""
    with patch.object(SentAttempt, "add_blocked_time", lambda _: 0.0):
        yield


@mutant
def sent_after_its_deadline() -> Iterator[None]:
    """A request whose turn came late, because the loop was blocked, is sent although its deadline has passed."""

    def make(check: Any) -> Any:
        def checks(engine: Any, step_run: StepRun) -> float:
            silent_until = step_run.silent_until
            if engine.loop.time() >= silent_until:
                step_run.silent_until = inf
            try:
                return check(engine, step_run)  # type: ignore[no-any-return]
            finally:
                step_run.silent_until = silent_until

        return checks

    with around(admission, "_check_admission", make):
        yield
