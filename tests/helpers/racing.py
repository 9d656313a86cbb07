"""Calls over a chain of simulated models, hedged or not, and what they leave in trace, tasks and hedge budget."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from asyncrouter import Hedge, Router
from tests.helpers.failing import ONCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncrouter import Event, Reply, Step, Trace
    from asyncrouter.sim import Clock, World

HEDGE = Hedge(after=1.0)
"""A hedge that starts one second after the newest attempt was sent."""
PRICED = {name: {"provider": "sim", "id": name, "usd_per_mtok": {"input": 1.0, "output": 10.0}} for name in "abc"}
"""Tables of models with prices: a dollar a million input tokens, ten for output tokens."""


def open_router(world: World, *listeners: Callable[[Event], None], **tables: object) -> Router:
    """A router to this world, with these tables and listeners, which draws no luck."""
    return Router(world.config(**tables), transport=world.transport(), listeners=listeners, seed=0)


def chat_once(
    clock: Clock, world: World, chain: Sequence[str | Step] | None = None, *,
    listeners: Sequence[Callable[[Any], None]] = (), config: dict[str, object] | None = None, **options: object,
) -> Reply:
    """Make one call at time zero, without retries unless they are asked for. Whatever comes of it, nothing is left."""
    options.setdefault("retry", ONCE)

    async def scenario() -> Reply:
        async with open_router(world, *listeners, **(config or {})) as router:
            try:
                return await router.chat("hello", chain=chain, **options)  # type: ignore[arg-type]
            finally:
                await asyncio.sleep(0)
                check_nothing_is_left(world, router)

    return clock.run(scenario())


def check_nothing_is_left(world: World, router: Router) -> None:
    """Hold that the running task is the only one, that nobody cancels it, and that no attempt or connection is left."""
    me = asyncio.current_task()
    assert me is not None
    assert (me.cancelling(), asyncio.all_tasks(), world.open) == (0, {me}, 0)
    assert not any(model.in_flight for model in router.health().values())


def timeline(trace: Trace) -> list[tuple[str, str, str | None, float | None, float | None]]:
    """Each attempt: its model, its cause, its outcome, and the seconds at which it was sent and ended."""
    return [(each.model, each.cause, each.outcome, each.sent, each.ended) for each in trace.attempts]


def hedge_tokens(router: Router, first: str = "a", rate: float = 0.05) -> float:
    """The tokens in the hedge budget of calls that try the model `first` first."""
    assert router._life.engine is not None
    return router._life.engine.policies.hedge_budgets.budget_of(first, rate).tokens
