"""The virtual clock: exact instants, no waiting, and a report instead of a hang."""

import asyncio
import math
import time

import anyio
import pytest

from asyncrouter.sim import Clock, Deadlock, Livelock, VirtualLoop, run
from asyncrouter.sim import clock as clock_module


def test_time_begins_at_zero_and_jumps(clock: Clock) -> None:
    """A sleep of hours takes no time and ends at exactly its instant."""
    began = time.monotonic()

    clock.run(asyncio.sleep(7200.25))

    assert clock.now == 7200.25
    assert time.monotonic() - began < 1.0


def test_now_follows_the_scenario(clock: Clock) -> None:
    """`now` is the present instant inside a run too, and the loop's own time."""

    async def scenario() -> list[tuple[float, float]]:
        seen = [(clock.now, asyncio.get_running_loop().time())]
        await asyncio.sleep(1.5)
        return [*seen, (clock.now, asyncio.get_running_loop().time())]

    assert clock.run(scenario()) == [(0.0, 0.0), (1.5, 1.5)]


def test_a_second_run_goes_on_where_the_first_ended(clock: Clock) -> None:
    """A second run begins at the instant at which the first ended, and the wall clock moves with it."""
    clock.run(asyncio.sleep(2.0))
    clock.run(asyncio.sleep(0.5))

    assert clock.now == 2.5
    assert clock.wall() == clock_module.EPOCH + 2.5


def test_instants_are_those_of_the_timers_not_sums(clock: Clock) -> None:
    """Each timer fires at exactly the instant it was set for, however close the next one is."""
    instants = [0.1, 0.3, math.nextafter(0.3, 1), 0.7, 1.0000000001]
    fired: list[float] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        for at in instants:
            loop.call_at(at, lambda: fired.append(loop.time()))
        await asyncio.sleep(2)

    clock.run(scenario())

    assert fired == instants


def test_far_instants_neither_spin_nor_stop_at_a_day(clock: Clock) -> None:
    """A timer may be further away than asyncio's longest select, and instants coarser than its clock resolution."""
    clock.run(asyncio.sleep(1e12))
    clock.run(asyncio.sleep(0.25))

    assert clock.now == 1e12 + 0.25


def test_timeouts_of_asyncio_and_anyio_are_exact(clock: Clock) -> None:
    """Timeouts of asyncio and anyio fire at exactly their instants."""

    async def scenario() -> tuple[float, float]:
        try:
            async with asyncio.timeout(0.75):
                await asyncio.sleep(9)
        except TimeoutError:
            first = clock.now
        with anyio.move_on_after(1.0):
            await anyio.sleep(9)
        return first, clock.now

    assert clock.run(scenario()) == (0.75, 1.75)


def test_deadlock_names_the_tasks_and_where_they_wait(clock: Clock) -> None:
    """With no timer left, the error names each task and where it waits."""

    async def never() -> None:
        await asyncio.get_running_loop().create_future()

    async def scenario() -> None:
        stuck = asyncio.create_task(never(), name="the stuck one")
        await asyncio.sleep(3)
        await stuck

    with pytest.raises(Deadlock) as caught:
        clock.run(scenario())

    assert "nothing is left to wait for at 3.0 s" in str(caught.value)
    assert "the stuck one: " in str(caught.value)
    assert "never (test_clock.py:" in str(caught.value)
    assert "scenario (test_clock.py:" in str(caught.value)


def test_sleeping_for_ever_is_a_deadlock(clock: Clock) -> None:
    """A timer at infinity never comes."""
    with pytest.raises(Deadlock):
        clock.run(asyncio.sleep(math.inf))


def test_a_deadlock_cleans_up(clock: Clock) -> None:
    """After a deadlock the tasks are cancelled, so that what they hold is closed."""
    closed: list[float] = []

    async def scenario() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            closed.append(clock.now)

    with pytest.raises(Deadlock):
        clock.run(scenario())

    assert closed == [0.0]


def test_spinning_is_a_livelock(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that never waits is reported instead of running for ever."""
    monkeypatch.setattr(clock_module, "MAX_ITERATIONS", 1000)

    async def scenario() -> None:
        while True:  # noqa: ASYNC110  # spinning is the point
            await asyncio.sleep(0)

    with pytest.raises(Livelock, match=r"1000 turns of the loop at 0\.0 s"):
        clock.run(scenario())


@pytest.mark.parametrize(
    "use",
    [
        lambda: asyncio.to_thread(time.sleep, 0),
        lambda: asyncio.get_running_loop().getaddrinfo("localhost", 80),
        lambda: asyncio.open_connection("127.0.0.1", 9),
        lambda: asyncio.start_server(lambda *_: None, "127.0.0.1", 0),
    ],
    ids=["thread", "name", "connection", "server"],
)
def test_threads_and_sockets_are_refused(clock: Clock, use) -> None:
    """A thread or a socket is refused with an error instead of a deadlock."""

    async def scenario() -> None:
        await use()

    with pytest.raises(RuntimeError, match="virtual time cannot wait for a"):
        clock.run(scenario())


def test_what_the_scenario_raises_comes_through(clock: Clock) -> None:
    """An exception ends the run unchanged, and the clock stands where it was raised."""

    async def scenario() -> None:
        await asyncio.sleep(1)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        clock.run(scenario())

    assert clock.now == 1.0


def test_run_and_the_loop_alone() -> None:
    """`run` needs no clock, and `VirtualLoop` works with `asyncio.Runner`."""

    async def scenario() -> float:
        await asyncio.sleep(4)
        return asyncio.get_running_loop().time()

    assert run(scenario()) == 4.0
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(scenario()) == 4.0


def test_not_inside_a_running_loop() -> None:
    """Inside a running event loop `run` raises a plain error and leaves nothing behind."""
    async def scenario() -> None:
        with pytest.raises(RuntimeError, match="call this outside of it"):
            Clock().run(asyncio.sleep(1.0))

    asyncio.run(scenario())
