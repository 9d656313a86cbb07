"""Calls leave nothing to the garbage collector: what they made is gone as soon as they are over."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from asyncrouter.sim import Act
from tests.helpers.failing import ONCE
from tests.helpers.racing import HEDGE, open_router

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from asyncrouter import Router
    from asyncrouter.sim import Clock, World


async def chat(router: Router) -> None:
    await router.chat("hello", chain=["a"])


async def hedged_chat(router: Router) -> None:
    await router.chat("hello", chain=["late", "a"], hedge=HEDGE)


async def accepted_chat(router: Router) -> None:
    await router.chat("hello", chain=["a"], accept=bool)


async def fallback(router: Router) -> None:
    await router.chat("hello", chain=["fails", "a"], retry=ONCE)


async def stream(router: Router) -> None:
    async with router.stream("hello", chain=["a"]) as chunks:
        async for _ in chunks:
            pass


async def stream_left_early(router: Router) -> None:
    async with router.stream("hello", chain=["a"]) as chunks:
        await anext(chunks)


async def stream_that_restarts(router: Router) -> None:
    async with router.stream("hello", chain=["breaks", "a"], on_interrupt="restart") as chunks:
        async for _ in chunks:
            pass


async def stream_raced_as_it_is_silent(router: Router) -> None:
    async with router.stream("hello", chain=["stalls", "a"], on_interrupt="restart") as chunks:
        async for _ in chunks:
            pass


async def stream_raced_in_vain(router: Router) -> None:
    async with router.stream("hello", chain=["stalls", "late"], on_interrupt="restart") as chunks:
        async for _ in chunks:
            pass


CALLS = [
    chat, hedged_chat, accepted_chat, fallback, stream, stream_left_early, stream_that_restarts,
    stream_raced_as_it_is_silent, stream_raced_in_vain,
]


@pytest.mark.parametrize("call", CALLS)
def test_a_call_leaves_no_reference_cycle(
    clock: Clock, world: World, call: Callable[[Router], Awaitable[None]]
) -> None:
    """After a call no object of the engine is left that only the garbage collector can free."""
    world.model("a", Act(tokens=5, gap=0.25))
    world.model("late", Act(fault="hang"))
    world.model("fails", Act(status=500))
    world.model("breaks", Act(tokens=5, gap=0.25, fault="cut", at=2))
    world.model("stalls", Act(tokens=5, gap=0.25, fault="stall", at=2, pause=20.0))

    async def scenario() -> list[str]:
        async with open_router(world) as router:
            await call(router)  # what is built once is built by now
            gc.collect()
            gc.disable()
            gc.set_debug(gc.DEBUG_SAVEALL)
            try:
                await call(router)
                gc.collect()
                return [type(each).__name__ for each in gc.garbage if type(each).__module__.startswith("asyncrouter._")]
            finally:
                gc.set_debug(0)
                gc.enable()
                gc.garbage.clear()

    assert clock.run(scenario()) == []
