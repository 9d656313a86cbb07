"""Which step is started beside one that is late, and which budget pays for it.

hedge     Where hedging was asked for: one token of the hedge budget. It is asked for once an attempt and way of
being late. Who waited for a token would get it late, and take it from a call that is late just now.
rescue    When the attempt is late beyond doubt, and nobody was raced with it before: from the budget of rescues,
and asked for every second. Chains without a hedge have rescues, too.
free      When its model has just become slow: the calls that are on their way to it would all be late. And the
race of a probe of such a model, so that no call pays for our curiosity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from asyncrouter._engine.remaining import may_rescue
from asyncrouter._engine.step_run import Beside, request_kind
from asyncrouter._engine.watching import FULL_BUDGET, Look, in_words
from asyncrouter._events import HedgeDenied

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter._config.plan import Plan
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.remaining import Remaining
    from asyncrouter._engine.sent_attempt import SentAttempt
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._policies.facade import Policies
    from asyncrouter._policies.memory import Usual
    from asyncrouter._policies.rescue_budget import RescueBudget
    from asyncrouter._policies.slowness import Dimension
    from asyncrouter._types import Call, Trace

RaceFor = Literal["first", "silence", "pace", "probe"]
"""What a race is about: the way in which the older attempt was late, or a probe."""


def pay_in(policies: Policies, call: Call, plan: Plan) -> None:
    """Pay into the budgets of a call that begins and may be hedged or rescued."""
    hedge, name = plan.hedge, plan.steps[0].name
    if hedge is not None:
        policies.hedge_budgets.budget_of(name, hedge.budget).deposit()
    if policies.rescue_budgets.low and may_rescue(call, plan):
        policies.rescue_budgets.budget_of(name, hedged=hedge is not None).deposit()


class SecondStep:
    """Starts steps beside late ones, for one race.

    `start(index, beside)` starts a step in a task of its own and returns it; `None` when too little of the
    deadline is left for it.
    """

    __slots__ = (
        "_denied", "_engine", "_plan", "_remaining", "_start", "_trace", "_unsent", "asked", "budget", "hedge",
        "race_for", "rescues",
    )

    def __init__(
        self, engine: Engine, call: Call, plan: Plan, trace: Trace, remaining: Remaining,
        start: Callable[[int, Beside], StepRun | None],
    ) -> None:
        hedge, name, policies = plan.hedge, plan.steps[0].name, engine.policies
        self._engine = engine
        self._plan = plan
        self._trace = trace
        self._remaining = remaining
        self._start = start
        self._denied = False
        self._unsent: tuple[float, frozenset[int]] = 0.0, frozenset()  # steps that could not be sent at an instant
        self.hedge = hedge
        self.budget = FULL_BUDGET if hedge is None else policies.hedge_budgets.budget_of(name, hedge.budget)
        self.rescues: RescueBudget | None = None
        if may_rescue(call, plan):
            self.rescues = policies.rescue_budgets.budget_of(name, hedged=hedge is not None)
        self.asked: tuple[Dimension, ...] = ()
        """The ways in which the attempt was late when a hedge was asked for."""
        self.race_for: RaceFor = "first"

    def __repr__(self) -> str:
        return f"<SecondStep {self.budget!r}, {self.rescues!r}>"

    def race(self, step_run: StepRun, sent: SentAttempt, found: Look, index: int | None) -> bool:
        """Start another step if this one is late and a budget allows it; whether one was started."""
        dimension = found.dimension
        if dimension is None:
            return False
        why = in_words(sent, found)
        if index is None:
            self._deny("no other model could be sent now")
            return False
        if sent.lease.state.slow:
            why += "; it has become slow"
            return self._begin(index, dimension, Beside("rescue" if self.hedge is None else "hedge", why))
        if self.hedge is not None and not found.early and dimension not in self.asked:
            self.asked += (dimension,)
            if self.budget.take():
                if dimension != "first":
                    self.budget.raced_later()
                return self._begin(index, dimension, Beside("hedge", why, self.budget, 1.0))
            self._deny("the hedge budget is used up")
        if found.sure and self.rescues is not None and step_run.step.rescue:
            price = self.rescues.pay(found.quiet)
            return price is not None and self._begin(index, dimension, Beside("rescue", why, self.rescues, price))
        return False

    def replace(self) -> bool:
        """Start a further step in the place of the newest, which has failed, as the one that is left is late."""
        index, why = self.find(None), "the model raced with it failed"
        if index is None:
            self._deny("no other model could be sent now")
        elif self.hedge is not None:
            if self.budget.take():
                return self._begin(index, "first", Beside("hedge", why, self.budget, 1.0))
            self._deny("the hedge budget is used up")
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
            if beside.paid is not None:
                beside.paid.refund(beside.price)
            return False
        state = self._engine.policies.state_of(step_run.step.model)
        if state.slow and step_run.pool is None:
            step_run.is_probe = step_run.probes = True
            state.slowness.begin_probe(self._engine.time())
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

    def usual(self, step_run: StepRun, sent: SentAttempt, index: int | None) -> Usual:
        """What is usual for the step that would be raced with this one; for itself, while there is none."""
        if index is None or index == step_run.index:
            return sent.lease.usual
        step = self._plan.steps[index]
        streams = step.streams or sent.entry.call.stream
        kind = request_kind(step_run.params)
        return self._engine.policies.usual(step.model, step_run.size, streams=streams, kind=kind)

    def _deny(self, reason: str) -> None:
        """Tell the listeners once a call: a retry that is late again, or a hedge that fails, is the same news."""
        if self.hedge is not None and not self._denied:
            self._denied = True
            if not self._engine.events.quiet:
                self._engine.events.emit(HedgeDenied(self._trace, reason))
