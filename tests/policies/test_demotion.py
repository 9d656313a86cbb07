"""A model that has become slow goes after the others: what makes it slow, and how it comes back."""

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
    """A model `a` that has answered a hundred calls in a quarter of a second, a `b` nobody has asked yet."""

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
        """Note what changes, and when."""
        if isinstance(event, StateChanged):
            self.told.append((self.clock.now - self.began, event.state))

    async def calls(self, number: int, first_token: float) -> str:
        """So many calls, one after the other, while `a` takes so long: the models that were asked first."""
        self.world.model("a", Act(first_token=first_token))
        replies = [await self.router.chat("x", chain=["a", "b"], hedge=self.hedge) for _ in range(number)]
        return "".join(reply.trace.attempts[0].model for reply in replies)


def played(
    clock: Clock, world: World, *spans: tuple[int, float], hedge: Hedge | None = HEDGE, breaker: str = "auto"
) -> tuple[list[str], list[tuple[float, str]]]:
    """Which model was asked first in spans of so many calls in which `a` takes so long; what was told, and when."""
    async def scenario() -> tuple[list[str], list[tuple[float, str]]]:
        day = Day(clock, world, hedge, breaker)
        async with day.router:
            assert await day.calls(100, 0.25) == "a" * 100
            day.began = clock.now
            return [await day.calls(*span) for span in spans], day.told

    return clock.run(scenario())


def test_a_model_that_loses_every_race_goes_last(clock: Clock, world: World) -> None:
    """Twenty in thirty seconds: from then on the other one is asked first, known or not: it has won these races."""
    asked, told = played(clock, world, (20, 20.0), (15, 20.0))

    assert asked == ["a" * 20, "b" * 15]
    assert told == [(20 * RACE, "slow")]


def test_nineteen_are_too_few(clock: Clock, world: World) -> None:
    """And then it is quick again."""
    asked, told = played(clock, world, (19, 20.0), (10, 0.25))

    assert asked == ["a" * 19, "a" * 10]
    assert told == []


def test_every_five_seconds_it_is_tried_in_its_place(clock: Clock, world: World) -> None:
    """Twenty calls of a quarter of a second later; still slow, it waits five seconds more."""
    asked, told = played(clock, world, (20, 20.0), (20 + 1 + 16, 20.0))

    # The try itself takes one of its five seconds.
    assert asked[1] == "b" * 20 + "a" + "b" * 16
    assert told == [(20.0, "slow")]


def test_one_quick_answer_has_it_back(clock: Clock, world: World) -> None:
    """The next try in its place is the last that is needed."""
    asked, told = played(clock, world, (20, 20.0), (30, 0.25))

    assert asked[1] == "b" * 20 + "a" * 10
    assert told == [(20.0, "slow"), (25.25, "not slow any more")]


def test_a_race_that_the_budget_forbids_is_lost_all_the_same(clock: Clock, world: World) -> None:
    """Ten races, then the bucket is empty: ten calls more are silent for three times the usual quarter of a second."""
    asked, told = played(clock, world, (20, 2.5), (2, 2.5), hedge=Hedge(after=0.5, budget=0.01))

    # Ten races are won by b after 0.75 s.
    assert asked == ["a" * 20, "bb"]
    assert told == [(pytest.approx(10 * 0.75 + 9 * 2.5 + 0.75, rel=0.001), "slow")]


def test_late_and_not_raced_is_not_slow_before_three_times_its_usual(clock: Clock, world: World) -> None:
    """Its answer comes an instant earlier."""
    asked, told = played(clock, world, (60, 0.74), hedge=Hedge(after=0.5, budget=0.000001))

    assert asked[0] == "a" * 60
    assert told == []


def test_a_chain_without_a_hedge_keeps_its_order(clock: Clock, world: World) -> None:
    """However late its answers are: its owner has only asked for its clocks to be kept."""
    asked, told = played(clock, world, (60, 2.5), hedge=None)

    assert asked[0] == "a" * 60
    assert told == []


def test_a_late_answer_does_not_have_it_back(clock: Clock, world: World) -> None:
    """It could not be raced, and so it was first; that says nothing for it."""
    asked, told = played(clock, world, (20, 2.5), (60, 2.5), hedge=Hedge(after=0.75, budget=0.01))

    assert asked[1][:26] == "b" * 14 + "a" + "b" * 10 + "a"
    assert [state for _, state in told] == ["slow"]


def test_what_stays_slow_is_what_is_usual_in_the_end(clock: Clock, world: World) -> None:
    """After ten minutes it counts, in forty more what was is forgotten: nobody is last for having been quicker once."""
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
    """A hundred late answers at once are enough for another law, but not from a model that is known to be slow."""
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
    """While another one could be asked."""
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
    """Every five seconds in its old place, there too."""
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
    """What a hedged chain has put last is first where the order is its owner's."""
    async def scenario() -> list[str]:
        day = Day(clock, world, HEDGE, "auto")
        async with day.router:
            await day.calls(100, 0.25)
            hedged = await day.calls(21, 20.0)
            day.hedge = None
            return [hedged[-1], await day.calls(1, 2.5)]

    assert clock.run(scenario()) == ["b", "a"]


def test_a_model_of_two_minds_is_not_slow(clock: Clock, world: World) -> None:
    """Nearly half of its answers have always taken six times as long as the others."""
    async def scenario() -> list[tuple[float, str]]:
        day = Day(clock, world, Hedge(after=0.5, budget=0.01), "auto")
        async with day.router:
            for number in range(600):
                await day.calls(1, 1.2 if number % 20 < 9 else 0.2)
            return day.told

    assert clock.run(scenario()) == []


def test_a_stream_that_its_reader_leaves_has_been_quick(clock: Clock, world: World) -> None:
    """Twenty that are slow, with quick ones in between, are no row of twenty."""
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
    """Silent for less than twice its usual time: the other one was only quicker."""
    world.model("b", Act(first_token=0.0))
    asked, told = played(clock, world, (40, 20.0), hedge=Hedge(after=0.2, budget=1.0))

    assert asked[0] == "a" * 40
    assert told == []


def test_without_breakers_nothing_is_put_last(clock: Clock, world: World) -> None:
    """`breaker = "off"` leaves every chain in its order."""
    asked, _ = played(clock, world, (40, 20.0), breaker="off")

    assert asked[0] == "a" * 40
