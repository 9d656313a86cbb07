"""Hedges and rescues: when the newest running step is late, the next one is started beside it, if a budget allows.

Theory of operation
===================

One timer looks at the race. While one step runs, each look (`watching.py`) says whether it is late: no first content,
silence after it, or contents too far apart; and when to look again. A step that waits for admission is not late: its
time begins with its sending, and anew with each retry.

When it is late, another step that could be sent at once is started:

    hedge     Where hedging was asked for: one token of the hedge budget. It is asked for once an attempt and way of
              being late. Who waited for a token would get it late, and take it from a call that is late just now.
    rescue    When it is late beyond doubt, and nobody was raced with it before: from the budget of rescues, and asked
              for every second. Chains without a hedge have rescues, too. A late attempt is not given up, it is raced:
              that costs one more request, as a fallback does, and the late answer may still come first.
    free      When its model has just become slow: the calls that are on their way to it would all be late.

At most two steps run. Who wins:

    For want of a first content the first content wins provisionally. It is confirmed (`confirm`) after eight contents
    at a usual pace; then the other step is stopped. Until then both run, and the first whole answer wins.
    For silence and pace the first whole answer wins.

A model that has become slow is probed by a call that races it with the next one at once. Both run until it is known
whether the model is as quick as usual again.

If one of two steps fails (`failed()`), the other one is watched again; but if it was the older one, silent and late, a
further step is started at once in the place of the newer one.

A request that was paid for and never sent is refunded (`ended()`). Nothing here awaits. Timers run in a context of the
call's own, for the timer that all calls share has another's.
"""

from __future__ import annotations

from contextvars import copy_context
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Literal

from asyncrouter._engine.remaining import may_rescue
from asyncrouter._engine.sent_attempt import SentAttempt
from asyncrouter._engine.watching import (
    FULL_BUDGET,
    Look,
    first_look_at,
    flows_as_usual,
    in_words,
    judge_probe,
    look,
    was_quick,
)
from asyncrouter._events import HedgeDenied
from asyncrouter._policies.memory import pool

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context

    from asyncrouter._config.plan import Plan
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.remaining import Remaining
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._engine.timers import Timer
    from asyncrouter._policies.hedge_budget import HedgeBudget
    from asyncrouter._policies.memory import Usual
    from asyncrouter._policies.model_state import ModelState
    from asyncrouter._policies.rescue_budget import RescueBudget
    from asyncrouter._policies.slowness import Dimension
    from asyncrouter._types import Call, Cause, Outcome, Trace

RaceFor = Literal["first", "silence", "pace", "probe"]
"""What a race is about: the way in which the older attempt was late, or a probe."""

ANSWER_LOOK_SECONDS = 0.5
"""Seconds after the first content at which an answer that is not raced is looked at first."""
RACE_LOOK_SECONDS = 0.1
"""Seconds between two looks at a race whose winner is not confirmed yet."""


