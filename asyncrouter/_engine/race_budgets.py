"""Which budget pays for a step that is started beside a late one.

hedge     Where hedging was asked for: one token of the hedge budget. It is asked for once an attempt and way of
being late. Who waited for a token would get it late, and take it from a call that is late just now.
rescue    When the attempt is late beyond doubt, and nobody was raced with it before: from the budget of rescues,
and asked for every second. Chains without a hedge have rescues, too.
free      When its model has just become slow: the calls that are on their way to it would all be late. Not where
there is evidence against the other model, too; nor, where a third one of the chain is slow, before the other has given
an ordinary answer: when all are slow at once, a hundred races would be lost. And the race of a probe of such a model,
so that no call pays for our curiosity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._engine.step_run import Beside, request_kind
from asyncrouter._engine.watching import FULL_BUDGET, Look, in_words
from asyncrouter._events import HedgeDenied

if TYPE_CHECKING:
    from asyncrouter._config.plan import Plan
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.sent_attempt import SentAttempt
    from asyncrouter._policies.facade import Policies
    from asyncrouter._policies.memory import Usual
    from asyncrouter._policies.rescue_budget import RescueBudget
    from asyncrouter._policies.slowness import Dimension
    from asyncrouter._types import Call, Trace


def may_rescue(call: Call, plan: Plan) -> bool:
    """Whether late attempts of a call may be rescued."""
    return plan.rescues and call.priority != "batch"


def pay_in(policies: Policies, call: Call, plan: Plan) -> None:
    """Pay into the budgets of a call that begins and may be hedged or rescued."""
    hedge, name = plan.hedge, plan.steps[0].name
    if hedge is not None:
        policies.hedge_budgets.budget_of(name, hedge.budget).deposit()
    if policies.rescue_budgets.low and may_rescue(call, plan):
        policies.rescue_budgets.budget_of(name, hedged=hedge is not None).deposit()


class RaceBudgets:
    """The budgets of one call. `hedge` says how it is hedged, `None` for rescues alone."""

    __slots__ = ("_denied", "_engine", "_plan", "_trace", "asked", "budget", "hedge", "rescues")

    def __init__(self, engine: Engine, call: Call, plan: Plan, trace: Trace) -> None:
        hedge, name, policies = plan.hedge, plan.steps[0].name, engine.policies
        self._engine = engine
        self._plan = plan
        self._trace = trace
        self._denied = False
        self.hedge = hedge
        self.budget = FULL_BUDGET if hedge is None else policies.hedge_budgets.budget_of(name, hedge.budget)
        self.rescues: RescueBudget | None = None
        if may_rescue(call, plan):
            self.rescues = policies.rescue_budgets.budget_of(name, hedged=hedge is not None)
        self.asked: tuple[Dimension, ...] = ()
        """The ways in which the attempt was late when a hedge was asked for."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.budget!r}, {self.rescues!r}>"

    def pay(self, sent: SentAttempt, found: Look, index: int) -> Beside | None:
        """Pay for the step `index` beside an attempt that is late: how and why it is started; `None`: it may not."""
        dimension, why = found.dimension, in_words(sent, found)
        assert dimension is not None
        if sent.lease.state.slow and self.may_help(index, sent):
            return Beside("rescue" if self.hedge is None else "hedge", f"{why}; it has become slow")
        if self.hedge is not None and not found.early and dimension not in self.asked:
            self.asked += (dimension,)
            if self.budget.take():
                if dimension != "first":
                    self.budget.raced_later()
                return Beside("hedge", why, self.budget, 1.0)
            self.deny("the hedge budget is used up")
        if found.sure and self.rescues is not None and sent.step.rescue:
            price = self.rescues.pay(found.quiet)
            return None if price is None else Beside("rescue", why, self.rescues, price)
        return None

    def may_help(self, index: int, late: SentAttempt) -> bool:
        """Whether the model of a step is probably not as slow as that of a late attempt, which has become slow."""
        policies, step = self._engine.policies, self._plan.steps[index]
        if step.pool is not None:
            return True
        other = policies.state_of(step.model).slowness
        slow = sum(policies.state_of(one.model).slow for one in self._plan.steps if one.pool is None)
        return not other.doubted and (slow <= 1 or other.ordinary_at > late.lease.state.slowness.since)

    def usual(self, sent: SentAttempt, late: int | None, index: int | None) -> Usual:
        """What is usual for the step `index` that would be raced with the step `late`; for that, while there is none.
        """
        if index is None or index == late:
            return sent.lease.usual
        step, call = self._plan.steps[index], sent.entry.call
        kind = request_kind({**call.params_for(step.model.provider), **step.params})
        size, streams = len(sent.request.body), step.streams or call.stream
        return self._engine.policies.usual(step.model, size, streams=streams, kind=kind)

    def deny(self, reason: str) -> None:
        """Tell the listeners once a call: a retry that is late again, or a hedge that fails, is the same news."""
        if self.hedge is not None and not self._denied:
            self._denied = True
            if not self._engine.events.quiet:
                self._engine.events.emit(HedgeDenied(self._trace, reason))
