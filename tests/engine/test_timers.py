"""The timers of a router: called in order and on time, on one timer of the loop, which goes with the last of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from asyncrouter._engine.timers import CANCELLED_ON_HEAP, FIRST_WATCH_SECONDS, Timers

if TYPE_CHECKING:
    from asyncrouter.sim import Clock


def live(loop: asyncio.AbstractEventLoop) -> list[float]:
    """The instants at which the loop's own timers are due."""
    handles: list[asyncio.TimerHandle] = loop._scheduled  # type: ignore[attr-defined]  # private to asyncio
    return sorted(handle.when() for handle in handles if not handle.cancelled())


def test_each_is_called_at_its_instant(clock: Clock) -> None:
    """Timers are called once, when they are due, whatever the order in which they were set."""
    called: list[tuple[str, float]] = []

    async def scenario() -> None:
        timers = Timers(asyncio.get_running_loop())
        for name, when in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("d", 3.0)):
            timers.call_at(when, lambda name=name: called.append((name, clock.now)))
        await asyncio.sleep(10.0)

    clock.run(scenario())

    assert called == [("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 3.0)]


def test_one_that_is_cancelled_is_not_called(clock: Clock) -> None:
    """A cancelled timer is not called, also when one of the same instant cancels it; cancelling twice is allowed."""
    called: list[str] = []

    async def scenario() -> None:
        timers = Timers(asyncio.get_running_loop())
        early = timers.call_at(1.0, lambda: called.append("early"))
        timers.call_at(2.0, lambda: timers.cancel(same))
        same = timers.call_at(2.0, lambda: called.append("same"))
        timers.call_at(3.0, lambda: called.append("last"))
        timers.cancel(early)
        timers.cancel(early)
        await asyncio.sleep(10.0)

    clock.run(scenario())

    assert called == ["last"]


def test_the_loop_has_one_timer_and_none_without_need(clock: Clock) -> None:
    """The loop has one timer, for the soonest of ours or a look before it, and none when the last one has gone."""
    seen: list[list[float]] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        timers = Timers(loop)
        many = [timers.call_at(10.0 - number, list) for number in range(5)]
        seen.append(live(loop))
        for timer in many:
            timers.cancel(timer)
        seen.append(live(loop))
        timers.cancel(timers.call_at(2.0, list))
        timers.call_at(1.0, lambda: seen.append(live(loop)))
        await asyncio.sleep(5.0)
        seen.append(live(loop))

    clock.run(scenario())

    assert seen == [[FIRST_WATCH_SECONDS], [], [5.0], []]


def test_one_that_raises_does_not_take_the_others_with_it(clock: Clock) -> None:
    """When a callback raises, the loop's exception handler is told and the others are called."""
    called: list[str] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: called.append(repr(context["exception"])))
        timers = Timers(loop)
        timers.call_at(1.0, lambda: [].pop())
        timers.call_at(1.0, lambda: called.append("next"))
        await asyncio.sleep(2.0)

    clock.run(scenario())

    assert called == ["IndexError('pop from empty list')", "next"]


def test_one_may_set_another(clock: Clock) -> None:
    """A callback may set a timer for its own instant: it is called in a later turn of the loop."""
    called: list[float] = []

    async def scenario() -> None:
        timers = Timers(asyncio.get_running_loop())

        def again() -> None:
            called.append(clock.now)
            if len(called) < 3:
                timers.call_at(clock.now, again)
            elif len(called) < 5:
                timers.call_at(clock.now + 1.0, again)

        timers.call_at(1.0, again)
        await asyncio.sleep(10.0)

    clock.run(scenario())

    assert called == [1.0, 1.0, 1.0, 2.0, 3.0]


def test_what_was_cancelled_is_not_kept(clock: Clock) -> None:
    """Ten thousand cancelled timers beside a live one leave a handful on the heap."""

    async def scenario() -> int:
        timers = Timers(asyncio.get_running_loop())
        lasting = timers.call_at(1.0, list)
        for _ in range(10_000):
            timers.cancel(timers.call_at(100.0, list))
        kept = len(timers._heap)
        timers.cancel(lasting)
        return kept

    assert clock.run(scenario()) <= CANCELLED_ON_HEAP + 2
