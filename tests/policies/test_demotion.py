"""Demotion: what makes a model slow, what its place is then, and what ends it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Hedge, Router, StateChanged
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World

HEDGE = Hedge(after=0.75, budget=1.0)
RACE = 1.0
"""Seconds until `b` has won as a hedge; `a` has been silent for four times its usual quarter of a second by then."""


class Day:
    """A router with a model `a` that answers in a quarter of a second and a model `b`, and a list of changes."""

    def __init__(self, clock: Clock, world: World, hedge: Hedge | None, breaker: str) -> None:
        self.world = world
        self.clock = clock
        self.began = 0.0
        self.told: list[tuple[float, str]] = []
        self.hedge = hedge
        config = world.config(defaults={"retry": {"attempts": 1}, "breaker": breaker})
        self.router = Router(config, transport=world.transport(), listeners=[self.listen], seed=1)
        world.model("b", Act(first_token=0.25))

    def listen(self, event: object) -> None:
        """Note each change of state, and when it came."""
        if isinstance(event, StateChanged):
            self.told.append((self.clock.now - self.began, event.state))

    async def calls(self, number: int, first_token: float) -> str:
        """Make so many calls while `a` takes `first_token` seconds; the first model that each of them asked."""
        self.world.model("a", Act(first_token=first_token))
        replies = [await self.router.chat("x", chain=["a", "b"], hedge=self.hedge) for _ in range(number)]
        return "".join(reply.trace.attempts[0].model for reply in replies)


def played(
    clock: Clock, world: World, *spans: tuple[int, float], hedge: Hedge | None = HEDGE, breaker: str = "auto"
) -> tuple[list[str], list[tuple[float, str]]]:
    """The first model asked in each span of (calls, seconds that `a` takes), and the changes with their instants."""
    async def scenario() -> tuple[list[str], list[tuple[float, str]]]:
        day = Day(clock, world, hedge, breaker)
        async with day.router:
            assert await day.calls(100, 0.25) == "a" * 100
            day.began = clock.now
            return [await day.calls(*span) for span in spans], day.told

    return clock.run(scenario())


def test_a_model_that_loses_every_race_goes_last(clock: Clock, world: World) -> None:
    """Twenty lost races in a row demote a model: from then on the other one is asked first."""
    asked, told = played(clock, world, (20, 20.0), (15, 20.0))

    assert asked == ["a" * 20, "b" * 15]
    assert told == [(20 * RACE, "slow")]


def test_nineteen_lost_races_are_too_few(clock: Clock, world: World) -> None:
    """Nineteen lost races followed by quick answers do not demote a model."""
    asked, told = played(clock, world, (19, 20.0), (10, 0.25))

    assert asked == ["a" * 19, "a" * 10]
    assert told == []


def test_every_five_seconds_it_is_tried_in_its_place(clock: Clock, world: World) -> None:
    """A demoted model that stays slow is tried in its old place every five seconds."""
    asked, told = played(clock, world, (20, 20.0), (20 + 1 + 16, 20.0))

    # The try itself takes one of its five seconds.
    assert asked[1] == "b" * 20 + "a" + "b" * 16
    assert told == [(20.0, "slow")]


def test_one_quick_answer_ends_the_demotion(clock: Clock, world: World) -> None:
    """One quick answer in its old place ends a demotion."""
    asked, told = played(clock, world, (20, 20.0), (30, 0.25))

    assert asked[1] == "b" * 20 + "a" * 10
    assert told == [(20.0, "slow"), (25.25, "not slow any more")]


def test_silence_that_the_budget_lets_nobody_race_counts(clock: Clock, world: World) -> None:
    """Silences of three times the usual count as slow when the budget denies the race."""
    asked, told = played(clock, world, (20, 2.5), (2, 2.5), hedge=Hedge(after=0.5, budget=0.01))

    # Ten races are won by b after 0.75 s.
    assert asked == ["a" * 20, "bb"]
    assert told == [(pytest.approx(10 * 0.75 + 9 * 2.5 + 0.75, rel=0.001), "slow")]


def test_late_and_not_raced_is_not_slow_before_three_times_its_usual(clock: Clock, world: World) -> None:
    """An attempt that was not raced and answers within three times the usual is not slow."""
    asked, told = played(clock, world, (60, 0.74), hedge=Hedge(after=0.5, budget=0.000001))

    assert asked[0] == "a" * 60
    assert told == []


def test_a_chain_without_a_hedge_keeps_its_order(clock: Clock, world: World) -> None:
    """In a chain without a hedge slow answers change nothing."""
    asked, told = played(clock, world, (60, 2.5), hedge=None)

    assert asked[0] == "a" * 60
    assert told == []


def test_a_late_answer_does_not_end_the_demotion(clock: Clock, world: World) -> None:
    """A slow answer that nobody could race does not end a demotion."""
    asked, told = played(clock, world, (20, 2.5), (60, 2.5), hedge=Hedge(after=0.75, budget=0.01))

    assert asked[1][:26] == "b" * 14 + "a" + "b" * 10 + "a"
    assert [state for _, state in told] == ["slow"]


def test_what_stays_slow_is_what_is_usual_in_the_end(clock: Clock, world: World) -> None:
    """A model that stays slow is no longer demoted between 10 and 50 minutes later."""
    hedge = Hedge(after=0.75, budget=0.01)

    async def scenario() -> tuple[str, list[tuple[float, str]]]:
        day = Day(clock, world, hedge, "auto")
        async with day.router:
            await day.calls(100, 0.25)
            await day.calls(20, 1.5)
            day.began = clock.now
            for _ in range(600):
                await day.calls(1, 1.5)
                await asyncio.sleep(5.0)
            return await day.calls(10, 1.5), day.told

    asked, told = clock.run(scenario())

    assert asked == "a" * 10
    assert [state for _, state in told] == ["slow", "not slow any more"]
    assert 600.0 < told[-1][0] < 3000.0


def test_a_brown_out_does_not_become_what_is_usual(clock: Clock, world: World) -> None:
    """Slow answers of a demoted model are not learned as its usual latency."""
    async def scenario() -> list[tuple[float, str]]:
        day = Day(clock, world, Hedge(after=0.5, budget=0.01), "auto")
        async with day.router:
            await day.calls(300, 0.25)
            await asyncio.gather(*(day.calls(1, 2.5) for _ in range(200)))
            for _ in range(60):
                await day.calls(1, 2.5)
                await asyncio.sleep(5.0)
            return day.told

    assert [state for _, state in clock.run(scenario())] == ["slow"]


def test_a_race_is_not_run_with_a_slow_model(clock: Clock, world: World) -> None:
    """A hedge goes to a demoted model only when no other one could be sent."""
    async def scenario() -> list[str]:
        day = Day(clock, world, HEDGE, "auto")
        world.model("c", Act(first_token=0.25))
        async with day.router:
            await day.calls(100, 0.25)
            await day.calls(20, 20.0)
            world.model("b", Act(first_token=20.0))
            reply = await day.router.chat("x", chain=["a", "b", "c"], hedge=HEDGE)
            return [attempt.model for attempt in reply.trace.attempts]

    assert clock.run(scenario()) == ["b", "c"]


def test_a_slow_model_to_race_with_is_tried_again(clock: Clock, world: World) -> None:
    """A demoted model is tried as a hedge every five seconds."""
    async def scenario() -> list[str]:
        day = Day(clock, world, HEDGE, "auto")
        world.model("c", Act(first_token=2.0))
        async with day.router:
            await day.calls(100, 0.25)
            await day.calls(20, 20.0)
            await asyncio.sleep(5.0)
            replies = [await day.router.chat("x", chain=["c", "a", "b"], hedge=HEDGE) for _ in range(3)]
            return [reply.trace.attempts[1].model for reply in replies]

    assert clock.run(scenario()) == ["a", "b", "b"]


def test_a_chain_without_a_hedge_keeps_its_order_beside_one_with(clock: Clock, world: World) -> None:
    """A model that a hedged chain has demoted keeps its place in a chain without a hedge."""
    async def scenario() -> list[str]:
        day = Day(clock, world, HEDGE, "auto")
        async with day.router:
            await day.calls(100, 0.25)
            hedged = await day.calls(21, 20.0)
            day.hedge = None
            return [hedged[-1], await day.calls(1, 2.5)]

    assert clock.run(scenario()) == ["b", "a"]


def test_a_model_with_two_modes_is_not_slow(clock: Clock, world: World) -> None:
    """A model of which nearly half of the answers have always taken six times as long is not demoted."""
    async def scenario() -> list[tuple[float, str]]:
        day = Day(clock, world, Hedge(after=0.5, budget=0.01), "auto")
        async with day.router:
            for number in range(600):
                await day.calls(1, 1.2 if number % 20 < 9 else 0.2)
            return day.told

    assert clock.run(scenario()) == []


def test_a_stream_that_its_reader_leaves_has_been_quick(clock: Clock, world: World) -> None:
    """A stream that its reader leaves after a quick first chunk counts as quick."""
    async def scenario() -> list[tuple[float, str]]:
        day = Day(clock, world, Hedge(after=0.5, budget=0.000001), "auto")
        async with day.router:
            await day.calls(110, 0.25)
            for _ in range(30):
                await day.calls(1, 2.5)
                world.model("a", Act(first_token=0.25))
                for _ in range(2):
                    async with day.router.stream("x", chain=["a", "b"], hedge=day.hedge) as stream:
                        await anext(stream)
            return day.told

    assert clock.run(scenario()) == []


def test_a_loser_that_was_as_quick_as_ever_is_not_slow(clock: Clock, world: World) -> None:
    """A loser that was silent for less than twice its median is not slow."""
    world.model("b", Act(first_token=0.0))
    asked, told = played(clock, world, (40, 20.0), hedge=Hedge(after=0.2, budget=1.0))

    assert asked[0] == "a" * 40
    assert told == []


def test_without_breakers_nothing_is_demoted(clock: Clock, world: World) -> None:
    """With `breaker = "off"` no model is demoted."""
    asked, _ = played(clock, world, (40, 20.0), breaker="off")

    assert asked[0] == "a" * 40
