"""`stream()`: it commits on the first content, tells how it ended, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from asyncrouter import (
    AllModelsFailed,
    Attempt,
    AttemptTimeout,
    BadReply,
    CallEnded,
    Chunk,
    ConnectionFailed,
    DeadlineExceeded,
    Event,
    Hedge,
    Refused,
    Reply,
    ReplyStream,
    Request,
    Response,
    Retry,
    Router,
    ServerFailed,
    StateChanged,
    Step,
    StreamInterrupted,
    Usage,
)
from asyncrouter.sim import Act, Clock, World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from asyncrouter.sim.act import Fault

ONCE = Retry(attempts=1)


def opened(world: World, **options: object) -> Router:
    return Router(world.config(), transport=world.transport(), seed=1, **options)  # type: ignore[arg-type]


@asynccontextmanager
async def streaming(world: World, **asking: object) -> AsyncIterator[ReplyStream]:
    """One stream of a router of its own."""
    async with opened(world) as router, router.stream("x", **asking) as stream:  # type: ignore[arg-type]
        yield stream


async def texts(stream: ReplyStream) -> str:
    return "".join([chunk.text async for chunk in stream])


def outcomes(stream: ReplyStream) -> list[tuple[str, str, str | None]]:
    return [(attempt.model, attempt.cause, attempt.outcome) for attempt in stream.trace.attempts]


# ── how it goes well ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_begins_with_the_first_content(clock: Clock, world: World) -> None:
    """Entering returns at the first content: the headers and the chunk that only says who speaks are not enough."""
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
    """A reader who thought for a while gets every chunk, none merged and none lost, without waiting."""
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
    """`wire_stream=False` is about `chat()`; a stream is asked for as a stream, with its usage."""
    world.model("a")

    async def scenario() -> None:
        async with streaming(world, chain=[Step(model="a", wire_stream=False)]) as stream:
            await texts(stream)

    clock.run(scenario())
    assert world.seen[0].body["stream_options"] == {"include_usage": True}


def test_a_stream_that_is_over_leaves_nothing_in_the_loop(clock: Clock, world: World) -> None:
    """No task and no timer of it is left."""
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

PRICED = {"a": {"provider": "sim", "id": "a", "usd_per_mtok": {"input": 4.0, "output": 8.0}}}


def test_leaving_early_cancels_at_once(clock: Clock, world: World) -> None:
    """The provider sees its client go in the same instant; the attempt is `cancelled`, its cost an estimate."""
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
    assert (attempt.cost_usd, attempt.cost_estimated) == (pytest.approx((3 * 4.0 + 2 * 8.0) / 1e6), True)
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
    """Not even what had come: a cut answer would look like a whole one."""
    world.model("a", Act(text="one two three four", fault="hang", at=3))

    async def scenario() -> list[str]:
        async with streaming(world, model="a") as stream:
            said = [(await anext(stream)).text]
        return said + [chunk.text async for chunk in stream]

    assert clock.run(scenario()) == ["one"]


def test_a_stream_has_one_reader_at_a_time(clock: Clock, world: World) -> None:
    """A second one gets a `RuntimeError`, and the first goes on to the end."""
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
    """What the caller raises comes out unchanged, with the connection closed and the call ended with it."""
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
    """`accept` makes no sense once chunks are out; `on_interrupt` has two words."""
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


# ── failures before the first content fall back unseen ───────────────────────────────────────────────────────────────

BEFORE = {
    "refused": (Act(fault="refuse"), ConnectionFailed, 0.0),
    "dns": (Act(fault="dns"), ConnectionFailed, 0.0),
    "tls": (Act(fault="tls"), ConnectionFailed, 0.0),
    "certificate": (Act(fault="certificate"), ConnectionFailed, 0.0),
    "cut": (Act(fault="cut", at="headers"), ConnectionFailed, 0.0),
    "reset": (Act(fault="reset", at=0), ConnectionFailed, 0.0),
    "500": (Act(status=500), ServerFailed, 0.0),
    "html": (Act(fault="html"), BadReply, 0.0),
    "error in a 200": (Act(fault="error", at=0), ServerFailed, 0.0),
    "empty": (Act(text=""), BadReply, 0.0),
    "truncated": (Act(fault="truncated", at=0), BadReply, 0.0),
    "no connection": (Act(fault="hang", at="connect"), AttemptTimeout, 1.0),
    "no headers": (Act(fault="hang", at="headers"), AttemptTimeout, 2.0),
    "no content": (Act(fault="hang", at=0), AttemptTimeout, 2.0),
    "only comments": (Act(fault="hang", at=0, comments=0.3), AttemptTimeout, 2.0),
    "role, then an end": (Act(fault="no_end", text=""), BadReply, 0.0),
}


@pytest.mark.parametrize("name", BEFORE)
def test_a_failure_before_the_first_content_is_invisible(clock: Clock, world: World, name: str) -> None:
    """The caller sees only the model that answered; the trace tells of the other."""
    act, kind, at = BEFORE[name]
    world.model("a", act)
    world.model("b", Act(text="from b"))

    async def scenario() -> tuple[str, ReplyStream]:
        chain = [Step(model="a", connect=1.0, first_token=2.0, retry=ONCE), "b"]
        async with streaming(world, chain=chain) as stream:
            return await texts(stream), stream

    said, stream = clock.run(scenario())
    assert said == "from b"
    assert outcomes(stream) == [("a", "first", "failed"), ("b", "fallback", "won")]
    assert (type(stream.trace.attempts[0].error), clock.now) == (kind, at)


def test_when_nothing_answers_entering_raises(clock: Clock, world: World) -> None:
    """Without content from anybody, `async with` raises what `chat()` would."""
    world.model("a", Act(status=500))

    async def scenario() -> None:
        async with streaming(world, model="a", retry=ONCE):
            pytest.fail("it was entered")

    with pytest.raises(AllModelsFailed) as caught:
        clock.run(scenario())
    assert len(caught.value.trace.attempts) == 1


def test_a_refusal_is_raised_on_entering(clock: Clock, world: World) -> None:
    """A refused prompt is the caller's to know: no fallback."""
    world.model("a", Act(status=400, code="content_filter"))
    world.model("b")

    async def scenario() -> None:
        async with streaming(world, chain=["a", "b"]):
            pytest.fail("it was entered")

    with pytest.raises(Refused):
        clock.run(scenario())
    assert [seen.model for seen in world.seen] == ["a"]


