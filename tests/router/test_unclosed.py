"""A router that nobody closed: one warning with the cure, and nothing left; one router over many loops says nothing."""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
import trustme

from asyncrouter import AiohttpTransport, Router
from asyncrouter._transport.unclosed import CURE
from asyncrouter.sim import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def serving(world: World, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The address of a world that is served in a thread of its own, until the end of the block."""
    ready, stop, address = threading.Event(), asyncio.Event(), []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with world.server(tls=tls) as server:
            address.append(server.base_url.replace("127.0.0.1", "localhost") if tls else server.base_url)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.fixture
def world() -> World:
    """A world with the model `a`."""
    made = World()
    made.model("a")
    return made


class Complaints:
    """What was said until now: warnings by their text, and the records of asyncio's log."""

    def __init__(self, caught: list[warnings.WarningMessage], caplog: pytest.LogCaptureFixture) -> None:
        self._caught, self._caplog = caught, caplog

    def said(self) -> list[str]:
        """All of it, after a collection."""
        gc.collect()
        logged = [record.getMessage() for record in self._caplog.records if record.levelno >= logging.WARNING]
        return [str(one.message) for one in self._caught] + logged


@pytest.fixture
def complaints(caplog: pytest.LogCaptureFixture) -> Iterator[Complaints]:
    """Collects what is said, instead of raising it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield Complaints(caught, caplog)


def open_connections(world: World, transport: AiohttpTransport) -> list[asyncio.BaseTransport]:
    """The transports of asyncio's that a router's pool holds."""
    session = transport._session
    assert session is not None
    assert session.connector is not None
    pooled = session.connector._conns.values()
    return [protocol.transport for each in pooled for protocol, _ in each if protocol.transport is not None]


def test_one_that_is_collected_while_its_loop_runs(world: World, complaints: Complaints) -> None:
    """One `ResourceWarning` that says what to write, and the connection is closed at once."""

    async def main(address: str) -> list[str]:
        router, transport = None, AiohttpTransport()
        router = Router(world.config(base_url=address), transport=transport)
        await router.chat("x", model="a")
        (connection,) = open_connections(world, transport)
        del router, transport
        said = complaints.said()
        await asyncio.sleep(0)
        assert connection.is_closing()
        return said

    with serving(world) as address:
        said = asyncio.run(main(address))

    assert said == [CURE]
    assert complaints.said() == [CURE]


@pytest.mark.parametrize("over_tls", [False, True])
def test_one_that_outlives_its_loop(
    world: World, complaints: Complaints, over_tls: bool, tmp_path: Path
) -> None:
    """One warning, when it is collected; asyncio and aiohttp say nothing, and its sockets are closed, TLS or not."""
    authority, context = trustme.CA(), None
    overrides: dict[str, object] = {}
    if over_tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(context)
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        overrides = {"providers": {"sim": {"ca": str(tmp_path / "ca.pem")}}}
    transport = AiohttpTransport()
    kept: list[object] = [transport]

    async def main(address: str, transport: AiohttpTransport) -> None:
        router = Router(world.config(base_url=address, **overrides), transport=transport)
        kept.append(router)
        await router.chat("x", model="a")

    with serving(world, context) as address:
        asyncio.run(main(address, transport))
        (connection,) = open_connections(world, transport)
        number = connection.get_extra_info("socket").fileno()
        assert complaints.said() == []
        kept.clear()
        del transport
        said = complaints.said()

    assert (said, number >= 0, connection.get_extra_info("socket").fileno()) == ([CURE], True, -1)
    del connection
    assert complaints.said() == [CURE]


def test_one_that_is_collected_in_another_thread(world: World, complaints: Complaints) -> None:
    """The collector may run in any thread: the loop of the connections closes them."""

    async def main(address: str) -> bool:
        transport = AiohttpTransport()
        router = Router(world.config(base_url=address), transport=transport)
        await router.chat("x", model="a")
        (connection,) = open_connections(world, transport)
        del router, transport
        await asyncio.to_thread(gc.collect)
        for _ in range(3):
            await asyncio.sleep(0)
        return connection.is_closing()

    with serving(world) as address:
        assert asyncio.run(main(address))
    assert complaints.said() == [CURE]


def test_one_router_over_many_loops_is_quiet(world: World, complaints: Complaints) -> None:
    """Each `asyncio.run` opens it anew: nothing is said, and each time one connection is open."""

    async def ask(router: Router) -> str:
        return (await router.chat("x", model="a")).text

    with serving(world) as address:
        router = Router(world.config(base_url=address))
        answers = [asyncio.run(ask(router)) for _ in range(5)]
        said = complaints.said()

        async def close() -> None:
            async with router:
                await ask(router)

        asyncio.run(close())

    assert (answers, said, complaints.said()) == (["the"] * 5, [], [])


@pytest.mark.parametrize("how", ["closed", "never asked", "own session"])
def test_what_needs_no_closing_is_quiet(world: World, complaints: Complaints, how: str) -> None:
    """A router that was closed, or never asked, or whose session is the caller's, says nothing."""

    async def main(address: str) -> None:
        if how == "own session":
            async with aiohttp.ClientSession() as session:
                router = Router(world.config(base_url=address), transport=AiohttpTransport(session=session))
                await router.chat("x", model="a")
                del router
                gc.collect()
                assert not session.closed
            return
        router = Router(world.config(base_url=address))
        if how == "closed":
            await router.chat("x", model="a")
            await router.aclose()

    with serving(world) as address:
        asyncio.run(main(address))

    assert complaints.said() == []
