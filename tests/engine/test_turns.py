"""A call that waits for several limited models stands in all their queues, and goes with the first that lets it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import CallError, Router, RouterClosed
from asyncrouter._policies.limits import MARGIN
from asyncrouter.sim import Act
from tests.helpers.pool_world import router_to

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from asyncrouter import Reply
    from asyncrouter.sim import Clock, World

CHAIN = ["a", "b"]


def play(
    clock: Clock, world: World, scenario: Callable[[Router], Awaitable[Any]], *, a: float = 60.0, b: float = 60.0
) -> Any:
    """Run `scenario` with two models that take so many requests a minute."""
    for name in CHAIN:
        world.model(name, Act())
    models = {name: {"provider": "sim", "id": name, "rpm": rpm / MARGIN} for name, rpm in (("a", a), ("b", b))}

    async def main() -> Any:
        async with Router(world.config(models=models), transport=world.transport(), seed=1) as router:
            return await scenario(router)

    return clock.run(main())


def waiting(router: Router) -> dict[str, int]:
    """How many requests wait for each model."""
    life = router._life.engine
    assert life is not None
    return {state.model.name: state.pacer.waiting for state in life.policies._models.values()}


async def crowd(router: Router, calls: int, **options: Any) -> list[Any]:
    """So many calls at once; their results or errors."""
    asked = (router.chat(f"{number}", chain=CHAIN, **options) for number in range(calls))
    return await asyncio.gather(*asked, return_exceptions=True)


def test_a_crowd_is_shared_by_what_each_model_can_do(clock: Clock, world: World) -> None:
    """Calls at models of one and ten a second are served by each as many as it can, and in that time."""

    async def scenario(router: Router) -> tuple[list[str], float]:
        replies = await crowd(router, 33)
        return [reply.model for reply in replies], clock.now

    models, seconds = play(clock, world, scenario, a=60.0, b=600.0)

    assert (models.count("a"), models.count("b")) == (3, 30)
    assert seconds == pytest.approx(2.0, abs=0.101)


def test_who_came_first_goes_first(clock: Clock, world: World) -> None:
    """Those who wait in both queues go in the order in which they came, whichever model serves them."""
    order: list[int] = []

    async def one(router: Router, number: int) -> None:
        await router.chat(f"{number}", chain=CHAIN)
        order.append(number)

    async def scenario(router: Router) -> None:
        await asyncio.gather(*(one(router, number) for number in range(20)))

    play(clock, world, scenario, a=60.0, b=300.0)
    late = order[12:]

    assert late == sorted(late)


def test_nobody_stays_in_a_queue(clock: Clock, world: World) -> None:
    """When a crowd has been served nobody stands in a queue, and nothing is held."""

    async def scenario(router: Router) -> tuple[dict[str, int], int]:
        await crowd(router, 20)
        return waiting(router), sum(state.in_flight for state in router.health().values())

    assert play(clock, world, scenario) == ({"a": 0, "b": 0}, 0)


def test_a_cancelled_call_leaves_all_queues(clock: Clock, world: World) -> None:
    """A call that is cancelled while it waits gives up both places at once."""

    async def scenario(router: Router) -> tuple[dict[str, int], dict[str, int]]:
        tasks = [asyncio.create_task(router.chat(f"{number}", chain=CHAIN)) for number in range(30)]
        await asyncio.sleep(5.0)
        before = waiting(router)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return before, waiting(router)

    before, after = play(clock, world, scenario)

    assert min(before.values()) > 0
    assert after == {"a": 0, "b": 0}


def test_a_deadline_ends_the_wait(clock: Clock, world: World) -> None:
    """Calls whose turn cannot come in time fail at once, one that just misses it fails at its deadline."""

    async def one(router: Router, number: int) -> tuple[str, float]:
        try:
            await router.chat(f"{number}", chain=CHAIN, deadline=4.0)
        except CallError as error:
            return type(error).__name__, clock.now
        return "Reply", clock.now

    async def scenario(router: Router) -> list[tuple[str, float]]:
        return await asyncio.gather(*(one(router, number) for number in range(20)))

    results = play(clock, world, scenario)

    assert Counter(name for name, _ in results) == {"Reply": 8, "AllModelsFailed": 11, "DeadlineExceeded": 1}
    assert {name: at for name, at in results if name != "Reply"} == {"AllModelsFailed": 0.0, "DeadlineExceeded": 4.0}


def test_closing_ends_the_wait(clock: Clock, world: World) -> None:
    """A router that closes lets nobody wait on."""

    async def scenario(router: Router) -> set[str]:
        tasks = [asyncio.create_task(router.chat(f"{number}", chain=CHAIN)) for number in range(30)]
        await asyncio.sleep(5.0)
        await router.aclose()
        return {type(one).__name__ for one in await asyncio.gather(*tasks, return_exceptions=True)}

    assert play(clock, world, scenario) == {"Reply", RouterClosed.__name__}


@pytest.mark.parametrize(("status", "code"), [(500, None), (401, None), (404, "model_not_found")])
def test_a_pool_that_goes_out_while_a_call_waits_for_it_is_given_up(
    clock: Clock, world: World, status: int, code: str | None
) -> None:
    """A call that waits for a held pool and for a full model goes on with the model when no member may be asked."""
    trouble = Act(status=status, code=code, first_token=1.0)  # which opens breakers, or disables keys or models
    world.model("m", *[trouble] * 6, *[Act(status=429, retry_after=2.0)] * 2)
    world.model("c", Act(text="first", first_token=20.0), Act(text="second"))

    async def scenario() -> Reply:
        models = {"pool": {"any": ["a:m", "b:m"]}, "c": {"provider": "c", "id": "c", "max_concurrent": 1}}
        async with router_to(world, models, defaults={"rescue": "off", "first_token": None}) as router:
            sent = [router.chat(f"{number}", model="pool", retry=1) for number in range(6)]
            before = asyncio.gather(*sent, router.chat("y", model="c"), return_exceptions=True)
            await asyncio.sleep(0.5)  # at 1.0 what is under way fails, at 2.5 the pool is not held any more
            reply = await router.chat("x", chain=["pool", "c"], retry={"patience": 0.0})
            await before
            return reply

    reply = clock.run(scenario())
    asked = [attempt.member or attempt.model for attempt in reply.trace.attempts if attempt.sent is not None]
    assert (asked, reply.text, clock.now) == (["a:m", "b:m", "c"], "second", 20.0)