def test_a_deadline_before_the_first_content(clock: Clock, world: World) -> None:
    """The deadline fires on time while entering waits."""
    world.model("a", Act(first_token=9.0))

    async def scenario() -> None:
        async with streaming(world, model="a", deadline=2.0):
            pytest.fail("it was entered")

    with pytest.raises(DeadlineExceeded):
        clock.run(scenario())
    assert clock.now == 2.0


# ── failures after it ────────────────────────────────────────────────────────────────────────────────────────────────

AFTER = {
    "cut": (Act(tokens=5, gap=1.0, fault="cut", at=2), ConnectionFailed, 2.0),
    "reset": (Act(tokens=5, gap=1.0, fault="reset", at=2), ConnectionFailed, 2.0),
    "error": (Act(tokens=5, gap=1.0, fault="error", at=2), ServerFailed, 2.0),
    "truncated": (Act(tokens=5, gap=1.0, fault="truncated", at=2), BadReply, 2.0),
    "no end": (Act(tokens=2, gap=1.0, fault="no_end"), BadReply, 1.0),
    "silence": (Act(tokens=5, gap=1.0, fault="hang", at=2), AttemptTimeout, 6.0),
    "comments": (Act(tokens=5, gap=1.0, fault="hang", at=2, comments=0.7), AttemptTimeout, 6.0),
}


@pytest.mark.parametrize("name", AFTER)
def test_a_failure_after_the_first_content_interrupts(clock: Clock, world: World, name: str) -> None:
    """It is never spliced: `StreamInterrupted` with the words so far, and the attempt's error as its cause."""
    act, kind, at = AFTER[name]
    world.model("a", act)
    world.model("b", Act(text="never asked"))
    heard: list[str] = []

    async def scenario() -> None:
        async with streaming(world, chain=[Step(model="a", idle=5.0), "b"]) as stream:
            async for chunk in stream:
                heard.append(chunk.text)  # noqa: PERF401  -- it raises in the middle

    with pytest.raises(StreamInterrupted) as caught:
        clock.run(scenario())
    error = caught.value
    assert clock.now == at
    assert (error.partial, "".join(heard)) == ("the quick", "the quick")
    assert type(error.__cause__) is kind
    [attempt] = error.trace.attempts
    assert (attempt.outcome, attempt.error) == ("failed", error.__cause__)
    assert str(error).startswith("the stream broke after 9 characters: a: ")
    assert [seen.model for seen in world.seen] == ["a"]


def test_too_much_after_the_first_content(clock: Clock, world: World) -> None:
    """`max_response_bytes` bounds a stream without end."""
    world.model("a", Act(fault="endless", gap=0.1))

    async def scenario() -> None:
        async with streaming(world, chain=[Step(model="a", max_response_bytes=2000)]) as stream:
            await texts(stream)

    with pytest.raises(StreamInterrupted) as caught:
        clock.run(scenario())
    assert isinstance(caught.value.__cause__, BadReply)
    assert str(caught.value.__cause__) == "a: more than max_response_bytes = 2000"


