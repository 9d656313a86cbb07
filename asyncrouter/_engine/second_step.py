"""Which step is started beside one that is late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from asyncrouter._engine.race_budgets import RaceBudgets
from asyncrouter._engine.step_run import Beside

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter._config.plan import Plan
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.remaining import Remaining
    from asyncrouter._engine.sent_attempt import SentAttempt
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._engine.watching import Look
    from asyncrouter._types import Call, Trace

RaceFor = Literal["first", "silence", "pace", "probe"]
"""What a race is about: the way in which the older attempt was late, or a probe."""


class SecondStep(RaceBudgets):
    """Starts steps beside late ones, for one race.

    `start(index, beside)` starts a step in a task of its own and returns it; `None` when too little of the
    deadline is left for it.
    """

    __slots__ = ("_remaining", "_start", "_unsent", "race_for")

    def __init__(
        self, engine: Engine, call: Call, plan: Plan, trace: Trace, remaining: Remaining,
        start: Callable[[int, Beside], StepRun | None],
    ) -> None:
        super().__init__(engine, call, plan, trace)
        self._remaining = remaining
        self._start = start
        self._unsent: tuple[float, frozenset[int]] = 0.0, frozenset()  # steps that could not be sent at an instant
        self.race_for: RaceFor = "first"

    def race(self, sent: SentAttempt, found: Look, index: int | None) -> bool:
        """Start another step if this attempt is late and a budget allows it; whether one was started."""
        if found.dimension is None:
            return False
        if index is None:
            self.deny("no other model could be sent now")
            return False
        beside = self.pay(sent, found, index)
        return beside is not None and self._begin(index, found.dimension, beside)

    def replace(self) -> bool:
        """Start a further step in the place of the newest, which has failed, as the one that is left is late."""
        index, why = self.find(None), "the model raced with it failed"
        if index is None:
            self.deny("no other model could be sent now")
        elif self.hedge is not None:
            if self.budget.take():
                return self._begin(index, "first", Beside("hedge", why, self.budget, 1.0))
            self.deny("the hedge budget is used up")
        elif self.rescues is not None and (price := self.rescues.pay(0.0)) is not None:
            return self._begin(index, "first", Beside("rescue", why, self.rescues, price))
        return False

    def probe(self, step_run: StepRun) -> bool:
        """Race a model that is probed with the next one at once, so that nobody waits for it; whether that goes."""
        index = self.find(step_run)
        if index is None:
            return False
        why = f"{step_run.step.name}: has become slow, and is tried again"
        return self._begin(index, "probe", Beside("rescue" if self.hedge is None else "hedge", why))

    def _begin(self, index: int, race_for: RaceFor, beside: Beside) -> bool:
        """Start a step beside the one that runs; whether there was time for it."""
        self.race_for = race_for
        step_run = self._start(index, beside)
        if step_run is None:
            beside.refund()
            return False
        mark_probe(self._engine, step_run)
        return True

    def find(self, late: StepRun | None) -> int | None:
        """The step that could be raced now."""
        if self._engine.closed or self._engine.room.waiting:
            return None
        if late is not None and late.attempt is not None and late.attempt.attempt.outcome is not None:
            late = None  # it waits until it tries again: with `hedge.same` the same step is no help
        return self._remaining.hedge_step(None if late is None else late.index, self._unsent_now())

    def could_not_send(self, index: int) -> None:
        """A step that was started could not be sent: it is not started again at this instant."""
        self._unsent = self._engine.time(), self._unsent_now() | {index}

    def _unsent_now(self) -> frozenset[int]:
        at, indices = self._unsent
        return indices if at == self._engine.time() else frozenset()


def mark_probe(engine: Engine, step_run: StepRun) -> None:
    """A step is started beside another one; if its model is slow, it finds out whether that is over."""
    state = engine.policies.state_of(step_run.step.model)
    if state.slow and step_run.pool is None:
        step_run.is_probe = step_run.probes = True
        state.slowness.begin_probe(engine.time())
