"""Starts the steps of a race: the next one when none runs, one that was held when it is free, one beside a late one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._engine.step_run import RaceHooks, StepRun
from asyncrouter._engine.trace_entry import TraceEntry
from asyncrouter._errors import NotSent

if TYPE_CHECKING:
    from contextvars import Context

    from asyncrouter._config.plan import Plan, PlannedStep
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.failure import Raised
    from asyncrouter._engine.reading import ChunkReader
    from asyncrouter._engine.remaining import Remaining
    from asyncrouter._engine.step_run import Beside
    from asyncrouter._errors import AttemptTimeout, Refused
    from asyncrouter._types import Call, Cause, Reply, Trace


class StartingSteps(RaceHooks):
    """The part of a race that starts steps; what it has is made by the race."""

    __slots__ = (
        "_call", "_cause", "_context", "_engine", "_outcome", "_plan", "_remaining", "_running", "_trace", "raced",
    )

    _call: Call
    _cause: Cause
    _context: Context | None
    _engine: Engine
    _outcome: Reply | ChunkReader | Raised | Refused | AttemptTimeout | None
    _plan: Plan
    _remaining: Remaining
    _running: list[StepRun]
    _trace: Trace

    async def _run_in_task(self, step_run: StepRun) -> None:
        """Run a step in a task of its own."""
        raise NotImplementedError

    def _next(self) -> StepRun | None:
        """The step to run, now that none does; `None` when no step is left."""
        if self._engine.closed:
            self._engine.check_open()
        while (found := self._remaining.take_next()) is not None:
            if (step_run := self._open(found[0], self._cause)) is not None:
                if found[1]:
                    step_run.probes = step_run.is_probe = True
                return step_run
            self._cause = "fallback"
        return None

    async def _come_back(self) -> StepRun | None:
        """The step that was held or limited and is free first, once it is free; `None` if none is in time."""
        while self._outcome is None and (found := await self._remaining.wait_for_free(self._trace)) is not None:
            index, cause, ticket = found
            if (step_run := self._open(index, cause)) is not None:
                step_run.come_back(self._trace, ticket)
                return step_run
            if ticket is not None:  # there is no time left to use it
                ticket.leave()
        return None

    def _open(self, index: int, cause: Cause) -> StepRun | None:
        """A step run with its share of the deadline; `None`, and an entry in the trace, when that is too little."""
        step = self._plan.steps[index]
        pool = None if step.pool is None else self._remaining.pool(index)
        try:
            limits = self._remaining.limits(self._trace, index, pool)
        except NotSent as error:
            self._record_not_sent(step, cause, error)
            return None
        step_run = StepRun(self, self._engine.loop, self._call, step, index, cause, *limits, pool)
        self._running.append(step_run)
        return step_run

    def _start_beside(self, index: int, beside: Beside) -> StepRun | None:
        """Run a step beside the one that runs; `None` when there is too little time for it."""
        assert self._context is not None
        self._remaining.mark_started(index)
        step_run = self._open(index, beside.cause)
        if step_run is not None:
            self.raced = True
            step_run.beside = beside
            step_run.task = self._engine.loop.create_task(self._run_in_task(step_run), context=self._context.copy())
            self._engine.keep_task(step_run.task)
        return step_run

    def _record_not_sent(self, step: PlannedStep, cause: Cause, error: NotSent) -> None:
        """Enter a step in the trace that is passed over, and why."""
        TraceEntry(self._engine, self._call, self._trace, step, cause).fail(error)
