"""Reading, closing and cancelling through the in-process transport of a simulated world."""

import asyncio

import pytest

from asyncrouter import ConnectionFailed
from asyncrouter.sim import Act, Clock, World
from tests.helpers.simulated import chat_request, contents


def test_a_rest_takes_all_that_has_come(world: World, clock: Clock) -> None:
    """A read after a rest returns everything since; if nothing came it waits for the first byte."""
    world.model("m", Act(text="one two three four", gap=1.0))

    async def scenario() -> list[tuple[float, int]]:
        response = await world.transport().send(chat_request(stream=True))
        reads = []
        while data := await response.read(0.0 if not reads else 1.5):
            reads.append((clock.now, len(contents(data))))
        return reads

    assert clock.run(scenario()) == [(0.0, 1), (1.5, 1), (3.0, 2)]


@pytest.mark.parametrize("rest", [0.0, 100.0])
def test_closing_wakes_a_read_at_once(world: World, clock: Clock, rest: float) -> None:
    """A read that waits, or rests, raises at the instant at which the response is closed."""
    world.model("m", Act(fault="hang"))

    async def scenario() -> float:
        response = await world.transport().send(chat_request(stream=True))
        await response.read()
        reading = asyncio.create_task(response.read(rest))
        asyncio.get_running_loop().call_at(2.0, response.close)
        with pytest.raises(ConnectionFailed, match="closed while reading"):
            await reading
        response.close()
        return clock.now

    assert clock.run(scenario()) == 2.0
    assert (world.seen[0].gone, world.seen[0].ended, world.open) == (True, 2.0, 0)


def test_a_read_after_the_close_raises(world: World, clock: Clock) -> None:
    """A closed response gives nothing more, not even what had come before."""

    async def scenario() -> None:
        response = await world.transport().send(chat_request(stream=True))
        response.close()
        await response.read()

    world.model("m")
    with pytest.raises(ConnectionFailed):
        clock.run(scenario())


def test_a_cancelled_send_leaves_nothing_open(world: World, clock: Clock) -> None:
    """A send cancelled while connecting, or before the headers, closes its connection at that instant."""
    world.model("m", Act(connect=1.0, headers_after=1.0))

    async def scenario() -> None:
        for after in (0.5, 1.5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(after):
                    await world.transport().send(chat_request(stream=True))

    clock.run(scenario())

    assert [(seen.ended, seen.gone) for seen in world.seen] == [(0.5, True), (2.0, True)]
    assert world.open == 0


def test_closing_the_transport_closes_what_is_open(world: World, clock: Clock) -> None:
    """`aclose` closes every connection and may be called again."""
    world.model("m", Act(fault="hang"))

    async def scenario() -> tuple[int, int]:
        transport = world.transport()
        for _ in range(3):
            await transport.send(chat_request(stream=True))
        live = world.open
        await transport.aclose()
        await transport.aclose()
        return live, world.open

    assert clock.run(scenario()) == (3, 0)


def test_closing_the_transport_wakes_a_send(world: World, clock: Clock) -> None:
    """A send that waits for its connection or its headers fails at the instant of `aclose`."""
    world.model("m", Act(fault="hang", at="connect"), Act(fault="hang", at="headers"))

    async def scenario() -> list[object]:
        transport = world.transport()
        sends = [asyncio.create_task(transport.send(chat_request())) for _ in range(2)]
        await asyncio.sleep(1.5)
        await transport.aclose()
        return [str(error) for error in await asyncio.gather(*sends, return_exceptions=True)]

    assert clock.run(scenario()) == ["closed while sending"] * 2
    assert [(seen.ended, seen.gone) for seen in world.seen] == [(1.5, True)] * 2
