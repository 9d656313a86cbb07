"""Closing and draining a router while calls run."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from asyncrouter import (
    Router,
    RouterClosed,
    StreamInterrupted,
)
from asyncrouter.sim import Act, Clock, VirtualLoop, World
from tests.helpers.cancelling import CASES, SILENT, Case
from tests.helpers.failing import ONCE
from tests.helpers.racing import HEDGE

pytestmark = pytest.mark.usefixtures("models_say_their_names")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_closing_the_router_ends_the_calls_that_run(case: Case) -> None:
    """A router closed at any quarter of a second ends its calls, with `RouterClosed` at most, and nothing is left."""
    whole = 0.0

    async def closed(seconds: float) -> None:
        nonlocal whole
        world = World()
        for name in "abc":
            world.model(name, *case.acts.get(name, (Act(),)))
        loop, me = asyncio.get_running_loop(), asyncio.current_task()
        router = Router(world.config(), transport=world.transport(), seed=0)
        if case.before is not None:
            await case.before(router)
        began = loop.time()
        task = asyncio.ensure_future(case.run(router))
        await asyncio.wait([task], timeout=seconds)
        whole = loop.time() - began
        running = not task.done()
        await router.aclose()
        # Closing waits for nobody but an `accept` in a hedge, and for that not long.
        assert loop.time() - began <= whole + (2.0 if "accept" in case.name else 0.0)
        await asyncio.wait([task])
        if running and (task.exception() is not None or "accept" not in case.name):
            assert isinstance(task.exception(), RouterClosed | StreamInterrupted)
        await asyncio.sleep(0)
        assert (world.open, asyncio.all_tasks()) == (0, {me})

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(closed(1000.0))
        for quarters in range(int(whole * 4)):
            runner.run(closed(quarters / 4))


def test_draining_waits_for_the_calls_in_flight(clock: Clock, world: World) -> None:
    """While a router drains new calls are refused, and those in flight get their answers, hedges included."""
    world.model("a", SILENT)
    world.model("b", Act(status=500, first_token=0.5))
    world.model("c", Act(text="in the end", first_token=2.0))

    async def scenario() -> str:
        router = Router(world.config(), transport=world.transport())
        task = asyncio.create_task(router.chat("hello", chain=["a", "b", "c"], hedge=HEDGE, retry=ONCE))
        await asyncio.sleep(0.5)
        drained = asyncio.create_task(router.drain())
        await asyncio.sleep(0)
        with pytest.raises(RouterClosed):
            await router.chat("hello", chain=["a"])
        await drained
        assert (clock.now, task.done()) == (3.5, True)
        return (await task).text

    assert clock.run(scenario()) == "in the end"


def test_draining_twice_at_once(clock: Clock, world: World) -> None:
    """Two tasks that drain the same router wait for the same end."""
    world.model("a", Act(first_token=3.0))

    async def scenario() -> None:
        router = Router(world.config(), transport=world.transport())
        task = asyncio.create_task(router.chat("hello", chain=["a"]))
        await asyncio.sleep(1.0)
        async with asyncio.TaskGroup() as group:
            group.create_task(router.drain())
            group.create_task(router.drain())
        assert (clock.now, task.done()) == (3.0, True)

    clock.run(scenario())


def test_a_reopened_router_can_be_drained_again(clock: Clock, world: World) -> None:
    """A router that was drained and entered again can be drained again."""
    world.model("a", Act(first_token=3.0))

    async def scenario() -> None:
        router = Router(world.config(), transport=world.transport())
        for end in (3.0, 6.0):
            async with router:
                task = asyncio.create_task(router.chat("hello", chain=["a"]))
                await asyncio.sleep(1.0)
                await router.drain()
                assert (clock.now, task.done()) == (end, True)

    clock.run(scenario())


def test_a_cancelled_drain_does_not_close(clock: Clock, world: World) -> None:
    """When `drain()` is cancelled the calls in flight go on."""
    world.model("a", Act(text="still here", first_token=3.0))

    async def scenario() -> str:
        router = Router(world.config(), transport=world.transport())
        task = asyncio.create_task(router.chat("hello", chain=["a"]))
        await asyncio.sleep(0)
        with anyio.move_on_after(1.0):
            await router.drain()
        reply = await task
        await router.drain()
        return reply.text

    assert clock.run(scenario()) == "still here"
    assert clock.now == 3.0