def test_total_runs_on_after_the_commit(clock: Clock, world: World) -> None:
    """The attempt's total clock, counted from its sending, interrupts the stream."""
    world.model("a", Act(tokens=50, first_token=1.0, gap=1.0))

    async def scenario() -> None:
        async with streaming(world, chain=[Step(model="a", total=3.5)]) as stream:
            await texts(stream)

    with pytest.raises(StreamInterrupted) as caught:
        clock.run(scenario())
    assert clock.now == 3.5
    assert isinstance(caught.value.__cause__, AttemptTimeout)
    assert caught.value.__cause__.clock == "total"
    assert caught.value.partial == "the quick brown"


def test_the_deadline_runs_on_after_the_commit(clock: Clock, world: World) -> None:
    """The call's deadline interrupts the stream, and the cause says that it was the deadline."""
    world.model("a", Act(tokens=50, gap=1.0))

    async def scenario() -> None:
        async with streaming(world, model="a", deadline=3.5) as stream:
            await texts(stream)

    with pytest.raises(StreamInterrupted) as caught:
        clock.run(scenario())
    assert clock.now == 3.5
    assert isinstance(caught.value.__cause__, AttemptTimeout)
    assert caught.value.__cause__.clock == "deadline"


def test_the_deadline_runs_while_the_caller_thinks(clock: Clock, world: World) -> None:
    """Total and deadline are the caller's time too: the provider is let go on time, the caller told when it reads."""
    world.model("a", Act(tokens=50, gap=1.0))

    async def scenario() -> float:
        async with streaming(world, model="a", deadline=3.5) as stream:
            await anext(stream)
            await asyncio.sleep(20.0)
            with pytest.raises(StreamInterrupted) as caught:
                await texts(stream)
        assert isinstance(caught.value.__cause__, AttemptTimeout)
        assert caught.value.__cause__.clock == "deadline"
        return clock.now

    assert clock.run(scenario()) == 20.0
    assert (world.seen[0].gone, world.seen[0].ended) == (True, 3.5)


@pytest.mark.parametrize("thinks", [0.0, 2.5, 3.0, 3.5, 100.0])
def test_idle_counts_only_while_we_wait(clock: Clock, world: World, thinks: float) -> None:
    """However long the caller thinks, a silent provider has its whole `idle` from the moment we wait again."""
    world.model("a", Act(tokens=2, fault="hang", at=1))

    async def scenario() -> None:
        chain = [Step(model="a", idle=3.0, total=None)]
        async with streaming(world, chain=chain, deadline=None) as stream:
            await anext(stream)
            await asyncio.sleep(thinks)
            await texts(stream)

    with pytest.raises(StreamInterrupted) as caught:
        clock.run(scenario())
    assert clock.now == thinks + 3.0
    assert "no more content within 3 s" in str(caught.value)


def test_a_slow_caller_is_not_a_slow_provider(clock: Clock, world: World) -> None:
    """A caller who takes longer than `idle` over every chunk gets the whole answer."""
    world.model("a", Act(tokens=4, gap=0.5))

    async def scenario() -> str:
        said = ""
        async with streaming(world, chain=[Step(model="a", idle=1.0)]) as stream:
            async for chunk in stream:
                said += chunk.text
                await asyncio.sleep(7.0)
        return said

    assert clock.run(scenario()) == "the quick brown fox"


def test_comments_do_not_feed_the_idle_clock(clock: Clock, world: World) -> None:
    """Keep-alive comments are no content: `idle` runs from the last content."""
    world.model("a", Act(tokens=3, gap=1.0, fault="stall", at=2, pause=60.0, comments=0.5))

    async def scenario() -> None:
        async with streaming(world, chain=[Step(model="a", idle=2.0)]) as stream:
            await texts(stream)

    with pytest.raises(StreamInterrupted):
        clock.run(scenario())
    assert clock.now == 3.0


def test_after_an_interruption_the_stream_is_over(clock: Clock, world: World) -> None:
    """The error is raised once; then the stream ends, its connection is closed and there is no reply."""
    world.model("a", Act(tokens=3, gap=1.0, fault="cut", at=1))

    async def scenario() -> None:
        async with streaming(world, model="a") as stream:
            with pytest.raises(StreamInterrupted):
                await texts(stream)
            assert await texts(stream) == ""
            with pytest.raises(RuntimeError):
                _ = stream.reply

    clock.run(scenario())


def test_a_cut_after_the_finish_reason_cuts_nothing(clock: Clock, world: World) -> None:
    """A connection that breaks after the finish reason, for want of a [DONE], has given a whole answer."""
    world.model("a", Act(text="one two", gap=1.0, fault="no_done"))

    async def scenario() -> ReplyStream:
        async with streaming(world, model="a") as stream:
            await texts(stream)
        return stream

    stream = clock.run(scenario())
    assert stream.reply.text == "one two"
    assert outcomes(stream) == [("a", "first", "won")]


