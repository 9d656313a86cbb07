"""The steps of a plan whose turn has not come: whose is next, and how long may it take?"""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING

from asyncrouter._errors import NotSent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asyncrouter._config.plan import Plan, PlannedStep
    from asyncrouter._engine.engine import Engine
    from asyncrouter._types import Call

USEFUL = 0.25
"""Seconds below which a step is not worth starting."""


class Remaining:
    """Which steps of `plan`, from `first` on, are left; a step is known by its place in the chain."""

    __slots__ = ("_asked", "_call", "_engine", "_left", "_plan")

    def __init__(self, engine: Engine, call: Call, plan: Plan, left: Iterable[int]) -> None:
        self._engine = engine
        self._call = call
        self._plan = plan
        self._left = list(left)
        self._asked: set[int] = set()

    def __repr__(self) -> str:
        return f"<Remaining {', '.join(self._plan.steps[index].name for index in self._left) or 'none'}>"

    def take(self) -> int | None:
        """The step whose turn it is: in their order, but those that have become slow after the others."""
        if not self._left:
            return None
        now, policies, steps = self._engine.loop.time(), self._engine.policies, self._plan.steps
        chosen = self._left[0]
        if self._plan.hedge is not None:  # without one the order is its owner's
            chosen = next((index for index in self._left if not policies.demoted(steps[index].model, now)), chosen)
        self._left.remove(chosen)
        self._asked.add(chosen)
        return chosen

    def limits(self, index: int, *, tried: bool) -> tuple[float, float]:
        """Until when a step may be silent, and until when it must have answered (the deadline's split in DESIGN §7).

        Raises `NotSent` when that is too little to begin; the last step, if nothing was `tried` before it, has whatever
        there is.
        """
        now, deadline = self._engine.loop.time(), self._call.deadline
        later = [other for other in self._left if self._sendable(other)]
        share = (deadline - now) / (len(later) + 1)
        if share < USEFUL and (later or tried):
            raise NotSent(f"only {max(share, 0.0):.2f} s of the deadline are left for it")
        # Not `now + share` for the last one: a rounding error before the deadline is not the deadline.
        silent_until = now + share if later else deadline
        return silent_until, max(silent_until, deadline - sum(self._reserve(other) for other in later))

    def sendable(self, within: float, *, forced: bool = False) -> bool:
        """Whether one of them could be sent in `within` seconds; `forced`: though its breaker is open."""
        return any(self._sendable(index, within, forced=forced) for index in self._left)

    def hedge(self, late: int | None) -> int | None:
        """The step to race with: one that goes at once, and usually answers in the time that is left."""
        plan, policies, now = self._plan, self._engine.policies, self._engine.loop.time()
        same = plan.hedge is not None and plan.hedge.same
        slow: int | None = None
        for index in [late] if same and late is not None else self._left:
            step = plan.steps[index]
            usual = policies.usual(step.model, streams=self._call.stream or step.streams)
            if policies.may_go_at_once(step.model, now) and now + max(usual, USEFUL) <= self._call.deadline:
                if index == late or not policies.demoted(step.model, now):
                    return index
                slow = index if slow is None else slow
        return slow

    def remove(self, index: int) -> None:
        """A step has its turn; nothing changes when it had one (`hedge.same`)."""
        self._asked.add(index)
        if index in self._left:
            self._left.remove(index)

    def put_back(self, index: int) -> None:
        """A step has its turn again, in its place."""
        if index not in self._left:
            insort(self._left, index)

    def behind(self, index: int) -> list[int]:
        """The steps whose turn would come after this one: those after it, and those that let it go first."""
        return [other for other in self._left if other > index or other not in self._asked]

    def clear(self) -> None:
        """Nobody has a turn any more."""
        self._left.clear()

    def drop_no_larger(self, small: PlannedStep) -> list[tuple[PlannedStep, NotSent]]:
        """Take out those whose window is known to be no larger than that of a step it was too small for; and why."""
        window, dropped = small.model.context, []
        for index in tuple(self._left):
            step = self._plan.steps[index]
            if window is not None and step.model.context is not None and step.model.context <= window:
                self._left.remove(index)
                why = f"its window of {step.model.context} tokens is no larger than {small.name}'s"
                dropped.append((step, NotSent(why)))
        return dropped

    def _sendable(self, index: int, within: float = 0.0, *, forced: bool = False) -> bool:
        model = self._plan.steps[index].model
        refusal = self._engine.policies.refusal(model, self._engine.loop.time(), forced=forced)
        return refusal is None or (refusal.hold is not None and refusal.hold <= within)

    def _reserve(self, index: int) -> float:
        step = self._plan.steps[index]
        return self._engine.policies.reserve(step.model, streams=self._call.stream or step.streams)
