"""Hedging: when the newest running step is late, the next one is started beside it, if the budget allows.

Theory of operation
===================

One timer looks at one step run, the newest. It is set when that one is sent (`sent()`) and comes due when it is late:
`after` seconds later, as the hedge of the plan and what is known about the model say. A step run that waits for
admission is not late: its time begins with its sending, and anew with each retry.

When the timer comes due and nobody else runs, `start` is called with a step that could be sent at once. At most two
step runs live: if the timer of the second one comes due while the first still runs, nothing happens. If one of the two
fails (`failed()`), it depends on which: after the older one the newest is watched again; after the newest another step
is started at once in its place. The first content decides between them (`won()`): the timer is cancelled, and nobody is
late until something is sent again, because the winner broke or was not accepted.

A hedge is paid for from a token bucket when it starts, and gets its token back if it is never sent (`ended()`). A hedge
that is denied is not asked for again: who waits for a token gets it late, and takes it from a call that is late just
now. (Measured with `benchmarks/simulation.py` at a budget of 2 %: with a second request whenever a call had waited half
as long again, the p99.9 was 4.3 s; without, 3.5 s.) Where the budget denies a race, the model is still watched: a model
that stays silent for several times its usual time is marked as slow, as it would be by losing the race.

Nothing here awaits. Timers run in a context of the call's own, for the timer that all calls share has another's.
"""

from __future__ import annotations

from contextvars import copy_context
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from asyncrouter._engine.sent_attempt import SentAttempt
from asyncrouter._events import HedgeDenied

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from asyncrouter._config.config import Hedge
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.remaining import Remaining
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._engine.timers import Timer
    from asyncrouter._policies.hedge_budget import HedgeBudget
    from asyncrouter._types import Trace


class Hedging:
    """Starts hedges for one race.

    `running` is the race's own list of step runs, oldest first, and `remaining` its steps to come. `start(index,
    context)` starts a step in a task of its own; `False` when too little of the deadline is left for it.
    """

    __slots__ = (
        "_budget", "_context", "_denied", "_engine", "_hedge", "_remaining", "_running", "_start", "_timer", "_trace",
    )

    def __init__(
        self, engine: Engine, hedge: Hedge, budget: HedgeBudget, trace: Trace, running: list[StepRun],
        remaining: Remaining, start: Callable[[int, Context], bool],
    ) -> None:
        self._engine = engine
        self._hedge = hedge
        self._budget = budget
        self._trace = trace
        self._running = running
        self._remaining = remaining
        self._start = start
        self._context = copy_context()
        self._timer: Timer | None = None
        self._denied = False

    def __repr__(self) -> str:
        return f"<Hedging {self._timer!r}>"

    # What the race tells.

    def sent(self, step_run: StepRun) -> None:
        """An attempt is being sent; if it is the newest step run's, that one is late so many seconds from now."""
        if self._running and self._running[-1] is step_run:
            self._watch()

    def won(self) -> None:
        """The first content has come, and only its step run goes on: it is not late."""
        self._cancel_timer()

    def failed(self, *, newest: bool) -> None:
        """A step run has failed while another one lives. `newest`: it was the one that was started last."""
        if newest:
            self._start_hedge(None)
        else:
            self._watch()

    def ended(self, step_run: StepRun) -> None:
        """A step run has ended; a hedge that was never sent costs nothing."""
        if step_run.hedged and step_run.sent_at is None:
            self._budget.refund()

    def close(self) -> None:
        """The race is over."""
        self._cancel_timer()

    # Watching the newest step run.

    def _watch(self) -> None:
        """Set the timer for the instant at which the newest step run is late; while it is queued it cannot be."""
        self._cancel_timer()
        newest = self._running[-1]
        sent_at, after = newest.sent_at, self._after(newest)
        if sent_at is not None and after < inf:
            self._timer = self._at(sent_at + after, self._hedge_due, sent_at)

    def _after(self, step_run: StepRun) -> float:
        """Seconds after its sending at which a step run is late."""
        return self._engine.policies.hedge_after(
            self._hedge, self._budget, step_run.step.model, step_run.size, streams=step_run.streams
        )

    def _at(self, when: float, callback: Callable[..., None], *arguments: object) -> Timer:
        return self._engine.timers.call_at(when, partial(self._context.run, callback, *arguments))

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._engine.timers.cancel(self._timer)
            self._timer = None

    # Acting on it.

    def _hedge_due(self, sent_at: float) -> None:
        self._timer = None
        if len(self._running) != 1:
            return
        step_run = self._running[0]
        if step_run.sent_at is None:
            return  # the one that was to be late has gone, and this one is still queued
        if step_run.sent_at > sent_at:
            self._watch()  # the one that was to be late has gone, and this one has been sent since
        else:
            self._start_hedge(step_run)

    def _start_hedge(self, late: StepRun | None) -> None:
        """Start a step beside the one that runs: because that one is `late`, or because its hedge failed (`None`)."""
        crowded = self._engine.closed or self._engine.room.waiting
        index = None if crowded else self._remaining.hedge_step(None if late is None else late.index)
        if index is None:
            self._deny("no other model could be sent now")
        elif not self._budget.take():
            self._deny("the hedge budget is used up")
            if late is not None:
                self._watch_for_slowness(late)
        elif not self._start(index, self._context.copy()):
            self._budget.refund()

    def _deny(self, reason: str) -> None:
        """Tell the listeners once a call: a retry that is late again, or a hedge that fails, is the same news."""
        if not self._denied and not self._engine.events.quiet:
            self._engine.events.emit(HedgeDenied(self._trace, reason))
        self._denied = True

    def _watch_for_slowness(self, step_run: StepRun) -> None:
        """Set the timer for the instant at which a step run that may not be raced must be called slow."""
        sent_at, model = step_run.sent_at, step_run.step.model
        after = self._engine.policies.slow_after(model, step_run.size, streams=step_run.streams)
        if sent_at is not None and after < inf:
            self._timer = self._at(sent_at + after, self._mark_slow, step_run, sent_at)

    def _mark_slow(self, step_run: StepRun, sent_at: float) -> None:
        self._timer = None
        attempt = step_run.attempt
        if self._running == [step_run] and step_run.sent_at == sent_at and isinstance(attempt, SentAttempt):
            attempt.mark_slow()