class Held:
    """A transport whose connections stay open after the last byte until they are closed."""

    def __init__(self, world: World) -> None:
        self._inner = world.transport()

    async def send(self, request: Request) -> Response:
        return HeldResponse(await self._inner.send(request))

    async def aclose(self) -> None:
        await self._inner.aclose()


class HeldResponse:
    def __init__(self, inner: Response) -> None:
        self._inner = inner
        self._closed = asyncio.Event()
        self.status, self.headers = inner.status, inner.headers
        self.connected_at, self.reused = inner.connected_at, inner.reused

    async def read(self, rest: float = 0.0) -> bytes:
        if data := await self._inner.read(rest):
            return data
        await self._closed.wait()
        raise ConnectionFailed("closed while reading")

    def close(self) -> None:
        self._closed.set()
        self._inner.close()


@pytest.mark.parametrize("gap", [0.0, 1.0])
@pytest.mark.parametrize(("fault", "late"), [(None, 0.25), ("no_done", 5.0)])
@pytest.mark.parametrize("how", ["chat", "stream"])
def test_a_provider_that_keeps_the_connection_open(
    clock: Clock, world: World, gap: float, fault: Fault | None, late: float, how: str
) -> None:
    """After [DONE] nobody waits for it longer than a quarter second; after a mere finish reason silence is an end."""
    world.model("a", Act(tokens=3, gap=gap, fault=fault))

    async def scenario() -> Reply:
        async with Router(world.config(), transport=Held(world)) as router:
            chain = [Step(model="a", idle=5.0)]
            if how == "chat":
                return await router.chat("x", chain=chain)
            async with router.stream("x", chain=chain) as stream:
                await texts(stream)
            return stream.reply

    reply = clock.run(scenario())
    assert (reply.text, clock.now) == ("the quick brown", 2 * gap + late)
    assert [(attempt.outcome, attempt.error) for attempt in reply.trace.attempts] == [("won", None)]


def test_the_deadline_does_not_wait_for_the_end_of_a_body(clock: Clock, world: World) -> None:
    """A whole answer is handed over at the deadline, not a quarter of a second after it."""
    world.model("a", Act(tokens=3, gap=0.5))

    async def scenario() -> Reply:
        async with Router(world.config(), transport=Held(world)) as router:
            return await router.chat("x", model="a", deadline=1.125)

    assert clock.run(scenario()).text == "the quick brown"
    assert clock.now == 1.125


def test_a_timeout_of_the_callers_own_after_done(clock: Clock, world: World) -> None:
    """A reader that is cut off while the end of the body is awaited loses nothing: the last chunk is still to come."""
    world.model("a", Act(text="one two"))

    async def scenario() -> tuple[Chunk, Reply]:
        async with Router(world.config(), transport=Held(world)) as router, router.stream("x", model="a") as stream:
            assert [(await anext(stream)).text for _ in range(2)] == ["one", " two"]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.125):
                    await anext(stream)
            return await anext(stream), stream.reply

    last, reply = clock.run(scenario())
    assert (last, reply.text, clock.now) == (Chunk(finish_reason="stop", usage=Usage(1, 2)), "one two", 0.125)


# ── on_interrupt="restart" ───────────────────────────────────────────────────────────────────────────────────────────


def test_restart_tells_and_begins_again(clock: Clock, world: World) -> None:
    """One chunk says "drop what you have", then the next step's answer comes from its beginning."""
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
    """Every break begins again at the next step, each announced by a chunk of its own."""
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
    """A time-out around one chunk while the next model is asked: half an answer does not end as if it were whole."""
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
    """One that goes last because it has become slow was not asked yet: it is left when the one after it breaks."""
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
    """When the last step breaks, the error is `StreamInterrupted` with the last words and their cause."""
    world.model("a", Act(tokens=5, gap=1.0, fault="cut", at=2))

    async def scenario() -> None:
        async with streaming(world, model="a", on_interrupt="restart") as stream:
            await texts(stream)

    with pytest.raises(StreamInterrupted) as caught:
        clock.run(scenario())
    assert caught.value.partial == "the quick"
    assert isinstance(caught.value.__cause__, ConnectionFailed)


def test_restart_when_all_others_fail(clock: Clock, world: World) -> None:
    """When nobody else answers, the error is still `StreamInterrupted`; its cause tells of the others."""
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
    """The deadline is the call's: beginning again gets what is left of it."""
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
    """The default never sends a second model's words."""
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


# ── hedged ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_hedge_that_is_first_gives_the_stream(clock: Clock, world: World) -> None:
    """The first content wins: the late model is let go in that instant, the other one's chunks follow."""
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
    """The older model answers first: the hedge is superseded at the first content, long before the end."""
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
    """After the win there is no other lane to go back to, also when a hedge has won."""
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
    """Idle and deadline hold for a reply whose lane ran in a task of its own."""
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
