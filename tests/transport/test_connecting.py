"""Opening connections: failures, the connect timeout, connect slots, and cancelled calls."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from asyncrouter._errors import AttemptTimeout, ConnectionFailed
from asyncrouter._transport import connector as _connector
from asyncrouter._transport.aiohttp import AiohttpTransport
from tests.helpers.loopback import CHUNKED, Peer, Server, failing, free_port, run, serving, turns, whole

if TYPE_CHECKING:
    from asyncrouter._transport.api import Request

# ── opening ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_refused_connection() -> None:
    """A port on which nobody listens fails the request, and another try may follow."""

    async def main() -> None:
        transport = AiohttpTransport()
        port = free_port()
        error = await failing(transport, Server(port).post())
        assert (error.message, error.again) == (f"127.0.0.1:{port} refused the connection", "quick")
        await transport.aclose()

    run(main())


def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host name that does not resolve fails the request with the resolver's reason."""

    def getaddrinfo(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    async def main() -> None:
        transport = AiohttpTransport()
        error = await failing(transport, Server(80).post(host="models.invalid"))
        assert error.message == "the name of models.invalid:80 was not found: Name or service not known"
        await transport.aclose()

    run(main())


def test_a_name_is_resolved_again_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address to which no connection could be made is not remembered: the next request resolves the name again."""
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


def test_the_connect_timeout_is_on_time() -> None:
    """A connection that is not accepted fails after the connect timeout, with host, port and seconds in the message."""

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
            assert caught.value.clock == "connect"
            assert caught.value.message == f"no connection to 127.0.0.1:{port} within 0.2 s"
            assert caught.value.__cause__ is caught.value.__context__ is None
            for filler in fill:
                filler.close()
        await transport.aclose()

    run(main())


def test_waiting_for_a_connect_slot_is_not_connect_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one connect slot, three silent handshakes end one after the other, each after its own timeout of 0.1 s."""
    monkeypatch.setattr(_connector, "MAX_CONNECTING", 1)

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
            assert [end >= 0.1 * place for place, end in enumerate(ends, 1)] == [True] * 3
            await transport.aclose()

    run(main())


def test_no_more_than_32_connections_are_opened_at_once() -> None:
    """The 33rd connection to a host waits for a connect slot; slots that nobody holds or awaits are forgotten."""
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
            assert len(pool._connect_slots) == 1
            for send in sends:
                send.cancel()
            await asyncio.gather(*sends, return_exceptions=True)
            assert len(pool._connect_slots) == 0
            await transport.aclose()

    run(main())


@pytest.mark.parametrize("dies", [False, True])
def test_who_waits_for_a_connect_slot_takes_a_freed_connection(monkeypatch: pytest.MonkeyPatch, dies: bool) -> None:
    """A request that waited for a connect slot takes a connection from the pool by then; it is sent twice at most."""
    monkeypatch.setattr(_connector, "MAX_CONNECTING", 1)

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
            async with pool._connect_slot("127.0.0.1", server.port):
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


# ── cancellation ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("where", ["handshake", "headers", "body", "upload"])
def test_a_cancelled_call_leaves_no_connection(where: str) -> None:
    """Cancelling at any point closes the connection at once, even with bytes unsent, and frees its connect slot."""
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
            assert (len(pool._acquired), len(pool._conns), len(pool._connect_slots)) == (0, 0, 0)
            assert {writer.get_extra_info("socket").fileno() for writer in writers} <= {-1}
            given_up.set()
            await gone.wait()
            await transport.aclose()

    run(main())
