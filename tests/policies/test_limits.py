"""The limits of a model that are kept: configured, announced in headers, for requests, tokens and slots."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from asyncrouter._policies.limits import MARGIN
from asyncrouter.sim import Act
from tests.helpers.policies import ROUNDED, router_with, sent

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World


def went(clock: Clock, world: World, calls: int, **limits: object) -> list[float]:
    """The instants at which the requests of so many calls at once were sent to a model with these limits."""
    async def scenario() -> list[float]:
        async with router_with(world, a=limits) as router:
            return await sent(world, router, calls)

    return clock.run(scenario())


def test_a_configured_rate_is_kept_with_a_margin(clock: Clock, world: World) -> None:
    """At 30 a minute a request goes every 2 s / 0.98."""
    world.model("a")

    assert went(clock, world, 4, rpm=30) == pytest.approx([n * 2.0 / MARGIN for n in range(4)], abs=ROUNDED)


def test_a_second_of_a_rate_goes_at_once(clock: Clock, world: World) -> None:
    """At 600 a minute (9.8 a second) nine requests go at once, and the tenth when there is room."""
    world.model("a")

    times = went(clock, world, 11, rpm=600)

    assert times == pytest.approx([0.0] * 9 + [0.2 / 9.8, 1.2 / 9.8], abs=ROUNDED)


def test_as_many_as_may_run_at_once(clock: Clock, world: World) -> None:
    """With `max_concurrent = 2` the third request goes at the instant the first one has ended."""
    world.model("a", Act(first_token=1.0), Act(first_token=5.0), Act(first_token=1.0))

    assert went(clock, world, 4, max_concurrent=2) == [0.0, 0.0, 1.0, 2.0]


def test_without_limits_nothing_waits(clock: Clock, world: World) -> None:
    """Without limits a thousand requests go at once."""
    world.model("a")

    assert set(went(clock, world, 1000)) == {0.0}


def test_tokens_are_reserved_and_given_back(clock: Clock, world: World) -> None:
    """Tokens that a call has reserved and not used are free when it ends."""
    world.model("a", Act(first_token=1.0))

    async def scenario(words: int) -> float:
        world.seen.clear()
        world.model("a", Act(first_token=1.0, text="word " * words))
        async with router_with(world, a={"tpm": 600}) as router:  # 9.8 a second
            await router.chat("x", chain=["a"], max_tokens=588)
            began = asyncio.get_running_loop().time()
            await router.chat("x", chain=["a"], max_tokens=588)
            return world.seen[-1].at - began

    few, many = clock.run(scenario(5)), clock.run(scenario(400))

    assert 0.0 <= few < 2.0
    assert many > 30.0


def test_an_announced_limit_is_kept(clock: Clock, world: World) -> None:
    """A limit in the headers of the first response is kept: what it says is left at once, then evenly."""
    world.model("a").limit(2.0, burst=3.0, announced=True)

    async def scenario() -> tuple[list[float], float | None]:
        async with router_with(world) as router:
            await router.chat("x", chain=["a"])
            began = asyncio.get_running_loop().time()
            times = await sent(world, router, 4)
            return [at - began for at in times[1:]], router.health()["a"].rate

    times, rate = clock.run(scenario())

    assert rate == pytest.approx(2.0 * MARGIN)
    assert times == pytest.approx([0.0, 0.0, 1.0 / 1.96, 2.0 / 1.96], abs=ROUNDED)


@pytest.mark.parametrize(("rpm", "kept"), [(60, 1.0), (600, 2.0)])
def test_the_lower_of_two_limits_is_kept(clock: Clock, world: World, rpm: float, kept: float) -> None:
    """Of the configured and the announced limit the lower one is kept."""
    world.model("a").limit(2.0, announced=True)

    async def scenario() -> float | None:
        async with router_with(world, a={"rpm": rpm}) as router:
            await router.chat("x", chain=["a"])
            return router.health()["a"].rate

    assert clock.run(scenario()) == pytest.approx(kept * MARGIN)
