"""One ticket in the queues of several models: the first that lets it go ends the others."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Model, NotSent
from asyncrouter._policies.limits import MARGIN, Limits
from asyncrouter._policies.pacing import Pacer, Rank
from asyncrouter._policies.pools.queue import PoolTicket, join_several

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter.sim import Clock


def run(clock: Clock, scenario: Callable[[list[Pacer], asyncio.AbstractEventLoop], object], *rpm: float) -> None:
    """Run this with a pacer for each limit; each has let one request go."""
    async def begin() -> None:
        loop = asyncio.get_running_loop()
        models = [Model(provider="p", id=str(number), rpm=limit / MARGIN) for number, limit in enumerate(rpm)]
        pacers = [Pacer(Limits(model), loop) for model in models]
        for pacer in pacers:
            assert pacer.take_now(0.0)
        if asyncio.iscoroutine(waiting := scenario(pacers, loop)):
            await waiting

    clock.run(begin())


def test_the_head_goes_to_the_first_member_whose_turn_has_come(clock: Clock) -> None:
    """Six wait for limits of 60, 30 and 20 a minute: they go at the instants of all three, in their order."""
    async def scenario(pacers: list[Pacer], loop: asyncio.AbstractEventLoop) -> None:
        tickets = [join_several(pacers, loop, Rank.FIRST, 0.0, inf) for _ in range(6)]
        went: list[tuple[int, float, int]] = []
        for number, ticket in enumerate(tickets):
            await ticket.done
            assert ticket.granted_by is not None
            went.append((number, round(loop.time(), 6), pacers.index(ticket.granted_by)))
        assert [(number, at) for number, at, _ in went] == [(0, 1.0), (1, 2.0), (2, 2.0), (3, 3.0), (4, 3.0), (5, 4.0)]
        assert [sum(by == index for _, _, by in went) for index in range(3)] == [3, 2, 1]
        assert [pacer.waiting for pacer in pacers] == [0, 0, 0]

    run(clock, scenario, 60.0, 30.0, 20.0)


def test_who_was_turned_down_goes_first(clock: Clock) -> None:
    """`ahead` puts a call before those that have waited meanwhile."""
    async def scenario(pacers: list[Pacer], loop: asyncio.AbstractEventLoop) -> None:
        others = [join_several(pacers, loop, Rank.FIRST, 0.0, inf) for _ in range(3)]
        again = join_several(pacers, loop, Rank.FIRST, 0.0, inf, ahead=True)
        await again.done
        assert [ticket.granted for ticket in (again, *others)] == [True, False, False, False]

    run(clock, scenario, 60.0, 30.0)


@pytest.mark.parametrize("granted", [False, True])
def test_leaving_leaves_all_queues(clock: Clock, granted: bool) -> None:
    """A ticket that is given up stands in no queue; one that was granted gives its turn to the next."""
    async def scenario(pacers: list[Pacer], loop: asyncio.AbstractEventLoop) -> None:
        first, second = (join_several(pacers, loop, Rank.FIRST, 0.0, inf) for _ in range(2))
        if granted:
            await first.done
        first.leave()
        await second.done
        assert loop.time() == 1.0
        assert [pacer.waiting for pacer in pacers] == [0, 0]

    run(clock, scenario, 60.0, 30.0)


def test_too_late_everywhere(clock: Clock) -> None:
    """Where no member could let it go in time, that is said at once, with the soonest of them."""
    def scenario(pacers: list[Pacer], loop: asyncio.AbstractEventLoop) -> None:
        with pytest.raises(NotSent) as raised:
            join_several(pacers, loop, Rank.FIRST, 0.0, loop.time() + 0.5)
        assert raised.value.hold == 1.0

    run(clock, scenario, 60.0, 30.0)


def test_a_member_that_is_too_late_is_left_out(clock: Clock) -> None:
    """The call waits for those that can let it go in time, and is told when its time is over."""
    async def scenario(pacers: list[Pacer], loop: asyncio.AbstractEventLoop) -> None:
        first = join_several(pacers, loop, Rank.FIRST, 0.0, inf)
        second: PoolTicket = join_several(pacers, loop, Rank.FIRST, 0.0, 1.8)
        assert [len(ticket.pacers) for ticket in (first, second)] == [2, 1]
        with pytest.raises(NotSent, match="its turn did not come in time"):
            await second.done
        assert loop.time() == 1.8
        second.leave()
        assert [pacer.waiting for pacer in pacers] == [0, 0]

    run(clock, scenario, 60.0, 30.0)
