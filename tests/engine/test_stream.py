"""`stream()`: it commits on the first content, hands over chunk by chunk, and may be left at any time."""

from __future__ import annotations

import asyncio

import pytest

from asyncrouter import (
    AllModelsFailed,
    CallEnded,
    Chunk,
    Event,
    Reply,
    ReplyStream,
    Router,
    Step,
    Usage,
)
from asyncrouter.sim import Act, Clock, World
from tests.helpers.racing import PRICED
from tests.helpers.streaming import opened, outcomes, streaming, texts

# ── how it goes well ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_begins_with_the_first_content(clock: Clock, world: World) -> None:
    """Entering returns at the first content, not at the headers, nor at a chunk that has only a role."""
    world.model("a", Act(text="one two", headers_after=0.1, first_token=1.5, gap=1.0))

    async def scenario() -> float:
        async with streaming(world, model="a") as stream:
            entered = clock.now
            await texts(stream)
            return entered

    assert clock.run(scenario()) == 1.5
    assert clock.now == 2.5


def test_chunks_come_as_they_are_sent(clock: Clock, world: World) -> None:
    """Each content is handed over at the instant it arrives; the last chunk has the finish reason and the usage."""
    world.model("a", Act(text="one two three", first_token=1.0, gap=0.5, tail=0.25))

    async def scenario() -> list[tuple[float, Chunk]]:
        async with opened(world) as router, router.stream("a b", model="a") as stream:
            return [(clock.now, chunk) async for chunk in stream]

    assert clock.run(scenario()) == [
        (1.0, Chunk("one")),
        (1.5, Chunk(" two")),
        (2.0, Chunk(" three")),
        (2.25, Chunk(finish_reason="stop", usage=Usage(2, 3))),
    ]


def test_chunks_that_come_together_are_handed_over_one_by_one(clock: Clock, world: World) -> None:
    """A reader who is late gets every chunk that came meanwhile, one by one and without waiting."""
    world.model("a", Act(text="one two three", gap=0.1))

    async def scenario() -> list[str]:
        async with streaming(world, model="a") as stream:
            await asyncio.sleep(5.0)
            return [chunk.text async for chunk in stream]

    assert clock.run(scenario()) == ["one", " two", " three", ""]
    assert clock.now == 5.0


def test_reasoning_and_tool_calls_are_content_too(clock: Clock, world: World) -> None:
    """Thoughts and tool calls commit the stream and come as chunks; the reply has them whole."""
    world.model("a", Act(reasoning="hm well", tool_calls=[{"name": "look", "arguments": {"at": 1}}], gap=0.5))

    async def scenario() -> tuple[list[Chunk], Reply]:
        async with streaming(world, model="a") as stream:
            chunks = [chunk async for chunk in stream]
        return chunks, stream.reply

    chunks, reply = clock.run(scenario())
    assert [chunk.reasoning for chunk in chunks[:2]] == ["hm", " well"]
    assert [len(chunk.tool_calls) for chunk in chunks[2:4]] == [1, 1]
    assert chunks[-1].finish_reason == "tool_calls"
    assert reply.reasoning == "hm well"
    [call] = reply.tool_calls
    assert call["function"] == {"name": "look", "arguments": '{"at":1}'}


def test_the_reply_after_the_end(clock: Clock, world: World) -> None:
    """`stream.reply` is the same reply `chat()` would have given, trace included."""
    world.model("a", Act(text="one two", first_token=1.0, gap=0.5, served_model="a-2026"))

    async def scenario() -> tuple[ReplyStream, Reply]:
        async with opened(world) as router:
            async with router.stream("x", model="a") as stream:
                await texts(stream)
            return stream, await router.chat("x", model="a")

    stream, chat = clock.run(scenario())
    reply = stream.reply
    assert (reply.text, reply.finish_reason, reply.model, reply.served_model) == ("one two", "stop", "a", "a-2026")
    assert reply.usage == Usage(1, 2)
    assert reply.trace is stream.trace
    assert {**chat.raw, "id": ""} == {**reply.raw, "id": ""}
    [attempt] = stream.trace.attempts
    assert (attempt.outcome, attempt.first_content, attempt.last_content, attempt.ended) == ("won", 1.0, 1.5, 1.5)
    assert stream.trace.seconds == 1.5


