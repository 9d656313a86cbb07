"""The connection pool: when a connection is reused, and when a request is sent again over a new one."""

from __future__ import annotations

import asyncio

import pytest

from asyncrouter._transport.aiohttp import AiohttpTransport
from tests.helpers.loopback import Peer, answering, failing, run, serving, turns, whole


def test_a_connection_is_reused_and_says_so() -> None:
    """A second request takes the connection of the first one, and its `connected_at` is the time of its sending."""

    async def main() -> None:
        transport = AiohttpTransport()
        loop = asyncio.get_running_loop()
        async with serving(answering) as server:
            start = loop.time()
            first = await transport.send(server.post())
            assert not first.reused
            assert start <= first.connected_at <= loop.time()
            await whole(first)
            start = loop.time()
            second = await transport.send(server.post())
            assert second.reused
            assert start <= second.connected_at <= loop.time()
            await whole(second)
            assert len(server.peers) == 1
            await transport.aclose()

    run(main())


def test_closing_a_whole_response_keeps_the_connection() -> None:
    """Closing a response whose body has come whole, read or not, leaves its connection in the pool."""

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(answering) as server:
            response = await transport.send(server.post())
            response.close()
            response.close()
            assert (await transport.send(server.post())).reused
            await transport.aclose()

    run(main())


@pytest.mark.parametrize("reset", [False, True])
def test_a_stale_connection_is_replaced_once(reset: bool) -> None:
    """When a pooled connection dies before any byte of the response, the request is sent again over a new one."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.reply()
        await peer.request()
        if peer.number > 1:
            await peer.reply()
        elif reset:
            peer.reset()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            await whole(await transport.send(server.post()))
            response = await transport.send(server.post())
            assert await whole(response) == b"hello"
            assert (transport.resends, response.reused, len(server.peers)) == (1, False, 2)
            await transport.aclose()

    run(main())


def test_one_dead_connection_empties_the_pool() -> None:
    """One dead connection drops the other idle ones: after a restart only one request is sent again."""
    restarted = []

    async def handle(peer: Peer) -> None:
        while True:
            await peer.request()
            if restarted and peer.number <= 8:
                return
            if peer.number <= 8:
                await together.wait()
            await peer.reply()

    together = asyncio.Event()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            sends = [asyncio.ensure_future(transport.send(server.post())) for _ in range(8)]
            while len(server.peers) < 8:
                await turns()
            together.set()
            for response in await asyncio.gather(*sends):
                await whole(response)
            restarted.append(True)
            for _ in range(3):
                assert await whole(await transport.send(server.post())) == b"hello"
            assert (transport.resends, len(server.peers)) == (1, 9)
            await transport.aclose()

    run(main())


@pytest.mark.parametrize("status", ["200 OK", "408 Request Timeout"])
def test_a_connection_on_which_something_came_unasked_is_not_used(status: str) -> None:
    """A connection on which bytes came while it was idle is not used for the next request."""

    async def handle(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.reply(b"asked %d" % peer.number)

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            assert await whole(await transport.send(server.post())) == b"asked 1"
            await server.peers[0].reply(b"unasked", status)
            await turns()
            response = await transport.send(server.post())
            assert (response.status, await whole(response)) == (200, b"asked 2")
            assert (transport.resends, len(server.peers)) == (0, 2)
            await transport.aclose()

    run(main())


def test_a_second_death_is_a_failure() -> None:
    """A request that was sent again is not sent a third time."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        if peer.number == 1:
            await peer.reply()
            await peer.request()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            await whole(await transport.send(server.post()))
            error = await failing(transport, server.post())
            assert error.message == f"127.0.0.1:{server.port} closed the connection before its reply"
            assert (transport.resends, len(server.peers)) == (1, 2)
            await transport.aclose()

    run(main())


@pytest.mark.parametrize("reset", [False, True])
def test_a_new_connection_that_dies_is_a_failure(reset: bool) -> None:
    """When a new connection dies before any byte of the response, the request fails and is not sent again."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        if reset:
            peer.reset()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            error = await failing(transport, server.post())
            told = "reset the connection" if reset else "closed the connection before its reply"
            assert (error.message, error.again) == (f"127.0.0.1:{server.port} {told}", "quick")
            assert (transport.resends, len(server.peers)) == (0, 1)
            await transport.aclose()

    run(main())


def test_a_request_is_not_sent_again_after_half_a_response() -> None:
    """Once a byte of the response has come, the request is not sent again: the model may have been paid."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.reply()
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Ty")

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            await whole(await transport.send(server.post()))
            await failing(transport, server.post())
            assert (transport.resends, len(server.peers)) == (0, 1)
            await transport.aclose()

    run(main())
