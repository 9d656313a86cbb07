"""Faults of a simulated model through the in-process transport: what goes wrong, at which instant, and what is left."""

import asyncio
import json
from itertools import product

import pytest

from asyncrouter import AttemptTimeout, ConnectionFailed, Retry, Router
from asyncrouter.sim import FAULTS, Act, Clock, World
from tests.helpers.simulated import chat_request, stream_reads, timed_reads


@pytest.mark.parametrize(
    ("act", "at", "message", "again"),
    [
        (Act(fault="refuse", connect=0.5), 0.5, "connection refused", "quick"),
        (Act(fault="dns"), 0.0, "name not resolved", "quick"),
        (Act(fault="tls", connect=0.25), 0.25, "TLS handshake failed", "quick"),
        (Act(fault="certificate"), 0.0, "certificate verify failed", "never"),
        (Act(fault="cut", at="headers", headers_after=1.0), 1.0, "connection closed early", "quick"),
        (Act(fault="reset", at="headers"), 0.0, "connection reset by peer", "quick"),
        (Act(text="a b c", fault="cut", at=2, first_token=1.0, gap=0.5), 2.0, "connection closed early", "quick"),
        (Act(text="a b c", fault="reset", at=1, first_token=1.0, gap=0.5), 1.5, "connection reset by peer", "quick"),
        (Act(text="a b", fault="cut", at="end", gap=0.5, tail=0.25), 0.75, "connection closed early", "quick"),
    ],
)
def test_a_connection_fails_at_its_instant(
    world: World, clock: Clock, act: Act, at: float, message: str, again: str
) -> None:
    """In every phase the failure comes at exactly its instant, and nothing stays open."""
    with pytest.raises(ConnectionFailed, match=message) as caught:
        stream_reads(world, clock, act)

    assert (clock.now, caught.value.again, world.open, world.seen[0].gone) == (at, again, 0, False)


@pytest.mark.parametrize("act", [Act(connect=5.0), Act(fault="hang", at="connect"), Act(fault="refuse", connect=9.0)])
def test_the_connect_clock_fires_exactly(world: World, clock: Clock, act: Act) -> None:
    """A connection that is not ready at the connect timeout is an `AttemptTimeout` at that instant."""
    world.model("m", act)

    with pytest.raises(AttemptTimeout) as caught:
        clock.run(timed_reads(world.transport(), chat_request(connect=2.5), clock))

    assert (caught.value.clock, clock.now, world.open) == ("connect", 2.5, 0)


def test_a_connection_ready_in_time_is_no_timeout(world: World, clock: Clock) -> None:
    """A connection that is ready at the instant of the connect timeout is in time."""
    world.model("m", Act(connect=2.5))

    assert clock.run(timed_reads(world.transport(), chat_request(connect=2.5), clock))[-1][0] == 2.5


@pytest.mark.parametrize(("at", "reads"), [("headers", 0), (0, 1), (2, 2), ("end", 3)])
def test_a_hang_is_silent_from_its_phase_on(world: World, clock: Clock, at: int | str, reads: int) -> None:
    """From its phase on, nothing comes any more."""
    world.model("m", Act(text="one two three", gap=1.0, fault="hang", at=at))
    came: list[bytes] = []

    async def scenario() -> None:
        async with asyncio.timeout(1000):
            response = await world.transport().send(chat_request(stream=True))
            try:
                while data := await response.read():
                    came.append(data)
            finally:
                response.close()

    with pytest.raises(TimeoutError):
        clock.run(scenario())

    assert (clock.now, len(came), world.open, world.seen[0].gone) == (1000.0, reads, 0, True)


def test_a_stall_goes_on_after_its_pause(world: World, clock: Clock) -> None:
    """After a stall all later contents are late by its pause."""
    reads = stream_reads(world, clock, Act(text="one two three", gap=1.0, fault="stall", at=1, pause=10.0))

    assert [at for at, _ in reads] == [0.0, 11.0, 12.0, 12.0]


def test_good_events_survive_a_malformed_one(world: World, clock: Clock) -> None:
    """The stream goes on after an event that is no JSON, and no other event is lost."""
    data = stream_reads(world, clock, Act(text="one two three", fault="malformed", at=1))[0][1]
    lines = [line[6:] for line in data.split(b"\n") if line.startswith(b"data: ") and line != b"data: [DONE]"]

    def broken(line: bytes) -> bool:
        try:
            json.loads(line)
        except ValueError:
            return True
        return False

    assert [broken(line) for line in lines] == [False, False, True, False, False, False]


def test_missing_ends(world: World, clock: Clock) -> None:
    """Finish reason and [DONE] can be left out, each alone and both."""

    def found(fault: str | None) -> tuple[bool, bool]:
        data = stream_reads(world, clock, Act(fault=fault))[0][1]
        return b'"finish_reason":"stop"' in data, b"[DONE]" in data

    ends = [found(None), found("no_finish"), found("no_done"), found("no_end")]

    assert ends == [(True, True), (False, True), (True, False), (False, False)]


def test_huge_and_endless_bodies_come_bit_by_bit(world: World, clock: Clock) -> None:
    """A body of 100 MB, or without end, takes the memory of one read."""
    sizes = [len(data) for _, data in stream_reads(world, clock, Act(fault="huge", size=100_000_000))]
    world.model("m", Act(fault="endless", gap=0.5))

    async def scenario() -> None:
        response = await world.transport().send(chat_request(stream=True))
        for _ in range(1000):
            await response.read()
        response.close()

    assert 100_000_000 < sum(sizes) < 100_001_000
    assert max(sizes) < 2_000_000
    clock.run(scenario())
    assert clock.now == 999 * 0.5


@pytest.mark.parametrize("fault", FAULTS)
def test_a_router_survives_every_fault(world: World, clock: Clock, fault: str) -> None:
    """With any fault at any place a chain reaches its second model, and nothing stays open."""
    for at, streaming in product((0, 1, 2, "end"), (True, False)):
        world.model("bad", Act(text="one two", fault=fault, at=at, size=100_000, pause=500.0))
        world.model("good", Act(text="hi"))

        async def scenario(streaming: bool = streaming) -> str:
            limits = {"total": 20.0, "max_response_bytes": 50_000, "wire_stream": streaming}
            async with Router(world.config(defaults=limits), transport=world.transport()) as router:
                return (await router.chat("hello", chain=["bad", "good"], retry=Retry(attempts=1))).text

        harmless = {"no_done", "no_finish", "malformed", "not_utf8"}
        assert clock.run(scenario()) in ({"hi", "one two"} if fault in harmless else {"hi"})
        assert world.open == 0
