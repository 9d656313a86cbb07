"""`batch.map`: any stream of calls, results as they finish, failures as values, memory bounded by the window."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from contextlib import aclosing
from itertools import count, islice
from typing import TYPE_CHECKING

import pytest

from asyncrouter import AllModelsFailed, ConfigError, Reply, RouterClosed, batch
from asyncrouter.sim import Act
from tests.helpers.batching import asked, poisoned, router_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from asyncrouter.sim import Clock, World


def collect(clock: Clock, world: World, calls: object, **options: object) -> list[tuple[object, object]]:
    async def scenario() -> list[tuple[object, object]]:
        async with router_of(world) as router:
            return [pair async for pair in batch.map(router, calls, **options)]  # type: ignore[arg-type]

    return clock.run(scenario())


def test_results_come_as_they_finish(clock: Clock, world: World) -> None:
    """A fast call's result comes before that of a slow one that began earlier."""
    world.model("m", Act(first_token=2.0), Act(first_token=1.0))

    assert [name for name, _ in collect(clock, world, ["slow", "fast"])] == [1, 0]
    assert clock.now == 2.0


@pytest.mark.parametrize("first_token", ["auto", {"auto": True, "cap": 90}])
def test_an_answer_that_takes_minutes_is_an_answer(clock: Clock, world: World, first_token: object) -> None:
    """A limit that is "auto" cuts no call of batch work, which is asked for in one body."""
    world.model("m", Act(first_token=200.0))

    [(_, reply)] = collect(clock, world, ["slow"], first_token=first_token)

    assert isinstance(reply, Reply)
    assert (clock.now, [seen.stream for seen in world.seen]) == (200.0, [False])


def test_every_form_of_a_call(clock: Clock, world: World) -> None:
    """A call may be a prompt, messages, a pair or a row, whose own fields go before the options."""
    world.model("m", poisoned)
    world.model("n", poisoned)
    message = {"role": "user", "content": "messages"}
    calls = ["prompt", [message], ("mine", "pair"), {"id": "r", "prompt": "row", "model": "n", "max_tokens": 7}]

    results = dict(collect(clock, world, calls, task="default", temperature=0.5))

    assert set(results) == {0, 1, "mine", "r"}
    assert set(asked(world)) == {"prompt", "messages", "pair", "row"}
    row = next(seen for seen in world.seen if seen.model == "n")
    assert (row.body["max_tokens"], row.body["temperature"]) == (7, 0.5)


def test_a_failure_is_a_value(clock: Clock, world: World) -> None:
    """The result of a call that fails, or that cannot be sent, is its exception."""
    world.model("m", poisoned)

    results = dict(collect(clock, world, [("a", "malformed"), ("b", "fine"), {"id": "c"}]))

    assert isinstance(results["a"], AllModelsFailed)
    assert isinstance(results["b"], Reply)
    assert isinstance(results["c"], ValueError)


@pytest.mark.parametrize(("calls", "kind"), [("hello", "str"), (b"hello", "bytes"), ({"prompt": "hello"}, "dict")])
def test_one_call_is_no_iterable_of_calls(clock: Clock, world: World, calls: object, kind: str) -> None:
    """A single prompt in the place of an iterable is a `TypeError`, so that its letters are not asked one by one."""
    with pytest.raises(TypeError) as caught:
        collect(clock, world, calls)

    assert str(caught.value) == f"calls: expected an iterable of calls, got one {kind}: put it into a list"


@pytest.mark.parametrize("option", [{"task": 5}, {"deadline": "2s"}, {"tier": "gold"}])
def test_invalid_options_are_no_calls_failure(clock: Clock, world: World, option: dict[str, object]) -> None:
    """Options that no call could have raise `ConfigError` before the first call."""
    with pytest.raises(ConfigError):
        collect(clock, world, map(str, count()), **option)


