"""A member of a pool that hangs or becomes slow loses its calls and its sessions, though it loses every race early."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from asyncrouter.sim import Act
from tests.helpers.pool_world import pool_router

if TYPE_CHECKING:
    from asyncrouter import Reply, Router
    from asyncrouter.sim import Clock, World

QUICK = Act(tokens=40, first_token=0.2, gap=1 / 32)
TROUBLES = {
    "hangs": Act(fault="hang"),
    "slow to begin": Act(tokens=40, first_token=4.0, gap=1 / 32),
    "silent in the middle": Act(tokens=40, first_token=0.2, gap=1 / 32, fault="hang", at=20),
    "slow words": Act(tokens=40, first_token=0.2, gap=0.6),
}


async def asked(router: Router, *, stream: bool = False, **options: object) -> Reply:
    """The answer of the pool to one call."""
    if not stream:
        return await router.chat("x", model="pool", **options)  # type: ignore[arg-type]
    async with router.stream("x", model="pool", on_interrupt="restart", **options) as answer:  # type: ignore[arg-type]
        async for _ in answer:
            pass
    return answer.reply


def first_member(reply: Reply) -> str | None:
    """The member that the call went to first."""
    return reply.trace.attempts[0].member


@pytest.mark.parametrize(("trouble", "stream"), [
    ("hangs", False), ("hangs", True), ("slow to begin", False), ("slow to begin", True),
    ("silent in the middle", False), ("silent in the middle", True), ("slow words", False),
])
@pytest.mark.parametrize("hedge", ["p95", None])
def test_a_member_that_loses_every_race_is_left_out(
    clock: Clock, world: World, trouble: str, stream: bool, hedge: str | None
) -> None:
    """Of 120 calls one after the other, 18 at most go to it first, trials included; its share would be 40."""
    for name in "abc":
        world.model(name, QUICK)

    async def scenario() -> int:
        async with pool_router(world, "a:a", "b:b", "c:c") as router:
            for _ in range(90):
                await asked(router, stream=stream, hedge=hedge)
            world.model("c", TROUBLES[trouble])
            replies = [await asked(router, stream=stream, hedge=hedge) for _ in range(120)]
        return sum(first_member(reply) == "c:c" for reply in replies)

    assert clock.run(scenario()) <= 18


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("hedge", ["auto", None])
def test_a_session_leaves_a_member_that_has_become_slow(
    clock: Clock, world: World, trouble: str, hedge: str | None
) -> None:
    """After a few races its calls go to another member, where they stay while that one is as usual."""
    for name in "abc":
        world.model(name, QUICK)

    async def scenario() -> tuple[str | None, list[str | None]]:
        async with pool_router(world, "a:a", "b:b", "c:c") as router:
            for _ in range(30):
                home = first_member(await asked(router, session="s", hedge=hedge))
            assert home is not None
            world.model(home[0], TROUBLES[trouble])
            places = [first_member(await asked(router, session="s", hedge=hedge)) for _ in range(30)]
            world.model(home[0], QUICK)
            places += [first_member(await asked(router, session="s", hedge=hedge)) for _ in range(30)]
        return home, places

    home, places = clock.run(scenario())
    assert places[:3] == [home] * 3
    assert set(places[15:]) == {places[-1]} != {home}


def test_where_all_have_become_slow_sessions_and_calls_stay(clock: Clock, world: World) -> None:
    """A session whose every member is slow moves no further, and the other calls are shared by all members."""
    for name in "ab":
        world.model(name, QUICK)

    async def scenario() -> tuple[set[str | None], int]:
        async with pool_router(world, "a:a", "b:b") as router:
            for _ in range(60):
                await asked(router)
            for name in "ab":
                world.model(name, Act(tokens=40, first_token=4.0, gap=1 / 32))
            for _ in range(8):  # then both are known to be slow; some time later that is what is usual
                await asyncio.gather(*[asked(router) for _ in range(4)])
            places = {first_member(await asked(router, session="s")) for _ in range(12)}
            calls = [first_member(await asked(router)) for _ in range(40)]
        return places, calls.count("a:a")

    places, calls_at_a = clock.run(scenario())
    assert len(places) == 1
    assert 10 <= calls_at_a <= 30
