"""Ends the steps of a race: what follows when one has failed or raised, and how those that have lost are stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._engine.failure import Raised, log_unseen, warn
from asyncrouter._engine.reading import ChunkReader
from asyncrouter._engine.starting import StartingSteps
from asyncrouter._errors import AttemptTimeout, ContextTooLong, NotAccepted, NotSent, Refused
from asyncrouter._types import Reply

if TYPE_CHECKING:
    import asyncio

    from asyncrouter._engine.hedging import Hedging
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._errors import AttemptError
    from asyncrouter._types import Outcome

FINAL = (Reply, ChunkReader, Raised)
"""Outcomes that the caller's task, once no step runs in it, does not wait beyond: whoever still runs is stopped."""


class EndingSteps(StartingSteps):
    """The part of a race that ends steps; what it has is made by the race."""

    __slots__ = ("_caller", "_hedging", "judging")

    _caller: asyncio.Task[object]
    _hedging: Hedging | None

    def _failed(self, step_run: StepRun, error: AttemptError, newest: bool) -> None:
        warn(self._engine, step_run.step, error, self._trace)
        self._cause = "escalate" if isinstance(error, NotAccepted) else "fallback"
        sibling = step_run.pool is not None and step_run.resumes_at is None and self._remaining.asks_sibling(
            step_run.index, step_run.member, error, alone=not self._running
        )
        if isinstance(error, AttemptTimeout) and error.clock == "deadline":
            self._remaining.clear()
            self._outcome = self._outcome or error
        elif isinstance(error, Refused) and self._plan.steps[step_run.index].on_refusal == "raise":
            self._remaining.clear()
            if not isinstance(self._outcome, Raised):
                self._outcome = error
        elif self._outcome is not None:  # a refusal, or the deadline: nothing is started any more
            return
        elif isinstance(error, ContextTooLong):
            for step, why in self._remaining.too_long(step_run.step, error):
                self._record_not_sent(step, "fallback", why)
            if sibling:
                self._remaining.put_back(step_run.index)
        elif sibling:
            self._remaining.put_back(step_run.index)
        elif not isinstance(error, NotSent) or all(other.index != step_run.index for other in self._running):
            # With `hedge.same` the same step may run beside it; a limit that one of them meets counts for both.
            self._remaining.may_come_back(step_run, error, self._trace)
        if self._running and self._hedging is not None and self._outcome is None:
            self._hedging.failed(step_run, newest=newest)
            self._end_pause()

    def _end_pause(self) -> None:
        """Let the step that runs give way, if it pauses and a limited one is free sooner: nothing else runs."""
        if len(self._running) == 1 and (step_run := self._running[0]).pause is not None:
            step_run.give_way(self._remaining.free_in(beside=step_run.index))

    def _raised(self, error: BaseException) -> None:
        """A hedge's task has raised; an answer, or an exception, that is there already stays."""
        if isinstance(self._outcome, FINAL):
            log_unseen(error)
        else:
            self._outcome = Raised(error)

    def _confirm(self, step_run: StepRun) -> None:
        """The first content was no accident: nobody else is needed; but one whose answer is whole is judged first."""
        if not self.judging.taken:
            self._stop_others(step_run)

    def _stop_others(self, step_run: StepRun) -> None:
        for other in tuple(self._running):
            if other is not step_run:
                self._stop(other, "superseded")

    def _stop(self, step_run: StepRun, outcome: Outcome) -> None:
        """Settle a step run and cancel it, at once.

        A superseded step may be started again, unless the hedge that has won is the same step (`hedge.same`).
        """
        self._running.remove(step_run)
        step_run.ended()
        step_run.stopped = outcome
        if self._hedging is not None:
            self._hedging.ended(step_run, outcome)
        if step_run.attempt is not None:
            step_run.attempt.end(outcome)
        if step_run.task is not None:
            step_run.task.cancel()
        elif outcome == "superseded":
            self._caller.cancel()
        if outcome == "superseded" and all(other.index != step_run.index for other in self._running):
            self._remaining.put_back(step_run.index)
