"""One call's race over the steps of its plan: the next step when the last one failed or is late; who has won.

Theory of operation
===================

Fallback and hedging are one loop. A `StepRun` is one step while it runs, retries included. The first one, and every
fallback, runs in the caller's task, by a plain await. A second task exists only once a hedge (or a rescue) has fired;
at most two step runs live at once. `hedging.py` decides when a hedge starts and when a first content is confirmed,
`remaining.py` which step comes next, this module who has won and how the call ends.

Who wins. For `stream()` the first content: the caller has seen it. For `chat()` the first whole answer that `accept`
takes (`take_win()`); or, sooner, an answer that flows at a usual pace (`_confirm()`): nobody else is needed then.

States of a step run:

    running     In `_running`, oldest first. Only these can win.
    finished    It has ended by itself, with an answer or an error (`_finished()`); also one that gives up a long pause
                as another step, which has met a limit meanwhile, is free sooner (`_end_pause()`).
    stopped     The race has ended it (`_stop()`), noted the outcome in `stopped` and cancelled its task: "superseded"
                when another one has won, "cancelled" when the call is over. A step that was superseded goes back to the
                remaining ones, and may be started again if the winner breaks.

How the race ends. `_outcome` is the one field that says so:

    Reply, ChunkReader     An answer. Nothing else runs any more. It replaces everything below.
    Raised                 A hedge's task has raised what is no provider's doing. A step run in the caller's task goes
                           on and may still answer; another hedge is stopped, and no fallback is started. An exception
                           that the caller will not get is logged.
    Refused                The provider refuses the prompt, and its step says that this is final.
    AttemptTimeout         The deadline has come.
    None                   Nothing yet. With no step left to run, every model has failed.

A refusal or the deadline ends the race only when nobody runs any more, for a failure never wins while another attempt
lives; until then they keep further steps from starting.

Who decides. `sent()`, `won()`, `take_win()` and `_finished()` are plain calls, made by the step run that has just sent,
begun, answered or ended, in whatever task that is. Everything that follows from it is done within that call: losers
are settled and cancelled, the next hedge is started. So two step runs that are whole in the same turn of the loop
cannot both win, and the winner never waits for a loser. The caller's task only carries out what was decided.

Who may cancel. The caller may cancel at any await of `run()`; then all step runs are stopped as "cancelled", and the
`CancelledError` goes on. The race cancels a hedge's task freely, for it owns it. The caller's task it cancels only to
stop the step run in it ("superseded"), and takes that back with `uncancel()` where the step run ends; if
`cancelling()` is then still higher than when the race began, somebody else has cancelled as well, and the
`CancelledError` goes on.

At each await:

    _run_inline()    A step run in the caller's task. The caller may cancel it, or the race when a hedge has won.
    _come_back()     Nothing runs; a step that is held will be free in time. The caller may cancel; closing ends it.
    _changed()       The step run of the caller's task has ended, a hedge still runs. `_finished()` wakes it. Only the
                     caller may cancel.

A stopped hedge needs a turn of the loop to let go of its connection. Only a router that is closed waits for that.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from math import inf
from typing import TYPE_CHECKING

from asyncrouter._engine.ending import FINAL, EndingSteps
from asyncrouter._engine.failure import Raised, error_of, log_unseen
from asyncrouter._engine.hedging import Hedging
from asyncrouter._engine.judging import NOTHING_JUDGED, Judging
from asyncrouter._engine.race_budgets import pay_in
from asyncrouter._engine.reading import ChunkReader
from asyncrouter._engine.remaining import Remaining
from asyncrouter._engine.rest import rest_beside
from asyncrouter._engine.retry import retry
from asyncrouter._engine.second_step import SecondStep
from asyncrouter._engine.sent_attempt import SentAttempt
from asyncrouter._engine.watching import ANSWER_LOOK_SECONDS, LATEST_ANSWER_LOOK, expect, first_look_at
from asyncrouter._errors import AttemptError
from asyncrouter._types import Reply

if TYPE_CHECKING:
    from asyncrouter._config.plan import Plan
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.rest import Rest
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._policies.pools.member import Member
    from asyncrouter._types import Call, Cause, Trace


class Race(EndingSteps):
    """One pass over the steps of a plan, or over those that are `left` of it."""

    __slots__ = ("_cancelling", "_wake", "_winner")

    _winner: tuple[int, Member | None]  # the step that gives a stream, and the member of its pool

    def __init__(
        self, engine: Engine, call: Call, plan: Plan, trace: Trace, left: Remaining | None = None,
        cause: Cause = "first",
    ) -> None:
        caller = asyncio.current_task(engine.loop)
        assert caller is not None
        self._engine = engine
        self._call = call
        self._plan = plan
        self._trace = trace
        self._caller = caller
        self._cancelling = caller.cancelling()
        self._cause = cause
        self._remaining = left or Remaining(engine, call, plan, range(plan.ordinary))
        self._running = []  # oldest first
        self._outcome = None
        self._wake: asyncio.Future[None] | None = None
        self._hedging = None
        self.judging = NOTHING_JUDGED if call.accept is None else Judging()
        self.raced = False
        self._context = None  # that of the caller, where others may be started beside a step
        if self._remaining.may_race:
            self._context = copy_context()
            if cause == "first" and (plan.hedge is not None or engine.policies.rescue_budgets.low):
                pay_in(engine.policies, call, plan)

    def __repr__(self) -> str:
        return f"<Race running: {self._running!r}, {self._remaining!r}>"

    async def run(self) -> Reply | ChunkReader:
        """The first whole answer (for a stream: its won beginning).

        Raises `CallError`, `Refused`, or what is no provider's doing, unchanged.
        """
        try:
            while (step_run := self._next() or await self._come_back()) is not None:
                await self._run_inline(step_run)
                while self._running and not isinstance(self._outcome, FINAL):
                    await self._changed()
                if isinstance(self._outcome, FINAL):
                    break
            if isinstance(self._outcome, (Reply, ChunkReader)):
                return self._outcome
            raise error_of(self._engine, self._call, self._plan, self._trace, self._outcome)
        except BaseException as error:
            if isinstance(self._outcome, Raised) and self._outcome.error is not error:
                log_unseen(self._outcome.error)
            for step_run in tuple(self._running):
                self._stop(step_run, "cancelled")
            if isinstance(self._outcome, ChunkReader):
                self._outcome.close()  # won, but its caller has been cancelled at the same instant
            raise
        finally:
            if self._hedging is not None:
                self._hedging.close()
                self._hedging = None  # it refers to this race: nothing is left for the garbage collector

    def rest(self) -> Rest:
        """What a stream that has been won would begin again with."""
        return rest_beside(self._remaining, *self._winner)

    # Called by the step runs (`RaceHooks`).

    def sent(self, step_run: StepRun, sent: SentAttempt) -> None:
        """An attempt is being sent."""
        if self._context is None:
            return
        if self._engine.policies.slow_models:
            expect(self._engine.policies, self._plan, step_run)
        if self._hedging is not None or step_run.probes or sent.lease.probes:
            self._hedge().sent(step_run)
        else:
            sent.clock.look_next(self._look, first_look_at(sent, self._plan.hedge))

    def reading(self, sent: SentAttempt) -> None:
        """The rest of an answer is read. Where that may be late, it is looked at from time to time."""
        if self._context is not None and len(self._running) == 1:
            now = sent.content_at
            sent.clock.look_next(self._look, now + ANSWER_LOOK_SECONDS, now + LATEST_ANSWER_LOOK)

    def pausing(self, step_run: StepRun) -> None:
        """A step run waits until it tries again. It may be late meanwhile."""
        if self._context is not None:
            self._hedge().pausing(step_run)

    def won(self, step_run: StepRun) -> bool:
        """The first content. For `stream()` it decides; for `chat()` others may run on. `False` when it was stopped."""
        if step_run not in self._running:
            return False
        if self._call.stream:
            self._winner = step_run.index, step_run.member
            if isinstance(step_run.attempt, SentAttempt):
                step_run.attempt.clock.look_next(None, inf)  # nobody can be raced with it any more
            self._stop_others(step_run)
        elif self._hedging is not None:
            self._hedging.began()
        return True

    def free_in(self, step_run: StepRun, *, forced: bool = False) -> float:
        """Seconds until another step could be sent, 0 while one runs, `inf` if none could; see `Remaining.free_in`."""
        if any(other is not step_run for other in self._running):
            return 0.0
        free_in = self._remaining.free_in(forced=forced)
        if step_run.member is not None and step_run.pool is not None:
            return min(free_in, step_run.pool.free_in(self._engine.time(), forced=forced))
        return free_in

    def take_win(self, step_run: StepRun) -> bool:
        """The whole answer, accepted: every other step run is stopped now. `False` when `step_run` itself was."""
        if step_run not in self._running:
            return False
        self._stop_others(step_run)
        return True

    def may_cut(self, step_run: StepRun) -> bool:
        """Whether an "auto" limit may end an attempt."""
        return self._hedging is None or self._hedging.may_cut(step_run)

    def _hedge(self) -> Hedging:
        """What starts other steps; made when a step may be late, for most never are."""
        if self._hedging is None:
            plan, remaining, hooks = self._plan, self._remaining, (self._confirm, self._stop, self._look)
            second = SecondStep(self._engine, self._call, plan, self._trace, remaining, self._start_beside)
            self._hedging = Hedging(self._engine, plan, self._running, remaining, second, *hooks)
        return self._hedging

    def _look(self) -> None:
        """Look whether a step that runs is late; called by timers, which have another call's context."""
        if self._running and self._context is not None:
            self._context.run(self._hedge().look)

    # Running steps.

    async def _run_inline(self, step_run: StepRun) -> None:
        """Run a step in the caller's task."""
        result: Reply | ChunkReader | AttemptError | None = None
        try:
            result = await retry(self._engine, self._call, self._trace, step_run)
        except asyncio.CancelledError:
            # Our own cancellation is taken back; one that was asked for beyond it is not ours to swallow.
            if step_run.stopped is None or self._caller.uncancel() > self._cancelling:
                raise
        except Exception as error:
            # A loser that raises while it is being stopped takes nothing from the winner.
            if step_run.stopped is None or self._caller.uncancel() > self._cancelling:
                raise
            log_unseen(error)
        self._finished(step_run, result)

    async def _run_in_task(self, step_run: StepRun) -> None:
        """Run a step in a task of its own. It never raises: what the step raises is for the caller."""
        result: Reply | ChunkReader | AttemptError | None = None
        try:
            result = await retry(self._engine, self._call, self._trace, step_run)
        except asyncio.CancelledError as error:
            if step_run.stopped is None:  # not by us: raised in `accept`, or the whole loop is cancelled
                self._raised(error)
        except Exception as error:
            if step_run.stopped is None:
                self._raised(error)
            else:
                log_unseen(error)
        self._finished(step_run, result)

    async def _changed(self) -> None:
        """Wait until a step run in a task of its own has ended."""
        self._wake = self._engine.loop.create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    # Ending them.

    def _finished(self, step_run: StepRun, result: Reply | ChunkReader | AttemptError | None) -> None:
        """A step run has ended: with an answer, with an error, or (`None`) because it was stopped or has raised."""
        if step_run in self._running:
            newest = step_run is self._running[-1]
            self._running.remove(step_run)
            step_run.ended()
            if self._hedging is not None:
                self._hedging.ended(step_run, "won" if isinstance(result, (Reply, ChunkReader)) else "failed")
            if isinstance(result, AttemptError):
                self._failed(step_run, result, newest)
            elif result is not None:
                if isinstance(self._outcome, Raised):
                    log_unseen(self._outcome.error)
                self._outcome = result
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
