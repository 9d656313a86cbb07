"""A model that has become slow goes after the others: what makes it slow, and how it comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter import Hedge, Router, StateChanged
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World

HEDGE = Hedge(after=0.75, budget=1.0)
RACE = 1.0
"""Seconds until `b` has won as a hedge; `a` has been silent for four times its usual quarter of a second by then."""


class Day:
    """A model `a` that has answered a hundred calls in a quarter of a second, a `b` nobody has asked yet."""

    def __init__(self, clock: Clock, world: World, hedge: Hedge, breaker: str) -> None:
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
    clock: Clock, world: World, *spans: tuple[int, float], hedge: Hedge = HEDGE, breaker: str = "auto"
) -> tuple[list[str], list[tuple[float, str]]]:
    """Which model was asked first in spans of so many calls in which `a` takes so long; what was told, and when."""
    async def scenario() -> tuple[list[str], list[tuple[float, str]]]:
        day = Day(clock, world, hedge, breaker)
        async with day.router:
            assert "a" * 100 == await day.calls(100, 0.25)
            day.began = clock.now
            return [await day.calls(*span) for span in spans], day.told

    return clock.run(scenario())


def test_a_model_that_loses_every_race_goes_last(clock: Clock, world: World) -> None:
    """Twenty in thirty seconds: from then on the other one is asked first, known or not: it has won these races."""
    asked, told = played(clock, world, (20, 20.0), (15, 20.0))

    assert ["a" * 20, "b" * 15] == asked
    assert [(20 * RACE, "slow")] == told


def test_nineteen_are_too_few(clock: Clock, world: World) -> None:
    """And then it is quick again."""
    asked, told = played(clock, world, (19, 20.0), (10, 0.25))

    assert ["a" * 19, "a" * 10] == asked
    assert [] == told


def test_every_five_seconds_it_is_tried_in_its_place(clock: Clock, world: World) -> None:
    """Twenty calls of a quarter of a second later; still slow, it waits five seconds more."""
    asked, told = played(clock, world, (20, 20.0), (20 + 1 + 16, 20.0))

    # The try itself takes one of its five seconds.
    assert "b" * 20 + "a" + "b" * 16 == asked[1]
    assert [(20.0, "slow")] == told


def test_one_quick_answer_has_it_back(clock: Clock, world: World) -> None:
    """The next try in its place is the last that is needed."""
    asked, told = played(clock, world, (20, 20.0), (30, 0.25))

    assert "b" * 20 + "a" * 10 == asked[1]
    assert [(20.0, "slow"), (25.25, "not slow any more")] == told


def test_what_is_answered_late_is_no_lost_race(clock: Clock, world: World) -> None:
    """Ten times as slow, and hardly ever hedged: the order of a chain is its owner's, and so are its clocks."""
    asked, told = played(clock, world, (60, 2.5), hedge=Hedge(after=0.75, budget=0.05))

    assert "a" * 60 == asked[0]
    assert [] == told


def test_a_loser_that_was_as_quick_as_ever_is_not_slow(clock: Clock, world: World) -> None:
    """Silent for less than twice its usual time: the other one was only quicker."""
    world.model("b", Act(first_token=0.0))
    asked, told = played(clock, world, (40, 20.0), hedge=Hedge(after=0.2, budget=1.0))

    assert "a" * 40 == asked[0]
    assert [] == told


def test_without_breakers_nothing_is_put_last(clock: Clock, world: World) -> None:
    """`breaker = "off"` leaves every chain in its order."""
    asked, _ = played(clock, world, (40, 20.0), breaker="off")

    assert "a" * 40 == asked[0]
