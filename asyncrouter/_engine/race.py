"""The next model when the last one failed or is late; the first content wins.

Fallback and hedging are one loop. A lane is one step's turn, retries included. The first lane, and every fallback, runs
in the caller's task; a second task exists only once a hedge has fired. What happens next is decided in plain methods,
called by the lane that has just won or ended; the caller's task only carries it out.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from asyncrouter._engine.failure import pass_over, too_late, used_up, warn
from asyncrouter._engine.reading import ReplyReader
from asyncrouter._engine.remaining import Remaining
from asyncrouter._engine.retry import retry
from asyncrouter._engine.step_run import StepRun
from asyncrouter._errors import (
    AttemptError,
    AttemptTimeout,
    ContextTooLong,
    NotAccepted,
    NotSent,
    Refused,
    RouterClosed,
)
from asyncrouter._events import HedgeDenied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from asyncrouter._config.plan import Plan
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.timers import Timer
    from asyncrouter._policies.hedge_budget import HedgeBudget
    from asyncrouter._types import Call, Cause, Outcome, Reply, Trace


class Race:
    """One pass over the steps of a plan, or over those that are `left` of it."""

    __slots__ = (
        "_bucket", "_call", "_caller", "_cancelling", "_cause", "_context", "_denied", "_engine", "_error", "_expired",
        "_late", "_plan", "_refused", "_remaining", "_result", "_running", "_trace", "_wake", "_won",
    )

    def __init__(
        self, engine: Engine, call: Call, plan: Plan, trace: Trace, left: Iterable[int] | None = None,
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
        self._cause: Cause = cause
        self._remaining = Remaining(engine, call, plan, range(len(plan.steps)) if left is None else left)
        self._running: list[StepRun] = []  # oldest first
        self._won: float | None = None  # when the attempt that has won was sent
        self._result: Reply | ReplyReader | None = None
        self._error: BaseException | None = None
        self._refused: Refused | None = None
        self._expired = False
        self._wake: asyncio.Future[None] | None = None
        self._late: Timer | None = None
        self._denied = False
        self._bucket: HedgeBudget | None = None
        if plan.hedge is not None and (len(plan.steps) > 1 or plan.hedge.same):
            self._context = copy_context()
            self._bucket = engine.policies.hedge_budgets.budget_of(plan.steps[0].name, plan.hedge.budget)
            if cause == "first":
                self._bucket.deposit()

    def __repr__(self) -> str:
        return f"<Race running: {self._running!r}, {self._remaining!r}>"

    async def run(self) -> Reply | ReplyReader:
        """The first whole answer (for a stream: its won beginning).

        Raises `CallError`, `Refused`, or what is no provider's doing, unchanged.
        """
        try:
            while (lane := self._next()) is not None:
                await self._ride(lane)
                while self._running and self._result is None and self._error is None:
                    await self._changed()
                if self._result is not None:
                    return self._result
                if self._error is not None:
                    raise self._error
            raise self._verdict()
        except BaseException:
            for lane in tuple(self._running):
                self._drop(lane, "cancelled")
            if isinstance(self._result, ReplyReader):
                self._result.close()  # won, but its caller has been cancelled at the same instant
            raise
        finally:
            if self._late is not None:
                self._engine.timers.withdraw(self._late)

    def behind(self, index: int) -> list[int]:
        """The steps whose turn would come after this one."""
        return self._remaining.behind(index)

    # What the lanes ask and tell.

    def sent(self, lane: StepRun) -> None:
        """A lane is late so many seconds after it was sent, the newest lane after its newest attempt."""
        if self._bucket is not None and lane in self._running[-1:]:
            self._watch()

    def won(self, lane: StepRun) -> bool:
        """The first to call this has won: every other lane is settled now, and cancelled."""
        if lane not in self._running:
            return False
        self._won = lane.sent_at
        for other in tuple(self._running):
            if other is not lane:
                self._drop(other, "superseded")
        return True

    def others(self, lane: StepRun, within: float, *, forced: bool = False) -> bool:
        """Whether another step runs, or could be sent in `within` seconds; `forced`: though its breaker is open."""
        return any(other is not lane for other in self._running) or self._remaining.sendable(within, forced=forced)

    # Carrying it out.

    async def _ride(self, lane: StepRun) -> None:
        """Run a lane in the caller's task."""
        result: Reply | ReplyReader | AttemptError | None = None
        try:
            result = await retry(self._engine, self._call, self._trace, lane)
        except asyncio.CancelledError:
            # Our own cancel is taken back; whatever is asked for beyond it is not ours to swallow.
            if lane.stopped is None or self._caller.uncancel() > self._cancelling:
                raise
        self._land(lane, result)

    async def _fly(self, lane: StepRun) -> None:
        """Run a lane in a task of its own; what it raises, the caller gets unchanged."""
        result: Reply | ReplyReader | AttemptError | None = None
        try:
            result = await retry(self._engine, self._call, self._trace, lane)
        except asyncio.CancelledError as error:
            if lane.stopped is None:  # not by us: raised in `accept`, or the whole loop is cancelled
                self._error = error
        except Exception as error:
            self._error = error
        self._land(lane, result)

    async def _changed(self) -> None:
        """Wait until a lane in a task of its own has ended."""
        self._wake = self._engine.loop.create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    # Deciding.

    def _next(self) -> StepRun | None:
        """The lane to run, now that none is; `None` when the steps are used up."""
        if self._engine.closed:
            raise RouterClosed("the router was closed while the call was running")
        while (index := self._remaining.take()) is not None:
            lane = self._open(index, self._cause)
            if lane is not None:
                return lane
            self._cause = "fallback"
        return None

    def _open(self, index: int, cause: Cause) -> StepRun | None:
        """A step's turn with its share of the deadline; `None`, and an entry in the trace, when that is too little."""
        step, trace = self._plan.steps[index], self._trace
        try:
            limits = self._remaining.limits(index, tried=any(attempt.sent is not None for attempt in trace.attempts))
        except NotSent as error:
            pass_over(self._engine, self._call, trace, step, cause, error)
            return None
        lane = StepRun(self, self._engine.loop, step, index, cause, *limits)
        self._running.append(lane)
        return lane

    def _land(self, lane: StepRun, result: Reply | ReplyReader | AttemptError | None) -> None:
        """A lane has ended: with an answer, with an error, or stopped by us."""
        if lane in self._running:
            newest = lane is self._running[-1]
            self._running.remove(lane)
            self._won = None
            self._refund(lane)
            if isinstance(result, AttemptError):
                self._failed(lane, result, newest)
            elif result is not None:
                self._result = result
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _failed(self, lane: StepRun, error: AttemptError, newest: bool) -> None:
        warn(self._engine, lane.step, error)
        self._cause = "escalate" if isinstance(error, NotAccepted) else "fallback"
        if isinstance(error, AttemptTimeout) and error.clock == "deadline":
            self._expired = True
            self._remaining.clear()
        elif isinstance(error, Refused) and lane.step.on_refusal == "raise":
            # Raised when nobody else is running: a failure never wins while another attempt lives.
            self._refused = error
            self._remaining.clear()
        elif isinstance(error, ContextTooLong):
            for step, why in self._remaining.drop_no_larger(lane.step):
                pass_over(self._engine, self._call, self._trace, step, "fallback", why)
        if self._running and self._bucket is not None and self._refused is None and not self._expired:
            # With a successor of the failed lane alive nothing starts yet; when the newest fails, the next one does.
            if newest:
                self._start_hedge(None)
            else:
                self._watch()

    def _drop(self, lane: StepRun, outcome: Outcome) -> None:
        """Settle a lane and cancel it at once. A loser's step has its turn again, unless a twin (hedge.same) has it."""
        self._running.remove(lane)
        lane.stopped = outcome
        self._refund(lane)
        if lane.flight is not None:
            lane.flight.end(outcome)
        if lane.task is not None:
            lane.task.cancel()
        elif outcome == "superseded":
            self._caller.cancel()
        if outcome == "superseded" and all(other.index != lane.index for other in self._running):
            self._remaining.put_back(lane.index)

    # Hedging.

    def _watch(self) -> None:
        """See to it that somebody looks when the newest lane becomes late; one that queues is not, until it is sent."""
        if self._late is not None:
            self._engine.timers.withdraw(self._late)
        sent_at = self._running[-1].sent_at
        after = self._after(self._running[-1])
        self._late = None
        if sent_at is not None and after < inf:
            self._late = self._at(sent_at + after, self._look, sent_at)

    def _at(self, when: float, look: Callable[..., None], *told: object) -> Timer:
        """Look at an instant, in the caller's context: the timer that all calls share has another's."""
        return self._engine.timers.at(when, partial(self._context.run, look, *told))

    def _after(self, lane: StepRun) -> float:
        hedge, bucket, step = self._plan.hedge, self._bucket, lane.step
        assert hedge is not None
        assert bucket is not None
        streams = self._call.stream or step.streams
        return self._engine.policies.hedge_after(hedge, bucket, step.model, lane.size, streams=streams)

    def _look(self, sent_at: float) -> None:
        self._late = None
        if len(self._running) != 1 or (lane := self._running[0]).sent_at == self._won:
            return
        if (lane.sent_at or 0.0) > sent_at:
            self._watch()  # the one that was to be late has gone, and this one has been sent again since
        else:
            self._start_hedge(lane)

    def _start_hedge(self, late: StepRun | None) -> None:
        """Race a late lane, or one whose hedge has failed, with what could be sent at once, if the bucket allows.

        A hedge that is denied is not asked for again: who waits for a token gets it late, and takes it from one who is
        just late now (simulated, law C of the benchmark at a budget of 2 %: asked for again each time a call had waited
        half as long again, the p99.9 was 4.3 s; never again, 3.5 s).
        """
        assert self._bucket is not None
        index = None if self._engine.closed else self._remaining.hedge(None if late is None else late.index)
        if index is None:
            self._deny("no other model could be sent now")
            return
        if not self._bucket.take():
            self._deny("the hedge budget is used up")
            if late is not None:
                self._overdue(late)
            return
        self._remaining.remove(index)
        lane = self._open(index, "hedge")
        if lane is None:
            self._bucket.refund()
            return
        lane.task = self._engine.loop.create_task(self._fly(lane), context=self._context.copy())
        self._engine.keep(lane.task)

    def _overdue(self, lane: StepRun) -> None:
        """See to it that a lane nobody may race is given time until it must be called slow."""
        sent_at, policies, streams = lane.sent_at, self._engine.policies, self._call.stream or lane.step.streams
        assert sent_at is not None
        if (after := policies.slow_after(lane.step.model, lane.size, streams=streams)) < inf:
            self._late = self._at(sent_at + after, self._slow, lane, sent_at)

    def _slow(self, lane: StepRun, sent_at: float) -> None:
        self._late = None
        if self._running == [lane] and lane.sent_at == sent_at != self._won and lane.flight is not None:
            lane.flight.be_slow()

    def _deny(self, reason: str) -> None:
        """Say so once: a retry that is late again, or a hedge that fails, is the same news."""
        if not self._denied and not self._engine.events.quiet:
            self._engine.events.emit(HedgeDenied(self._trace, reason))
        self._denied = True

    def _refund(self, lane: StepRun) -> None:
        """Give a hedge's token back when it was never sent."""
        if lane.hedged and lane.sent_at is None and self._bucket is not None:
            self._bucket.refund()

    def _verdict(self) -> BaseException:
        """What the call raises when nothing is left to run."""
        if self._refused is not None:
            self._refused.trace = self._trace
            return self._refused
        if self._expired or self._engine.loop.time() >= self._call.deadline:
            return too_late(self._call, self._trace)
        return used_up(self._plan, self._trace)
