"""A stream that breaks and begins again with the next step: `on_interrupt="restart"`."""

from __future__ import annotations

import asyncio

import pytest

from asyncrouter import (
    AllModelsFailed,
    Chunk,
    ConnectionFailed,
    DeadlineExceeded,
    Event,
    Hedge,
    ReplyStream,
    StateChanged,
    StreamInterrupted,
    Usage,
)
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import ONCE
from tests.helpers.streaming import opened, outcomes, streaming, texts


def test_restart_tells_and_begins_again(clock: Clock, world: World) -> None:
    """A chunk with `restart=True` comes first, then the next step's answer from its beginning."""
    world.model("a", Act(tokens=5, gap=1.0, fault="cut", at=2))
    world.model("b", Act(text="from b", first_token=0.5, gap=0.5))

    async def scenario() -> tuple[list[tuple[float, Chunk]], ReplyStream]:
        async with streaming(world, chain=["a", "b"], on_interrupt="restart") as stream:
            return [(clock.now, chunk) async for chunk in stream], stream

    chunks, stream = clock.run(scenario())
    assert chunks == [
        (0.0, Chunk("the")),
        (1.0, Chunk(" quick")),
        (2.5, Chunk(restart=True)),
        (2.5, Chunk("from")),
        (3.0, Chunk(" b")),
        (3.0, Chunk(finish_reason="stop", usage=Usage(1, 2))),
    ]
    assert outcomes(stream) == [("a", "first", "failed"), ("b", "restart", "won")]
    assert (stream.reply.text, stream.reply.model) == ("from b", "b")


def test_restart_takes_only_the_steps_after_the_broken_one(clock: Clock, world: World) -> None:
    """Steps that failed before the broken one are not tried again; those after it fall back as ever."""
    world.model("a", Act(status=400))
    world.model("b", Act(tokens=5, gap=1.0, fault="cut", at=1))
    world.model("c", Act(status=400))
    world.model("d", Act(text="from d"))

    async def scenario() -> ReplyStream:
        async with streaming(world, chain=["a", "b", "c", "d"], on_interrupt="restart") as stream:
            await texts(stream)
        return stream

    assert outcomes(clock.run(scenario())) == [
        ("a", "first", "failed"),
        ("b", "fallback", "failed"),
        ("c", "restart", "failed"),
        ("d", "fallback", "won"),
    ]


def test_restart_again_and_again(clock: Clock, world: World) -> None:
    """Every break restarts with the next step, each time with a chunk that says so."""
    for name in "ab":
        world.model(name, Act(tokens=5, gap=1.0, fault="cut", at=1))
    world.model("c", Act(text="from c"))

    async def scenario() -> tuple[list[str], ReplyStream]:
        async with streaming(world, chain=["a", "b", "c"], on_interrupt="restart") as stream:
            return ["RESTART" if chunk.restart else chunk.text async for chunk in stream], stream

    said, stream = clock.run(scenario())
    assert said == ["the", "RESTART", "the", "RESTART", "from", " c", ""]
    assert [cause for _, cause, _ in outcomes(stream)] == ["first", "restart", "restart"]


def test_a_restart_that_is_cancelled_interrupts(clock: Clock, world: World) -> None:
    """When a restart is cancelled, the next read raises `StreamInterrupted` rather than ending as if all was read."""
    world.model("a", Act(tokens=5, fault="cut", at=1))
    world.model("b", Act(first_token=9.0))

    async def scenario() -> None:
        async with streaming(world, chain=["a", "b"], on_interrupt="restart") as stream:
            assert (await anext(stream)).text == "the"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await anext(stream)
            await anext(stream)

    with pytest.raises(StreamInterrupted) as caught:
        clock.run(scenario())
    assert (
        str(caught.value).splitlines()[0], caught.value.partial, clock.now,
    ) == ("the stream broke after 3 characters: a restart was cancelled", "the", 1.0)


def test_restart_asks_a_step_that_was_passed_over(clock: Clock, world: World) -> None:
    """A step that was put off because its model is slow is asked when the one before it breaks."""
    heard: list[Event] = []
    hedge = Hedge(after=0.75, budget=1.0)

    async def scenario() -> ReplyStream:
        async with opened(world, listeners=[heard.append]) as router:
            world.model("b", Act(first_token=0.25))
            for seconds, calls in ((0.25, 100), (20.0, 20)):
                world.model("a", Act(first_token=seconds))
                for _ in range(calls):
                    await router.chat("x", chain=["a", "b"], hedge=hedge)
            assert [event.state for event in heard if isinstance(event, StateChanged)] == ["slow"]
            world.model("a", Act(text="from a"))
            world.model("b", Act(tokens=5, fault="cut", at=1))
            options = {"hedge": hedge, "retry": ONCE, "on_interrupt": "restart"}
            async with router.stream("x", chain=["a", "b"], **options) as stream:  # type: ignore[arg-type]
                assert await texts(stream) == "thefrom a"
            return stream

    assert outcomes(clock.run(scenario())) == [("b", "first", "failed"), ("a", "restart", "won")]


def test_restart_with_nothing_left(clock: Clock, world: World) -> None:
    """When the last step breaks the error is `StreamInterrupted` with the text so far and its cause."""
    world.model("a", Act(tokens=5, gap=1.0, fault="cut", at=2))

    async def scenario() -> None:
        async with streaming(world, model="a", on_interrupt="restart") as stream:
            await texts(stream)

    with pytest.raises(StreamInterrupted) as caught:
        clock.run(scenario())
    assert caught.value.partial == "the quick"
    assert isinstance(caught.value.__cause__, ConnectionFailed)


def test_restart_when_all_others_fail(clock: Clock, world: World) -> None:
    """When no other step answers the error is `StreamInterrupted`, caused by the error of the others."""
    world.model("a", Act(tokens=5, gap=1.0, fault="cut", at=2))
    world.model("b", Act(status=400))

    async def scenario() -> None:
        async with streaming(world, chain=["a", "b"], on_interrupt="restart") as stream:
            await texts(stream)

    with pytest.raises(StreamInterrupted) as caught:
        clock.run(scenario())
    assert caught.value.partial == "the quick"
    assert isinstance(caught.value.__cause__, AllModelsFailed)
    assert [attempt.cause for attempt in caught.value.trace.attempts] == ["first", "restart"]
    assert world.open == 0


def test_restart_keeps_to_the_deadline(clock: Clock, world: World) -> None:
    """A restart has what is left of the call's deadline."""
    world.model("a", Act(tokens=5, gap=1.0, fault="cut", at=2))
    world.model("b", Act(first_token=60.0))

    async def scenario() -> None:
        async with streaming(world, chain=["a", "b"], on_interrupt="restart", deadline=5.0) as stream:
            await texts(stream)

    with pytest.raises(StreamInterrupted) as caught:
        clock.run(scenario())
    assert clock.now == 5.0
    assert isinstance(caught.value.__cause__, DeadlineExceeded)


def test_without_restart_no_chunk_says_so(clock: Clock, world: World) -> None:
    """Without `on_interrupt="restart"` no other model's text follows."""
    world.model("a", Act(tokens=5, gap=1.0, fault="cut", at=2))
    world.model("b")
    chunks: list[Chunk] = []

    async def scenario() -> None:
        async with streaming(world, chain=["a", "b"]) as stream:
            async for chunk in stream:
                chunks.append(chunk)  # noqa: PERF401  -- it raises in the middle

    with pytest.raises(StreamInterrupted):
        clock.run(scenario())
    assert [chunk.restart for chunk in chunks] == [False, False]
