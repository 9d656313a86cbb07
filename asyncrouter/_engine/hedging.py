"""Hedges and rescues: when the newest running step is late, the next one is started beside it, if a budget allows.

Theory of operation
===================

One timer looks at the race. While one step runs, each look (`watching.py`) says whether it is late: no first content,
silence after it, or contents too far apart; and when to look again. A step that waits for admission is not late: its
time begins with its sending, and anew with each retry.

When it is late, another step that could be sent at once is started, if a budget allows it (`second_step.py`). A late
attempt is not given up, it is raced: that costs one more request, as a fallback does, and the late answer may still
come first.

At most two steps run. Who wins:

    For want of a first content the first content wins provisionally. It is confirmed (`confirm`) after eight contents
    at a usual pace; then the other step is stopped. Until then both run, and the first whole answer wins.
    For silence and pace the first whole answer wins.

When the models of both have become slow, and both are late, a third step takes the place of one of them
(`_make_room()`): it is started once its model has given an ordinary answer to somebody since then.

A model that has become slow is probed by a call that races it with the next one at once. Both run until it is known
whether the model is as quick as usual again.

If one of two steps fails (`failed()`), the other one is watched again; but if it was the older one, silent and late, a
further step is started at once in the place of the newer one.

A request that was paid for and never sent is refunded (`ended()`). Nothing here awaits. Timers run in a context of the
call's own, for the timer that all calls share has another's.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from asyncrouter._engine.sent_attempt import SentAttempt
from asyncrouter._engine.watching import (
    ASK_AGAIN_SECONDS,
    begun,
    expect,
    first_look_at,
    flows_as_usual,
    judge_probe,
    look,
    next_look_at,
    next_step_at,
    was_quick,
)
from asyncrouter._policies.memory import pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter._config.plan import Plan
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.remaining import Remaining
    from asyncrouter._engine.second_step import SecondStep
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._engine.timers import Timer
    from asyncrouter._policies.model_state import ModelState
    from asyncrouter._types import Outcome

RACE_LOOK_SECONDS = 0.1
"""Seconds between two looks at a race whose winner is not confirmed yet."""


class Hedging:
    """Starts hedges and rescues for one race.

    `running` is the race's own list of step runs, oldest first, and `remaining` its steps to come. `second` starts
    another step, `confirm(step_run)` stops the others, `stop()` one of them. `look_later()` calls `look()` in the
    context of the caller: timers call it.
    """

    __slots__ = (
        "_confirm", "_engine", "_leaves", "_look_later", "_plan", "_remaining", "_running", "_second", "_stop",
        "_timer", "_watched",
    )

    def __init__(
        self, engine: Engine, plan: Plan, running: list[StepRun], remaining: Remaining, second: SecondStep,
        confirm: Callable[[StepRun], None], stop: Callable[[StepRun, Outcome], None], look_later: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._plan = plan
        self._running = running
        self._remaining = remaining
        self._second = second
        self._confirm = confirm
        self._stop = stop
        self._look_later = look_later
        self._timer: Timer | None = None
        self._watched: set[ModelState] = set()
        self._leaves: StepRun | None = None  # is stopped when a third step is sent

    def __repr__(self) -> str:
        return f"<Hedging {self._timer!r}>"

    # What the race tells.

    def sent(self, step_run: StepRun) -> None:
        """An attempt is being sent."""
        sent = step_run.attempt
        if isinstance(sent, SentAttempt):
            if sent.lease.probes and not step_run.is_probe:  # nobody has chosen it for that, but a pool
                step_run.is_probe = step_run.probes = True
            sent.lease.probes = step_run.is_probe
        if not self._running or self._running[-1] is not step_run:
            return
        self._look_at(inf)
        if len(self._running) == 1:
            self._watch(step_run)
            return
        if self._leaves in self._running and len(self._running) > 2:
            self._stop(self._leaves, "superseded")
        self._leaves = None
        if isinstance(sent, SentAttempt):
            self._hear_of(sent.lease.state)
        if self._second.race_for == "probe":
            self._look_at(self._engine.time() + RACE_LOOK_SECONDS)
        elif self._slow_attempts():
            self._look_at(self._engine.time() + ASK_AGAIN_SECONDS)

    def began(self) -> None:
        """A first content has come."""
        if len(self._running) > 1:
            self._look_at(self._engine.time() + RACE_LOOK_SECONDS)

    def pausing(self, step_run: StepRun) -> None:
        """A step run waits until it tries again. Had nothing come, it is as silent as it was."""
        sent = step_run.attempt
        if len(self._running) == 1 and isinstance(sent, SentAttempt) and sent.attempt.first_content is None:
            self._look_at(max(self._engine.time(), first_look_at(sent, self._second.hedge)))

    def failed(self, step_run: StepRun, *, newest: bool) -> None:
        """A step run has failed while another one lives. `newest`: it was the one that was started last."""
        left = self._running[0]
        if newest and step_run.sent_at is None:
            self._second.could_not_send(step_run.index)
        if len(self._running) > 1:  # a third one could not be started
            self._look_at(self._engine.time() + ASK_AGAIN_SECONDS)
        elif not newest:
            self._watch(left)
        elif begun(left):
            self._look_at(self._engine.time())
        elif not self._second.replace():
            self._look_at(self._engine.time() + ASK_AGAIN_SECONDS)

    def ended(self, step_run: StepRun, outcome: Outcome) -> None:
        """A step run has ended; one that was started beside another and never sent costs nothing."""
        if step_run.is_probe:
            self._end_probe(step_run, outcome)
        if step_run.beside is None:
            return
        if step_run.sent_at is None:
            step_run.beside.refund()
        elif step_run.beside.cause == "rescue" and self._second.rescues is not None and outcome != "cancelled":
            self._second.rescues.ended(won=outcome == "won")

    def _end_probe(self, step_run: StepRun, outcome: Outcome) -> None:
        slowness, now = self._engine.policies.state_of(step_run.step.model).slowness, self._engine.time()
        if not slowness.slow:
            return  # its pool alone has found it slow
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
        could_go = self._remaining.free_in() <= 0.0 or self._remaining.has_sibling(step_run.index)
        if len(self._running) > 1:
            return could_go and self._running[0] is step_run
        return not (could_go and step_run.step.rescue and self._second.rescues is not None)

    def close(self) -> None:
        """The race is over."""
        self._look_at(inf)
        self._unwatch()

    # When to look. While one attempt runs, its clock calls; else a timer does.

    def _look_at(self, when: float) -> None:
        if self._timer is not None:
            self._engine.timers.cancel(self._timer)
            self._timer = None
        if when < inf:
            self._timer = self._engine.timers.call_at(when, self._look_later, watch=False)

    def _look_again(self, sent: SentAttempt, when: float) -> None:
        if sent.attempt.outcome is not None:
            self._look_at(when)
        elif when < inf:
            sent.clock.look(self._look_later, when)

    def _became_slow(self) -> None:
        """The model of a step that runs has become slow."""
        self._look_at(self._engine.time())

    def _hear_of(self, state: ModelState) -> None:
        """Hear when a model becomes slow."""
        self._watched.add(state)
        state.watchers.add(self._became_slow)

    def _unwatch(self) -> None:
        for state in self._watched:
            state.watchers.discard(self._became_slow)
        self._watched.clear()

    def _watch(self, step_run: StepRun) -> None:
        """Watch the attempt that runs alone now; while its step is queued there is nothing to watch."""
        self._unwatch()
        self._second.asked = ()
        sent = step_run.attempt
        if not isinstance(sent, SentAttempt):
            return
        if step_run.probes and self._second.probe(step_run):
            return
        step_run.probes = False
        if begun(step_run):
            self._look_at(self._engine.time())
        elif sent.attempt.sent is None:  # it is about to be: its clock is set next
            sent.clock.look_next(self._look_later, first_look_at(sent, self._second.hedge))
        else:
            self._look_again(sent, first_look_at(sent, self._second.hedge))

    def look(self) -> None:
        """Look at what runs."""
        if self._timer is not None and self._timer.callback is None:
            self._timer = None
        if len(self._running) == 1:
            self._look_at_one(self._running[0])
        elif self._running:
            self._look_at_race()

    # One step runs.

    def _look_at_one(self, step_run: StepRun) -> None:
        sent, now = step_run.attempt, self._engine.time()
        if step_run.sent_at is None or not isinstance(sent, SentAttempt):
            return  # it waits for its turn: looked at again when it is sent
        if step_run.is_whole:
            return  # nothing is late any more
        if (next_at := next_look_at(sent, now)) is None:
            self._learn_of(sent)
            next_at = next_step_at(sent, now) if self._second.hedge is None else None
        if next_at is not None:
            self._look_again(sent, next_at)
            return
        second = self._second
        index = second.find(step_run)
        found = look(sent, second.hedge, second.budget, second.usual(sent, step_run.index, index), now)
        if found.dimension is not None and found.dimension != "first":
            sent.lease.is_late(found.dimension, found.value, now, found.measure)
        if not second.race(sent, found, index) and (index is not None or not self._remaining.is_empty):
            self._look_again(sent, found.again_at)

    def _learn_of(self, sent: SentAttempt) -> None:
        """An attempt may be late: hear when its model becomes slow, and what to expect of a model that is not known."""
        if sent.lease.state not in self._watched:
            self._hear_of(sent.lease.state)
            policies = self._engine.policies
            if sent.lease.usual.first.is_young or policies.slow_models:
                pool([policies.state_of(step.model).memory(streams=step.streams).every for step in self._plan.steps])

    # Two steps run.

    def _look_at_race(self) -> None:
        """Judge a probe, confirm a winner, and make room where neither can be in time."""
        now = self._engine.time()
        if self._engine.policies.slow_models:
            for step_run in self._running:
                expect(self._engine.policies, self._plan, step_run)
        verdicts = [judge_probe(step_run, now) for step_run in tuple(self._running)]
        pending = any(verdict is None for verdict in verdicts)
        again = pending
        if self._second.race_for in {"first", "probe"}:
            for step_run in tuple(self._running):
                if not begun(step_run):
                    continue
                again = True
                if not pending and flows_as_usual(step_run, now):
                    self._confirm(step_run)
                    if len(self._running) == 1:
                        self._watch(step_run)
                        return
        slow = self._slow_attempts()
        if slow and not pending:
            self._make_room(slow, now)
        if again or slow:
            self._look_at(now + (RACE_LOOK_SECONDS if again else ASK_AGAIN_SECONDS))

    def _slow_attempts(self) -> list[SentAttempt]:
        """The two attempts that run, newest first, where the models of both have become slow; else none."""
        sent = (one.attempt for one in reversed(self._running) if one.sent_at is not None and not one.is_whole)
        slow = [one for one in sent if isinstance(one, SentAttempt) and one.lease.state.slow]
        return slow if len(slow) == len(self._running) == 2 else []

    def _make_room(self, slow: list[SentAttempt], now: float) -> None:
        """Start a third step in the place of one of two that are late, where its model may be quicker than theirs.

        Whose answer has come less far is stopped as the third is sent; of two that are as far it is the older one.
        """
        second = self._second
        index = second.find(None)
        if index is None or not all(second.may_help(index, sent) for sent in slow):
            return
        looks = [look(sent, second.hedge, second.budget, second.usual(sent, None, index), now) for sent in slow]
        if any(found.dimension is None for found in looks):
            return
        kept = max(slow, key=lambda sent: sent.answer(now).words)
        self._leaves = next(step_run for step_run in self._running if step_run.attempt is not kept)
        second.race(kept, looks[slow.index(kept)], index)