def test_the_reply_before_the_end_is_an_error(clock: Clock, world: World) -> None:
    """Before the last chunk there is no reply: not before entering, not in the middle."""
    world.model("a", Act(text="one two", gap=0.5))

    async def scenario() -> None:
        async with opened(world) as router:
            stream = router.stream("x", model="a")
            with pytest.raises(RuntimeError, match=r"stream\.reply"):
                _ = stream.reply
            async with stream:
                await anext(stream)
                with pytest.raises(RuntimeError, match=r"stream\.reply"):
                    _ = stream.reply
                await texts(stream)
            assert stream.reply.text == "one two"

    clock.run(scenario())


def test_after_the_end_there_is_only_the_end(clock: Clock, world: World) -> None:
    """Iterating again after the last chunk ends at once."""
    world.model("a", Act(text="one"))

    async def scenario() -> str:
        async with streaming(world, model="a") as stream:
            await texts(stream)
            return await texts(stream)

    assert clock.run(scenario()) == ""


def test_a_provider_that_answers_with_one_body(clock: Clock, world: World) -> None:
    """One JSON body for a streamed request is one chunk with everything in it."""
    world.model("a", Act(text="one two", streams=False, first_token=1.0, gap=0.5))

    async def scenario() -> tuple[list[Chunk], ReplyStream]:
        async with streaming(world, model="a") as stream:
            return [chunk async for chunk in stream], stream

    chunks, stream = clock.run(scenario())
    assert chunks == [Chunk("one two", finish_reason="stop", usage=Usage(1, 2))]
    assert stream.reply.text == "one two"
    assert outcomes(stream) == [("a", "first", "won")]
    assert world.seen[0].stream
    assert clock.now == 1.5


def test_it_streams_on_the_wire_whatever_chat_would_do(clock: Clock, world: World) -> None:
    """`stream()` asks for a stream with its usage, also where `wire_stream=False` makes `chat()` ask for one body."""
    world.model("a")

    async def scenario() -> None:
        async with streaming(world, chain=[Step(model="a", wire_stream=False)]) as stream:
            await texts(stream)

    clock.run(scenario())
    assert world.seen[0].body["stream_options"] == {"include_usage": True}


