"""The steps of a plan that may still be started: which one comes next, and how long it may take."""

from __future__ import annotations

from bisect import insort
from math import inf
from typing import TYPE_CHECKING

from asyncrouter._engine.claim import may_go_at_once
from asyncrouter._engine.pool_steps import PoolSteps
from asyncrouter._engine.retry import UNHINTED_FIRST_PAUSE, UNHINTED_TRIES
from asyncrouter._engine.trace_entry import requests_to
from asyncrouter._engine.turns import Turns
from asyncrouter._errors import NotSent, RateLimited
from asyncrouter._policies.scope import asks_for_pause

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from asyncrouter._config.plan import Plan, PlannedStep
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.pool_run import PoolRun
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._errors import AttemptError, ContextTooLong
    from asyncrouter._policies.pacing import Ticket
    from asyncrouter._policies.refusal import Refusal
    from asyncrouter._policies.slowness import Place
    from asyncrouter._types import Call, Cause, Trace

MIN_STEP_SECONDS = 0.25
"""Seconds of the deadline below which a step is not started: hardly any model answers in less."""


class Remaining(PoolSteps):
    """The steps of `plan` that are left. A step is known by its index, its place in the chain."""

    __slots__ = ("_held", "_left", "_started", "may_race")

    def __init__(self, engine: Engine, call: Call, plan: Plan, left: Iterable[int]) -> None:
        self._engine = engine
        self._call = call
        self._plan = plan
        self._pools = ()
        self.may_race = plan.races and (call.priority != "batch" or plan.hedge is not None)
        """Whether a late step may be raced with another one, and the order of the steps may change."""
        self._left = list(left)
        self._held: dict[int, tuple[float, Cause]] = {}  # steps that may have their turn again: from when on, and why
        self._started: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return f"<Remaining {', '.join(self._plan.steps[index].name for index in self._left) or 'none'}>"

    @property
    def is_empty(self) -> bool:
        """Whether no step is left."""
        return not self._left

    def take_next(self) -> tuple[int, bool] | None:
        """Take out the step to start now, and say whether it probes a slow model.

        That is the first one, but models that have become slow come after the others, except for a probe. With nothing
        but slow models their order stands. Without hedge and rescues the caller's order stands.
        """
        if not self._left:
            return None
        chosen, probes = self._left[0], False
        if self._engine.policies.slow_models and self.may_race and self._plan.ordinary > 1:
            chosen, probes = self._next_of_some_slow()
        self._left.remove(chosen)
        self._started += (chosen,)
        return chosen, probes

    def _next_of_some_slow(self) -> tuple[int, bool]:
        """The same, when some models have become slow. If all of the chain have, they are pardoned when one is due."""
        now, policies, steps = self._engine.time(), self._engine.policies, self._plan.steps
        places = [self._place_now(index, now) for index in self._left]
        at = next((at for at, place in enumerate(places) if place != "last"), 0)
        if places[at] == "probe":
            models = [step.model for step in steps[:self._plan.ordinary] if step.pool is None]
            if any(policies.place(model, now) == "usual" for model in models):
                policies.begin_probe(steps[self._left[at]].model, now)
                return self._left[at], True
            policies.pardon(models, now)
            return self._left[0], False
        return self._left[at], False

    def _place_now(self, index: int, now: float) -> Place:
        """Where a step stands in its chain; last as long as its probe could not be sent, which would use that up."""
        place = self._slow_place(index, now)
        return "last" if place == "probe" and max(self._free_in(index), self._queue_of(index)) > 0.0 else place

    def limits(self, trace: Trace, starts: int, pool: PoolRun | None) -> tuple[float, float]:
        """The share of the deadline of the step that starts now: until when it may be silent, when it must have ended.

        With R seconds left and n steps that could be sent now (this one included) it may be silent for R / n. Once it
        answers, it has all of R but for what each later step usually needs, and never less than R / n. A pool counts
        for as many steps as it has members to ask, two at most.

        Raises `NotSent` when the share is too short to begin. But the last step, if no attempt of the trace was sent
        before it, has whatever there is, if there is anything: the program may have blocked the loop beyond the
        deadline.
        """
        deadline = self._call.deadline
        if deadline == inf:
            return inf, inf
        now = self._engine.time()
        later = [other for other in self._left for _ in range(self._count(other))] if self._left else []
        if pool is not None:
            later += [starts] * (pool.count(now) - 1)
        share = (deadline - now) / (len(later) + 1)
        if share < MIN_STEP_SECONDS and (
            share <= 0.0 or later or any(attempt.sent is not None for attempt in trace.attempts)
        ):
            raise NotSent(f"only {max(share, 0.0):.2f} s of the deadline are left for it")
        if not later:
            return deadline, deadline  # not `now + share`: a rounding error would end it just before the deadline
        silent_until = now + share
        return silent_until, max(silent_until, deadline - sum(map(self._reserve, later)))

    def _count(self, index: int) -> int:
        """For how many steps a step counts that could be sent now; a pool for two at most."""
        if self._plan.steps[index].pool is None:
            return self._free_in(index) <= 0.0
        return self.pool(index).count(self._engine.time())

    def free_in(self, *, forced: bool = False, beside: int | None = None) -> float:
        """Seconds until one of the steps could be sent, `inf` if none could; `forced`: though its breaker is open.

        `beside`: a step that does not count.
        """
        indices = (index for index in (*self._left, *self._held) if index != beside)
        return min((self._free_in(index, forced=forced) for index in indices), default=inf)

    def hedge_step(self, late: int | None, without: Collection[int] = ()) -> int | None:
        """The step for a hedge: one that could be sent at once, and usually answers in the time that is left.

        `late` is the step that is late, `None` when that is not the reason. With `hedge.same` it is started again. A
        model that has become slow is no help, but a probe of it where there is no other. `without`: steps left out.
        """
        plan, policies, now = self._plan, self._engine.policies, self._engine.time()
        same = plan.hedge is not None and plan.hedge.same
        due: int | None = None  # a slow model that is to be probed
        if late is not None and not same and late not in without and self.has_sibling(late):
            return late
        for index in [late] if same and late is not None else self._left:
            if index in without:
                continue
            step = plan.steps[index]
            if step.pool is not None:
                if self.has_sibling(index):
                    return index
                continue
            usual = policies.usual_first(step.model, streams=self._call.stream or step.streams)
            in_time = now + max(usual, MIN_STEP_SECONDS) <= self._call.deadline
            if in_time and may_go_at_once(self._engine, self._call, step, now):
                if (place := policies.place(step.model, now)) == "usual":
                    return index
                due = index if place == "probe" and due is None else due
        return due

    def mark_started(self, index: int) -> None:
        """A step is started as a hedge. With `hedge.same` it runs already."""
        self._started += (index,)
        if index in self._left:
            self._left.remove(index)

    def put_back(self, index: int) -> None:
        """A step may be started again, in its old place."""
        if index not in self._left:
            insort(self._left, index, key=self._place)

    def keep_later_than(self, index: int) -> None:
        """Keep what would be started after the step `index`: later steps, and earlier ones that were put off.

        None has its turn again that was held before.
        """
        self._left = [other for other in self._left if other > index or other not in self._started]
        self._held.clear()

    def clear(self) -> None:
        """No further step is started."""
        self._left.clear()
        self._held.clear()

    # Steps that come back.

    def may_come_back(self, step_run: StepRun, error: AttemptError, trace: Trace) -> None:
        """Note that a step has ended; it may have its turn again if it was held or limited.

        An `attempts` that was given bounds its requests in any case. Without a deadline `UNHINTED_TRIES` do, and they
        do without one that was given if the provider does not say how long to wait.
        """
        if step_run.resumes_at is not None:  # it was to be tried again: another one is free sooner
            self._held[step_run.index] = step_run.resumes_at, "retry"
            return
        if isinstance(error, NotSent):
            # If it was to wait for its turn whatever it takes, and is not held, that cannot come in time.
            if error.hold is None:
                return
            if step_run.hedged:  # it has not had its turn: it may be raced again, or follow
                self.put_back(step_run.index)
            elif not (step_run.patient and self._free_in(step_run.index, forced=True) <= 0.0):
                self._held[step_run.index] = 0.0, "retry" if step_run.cause == "retry" else "fallback"
            return
        if error.again == "never" or not (isinstance(error, RateLimited) or asks_for_pause(error)):
            return
        settings, sent = step_run.step.retry, requests_to(trace, step_run.step.name)
        now, unhinted = self._engine.time(), not error.retry_after
        if (settings.attempts_given and sent >= settings.attempts) or (
            sent >= UNHINTED_TRIES
            and (self._call.deadline == inf or (unhinted and not self._call.deadline_given))
        ):
            return
        pause = error.retry_after or 0.0
        if not pause and not self._engine.policies.queues(step_run.step.model):
            longest = min(settings.cap, UNHINTED_FIRST_PAUSE * 2.0 ** min(sent - 1, 30))
            pause = self._engine.random.uniform(0.0, longest)
        self._held[step_run.index] = now + pause, "retry"

    async def wait_for_free(self, trace: Trace) -> tuple[int, Cause, Ticket | None] | None:
        """Wait for the step that may have its turn again first: its index, and the cause of its next attempt.

        Of several that are limited it is the one that lets the call go first, with the ticket of that turn.
        """
        begun = any(attempt.sent is not None for attempt in trace.attempts)
        until = self._call.deadline - (MIN_STEP_SECONDS if begun else 0.0)  # later `limits()` would refuse it
        turns, hoped = Turns(self._engine, self._call, trace, until), set[int]()
        try:
            while waits := self._waits(turns):
                hoped.update(waits)
                ready = self._one_a_model(index for index, seconds in waits.items() if seconds <= 0.0)
                turns.keep(ready)
                if (granted := turns.granted()) is not None:
                    return granted, self._held.pop(granted)[1], turns.take(granted)
                if ready and (len(waits) == 1 or min(map(self._queue_of, ready)) <= 0.0):
                    index = min(ready, key=self._queue_of)
                    return index, self._held.pop(index)[1], None
                await self._queue(turns, ready, waits)  # and look again: much may have happened meanwhile
                self._engine.check_open()
            for index in sorted(hoped & self._held.keys()):
                turns.tell_in_vain(self._plan.steps[index], self._held[index][1], self._why_not(index))
            return None
        finally:
            turns.keep(())

    async def _queue(self, turns: Turns, ready: list[int], waits: Mapping[int, float]) -> None:
        """Wait in the queues of all steps that are `ready`, and until the next one is."""
        late = [index for index in ready if not self._join(turns, index, len(waits))]
        later = [index for index, seconds in waits.items() if seconds > 0.0]
        first = min(later, key=waits.__getitem__, default=None)
        if len(late) < len(ready):
            await turns.wait(None if first is None else waits[first])
            late += turns.expired()
        elif first is not None:
            model = self._plan.steps[first].model
            own_key = model.provider in self._call.own_keys
            await self._engine.sleep(waits[first], model, inf if own_key else turns.until)
        for index in late:
            self._held.pop(index, None)

    def _one_a_model(self, indices: Iterable[int]) -> list[int]:
        """The first step of each model: a call queues once for a model, however often it stands in the chain."""
        steps = self._plan.steps
        first = {_model(steps[i]): i for i in sorted(indices, reverse=True)}
        return sorted(first.values())

    def _join(self, turns: Turns, index: int, queues: int) -> bool:
        step = self._plan.steps[index]
        pool = None if step.pool is None else self.pool(index)
        return turns.join(index, step, self._held[index][1], queues=queues, pool=pool)

    def _queue_of(self, index: int) -> float:
        """About how many seconds the call would wait in the queue of a step."""
        step = self._plan.steps[index]
        if step.pool is not None:
            return self.pool(index).expected_wait(self._engine.time())
        model = step.model
        own_key = model.provider in self._call.own_keys
        return self._engine.policies.expected_wait(model, self._call.priority, own_key=own_key)

    def _waits(self, turns: Turns) -> dict[int, float]:
        """The seconds until each step may be sent again that may have its turn again in time."""
        left = turns.until - self._engine.time()
        waits = {index: seconds for index in self._held if (seconds := self._free_in(index, forced=True)) < left}
        for index in turns.indices():
            if index not in waits:  # something has happened to it while the call stood in its queue
                turns.give_up(index, self._why_not(index))
        return waits

    def _why_not(self, index: int) -> NotSent:
        refusal = self._refusal(index, forced=True)
        return NotSent("its turn did not come in time") if refusal is None else refusal.error()

    def too_long(self, small: PlannedStep, error: ContextTooLong) -> list[tuple[PlannedStep, NotSent]]:
        """The prompt is too long for the step `small`: the steps for long prompts are next, if the plan has any.

        Steps whose context window is known to be no larger than that of `small` are taken out; each with why.
        """
        self._add_for_long_prompts()
        window, dropped = small.model.context if error.about_window else None, []
        for index in (*self._left, *self._held):
            step = self._plan.steps[index]
            if window is not None and step.model.context is not None and step.model.context <= window:
                if self._held.pop(index, None) is None:
                    self._left.remove(index)
                why = f"its window of {step.model.context} tokens is no larger than {small.name}'s"
                dropped.append((step, NotSent(why)))
        return dropped

    def _add_for_long_prompts(self) -> None:
        """Put the plan's steps for long prompts before the others, each model once; those that ran before stay out."""
        steps = self._plan.steps
        tried = {_model(steps[index]) for index in self._started}
        new = [
            index for index in range(self._plan.ordinary, len(steps))
            if _model(steps[index]) not in tried and index not in self._left
        ]
        models = {_model(steps[index]) for index in new}
        self._left = [*new, *(index for index in self._left if _model(steps[index]) not in models)]

    def _place(self, index: int) -> int:
        """Where a step stands in the order: those for long prompts before the others."""
        return index if index < self._plan.ordinary else index - len(self._plan.steps)

    def _free_in(self, index: int, *, forced: bool = False) -> float:
        """Seconds until a step could be sent: its model is held, or its call pauses; `inf` if that is not known."""
        refusal, back = self._refusal(index, forced=forced), self._held.get(index)
        hold = 0.0 if refusal is None else inf if refusal.hold is None else refusal.hold
        return hold if back is None else max(hold, back[0] - self._engine.time())

    def _refusal(self, index: int, *, forced: bool) -> Refusal | None:
        if self._plan.steps[index].pool is not None:
            return self.pool(index).refusal(self._engine.time(), forced=forced)
        model, call = self._plan.steps[index].model, self._call
        own_key = model.provider in call.own_keys
        return self._engine.policies.refusal(model, self._engine.time(), forced=forced, own_key=own_key)

    def _reserve(self, index: int) -> float:
        step = self._plan.steps[index]
        return self._engine.policies.reserve(step.model, streams=self._call.stream or step.streams)


def _model(step: PlannedStep) -> tuple[str, str]:
    """Which model a step asks, under whatever name; a pool is known by its name."""
    return ("", step.name) if step.pool is not None else (step.model.provider, step.model.id)