class Hedging:
    """Starts hedges and rescues for one race.

    `running` is the race's own list of step runs, oldest first, and `remaining` its steps to come. `start(index, cause,
    why, context)` starts a step in a task of its own and returns it; `None` when too little of the deadline is left for
    it. `confirm(step_run)` stops the others. `first`: the call begins, and pays in.
    """

    __slots__ = (
        "_asked", "_budget", "_confirm", "_context", "_denied", "_engine", "_hedge", "_plan", "_race_for", "_remaining",
        "_rescues", "_running", "_start", "_timer", "_trace", "_watched",
    )

    def __init__(
        self, engine: Engine, call: Call, plan: Plan, trace: Trace, running: list[StepRun], remaining: Remaining,
        start: Callable[[int, Cause, str, Context], StepRun | None], confirm: Callable[[StepRun], None], *, first: bool,
    ) -> None:
        hedge, name, policies = plan.hedge, plan.steps[0].name, engine.policies
        self._engine = engine
        self._plan = plan
        self._hedge = hedge
        self._budget = FULL_BUDGET if hedge is None else policies.hedge_budgets.budget_of(name, hedge.budget)
        rescues = policies.rescue_budgets.budget_of(name, hedged=hedge is not None)
        self._rescues = rescues if may_rescue(call, plan) else None
        self._trace = trace
        self._running = running
        self._remaining = remaining
        self._start = start
        self._confirm = confirm
        self._context = copy_context()
        self._timer: Timer | None = None
        self._watched: ModelState | None = None
        self._asked: set[Dimension] = set()  # the ways of being late for which a hedge was asked for
        self._race_for: RaceFor = "first"
        self._denied = False
        if first and hedge is not None:
            self._budget.deposit()
        if first and self._rescues is not None:
            self._rescues.deposit()

    def __repr__(self) -> str:
        return f"<Hedging {self._timer!r}>"

    # What the race tells.

    def sent(self, step_run: StepRun) -> None:
        """An attempt is being sent."""
        if not self._running or self._running[-1] is not step_run:
            return
        if len(self._running) > 1:
            self._look_at(self._engine.loop.time() + RACE_LOOK_SECONDS if self._race_for == "probe" else inf)
        else:
            self._watch(step_run)

    def began(self, step_run: StepRun) -> None:
        """The first content has come."""
        now = self._engine.loop.time()
        if len(self._running) == 1:
            self._look_at(now + ANSWER_LOOK_SECONDS)
        else:
            self._look_at(now + RACE_LOOK_SECONDS)

    def failed(self, *, newest: bool) -> None:
        """A step run has failed while another one lives. `newest`: it was the one that was started last."""
        left = self._running[0]
        if not newest:
            self._watch(left)
        elif left.began_at is not None or not self._replace():
            self._look_at(self._engine.loop.time())

    def ended(self, step_run: StepRun, outcome: Outcome) -> None:
        """A step run has ended; one that was started here and never sent costs nothing."""
        if step_run.is_probe:
            self._end_probe(step_run, outcome)
        if not step_run.hedged:
            return
        if step_run.sent_at is None:
            if step_run.paid is not None:
                step_run.paid.refund()
        elif step_run.cause_of_start == "rescue" and self._rescues is not None and outcome != "cancelled":
            self._rescues.ended(won=outcome == "won")

    def _end_probe(self, step_run: StepRun, outcome: Outcome) -> None:
        slowness, now = self._engine.policies.state_of(step_run.step.model).slowness, self._engine.loop.time()
        if outcome == "won" and was_quick(step_run):
            slowness.passed(now)
        elif outcome == "won":
            slowness.won(now)
        elif outcome != "cancelled":
            slowness.lost(now, unclear=outcome == "superseded" and step_run.probes)

    def may_cut(self, step_run: StepRun) -> bool:
        """Whether an "auto" limit may end an attempt: nobody can be raced with it, or it is in a third one's way.

        With a second one running that is the older of the two, when a further step could be sent.
        """
        could_go = self._remaining.free_in() <= 0.0
        if len(self._running) > 1:
            return could_go and self._running[0] is step_run
        return not (could_go and step_run.step.rescue and self._rescues is not None)

    def close(self) -> None:
        """The race is over."""
        self._look_at(inf)
        self._unwatch()

    # The timer.

    def _look_at(self, when: float) -> None:
        if self._timer is not None:
            self._engine.timers.cancel(self._timer)
            self._timer = None
        if when < inf:
            self._timer = self._engine.timers.call_at(when, partial(self._context.run, self._look))

    def _became_slow(self) -> None:
        """The model of the step that is watched has become slow."""
        self._look_at(self._engine.loop.time())

    def _unwatch(self) -> None:
        if self._watched is not None:
            self._watched.watchers.discard(self._became_slow)
            self._watched = None

    def _watch(self, step_run: StepRun) -> None:
        """Watch the attempt that runs alone now; while its step is queued there is nothing to watch."""
        self._unwatch()
        self._asked.clear()
        sent = step_run.attempt
        if not isinstance(sent, SentAttempt):
            return
        self._watched = sent.lease.state
        self._watched.watchers.add(self._became_slow)
        other = self._other(step_run, sent, self._next_step(step_run))
        if sent.lease.usual.first.is_young:
            self._pool()
        if step_run.probes and self._probe(step_run):
            return
        step_run.probes = False
        begun = step_run.began_at is not None
        now = self._engine.loop.time()
        self._look_at(now if begun else first_look_at(sent, self._hedge, self._budget, other))

    def _look(self) -> None:
        self._timer = None
        if len(self._running) == 1:
            self._look_at_one(self._running[0])
        elif self._running:
            self._look_at_race()

    # One step runs.

    def _look_at_one(self, step_run: StepRun) -> None:
        sent, now = step_run.attempt, self._engine.loop.time()
        if step_run.sent_at is None or not isinstance(sent, SentAttempt):
            return  # it waits for its turn: looked at again when it is sent
        if step_run.is_whole:
            return  # nothing is late any more
        index = self._next_step(step_run)
        found = look(sent, self._hedge, self._budget, self._other(step_run, sent, index), now)
        if found.dimension is not None and found.dimension != "first":
            sent.lease.is_late(found.dimension, found.value, now)
        started = self._race(step_run, sent, found, index, now)
        if not started and found.again_at < inf and (index is not None or not self._remaining.is_empty):
            self._look_at(found.again_at)

    def _race(self, step_run: StepRun, sent: SentAttempt, found: Look, index: int | None, now: float) -> bool:
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
            return self._begin(index, "hedge" if self._hedge is not None else "rescue", why, dimension)
        if self._hedge is not None and not found.early and dimension not in self._asked:
            self._asked.add(dimension)
            if self._budget.take():
                if dimension != "first":
                    self._budget.raced_later()
                return self._begin(index, "hedge", why, dimension, self._budget)
            self._deny("the hedge budget is used up")
        if found.sure and self._rescues is not None and step_run.step.rescue and self._rescues.may_rescue(found.quiet):
            return self._begin(index, "rescue", why, dimension, self._rescues)
        return False

    def _replace(self) -> bool:
        """Start a further step in the place of the newest, which has failed, as the one that is left is late."""
        index, why = self._next_step(None), "the model raced with it failed"
        if index is None:
            self._deny("no other model could be sent now")
        elif self._hedge is not None:
            if self._budget.take():
                return self._begin(index, "hedge", why, "first", self._budget)
            self._deny("the hedge budget is used up")
        elif self._rescues is not None and self._rescues.may_rescue(0.0):
            return self._begin(index, "rescue", why, "first", self._rescues)
        return False

    def _probe(self, step_run: StepRun) -> bool:
        """Race a model that is probed with the next one at once, so that nobody waits for it; whether that goes."""
        index = self._next_step(step_run)
        if index is None:
            return False
        why = f"{step_run.step.name}: has become slow, and is tried again"
        return self._begin(index, "hedge" if self._hedge is not None else "rescue", why, "probe")

    def _begin(
        self, index: int, cause: Cause, why: str, race_for: RaceFor, paid: HedgeBudget | RescueBudget | None = None
    ) -> bool:
        self._race_for = race_for
        step_run = self._start(index, cause, why, self._context.copy())
        if step_run is None:
            if paid is not None:
                paid.refund()
            return False
        step_run.paid = paid
        step_run.is_probe = step_run.probes = self._engine.policies.state_of(step_run.step.model).slow
        return True

    def _next_step(self, late: StepRun | None) -> int | None:
        """The step that could be raced now."""
        if self._engine.closed or self._engine.room.waiting:
            return None
        return self._remaining.hedge_step(None if late is None else late.index)

    def _other(self, step_run: StepRun, sent: SentAttempt, index: int | None) -> Usual:
        """What is usual for the step that would be raced with this one; for itself, while there is none."""
        if index is None or index == step_run.index:
            return sent.lease.usual
        step = self._plan.steps[index]
        streams = step.streams or sent.entry.call.stream
        return self._engine.policies.usual(step.model, step_run.size, streams=streams, kind=step_run.kind)

    def _pool(self) -> None:
        """Let the models of the chain that are known say what to expect of those that are not."""
        policies = self._engine.policies
        pool([policies.state_of(step.model).memory(streams=step.streams).every for step in self._plan.steps])

    def _deny(self, reason: str) -> None:
        """Tell the listeners once a call: a retry that is late again, or a hedge that fails, is the same news."""
        if self._hedge is not None and not self._denied:
            self._denied = True
            if not self._engine.events.quiet:
                self._engine.events.emit(HedgeDenied(self._trace, reason))

    # Two steps run.

    def _look_at_race(self) -> None:
        """Judge a probe, and confirm a winner."""
        now = self._engine.loop.time()
        verdicts = [judge_probe(step_run, now) for step_run in tuple(self._running)]
        pending = any(verdict is None for verdict in verdicts)
        again = pending
        if self._race_for in {"first", "probe"}:
            for step_run in tuple(self._running):
                if step_run.began_at is None:
                    continue
                again = True
                if not pending and flows_as_usual(step_run, now):
                    self._confirm(step_run)
                    if len(self._running) == 1:
                        self._watch(step_run)
                        return
        if again:
            self._look_at(now + RACE_LOOK_SECONDS)
