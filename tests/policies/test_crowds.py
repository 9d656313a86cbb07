"""Crowds at a limit that nobody announces: all are answered, in hardly more time than the limit allows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Router
from asyncrouter.sim import Act
from asyncrouter.sim.limits import Limit, RateLimiter

if TYPE_CHECKING:
    from random import Random

    from asyncrouter.sim import Clock, World
    from asyncrouter.sim._request_log import LoggedRequest

CALLS = 100
PER_SECOND = 5.0
RATES = (5.0, 50.0)
LATENCY = 0.3


async def ask(router: Router, number: int, chain: list[str], *, streams: bool) -> None:
    """One call of a crowd."""
    if not streams:
        await router.chat(f"{number}", chain=chain, deadline=120)
        return
    async with router.stream(f"{number}", chain=chain, deadline=120) as stream:
        async for _ in stream:
            pass


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("hinted", [False, True])
@pytest.mark.parametrize("models", [1, 2])
@pytest.mark.parametrize("per_second", RATES)
def test_a_crowd_is_answered(
    clock: Clock, world: World, per_second: float, models: int, hinted: bool, streams: bool
) -> None:
    """A hundred calls at once are all answered in 1.10 of the least time; a second crowd meets hardly a 429."""
    chain = ["a", "b"][:models]
    for name in chain:
        world.model(name, Act(first_token=LATENCY)).limit(per_second, retry_after=hinted)

    async def crowd(router: Router) -> tuple[float, int]:
        began, before = clock.now, world.requests
        await asyncio.gather(*(ask(router, number, chain, streams=streams) for number in range(CALLS)))
        return clock.now - began, world.requests - before - CALLS

    async def scenario() -> tuple[float, float, int]:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            seconds, _ = await crowd(router)
            again, rejected = await crowd(router)
            return seconds, again, rejected

    seconds, again, rejected = clock.run(scenario())

    rate = per_second * models
    assert seconds <= 1.10 * ((CALLS - rate) / rate + LATENCY)
    assert again <= 1.10 * (CALLS / rate + LATENCY)
    assert rejected <= 0.05 * CALLS


def test_a_loop_of_single_calls(clock: Clock, world: World) -> None:
    """Sixty calls one after the other at a limit of two a second are all answered."""
    world.model("a").limit(2.0)

    async def scenario() -> int:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            return len([await router.chat(f"{number}", chain=["a"]) for number in range(60)])

    assert clock.run(scenario()) == 60


def test_503_with_retry_after_is_a_limit_too(clock: Clock, world: World) -> None:
    """A crowd at a service that is away for ten seconds is answered when it is back."""
    world.model("a", Act(status=503, retry_after=3)).at(10.0, Act())

    async def scenario() -> int:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            return len(await asyncio.gather(*(router.chat(f"{n}", chain=["a"], deadline=60) for n in range(CALLS))))

    assert clock.run(scenario()) == CALLS


def test_what_one_model_lets_through_is_expected_of_its_sister(clock: Clock, world: World) -> None:
    """A second crowd does not overrun a model that has never said anything, beside one whose limit is known."""
    for name in ("a", "b"):
        world.model(name, Act(first_token=LATENCY)).limit(50.0)

    async def crowd(router: Router) -> tuple[float, int]:
        began, before = clock.now, world.requests
        await asyncio.gather(*(ask(router, number, ["a", "b"], streams=False) for number in range(CALLS)))
        return clock.now - began, world.requests - before - CALLS

    async def scenario() -> list[tuple[float, int]]:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            return [await crowd(router), await crowd(router)]

    (first, _), (second, rejected) = clock.run(scenario())

    assert first <= 1.10 * LATENCY
    assert second <= 1.10 * (1.0 + LATENCY)
    assert rejected <= 0.05 * CALLS


def test_a_sister_without_a_limit_serves_a_first_crowd_at_once(clock: Clock, world: World) -> None:
    """A model that has not answered yet is sent all that a limited one of the same key cannot take."""
    world.model("a", Act(first_token=LATENCY)).limit(PER_SECOND, retry_after=False)
    world.model("b", Act(first_token=LATENCY))

    async def scenario() -> float:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            await asyncio.gather(*(ask(router, number, ["a", "b"], streams=False) for number in range(CALLS)))
            return clock.now

    assert clock.run(scenario()) == LATENCY


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("models", [1, 2])
def test_a_limit_told_by_503s_is_a_limit(clock: Clock, world: World, models: int, streams: bool) -> None:
    """A crowd at a limit that is told by 503s with a Retry-After is paced as one that 429s tell."""
    chain = ["a", "b"][:models]
    limits = {name: RateLimiter(name, [(0.0, Limit(rps=PER_SECOND))]) for name in chain}

    def rule(request: LoggedRequest, random: Random) -> Act | None:
        refused = limits[request.model].admit(request)
        return None if refused is None else Act(status=503, retry_after=refused.retry_after)

    for name in chain:
        world.model(name, Act(first_token=LATENCY))
    world.rule(rule)

    async def crowd(router: Router) -> tuple[float, int]:
        began, before = clock.now, world.requests
        await asyncio.gather(*(ask(router, number, chain, streams=streams) for number in range(CALLS)))
        return clock.now - began, world.requests - before - CALLS

    async def scenario() -> list[tuple[float, int]]:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            return [await crowd(router), await crowd(router)]

    (first, _), (second, rejected) = clock.run(scenario())

    rate = PER_SECOND * models
    assert first <= 1.10 * ((CALLS - rate) / rate + LATENCY)
    assert second <= 1.10 * (CALLS / rate + LATENCY)
    assert rejected <= 0.05 * CALLS