def test_calls_in_flight_grow_by_answers_up_to_concurrency(clock: Clock, world: World) -> None:
    """Sixteen calls begin at once, and each round of answers doubles that up to `concurrency`."""
    world.model("m", Act(first_token=1.0))
    most: dict[float, int] = {}
    world.rule(lambda seen, _: most.__setitem__(seen.at, world.model("m").live + 1))

    collect(clock, world, map(str, range(300)), concurrency=100)

    assert {at: most[at] for at in (0.0, 1.0, 2.0, 3.0)} == {0.0: 16, 1.0: 32, 2.0: 64, 3.0: 100}
    assert max(most.values()) == 100


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_endless_stream_takes_no_more_memory_the_longer_it_runs(
    clock: Clock, world: World, asynchronous: bool
) -> None:
    """After 800 calls of an endless iterable memory is as after 200, and few more calls have been taken from it."""
    world.seen = type(world.seen)(maxlen=0)
    world.model("m", Act(first_token=0.1))
    taken = count()

    def endless() -> Iterator[str]:
        return (f"call {number}" for number in taken)

    async def endless_and_asynchronous() -> AsyncIterator[str]:
        for call in endless():
            await asyncio.sleep(0)
            yield call

    async def scenario() -> None:
        sizes = []
        calls = endless_and_asynchronous() if asynchronous else endless()
        async with router_of(world) as router, aclosing(batch.map(router, calls, concurrency=20)) as results:
            number = 0
            async for _ in results:
                number += 1
                if number % 200 == 0:
                    gc.collect()
                    sizes.append(tracemalloc.get_traced_memory()[0])
                if number == 800:
                    break
        assert sizes[3] - sizes[0] < 60_000
        assert next(taken) <= 800 + 2 * 20 + 1

    tracemalloc.start()
    try:
        clock.run(scenario())
    finally:
        tracemalloc.stop()


def test_a_reader_that_stops_reading_stops_the_calls(clock: Clock, world: World) -> None:
    """While nobody takes results, at most `concurrency` of them wait and as many calls are in flight."""
    world.model("m", Act(first_token=0.1))

    async def scenario() -> int:
        async with router_of(world) as router, aclosing(batch.map(router, map(str, count()), concurrency=8)) as results:
            await anext(results)
            await asyncio.sleep(100.0)
            return world.requests

    assert clock.run(scenario()) <= 17


def test_leaving_early_cancels_calls_in_flight(clock: Clock, world: World) -> None:
    """After a `break` no connection and no task is left."""
    world.model("m", Act(first_token=0.1), Act(first_token=50.0))

    async def scenario() -> int:
        async with router_of(world) as router:
            async with aclosing(batch.map(router, map(str, count()))) as results:
                async for _ in results:
                    break
            return len(asyncio.all_tasks())

    assert clock.run(scenario()) == 1
    assert clock.now == pytest.approx(0.1)


def test_an_exception_of_the_calls_comes_after_the_results_before_it(clock: Clock, world: World) -> None:
    """An exception of the caller's iterable is raised after the results of the calls before it."""
    world.model("m", Act(first_token=0.1))

    def calls() -> Iterator[str]:
        yield from ("a", "b")
        raise LookupError("the database is gone")

    async def scenario() -> list[object]:
        got: list[object] = []
        async with router_of(world) as router:
            with pytest.raises(LookupError, match="database"):
                async for name, _ in batch.map(router, calls()):
                    got.append(name)
        return got

    assert sorted(clock.run(scenario())) == [0, 1]


def test_a_closed_router_ends_it(clock: Clock, world: World) -> None:
    """A closed router raises `RouterClosed` instead of failing every call of an endless iterable."""
    world.model("m")

    async def scenario() -> None:
        router = router_of(world)
        await router.aclose()
        with pytest.raises(RouterClosed):
            async for _ in batch.map(router, map(str, count())):
                pass

    clock.run(scenario())


def test_batch_work_has_the_priority_of_batch_work(clock: Clock, world: World) -> None:
    """An interactive call goes before the calls of a batch that wait for the same limit."""
    world.model("m", Act(first_token=0.0))
    models = {"m": {"provider": "sim", "id": "m", "rpm": 60}}

    async def scenario() -> list[str]:
        async with router_of(world, models=models) as router:
            async def background() -> None:
                async for _ in islice_async(batch.map(router, (f"batch {n}" for n in range(12)), deadline=None), 12):
                    pass

            work = asyncio.create_task(background())
            await asyncio.sleep(3.5)
            await router.chat("interactive")
            await work
        return asked(world)

    order = clock.run(scenario())
    assert order.index("interactive") < 8


async def islice_async(results: AsyncIterator[object], stop: int) -> AsyncIterator[object]:
    for _ in islice(count(), stop):
        yield await anext(results)