def test_a_stream_that_is_over_leaves_nothing_in_the_loop(clock: Clock, world: World) -> None:
    """A stream that is over leaves no task and no timer."""
    world.model("a", Act(tokens=5, gap=0.1))

    async def scenario() -> tuple[int, int]:
        async with opened(world) as router:
            for _ in range(100):
                async with router.stream("x", model="a") as stream:
                    await texts(stream)
        loop = asyncio.get_running_loop()
        live = [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        return len(asyncio.all_tasks()), len(live)

    assert clock.run(scenario()) == (1, 0)


# ── leaving ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_leaving_early_cancels_at_once(clock: Clock, world: World) -> None:
    """Leaving the block closes the connection at once; the attempt is `cancelled`, and its cost an estimate."""
    world.model("a", Act(text="12345678 more and more", first_token=1.0, gap=1.0))
    config = world.config(models=PRICED)

    async def scenario() -> ReplyStream:
        async with Router(config, transport=world.transport()) as router:
            async with router.stream("12345678", model="a") as stream:
                async for _ in stream:
                    break
            assert world.open == 0
            return stream

    stream = clock.run(scenario())
    [seen] = world.seen
    assert (seen.gone, seen.ended) == (True, 1.0)
    [attempt] = stream.trace.attempts
    assert (attempt.outcome, attempt.error, attempt.ended) == ("cancelled", None, 1.0)
    # Eight characters are two tokens, and one is added to a prompt for good measure.
    assert (attempt.cost_usd, attempt.cost_estimated) == (pytest.approx((3 * 1.0 + 2 * 10.0) / 1e6), True)
    assert (stream.trace.cost_usd, stream.trace.cost_estimated) == (attempt.cost_usd, True)
    with pytest.raises(RuntimeError):
        _ = stream.reply


def test_leaving_before_the_first_chunk(clock: Clock, world: World) -> None:
    """A block that reads nothing still closes the connection."""
    world.model("a", Act(tokens=50, gap=1.0))

    async def scenario() -> ReplyStream:
        async with streaming(world, model="a") as stream:
            pass
        return stream

    assert outcomes(clock.run(scenario())) == [("a", "first", "cancelled")]
    assert clock.now == 0.0


def test_after_leaving_nothing_more_is_handed_out(clock: Clock, world: World) -> None:
    """After the block was left no chunk is handed out, not even one that had come."""
    world.model("a", Act(text="one two three four", fault="hang", at=3))

    async def scenario() -> list[str]:
        async with streaming(world, model="a") as stream:
            said = [(await anext(stream)).text]
        return said + [chunk.text async for chunk in stream]

    assert clock.run(scenario()) == ["one"]


def test_a_stream_has_one_reader_at_a_time(clock: Clock, world: World) -> None:
    """A second reader gets a `RuntimeError`, and the first reads on to the end."""
    world.model("a", Act(text="one two three", gap=0.5))

    async def scenario() -> list[object]:
        async with streaming(world, model="a") as stream:
            assert (await anext(stream)).text == "one"
            return await asyncio.gather(texts(stream), texts(stream), return_exceptions=True)

    first, second = clock.run(scenario())
    assert first == " two three"
    assert isinstance(second, RuntimeError)
    assert str(second) == "a stream has one reader at a time, and another task is reading it"


def test_an_exception_in_the_block_closes_it(clock: Clock, world: World) -> None:
    """An exception in the block is raised unchanged, closes the connection, and is the call's error."""
    world.model("a", Act(tokens=50, gap=1.0))
    events: list[Event] = []

    async def scenario() -> None:
        async with opened(world, listeners=[events.append]) as router, router.stream("x", model="a") as stream:
            async for _ in stream:
                raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        clock.run(scenario())
    assert world.seen[0].gone
    [ended] = [event for event in events if isinstance(event, CallEnded)]
    assert isinstance(ended.error, KeyError)


@pytest.mark.parametrize("after", [0.5, 1.0, 1.5, 2.5])
def test_cancelled_at_any_moment(clock: Clock, world: World, after: float) -> None:
    """A task cancelled while it connects or reads is cancelled at once and leaves nothing open."""
    world.model("a", Act(tokens=5, connect=1.0, first_token=1.0, gap=1.0))
    seen: list[ReplyStream] = []

    async def read(router: Router) -> None:
        stream = router.stream("x", model="a")
        seen.append(stream)
        async with stream:
            await texts(stream)

    async def scenario() -> None:
        async with opened(world) as router:
            reader = asyncio.create_task(read(router))
            await asyncio.sleep(after)
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader
            assert (clock.now, world.open) == (after, 0)
            assert "0 calls in flight" in repr(router)
            assert {name: model.in_flight for name, model in router.health().items()} == {"a": 0}

    clock.run(scenario())
    assert outcomes(seen[0]) == [("a", "first", "cancelled")]


def test_a_timeout_of_the_callers_own_around_the_stream(clock: Clock, world: World) -> None:
    """`asyncio.timeout` around the block ends in its own TimeoutError, not in one of ours."""
    world.model("a", Act(tokens=9, gap=1.0))

    async def scenario() -> None:
        async with opened(world) as router:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(2.5), router.stream("x", model="a") as stream:
                    await texts(stream)
            assert type(caught.value) is TimeoutError

    clock.run(scenario())
    assert clock.now == 2.5


# ── misuse ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_async_with(clock: Clock, world: World) -> None:
    """Iterating a stream that was not entered says how to use it; nothing is sent."""
    world.model("a")

    async def scenario() -> None:
        async with opened(world) as router:
            with pytest.raises(RuntimeError, match=r"async with router\.stream"):
                await anext(router.stream("x", model="a"))

    clock.run(scenario())
    assert not world.seen


@pytest.mark.parametrize("act", [Act(), Act(status=400)])
def test_a_stream_is_entered_once(clock: Clock, world: World, act: Act) -> None:
    """Entering it again, after success or failure, is an error, and the router still knows that no call is left."""
    world.model("a", act)

    async def scenario() -> None:
        async with opened(world) as router:
            stream = router.stream("x", model="a")
            try:
                async with stream:
                    await texts(stream)
            except AllModelsFailed:
                pass
            with pytest.raises(RuntimeError, match="can be read once"):
                async with stream:
                    pass
            await router.drain()

    clock.run(scenario())
    assert len(world.seen) == 1


def test_what_stream_does_not_take(clock: Clock, world: World) -> None:
    """`accept`, an unknown `on_interrupt` and other libraries' names are errors, and nothing is sent."""
    world.model("a")

    async def scenario() -> None:
        async with opened(world) as router:
            with pytest.raises(TypeError, match=r"accept= cannot be used with stream\(\)"):
                router.stream("x", model="a", accept=bool)
            with pytest.raises(ValueError, match=r'on_interrupt: expected "raise" or "restart", got \'again\''):
                router.stream("x", model="a", on_interrupt="again")  # type: ignore[arg-type]
            with pytest.raises(TypeError, match=r"timeout= is not a parameter here; use deadline="):
                async with router.stream("x", model="a", timeout=3):
                    pass

    clock.run(scenario())
    assert not world.seen
