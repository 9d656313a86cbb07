"""The race of a stream's later steps, in a task of its own, beside the stream that has fallen silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from asyncrouter._engine.race import Race
from asyncrouter._engine.reading import ChunkReader
from asyncrouter._engine.second_step import mark_probe

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from asyncrouter._config.plan import Plan
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.remaining import Remaining
    from asyncrouter._engine.sent_attempt import SentAttempt
    from asyncrouter._engine.step_run import Beside, StepRun
    from asyncrouter._types import Call, Outcome, Trace


class StreamCall(NamedTuple):
    """The call of a stream; each of its races is made for it."""

    engine: Engine
    call: Call
    plan: Plan
    trace: Trace


class LaterRace(Race):
    """A race whose first step is given: `index` could be sent at once, and a budget has paid for it (`beside`).

    When that fails it goes on with the steps after it, as any race does. While the silent stream lives, two steps run
    at once already, so none of these is raced in turn.
    """

    __slots__ = ("_alone", "_first")

    def __init__(self, of: StreamCall, left: Remaining, index: int, beside: Beside) -> None:
        super().__init__(*of, left, beside.cause)
        self._first: tuple[int, Beside] | None = (index, beside)
        self._alone = False

    def go_alone(self) -> None:
        """The silent stream has broken. What runs may be late from now on."""
        self._alone = True
        if self._running:
            self._hedge().sent(self._running[-1])

    def sent(self, step_run: StepRun, sent: SentAttempt) -> None:
        """An attempt is being sent."""
        if self._alone:
            super().sent(step_run, sent)
        else:
            sent.lease.probes = sent.lease.probes or step_run.is_probe

    def pausing(self, step_run: StepRun) -> None:
        """A step run waits until it tries again."""
        if self._alone:
            super().pausing(step_run)

    def may_cut(self, step_run: StepRun) -> bool:
        """Whether an "auto" limit may end an attempt: nobody could be raced with it."""
        return not self._alone or super().may_cut(step_run)

    def abort(self, outcome: Outcome) -> None:
        """End it at once: whatever runs is settled with this outcome, and its task is cancelled."""
        if isinstance(self._outcome, ChunkReader):
            self._outcome.end(outcome)
        for step_run in tuple(self._running):
            self._stop(step_run, outcome)
        self._cancelling = -1  # the whole race is cancelled, not one step: that is not taken back
        self._caller.cancel()

    def _next(self) -> StepRun | None:
        if self._first is None:
            return super()._next()
        (index, beside), self._first = self._first, None
        self._cause = "fallback"
        self._remaining.mark_started(index)
        step_run = self._open(index, beside.cause)
        if step_run is None:
            beside.refund()
            return super()._next()
        step_run.beside = beside
        mark_probe(self._engine, step_run)
        self._hedge()  # which counts what a rescue has brought, and refunds what was never sent
        return step_run


class LaterTask:
    """Such a race in a task. Then `reader` is there, or `failure` says why not, and `ended` is called."""

    __slots__ = ("_beside", "_ended", "failure", "race", "reader", "task")

    def __init__(
        self, of: StreamCall, left: Remaining, index: int, beside: Beside, context: Context, ended: Callable[[], None]
    ) -> None:
        self._beside = beside
        self._ended: Callable[[], None] | None = ended
        self.race: LaterRace | None = None  # made by the task
        self.reader: ChunkReader | None = None
        self.failure: BaseException | None = None
        self.task = of.engine.loop.create_task(self._run(of, left, index), context=context.copy())
        of.engine.keep_task(self.task)

    def __repr__(self) -> str:
        return f"<LaterTask {self.race!r}>"

    def go_alone(self) -> None:
        """The silent stream has broken."""
        if self.race is not None:
            self.race.go_alone()

    def abort(self, outcome: Outcome) -> None:
        """End it at once, with this outcome for what runs; `ended` is not called."""
        self._ended = None
        if self.race is not None:
            self.race.abort(outcome)
        else:
            self._beside.refund()
            self.task.cancel()

    async def _run(self, of: StreamCall, left: Remaining, index: int) -> None:
        """Run the race. Nothing is raised: whoever reads the stream gets it, if the stream breaks."""
        try:
            self.race = LaterRace(of, left, index, self._beside)
            reader = await self.race.run()
            assert isinstance(reader, ChunkReader), "the race of a stream ends in a reader"
            self.reader = reader
        except BaseException as error:
            self.failure = error.with_traceback(None)
        if self._ended is not None:
            self._ended()
