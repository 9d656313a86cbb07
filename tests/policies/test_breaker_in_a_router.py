"""Breakers in a whole router: which failures count, what an open breaker changes, and whose it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from asyncrouter import AllModelsFailed, Hedge, Reply, Retry, Router, StateChanged
from asyncrouter.sim import Act
from tests.helpers.failing import (
    HEALTHY,
    ONCE,
    REJECTED,
    SILENT,
    Tried,
    ask,
    asked,
    models_sent,
    play,
    script,
    tried,
)

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World

BUSY = Act(status=500)


async def asks(router: Router, times: int, pause: float = 0.0, **options: object) -> list[object]:
    """Make so many different calls one after the other, with a pause after each; what each ended with."""
    results: list[object] = []
    for number in range(times):
        results.append(await ask(router, prompt=f"hello {number}", **{"retry": ONCE, **options}))  # type: ignore[arg-type]
        await asyncio.sleep(pause)
    return results


@pytest.mark.parametrize(
    "act", [BUSY, Act(status=529), Act(fault="refuse"), Act(fault="html"), Act(fault="cut"), Act(text="")],
    ids=["500", "529", "refused", "html", "cut", "empty"],
)  # fmt: skip
def test_a_model_that_fails_is_left_alone(clock: Clock, world: World, act: Act) -> None:
    """After three failures a model is not asked until its open time is over, and the next model answers."""
    script(world, act, HEALTHY)

    replies = play(clock, world, lambda router: asks(router, 9, pause=0.5))

    assert asked(world) == [3, 9, 0]
    assert all(isinstance(reply, Reply) for reply in replies)


@pytest.mark.parametrize(
    "act", [REJECTED, Act(status=429), Act(why="context"), Act(status=413)], ids=["400", "429", "context", "413"]
)
def test_what_is_no_fault_of_the_model_opens_nothing(clock: Clock, world: World, act: Act) -> None:
    """Rejected requests and rate limits do not open the breaker."""
    script(world, act, HEALTHY)

    play(clock, world, lambda router: asks(router, 9, pause=10.0))

    assert asked(world) == [9, 9, 0]


def test_losers_and_cancelled_calls_open_nothing(clock: Clock, world: World) -> None:
    """Lost races and cancelled calls do not open the breaker."""
    script(world, Act(first_token=3.0), HEALTHY)

    async def scenario(router: Router) -> None:
        await asks(router, 5, chain=["a", "b"], hedge=Hedge(after=1.0, budget=1.0))
        for _ in range(5):
            task = asyncio.create_task(ask(router, chain=["a"]))
            await asyncio.sleep(1.0)
            task.cancel()
            await asyncio.wait([task])
        await ask(router, chain=["a", "b"])

    play(clock, world, scenario)

    assert asked(world) == [11, 5, 0]


def test_timeouts_count(clock: Clock, world: World) -> None:
    """Three timeouts in a row open the breaker."""
    script(world, SILENT, HEALTHY)

    play(clock, world, lambda router: asks(router, 5), defaults={"first_token": 1.0})

    assert asked(world) == [3, 5, 0]


def test_the_deadline_is_not_the_models_fault(clock: Clock, world: World) -> None:
    """Attempts that the call's deadline ends do not open the breaker."""
    script(world, Act(first_token=2.0))

    async def scenario(router: Router) -> str:
        await asks(router, 5, chain=["a"], deadline=1.0)
        return router.health()["a"].breaker

    assert play(clock, world, scenario) == "closed"


def test_an_open_breaker_ends_the_retries(clock: Clock, world: World) -> None:
    """The failure that opens the breaker is not followed by a retry."""
    script(world, Act(status=503), HEALTHY)

    result = play(clock, world, lambda router: ask(router, retry=Retry(attempts=9, base=0.0)))

    assert asked(world) == [3, 1, 0]
    assert isinstance(result, Reply)


def test_the_last_model_is_tried_though_its_breaker_is_open(clock: Clock, world: World) -> None:
    """A model whose breaker is open is tried when no other one is left, and its answer closes the breaker."""
    script(world, BUSY)

    async def scenario(router: Router) -> list[str]:
        results = await asks(router, 5, chain=["a"])
        assert all(isinstance(result, AllModelsFailed) for result in results)
        states = [router.health()["a"].breaker]
        script(world, HEALTHY)
        assert isinstance(await ask(router, chain=["a"]), Reply)
        return [*states, router.health()["a"].breaker]

    assert play(clock, world, scenario) == ["open", "closed"]
    assert asked(world)[0] == 6


