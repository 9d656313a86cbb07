"""Reading and closing a response: cut bodies, what is not HTTP, and reads that leave the socket alone."""

from __future__ import annotations

import asyncio

import pytest

from asyncrouter._errors import ConnectionFailed
from asyncrouter._transport.aiohttp import AiohttpTransport
from tests.helpers.loopback import CHUNKED, Peer, answering, failing, run, serving, turns

GZIPPED = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Encoding: gzip\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [CHUNKED + b"3\r\nabc\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"],
    ids=["chunked", "content-length"],
)
@pytest.mark.parametrize("reset", [False, True])
def test_a_cut_body_is_a_failure_after_what_came(sent: bytes, reset: bool) -> None:
    """The bytes before a cut are handed over, and the next read fails."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.send(sent)
        await read.wait()
        if reset:
            peer.reset()

    read = asyncio.Event()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            response = await transport.send(server.post())
            assert await response.read() == b"abc"
            read.set()
            with pytest.raises(ConnectionFailed) as caught:
                await response.read()
            assert (caught.value.message, caught.value.again) == ("the body was cut before its end", "quick")
            assert caught.value.__cause__ is caught.value.__context__ is None
            await transport.aclose()

    run(main())


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (GZIPPED + b"nope", "the body cannot be decompressed"),
        (CHUNKED + b"nope\r\n", "what 127.0.0.1:{port} sent is not HTTP (BadHttpMessage)"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "what 127.0.0.1:{port} sent is not HTTP (BadStatusLine)"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000 + b"\r\n\r\n",
         "127.0.0.1:{port} sent a header, or a line before them, that is too long"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx",
         "127.0.0.1:{port} compressed its reply in a way that was not asked for: br"),
    ],
    ids=["gzip", "chunk", "status", "header", "br"],
)
def test_a_response_that_is_not_http_is_a_failure(sent: bytes, message: str) -> None:
    """A body that cannot be decompressed, and bytes that are not HTTP, fail the request with an error of ours."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.send(sent)
        await peer.gone()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            error = await failing(transport, server.post())
            assert error.message == message.format(port=server.port)
            await transport.aclose()

    run(main())


def test_a_rest_takes_all_at_once() -> None:
    """A read with a rest returns all that came meanwhile in one piece, however many pieces were sent."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        await peer.chunk(b"first ")
        await resting.wait()
        for piece in (b"a", b"b", b"c"):
            await peer.chunk(piece)
            await turns()
        await peer.gone()

    resting = asyncio.Event()

    async def main() -> None:
        transport = AiohttpTransport()
        loop = asyncio.get_running_loop()
        async with serving(handle) as server:
            response = await transport.send(server.post())
            assert await response.read() == b"first "
            start = loop.time()
            resting.set()
            assert await response.read(0.05) == b"abc"
            assert 0.05 <= loop.time() - start
            response.close()
            await transport.aclose()

    run(main())


def test_after_a_rest_a_read_waits_for_the_first_byte() -> None:
    """After a rest in which nothing came, a read waits for the first byte."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        await rested.wait()
        await peer.chunk(b"late")
        await peer.gone()

    rested = asyncio.Event()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            response = await transport.send(server.post())
            reading = asyncio.ensure_future(response.read(0.01))
            asyncio.get_running_loop().call_later(0.03, rested.set)
            assert await reading == b"late"
            response.close()
            await transport.aclose()

    run(main())


def test_the_end_and_a_cut_are_told_without_a_rest() -> None:
    """A read with a rest returns at once at the end of the body, and fails at once after a cut."""

    async def cut(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)

    async def main() -> None:
        transport = AiohttpTransport()
        loop = asyncio.get_running_loop()
        start = loop.time()
        async with serving(answering) as server, serving(cut) as cutting:
            response = await transport.send(server.post())
            assert [await response.read(9.0), await response.read(9.0)] == [b"hello", b""]
            response = await transport.send(cutting.post())
            while response._content.exception() is None:  # type: ignore[attr-defined]  # aiohttp's own view
                await turns()
            with pytest.raises(ConnectionFailed):
                await response.read(9.0)
            assert loop.time() - start < 1
            await transport.aclose()

    run(main())


@pytest.mark.parametrize("rest", [0.0, 9.0])
def test_closing_wakes_a_read(rest: float) -> None:
    """Closing a response ends a waiting or resting read at once, and the server sees the connection close."""
    gone = asyncio.Event()

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        await peer.gone()
        gone.set()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            response = await transport.send(server.post())
            reading = asyncio.ensure_future(response.read(rest))
            await turns()
            socket_side = response._response.connection.transport  # type: ignore[attr-defined]  # what it wraps
            assert socket_side.is_reading() is (not rest)
            response.close()
            with pytest.raises(ConnectionFailed):
                await reading
            await gone.wait()
            with pytest.raises(ConnectionFailed):
                await response.read()
            await transport.aclose()

    run(main())
