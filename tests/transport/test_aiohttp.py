from __future__ import annotations

import asyncio
import gc
import gzip
import inspect
import socket
import ssl
import zlib

import aiohttp
import pytest
from aiohttp import client_exceptions, http_exceptions

from asyncrouter._errors import AttemptTimeout, ConnectionFailed
from asyncrouter._transport import connector as _connector
from asyncrouter._transport.aiohttp import AiohttpTransport
from asyncrouter._transport.api import Request, Response
from asyncrouter._transport.errors import failure
from tests.helpers.loopback import Peer, Server, run, serving, turns
from tests.helpers.planted import KEY

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIPPED = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Encoding: gzip\r\n\r\n"


async def whole(response: Response) -> bytes:
    parts = []
    while part := await response.read():
        parts.append(part)
    return b"".join(parts)


async def failing(transport: AiohttpTransport, request: Request) -> ConnectionFailed:
    with pytest.raises(ConnectionFailed) as caught:
        await whole(await transport.send(request))
    return caught.value


async def answering(peer: Peer) -> None:
    while True:
        await peer.request()
        await peer.reply()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


# What goes out and comes back


def test_a_request_is_sent_as_it_is() -> None:
    """Nothing is added to the wire's headers but Host and Content-Length."""
    seen = []

    async def handle(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.reply(b"hello", X_Request_Id="r1")

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            response = await transport.send(server.post(b'{"a":1}'))
            assert (response.status, response.headers["x-request-id"]) == (200, "r1")
            assert await whole(response) == b"hello"
            head = f"POST /v1 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {KEY}\r\n"
            assert [head.encode() + b'Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}'] == seen
            await transport.aclose()

    run(main())


def test_a_get_has_no_body() -> None:
    """An empty body is none at all."""
    seen = []

    async def handle(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.reply()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            await whole(await transport.send(Request("GET", server.post().url, {}, b"")))
            assert [f"GET /v1 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()] == seen
            await transport.aclose()

    run(main())


def test_a_large_body_arrives_without_a_warning() -> None:
    """Prompts beyond 1 MiB, with images in them, are ordinary."""
    seen = []

    async def handle(peer: Peer) -> None:
        seen.append(len(await peer.request()) > 3_000_000)
        await peer.reply()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            assert await whole(await transport.send(server.post(b"x" * 3_000_000))) == b"hello"
            assert seen == [True]
            await transport.aclose()

    run(main())


def test_a_gzip_body_is_unpacked() -> None:
    """The reader sees plain bytes."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.reply(gzip.compress(b"plain" * 99), Content_Encoding="gzip")

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            assert await whole(await transport.send(server.post())) == b"plain" * 99
            await transport.aclose()

    run(main())


def test_a_redirect_is_handed_over() -> None:
    """A 302 is a reply like any other: nothing is asked of its Location."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.reply(status="302 Found", Location="/elsewhere")

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            response = await transport.send(server.post())
            assert (response.status, response.headers["location"]) == (302, "/elsewhere")
            await whole(response)
            assert len(server.peers) == 1
            await transport.aclose()

    run(main())


# The pool


def test_a_connection_is_reused_and_says_so() -> None:
    """The second request takes the first one's connection, and is connected at once."""

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


def test_closing_at_the_end_keeps_the_connection() -> None:
    """`close()` on a body that has come whole, read or not, leaves the connection in the pool."""

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
    """A pooled connection that dies before any byte of the reply costs nothing but a count."""

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
    """After a restart the second sending meets none of the other dead connections, and nor does the next request."""
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
    """What came while it was idle would be taken for the next answer: the next request goes over a new one."""

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
    """The request is sent twice, never three times."""

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
    """Only a connection from the pool is replaced: a new one that dies tells something about the server."""

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


def test_half_a_reply_is_not_asked_for_again() -> None:
    """Once a byte of the reply has come the model may have worked, and been paid."""

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


# Opening connections


def test_refused() -> None:
    """Nobody listens there."""

    async def main() -> None:
        transport = AiohttpTransport()
        port = free_port()
        error = await failing(transport, Server(port).post())
        assert (error.message, error.again) == (f"127.0.0.1:{port} refused the connection", "quick")
        await transport.aclose()

    run(main())


def test_no_such_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not resolve says so."""

    def getaddrinfo(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    async def main() -> None:
        transport = AiohttpTransport()
        error = await failing(transport, Server(80).post(host="models.invalid"))
        assert error.message == "the name of models.invalid:80 was not found: Name or service not known"
        await transport.aclose()

    run(main())


def test_an_address_that_fails_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are kept for five minutes, but not one that led nowhere."""
    port, asked = free_port(), []

    def getaddrinfo(host: str, *args: object, **kwargs: object) -> list[object]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    async def main() -> None:
        transport = AiohttpTransport()
        for _ in range(2):
            await failing(transport, Server(port).post(host="models.invalid"))
        assert asked == ["models.invalid"] * 2
        await transport.aclose()

    run(main())


def test_the_connect_clock_fires_on_time() -> None:
    """A listener whose queue is full answers nothing; the clock says what it waited for."""

    async def main() -> None:
        transport = AiohttpTransport()
        loop = asyncio.get_running_loop()
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            fill = []
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
                fill.append(filler)
            port = listener.getsockname()[1]
            start = loop.time()
            with pytest.raises(AttemptTimeout) as caught:
                await transport.send(Server(port).post(connect=0.2))
            assert 0.2 <= loop.time() - start < 0.5
            assert (
                caught.value.clock,
                caught.value.message,
            ) == ("connect", f"no connection to 127.0.0.1:{port} within 0.2 s")
            assert caught.value.__cause__ is caught.value.__context__ is None
            for filler in fill:
                filler.close()
        await transport.aclose()

    run(main())


def test_waiting_for_a_turn_is_not_the_connect_clocks_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one turn at a time, three silent handshakes of 0.1 s end one after the other, each by its own clock."""
    monkeypatch.setattr(_connector, "AT_ONCE", 1)

    async def main() -> None:
        transport = AiohttpTransport()
        loop = asyncio.get_running_loop()
        ends = []

        async def one(server: Server) -> None:
            with pytest.raises(AttemptTimeout):
                await transport.send(server.post(connect=0.1))
            ends.append(loop.time() - start)

        async with serving(Peer.gone) as server:
            server.scheme = "https"
            start = loop.time()
            await asyncio.gather(*(one(server) for _ in range(3)))
            assert [end >= 0.1 * turn for turn, end in enumerate(ends, 1)] == [True] * 3
            await transport.aclose()

    run(main())


def test_no_more_than_32_connections_are_opened_at_once() -> None:
    """The 33rd waits; the queue is forgotten when nobody stands in it."""
    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(Peer.gone) as server:
            server.scheme = "https"
            sends = [asyncio.ensure_future(transport.send(server.post())) for _ in range(40)]
            while len(server.peers) < 32:
                await turns()
            await turns(50)
            assert len(server.peers) == 32
            pool = transport._session.connector  # type: ignore[union-attr]  # it has been sent with
            assert isinstance(pool, _connector.Connector)
            assert len(pool._turns) == 1
            for send in sends:
                send.cancel()
            await asyncio.gather(*sends, return_exceptions=True)
            assert len(pool._turns) == 0
            await transport.aclose()

    run(main())


@pytest.mark.parametrize("dies", [False, True])
def test_a_turn_takes_a_connection_that_came_free(monkeypatch: pytest.MonkeyPatch, dies: bool) -> None:
    """Whoever waited to open a connection uses one that is back in the pool by then, but is sent twice at most."""
    monkeypatch.setattr(_connector, "AT_ONCE", 1)

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        await end[peer.number].wait()
        await peer.send(b"0\r\n\r\n")
        await peer.request()
        if peer.number == 2 and not dies:
            await peer.reply()

    end = {1: asyncio.Event(), 2: asyncio.Event()}

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            stale, busy = await transport.send(server.post()), await transport.send(server.post())
            end[1].set()
            await whole(stale)
            pool = transport._session.connector  # type: ignore[union-attr]  # it has been sent with
            assert isinstance(pool, _connector.Connector)
            async with pool._turn("127.0.0.1", server.port):
                sending = asyncio.ensure_future(transport.send(server.post()))
                while not transport.resends:
                    await turns()
                end[2].set()
                await whole(busy)
            if dies:
                with pytest.raises(ConnectionFailed):
                    await sending
            else:
                assert (await sending).reused
            assert (transport.resends, len(server.peers)) == (1, 2)
            await transport.aclose()

    run(main())


# Bodies


@pytest.mark.parametrize(
    "sent",
    [CHUNKED + b"3\r\nabc\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"],
    ids=["chunked", "content-length"],
)
@pytest.mark.parametrize("reset", [False, True])
def test_a_cut_body_is_a_failure_after_what_came(sent: bytes, reset: bool) -> None:
    """The bytes before the cut are handed over, then the cut is told."""

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
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000 + b"\r\n\r\n", "what 127.0.0.1:{port} sent is not HTTP (LineTooLong)"),
    ],
    ids=["gzip", "chunk", "status", "header"],
)
def test_what_is_not_http_is_a_failure(sent: bytes, message: str) -> None:
    """Whatever a server sends, the error is one of ours."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.send(sent)
        await peer.gone()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            error = await failing(transport, server.post())
            assert message.format(port=server.port) == error.message
            await transport.aclose()

    run(main())


def test_a_rest_takes_all_at_once() -> None:
    """What comes while the socket is left alone arrives in one piece, however many pieces were sent."""

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
    """A rest in which nothing comes is followed by waiting."""

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


def test_the_end_and_a_lost_connection_need_no_rest() -> None:
    """There is nothing to leave alone: the end, or the cut, is told at once."""

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
    """Waiting or resting, a read ends at once when its response is closed, and the server sees it."""
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
            socket_side = response._answer.connection.transport  # type: ignore[attr-defined]  # what it wraps
            assert (not rest) is socket_side.is_reading()
            response.close()
            with pytest.raises(ConnectionFailed):
                await reading
            await gone.wait()
            with pytest.raises(ConnectionFailed):
                await response.read()
            await transport.aclose()

    run(main())


# Cancellation


@pytest.mark.parametrize("where", ["handshake", "headers", "body", "upload"])
def test_a_cancelled_call_leaves_no_connection(where: str) -> None:
    """Wherever the cancel falls, the connection is gone at once, even with bytes unsent, and no slot stays taken."""
    ready, gone, given_up = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handle(peer: Peer) -> None:
        if where in ("headers", "body"):
            await peer.request()
        if where == "body":
            await peer.send(CHUNKED)
        ready.set()
        if where == "upload":
            await given_up.wait()
        await peer.gone()
        gone.set()

    async def main() -> None:
        transport = AiohttpTransport()

        async def call(request: Request) -> None:
            response = await transport.send(request)
            try:
                await whole(response)
            finally:
                response.close()

        async with serving(handle) as server:
            if where == "handshake":
                server.scheme = "https"
            calling = asyncio.ensure_future(call(server.post(b"x" * 50_000_000 if where == "upload" else b"{}")))
            await ready.wait()
            await turns()
            pool = transport._session.connector  # type: ignore[union-attr]  # it has been sent with
            assert isinstance(pool, _connector.Connector)
            assert len(pool._acquired) == 1
            writers = [held.transport for held in pool._acquired if held.transport]
            while where == "upload" and not writers[0].get_write_buffer_size():
                await turns()
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            await turns()
            assert (len(pool._acquired), len(pool._conns), len(pool._turns)) == (0, 0, 0)
            assert {-1} >= {writer.get_extra_info("socket").fileno() for writer in writers}
            given_up.set()
            await gone.wait()
            await transport.aclose()

    run(main())


# Life


def test_aclose_ends_everything_and_a_later_send_begins_anew() -> None:
    """Pending sends and reads fail; closing twice is nothing; the transport may be used again."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        if peer.number == 1:
            await peer.send(CHUNKED)
        elif peer.number == 3:
            await peer.reply()
        await peer.gone()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            response = await transport.send(server.post())
            reading = asyncio.ensure_future(response.read())
            sending = asyncio.ensure_future(transport.send(server.post()))
            while len(server.peers) < 2:
                await turns()
            await transport.aclose()
            await transport.aclose()
            for pending in (reading, sending):
                with pytest.raises(ConnectionFailed):
                    await pending
            assert repr(transport) == "<AiohttpTransport closed, 0 resent>"
            assert await whole(await transport.send(server.post())) == b"hello"
            await transport.aclose()

    run(main())


def test_an_unclosed_session_warns() -> None:
    """Forgetting `aclose()` is told as aiohttp tells it."""

    async def forget() -> None:
        await failing(AiohttpTransport(), Server(free_port()).post())
        await turns()
        gc.collect()

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        with pytest.warns(ResourceWarning, match="Unclosed client session"):
            await forget()

    run(main())


def test_a_second_loop_is_an_error_while_the_first_lives() -> None:
    """Connections belong to a loop; after `aclose()` the transport may move."""
    transport = AiohttpTransport()
    request = Server(free_port()).post()
    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(failing(transport, request))
        with pytest.raises(RuntimeError, match="another event loop"):
            second.run(transport.send(request))
        first.run(transport.aclose())
        second.run(failing(transport, request))
        second.run(transport.aclose())


def test_a_session_of_the_users_is_used_and_left_open() -> None:
    """Its connector, its limits; we never close it."""

    async def main() -> None:
        async with aiohttp.ClientSession(raise_for_status=True) as session, serving(answering) as server:
            transport = AiohttpTransport(session=session)
            response = await transport.send(server.post())
            assert (await whole(response), response.reused) == (b"hello", False)
            await transport.aclose()
            assert not session.closed
            assert await whole(await transport.send(server.post())) == b"hello"

    run(main())


def test_with_a_session_of_the_users_what_is_being_sent_fails_too() -> None:
    """Its headers come after `aclose()`, over a session that goes on: the answer is closed, and nobody gets it."""
    closed = asyncio.Event()

    async def handle(peer: Peer) -> None:
        await peer.request()
        await closed.wait()
        await peer.send(CHUNKED)
        await peer.gone()

    async def main() -> None:
        async with aiohttp.ClientSession() as session, serving(handle) as server:
            transport = AiohttpTransport(session=session)
            sending = asyncio.ensure_future(failing(transport, server.post()))
            while not server.peers:
                await turns()
            await transport.aclose()
            closed.set()
            assert (await sending).message == "the transport was closed while sending"
            assert not session.closed

    run(main())


# Proxies


def test_a_proxy_is_asked() -> None:
    """The request's proxy goes before the transport's."""
    seen = []

    async def handle(peer: Peer) -> None:
        seen.append((await peer.request()).split(b"\r\n")[0])
        await peer.reply()

    async def main() -> None:
        async with serving(handle) as proxy:
            transport = AiohttpTransport(proxy=f"http://127.0.0.1:{proxy.port}")
            await whole(await transport.send(Request("POST", "http://models.invalid/v1", {}, b"{}")))
            other = Request("POST", "http://models.invalid/v2", {}, b"{}", None, f"http://127.0.0.1:{free_port()}")
            assert "refused the connection" in (await failing(transport, other)).message
            assert seen == [b"POST http://models.invalid/v1 HTTP/1.1"]
            await transport.aclose()

    run(main())


def test_a_proxy_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`trust_env` reads HTTP_PROXY and NO_PROXY; without it neither counts."""
    seen = []

    async def handle(peer: Peer) -> None:
        seen.append((await peer.request()).split(b"\r\n")[0])
        await peer.reply()

    async def main() -> None:
        async with serving(handle) as proxy:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            direct = proxy.post()
            for trust_env in (True, False):
                transport = AiohttpTransport(trust_env=trust_env)
                await whole(await transport.send(direct))
                if trust_env:
                    await whole(await transport.send(Request("POST", "http://models.invalid/v1", {}, b"{}")))
                await transport.aclose()
            assert seen == [b"POST /v1 HTTP/1.1", b"POST http://models.invalid/v1 HTTP/1.1", b"POST /v1 HTTP/1.1"]

    run(main())


def test_a_proxy_that_denies_is_not_asked_again() -> None:
    """A 407 stays a 407."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.reply(status="407 Proxy Authentication Required")

    async def main() -> None:
        async with serving(handle) as proxy:
            transport = AiohttpTransport(proxy=f"http://127.0.0.1:{proxy.port}")
            error = await failing(transport, Request("POST", "https://models.invalid/v1", {}, b"{}"))
            assert error.message == "the proxy answered 407 when asked for models.invalid:443"
            assert error.again == "never"
            await transport.aclose()

    run(main())


# Errors in our words

_KEY: object = aiohttp.client_reqrep.ConnectionKey("host", 1, False, True, None, None, None)


def _made(kind: type[Exception]) -> Exception:
    """An instance without its arguments, for those that want aiohttp's own objects."""
    error = kind.__new__(kind)
    for name, value in {"_conn_key": _KEY, "_os_error": OSError(104, ""), "_certificate_error": OSError(1, "")}.items():
        if issubclass(kind, client_exceptions.ClientConnectorError):
            setattr(error, name, value)
    if issubclass(kind, client_exceptions.ClientResponseError):
        error.status = 400  # type: ignore[attr-defined]  # what __init__ would set
    return error


def _exceptions(module: object) -> list[type[Exception]]:
    classes = [value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, Exception)]
    return [kind for kind in classes if kind.__module__.startswith("aiohttp")]


@pytest.mark.parametrize(
    "kind",
    [
        *_exceptions(client_exceptions),
        *_exceptions(http_exceptions),
        aiohttp.EofStream,
        OSError,
        ConnectionResetError,
        TimeoutError,
        ssl.SSLError,
        ssl.SSLCertVerificationError,
        zlib.error,
    ],
    ids=lambda kind: kind.__name__,
)
def test_no_exception_of_aiohttp_is_unmapped(kind: type[Exception]) -> None:
    """Each has a name here; only the one about WebSocket messages is a programmer's TypeError."""
    mapped = failure(_made(kind))
    if issubclass(kind, TypeError):
        assert mapped is None
    elif kind is aiohttp.ConnectionTimeoutError:
        assert isinstance(mapped, AttemptTimeout)
    else:
        assert isinstance(mapped, ConnectionFailed)


def test_a_bug_is_raised_as_it_is() -> None:
    """A header that cannot be sent is the caller's mistake, not a failed connection."""

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(answering) as server:
            request = Request("POST", server.post().url, {"X": "two\r\nlines"}, b"{}")
            with pytest.raises(ValueError, match="header"):
                await transport.send(request)
            await transport.aclose()

    run(main())


@pytest.mark.parametrize("url", ["models.invalid/v1", "ftp://models.invalid/", "http://[::1/", "http:///v1"])
def test_a_url_that_cannot_be_used_fails_for_good(url: str) -> None:
    """The chain goes on, and the message does not repeat the URL, which may hold a key."""

    async def main() -> None:
        transport = AiohttpTransport()
        error = await failing(transport, Request("POST", url, {}, b"{}"))
        assert error.message == "the URL, or its proxy's, cannot be used: it needs http:// or https:// and a host"
        assert error.again == "never"
        await transport.aclose()

    run(main())


def test_no_error_carries_the_key() -> None:
    """Neither the error nor anything chained to it leads to the request's headers."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"nonsense\r\n\r\n")

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            error = await failing(transport, server.post())
            assert error.__cause__ is error.__context__ is None
            assert KEY not in repr(vars(error)) + str(error) + repr(server.post())
            await transport.aclose()

    run(main())
