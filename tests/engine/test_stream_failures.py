"""A stream that fails: the caller does not see it before the first content, and gets `StreamInterrupted` after it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from asyncrouter import (
    AllModelsFailed,
    AttemptTimeout,
    BadReply,
    Chunk,
    ConnectionFailed,
    DeadlineExceeded,
    Refused,
    Reply,
    ReplyStream,
    Router,
    ServerFailed,
    Step,
    StreamInterrupted,
    Usage,
)
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import ONCE
from tests.helpers.streaming import outcomes, streaming, texts
from tests.helpers.transports import KeptOpen, WrappingTransport

if TYPE_CHECKING:
    from asyncrouter.sim.act import Fault


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
    """A refusal is raised on entering, and no other model is asked."""
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
    """A failure after the first content raises `StreamInterrupted` with the text so far and the attempt's error."""
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
    """`max_response_bytes` also bounds a stream that has committed."""
    world.model("a", Act(fault="endless", gap=0.1))

    async def scenario() -> None:
        async with streaming(world, chain=[Step(model="a", max_response_bytes=2000)]) as stream:
            await texts(stream)

    with pytest.raises(StreamInterrupted) as caught:
        clock.run(scenario())
    assert isinstance(caught.value.__cause__, BadReply)
    assert str(caught.value.__cause__) == "a: more than max_response_bytes = 2000 (scope: call)"


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
    """The deadline closes the connection on time while the caller is not reading; the next read raises."""
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
    """However long the caller pauses, a silent provider has its whole `idle` from the next read on."""
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
    """Keep-alive comments are no content: `idle` counts from the last content."""
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
            with pytest.raises(RuntimeError, match="the stream has not ended; read all its chunks first"):
                _ = stream.reply

    clock.run(scenario())


def test_a_cut_after_the_finish_reason_cuts_nothing(clock: Clock, world: World) -> None:
    """A connection that breaks after the finish reason, without a [DONE], has given a whole answer."""
    world.model("a", Act(text="one two", gap=1.0, fault="no_done"))

    async def scenario() -> ReplyStream:
        async with streaming(world, model="a") as stream:
            await texts(stream)
        return stream

    stream = clock.run(scenario())
    assert stream.reply.text == "one two"
    assert outcomes(stream) == [("a", "first", "won")]


@pytest.mark.parametrize("gap", [0.0, 1.0])
@pytest.mark.parametrize(("fault", "late"), [(None, 0.25), ("no_done", 5.0)])
@pytest.mark.parametrize("how", ["chat", "stream"])
def test_a_provider_that_keeps_the_connection_open(
    clock: Clock, world: World, gap: float, fault: Fault | None, late: float, how: str
) -> None:
    """After [DONE] the end of the body is awaited for 0.25 s; after a mere finish reason `idle` ends the reply."""
    world.model("a", Act(tokens=3, gap=gap, fault=fault))

    async def scenario() -> Reply:
        async with Router(world.config(), transport=WrappingTransport(world, KeptOpen)) as router:
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
    """A whole answer is handed over at the deadline, though the end of its body has not come."""
    world.model("a", Act(tokens=3, gap=0.5))

    async def scenario() -> Reply:
        async with Router(world.config(), transport=WrappingTransport(world, KeptOpen)) as router:
            return await router.chat("x", model="a", deadline=1.125)

    assert clock.run(scenario()).text == "the quick brown"
    assert clock.now == 1.125


def test_a_timeout_of_the_callers_own_after_done(clock: Clock, world: World) -> None:
    """A reader that is cancelled while the end of the body is awaited still gets the last chunk."""
    world.model("a", Act(text="one two"))

    async def scenario() -> tuple[Chunk, Reply]:
        transport = WrappingTransport(world, KeptOpen)
        async with Router(world.config(), transport=transport) as router, router.stream("x", model="a") as stream:
            assert [(await anext(stream)).text for _ in range(2)] == ["one", " two"]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.125):
                    await anext(stream)
            return await anext(stream), stream.reply

    last, reply = clock.run(scenario())
    assert (last, reply.text, clock.now) == (Chunk(finish_reason="stop", usage=Usage(1, 2)), "one two", 0.125)
