"""The opening of a router: at its first call, on that call's event loop, and again after it was closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from asyncrouter import AllModelsFailed, Reply, Router, RouterClosed
from asyncrouter.sim import Act, Clock, VirtualLoop, World
from tests.helpers.routers import SlowToClose, router_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def test_a_router_opens_at_its_first_call(clock: Clock, world: World) -> None:
    """Making one needs no event loop and opens nothing; a call opens it without `async with`."""
    world.model("a", Act(text="hi"))
    router = router_of(world)
    assert repr(router) == "<Router not opened, 0 calls in flight>"

    async def scenario() -> Reply:
        reply = await router.chat("x", model="a")
        assert repr(router) == "<Router open, 0 calls in flight>"
        await router.aclose()
        return reply

    assert clock.run(scenario()).text == "hi"
    assert repr(router) == "<Router closed, 0 calls in flight>"


def test_entering_opens_nothing(clock: Clock, world: World) -> None:
    """An `async with` without a call in it never touches the transport."""
    transport = SlowToClose(world, 9.0)

    async def scenario() -> None:
        async with Router(world.config(), transport=transport) as router:
            assert "not opened" in repr(router)

    clock.run(scenario())
    assert transport.closed == []


def test_a_router_that_is_never_closed(clock: Clock, world: World) -> None:
    """A router that is dropped without closing leaves no task and causes no warning."""
    world.model("a")

    async def scenario() -> int:
        await router_of(world).chat("x", model="a")
        return len(asyncio.all_tasks())

    assert clock.run(scenario()) == 1


def test_entering_again_opens_again(clock: Clock, world: World) -> None:
    """A closed router answers again once it is entered."""
    world.model("a", Act(text="hi"))

    async def scenario() -> list[str]:
        router, said = router_of(world), []
        for _ in range(3):
            async with router:
                said.append((await router.chat("x", model="a")).text)
            with pytest.raises(RouterClosed):
                await router.chat("x", model="a")
        return said

    assert clock.run(scenario()) == ["hi", "hi", "hi"]


def test_a_router_closed_inside_its_block_can_be_entered_again(clock: Clock, world: World) -> None:
    """It opens again although the block around it has not been left yet."""
    world.model("a", Act(text="hi"))

    async def scenario() -> str:
        async with router_of(world) as router:
            await router.chat("x", model="a")
            await router.aclose()
            async with router:
                return (await router.chat("x", model="a")).text

    assert clock.run(scenario()) == "hi"


def test_entering_is_counted(clock: Clock, world: World) -> None:
    """Of nested `async with` blocks only the outermost closes the router."""
    world.model("a")

    async def scenario() -> None:
        router = router_of(world)
        async with router as first:
            async with router as second:
                assert first is second is router
            await router.chat("x", model="a")
        with pytest.raises(RouterClosed):
            await router.chat("x", model="a")

    clock.run(scenario())


def test_a_closed_router_works_on_another_loop(world: World) -> None:
    """A router that was closed on one event loop answers on the next."""
    world.model("a", Act(text="hi"))
    router = router_of(world)

    async def scenario() -> str:
        async with router:
            return (await router.chat("x", model="a")).text

    assert [Clock().run(scenario()), Clock().run(scenario())] == ["hi", "hi"]


def test_a_router_outlives_its_loop(world: World) -> None:
    """A router that was never closed opens anew if its event loop has been closed."""
    world.model("a", Act(text="hi"))
    router = router_of(world)

    async def scenario() -> str:
        return (await router.chat("x", model="a")).text

    assert [Clock().run(scenario()), Clock().run(scenario())] == ["hi", "hi"]


def test_a_router_works_on_one_loop_at_a_time(world: World) -> None:
    """A call on a second loop is a `RuntimeError` until the router is closed on the first one."""
    world.model("a", Act(text="hi"))
    router = router_of(world)
    first, second = VirtualLoop(), VirtualLoop()

    async def ask() -> str:
        return (await router.chat("x", model="a")).text

    async def enter_and_ask() -> str:
        async with router:
            return await ask()

    try:
        assert first.run_until_complete(ask()) == "hi"
        with pytest.raises(RuntimeError, match="open on another event loop"):
            second.run_until_complete(ask())
        assert first.run_until_complete(ask()) == "hi"
        first.run_until_complete(router.aclose())
        assert second.run_until_complete(enter_and_ask()) == "hi"
    finally:
        first.close()
        second.close()


@pytest.mark.parametrize("close", [Router.aclose, Router.drain])
def test_a_router_is_closed_on_its_own_loop(world: World, close: Callable[[Router], Awaitable[None]]) -> None:
    """Closing it on a second loop is a `RuntimeError` while the first one is alive, and leaves it open."""
    world.model("a", Act(text="hi"))
    router = router_of(world)
    first, second = VirtualLoop(), VirtualLoop()

    async def ask() -> str:
        return (await router.chat("x", model="a")).text

    async def close_it() -> None:
        await close(router)

    try:
        first.run_until_complete(ask())
        with pytest.raises(RuntimeError, match="open on another event loop; close it there"):
            second.run_until_complete(close_it())
        assert first.run_until_complete(ask()) == "hi"
        first.run_until_complete(close_it())
    finally:
        first.close()
        second.close()


def test_what_was_learned_lasts_until_the_router_closes(clock: Clock, world: World) -> None:
    """A disabled key stays disabled from call to call; a router that is opened again tries it again."""
    world.model("a", Act(status=401), Act(text="hi"))

    async def scenario() -> None:
        router = router_of(world)
        async with router:
            for _ in range(2):
                with pytest.raises(AllModelsFailed):
                    await router.chat("x", model="a")
            assert len(world.seen) == 1
        async with router:
            assert (await router.chat("x", model="a")).text == "hi"

    clock.run(scenario())
