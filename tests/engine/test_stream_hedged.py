"""Streams that are raced, and many streams at once."""

from __future__ import annotations

import asyncio

import pytest

from asyncrouter import (
    Attempt,
    AttemptTimeout,
    Hedge,
    ReplyStream,
    Router,
    Step,
    StreamInterrupted,
)
from asyncrouter.sim import Act, Clock, World
from tests.helpers.streaming import opened, outcomes, streaming, texts


def test_a_hedge_that_is_first_gives_the_stream(clock: Clock, world: World) -> None:
    """When the hedge has the first content its chunks are the stream, and the late model is cancelled at once."""
    world.model("a", Act(text="late", first_token=5.0))
    world.model("b", Act(text="from b", first_token=1.0, gap=1.0))

    async def scenario() -> tuple[list[tuple[float, str]], ReplyStream]:
        async with streaming(world, chain=["a", "b"], hedge=Hedge(after=1.5)) as stream:
            return [(clock.now, chunk.text) async for chunk in stream], stream

    chunks, stream = clock.run(scenario())
    assert chunks == [(2.5, "from"), (3.5, " b"), (3.5, "")]
    assert outcomes(stream) == [("a", "first", "superseded"), ("b", "hedge", "won")]
    [late] = world.asked("a")
    assert (late.gone, late.ended) == (True, 2.5)
    assert (stream.reply.model, stream.reply.text) == ("b", "from b")


def test_a_hedge_that_comes_second_is_let_go(clock: Clock, world: World) -> None:
    """When the older model has the first content the hedge is superseded at once."""
    world.model("a", Act(text="from a", first_token=2.0, gap=1.0))
    world.model("b", Act(text="later", first_token=1.0))

    async def scenario() -> ReplyStream:
        async with streaming(world, chain=["a", "b"], hedge=Hedge(after=1.5)) as stream:
            assert clock.now == 2.0
            assert await texts(stream) == "from a"
        return stream

    assert outcomes(clock.run(scenario())) == [("a", "first", "won"), ("b", "hedge", "superseded")]
    assert (world.asked("b")[0].gone, world.asked("b")[0].ended) == (True, 2.0)


def test_a_hedged_stream_that_breaks_interrupts(clock: Clock, world: World) -> None:
    """A stream that a hedge has won and that breaks raises `StreamInterrupted`."""
    world.model("a", Act(first_token=9.0))
    world.model("b", Act(tokens=5, gap=1.0, fault="cut", at=1))

    async def scenario() -> None:
        async with streaming(world, chain=["a", "b"], hedge=Hedge(after=1.0)) as stream:
            await texts(stream)

    with pytest.raises(StreamInterrupted) as caught:
        clock.run(scenario())
    found: list[Attempt] = caught.value.trace.attempts
    assert [attempt.outcome for attempt in found] == ["superseded", "failed"]
    assert clock.now == 2.0


def test_clocks_of_a_stream_that_a_hedge_won(clock: Clock, world: World) -> None:
    """Idle and deadline hold for a stream that began in a hedge's task."""
    world.model("a", Act(first_token=90.0))
    world.model("b", Act(tokens=5, fault="hang", at=1))

    async def scenario() -> None:
        chain = ["a", Step(model="b", idle=4.0)]
        async with streaming(world, chain=chain, hedge=Hedge(after=1.0)) as stream:
            await texts(stream)

    with pytest.raises(StreamInterrupted) as caught:
        clock.run(scenario())
    assert isinstance(caught.value.__cause__, AttemptTimeout)
    assert (caught.value.__cause__.clock, clock.now) == ("idle", 5.0)


def test_many_streams_do_not_disturb_one_another(clock: Clock, world: World) -> None:
    """A hundred at once, each with its own words and its own end."""
    for index in range(100):
        world.model(f"m{index}", Act(text=f"answer {index}", first_token=index / 100, gap=0.01))

    async def one(router: Router, index: int) -> str:
        async with router.stream("x", model=f"m{index}") as stream:
            return await texts(stream)

    async def scenario() -> list[str]:
        async with opened(world) as router:
            return await asyncio.gather(*(one(router, index) for index in range(100)))

    assert [f"answer {index}" for index in range(100)] == clock.run(scenario())