def test_of_several_open_ones_the_last_is_tried(clock: Clock, world: World) -> None:
    """When all breakers are open, the last model of the chain is tried and the others are passed over."""
    script(world, BUSY, BUSY)

    async def scenario(router: Router) -> object:
        await asks(router, 3, chain=["a", "b"])
        return await ask(router, chain=["a", "b"], retry=ONCE)

    result = play(clock, world, scenario)

    assert tried(result.trace) == [
        Tried("a", "first", "not_sent", "NotSent", ended=0.0),
        Tried("b", "fallback", "failed", "ServerFailed", 500, 0.0, 0.0),
    ]  # type: ignore[attr-defined]


@pytest.mark.parametrize("chain", [["a", "b"], ["b", "a"]])
@pytest.mark.parametrize("status", [429, 503])
def test_a_promised_turn_goes_before_an_open_breaker(
    clock: Clock, world: World, chain: list[str], status: int
) -> None:
    """A call waits out the pause of a limited model rather than try another one whose breaker is open."""
    script(world, (Act(status=status, retry_after=20.0), HEALTHY), BUSY)

    async def scenario(router: Router) -> object:
        await asks(router, 3, 3.0, chain=["b"])
        return await ask(router, chain=chain, deadline=60)

    result = play(clock, world, scenario)

    sent = [(one.model, one.sent) for one in tried(result.trace) if one.sent is not None]  # type: ignore[attr-defined]
    assert sent == [("a", 0.0), ("a", 20.0)]


def test_breakers_can_be_switched_off(clock: Clock, world: World) -> None:
    """With `breaker = "off"` every call tries the first model first, and no state changes."""
    script(world, BUSY, HEALTHY)
    events: list[object] = []

    play(
        clock, world, lambda router: asks(router, 9), listeners=(events.append,),
        defaults={"breaker": "off"},
    )  # fmt: skip

    assert asked(world) == [9, 9, 0]
    assert not [event for event in events if isinstance(event, StateChanged)]


def test_a_host_that_cannot_be_reached_takes_its_models_with_it(clock: Clock, world: World) -> None:
    """Five lost connections in a row, to any of its models, keep all models of a host from being tried."""
    script(world, Act(fault="refuse"), Act(fault="refuse"), HEALTHY)
    events: list[object] = []

    async def scenario(router: Router) -> list[list[str]]:
        await asks(router, 2, chain=["a", "b", "sim-openai:c"])
        await ask(router, chain=["a", "sim-openai:c"], retry=ONCE)
        return [models_sent(await ask(router, chain=["d", "sim-openai:c"]))]

    seen = play(clock, world, scenario, listeners=(events.append,))

    assert seen == [["sim-openai:c"]]
    changes = [event for event in events if isinstance(event, StateChanged)]
    assert [(each.subject, each.state) for each in changes] == [("sim", "breaker open"), ("a", "breaker open")]


@pytest.mark.parametrize("act", [HEALTHY, REJECTED, Act(status=429), BUSY], ids=["200", "400", "429", "500"])
def test_any_response_shows_that_a_host_is_there(clock: Clock, world: World, act: Act) -> None:
    """Any response, also an error, closes the breaker of a host."""
    script(world, Act(fault="refuse"), Act(fault="refuse"), HEALTHY)

    async def scenario(router: Router) -> list[str]:
        await asks(router, 3, chain=["a", "b", "sim-openai:c"])
        script(world, act, HEALTHY)
        await asyncio.sleep(6.0)
        await ask(router, chain=["a", "sim-openai:c"], retry=ONCE)
        return models_sent(await ask(router, chain=["b", "sim-openai:c"]))

    assert play(clock, world, scenario) == ["b"]


def test_an_outage_from_its_beginning_to_its_end(clock: Clock, world: World) -> None:
    """A breaker opens at the third failure, probes later and closes with the first answer, each told once."""
    world.model("a", BUSY).at(7.0, HEALTHY)
    world.model("b")
    heard: list[tuple[str, str]] = []

    def listen(event: object) -> None:
        if isinstance(event, StateChanged):
            heard.append((event.subject, event.state))

    async def scenario(router: Router) -> list[tuple[str, str]]:
        seen = []
        for number in range(6):
            reply = await ask(router, prompt=f"hello {number}", chain=["a", "b"], retry=ONCE)
            assert isinstance(reply, Reply)
            seen.append((reply.model, router.health()["a"].breaker))
            await asyncio.sleep(2.0)
        return seen

    seen = play(clock, world, scenario, listeners=(listen,))

    assert seen == [("b", "closed"), ("b", "closed"), ("b", "open"), ("b", "open"), ("b", "open"), ("a", "closed")]
    assert heard == [("a", "breaker open"), ("a", "breaker half-open"), ("a", "breaker closed")]
