"""The steps of a plan that are pools: what the call has met at each, and whether a member could be raced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._engine.pool_run import PoolRun

if TYPE_CHECKING:
    from asyncrouter._config.plan import Plan
    from asyncrouter._engine.engine import Engine
    from asyncrouter._errors import AttemptError
    from asyncrouter._policies.pools.member import Member
    from asyncrouter._policies.slowness import Place
    from asyncrouter._types import Call

class PoolSteps:
    """The part of the remaining steps that knows of pools; what it has is made by these.

    A step is known by its index, its place in the chain.
    """

    __slots__ = ("_call", "_engine", "_plan", "_pools")

    _call: Call
    _engine: Engine
    _plan: Plan
    _pools: tuple[PoolRun, ...]  # what the call has met at each, once it has

    def pool(self, index: int) -> PoolRun:
        """What the call has met at the pool that is this step."""
        for run in self._pools:
            if run.index == index:
                return run
        pool = self._plan.steps[index].pool
        assert pool is not None
        made = PoolRun(self._engine, self._call, pool, index)
        self._pools += (made,)
        return made

    def free_in(self, *, forced: bool = False) -> float:
        """Seconds until one of the steps could be sent."""
        raise NotImplementedError

    def asks_sibling(self, index: int, member: Member | None, error: AttemptError, *, alone: bool) -> bool:
        """Note that a step that is a pool has failed at a member; whether it is asked again, for another one.

        `alone`: no other step runs.
        """
        alone = alone and self.free_in() > 0.0
        return self.pool(index).failed(member, error, self._engine.time(), alone=alone)

    def has_sibling(self, index: int) -> bool:
        """Whether the step is a pool with another member that could be raced now."""
        step = self._plan.steps[index]
        return step.pool is not None and self.pool(index).may_go_at_once(self._engine.time()) is not None

    def _slow_place(self, index: int, now: float) -> Place:
        """Where a step stands in its chain; a pool is last where all of its members are."""
        step, policies = self._plan.steps[index], self._engine.policies
        if step.pool is None:
            return policies.place(step.model, now)
        last = all(policies.place(member.model, now) == "last" for member in step.pool.members)
        return "last" if last else "usual"
