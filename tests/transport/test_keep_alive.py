"""TCP keep-alive: connections that a NAT or a firewall forgets are noticed."""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
import sys

import pytest

from asyncrouter import ConnectionFailed
from asyncrouter._transport import aiohttp_version
from asyncrouter._transport import keep_alive as _keep_alive
from asyncrouter._transport.aiohttp import AiohttpTransport
from asyncrouter._transport.keep_alive import open_socket
from tests.helpers.loopback import CHUNKED, Peer, answering, run, serving, whole


def options(opened: socket.socket) -> list[int]:
    return [opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)] + [
        opened.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
    ]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_socket_is_probed_after_half_a_minute(family: socket.AddressFamily) -> None:
    """A silent connection is probed after 30 s and has failed after 60 s, of IPv4 and IPv6."""
    with open_socket((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1))) as opened:
        assert options(opened) == [1, 30, 10, 3, 60_000]


@pytest.mark.parametrize("known", [True, False])
def test_the_connections_of_a_router_are_probed(monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    """The socket under a response has the options, with whichever version of aiohttp."""
    monkeypatch.setattr(aiohttp_version, "KNOWN", known)

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(answering) as server:
            response = await transport.send(server.post())
            session = transport._session
            assert session is not None
            assert session.connector is not None
            await whole(response)
            [[(protocol, _)]] = session.connector._conns.values()
            assert options(protocol.transport.get_extra_info("socket")) == [1, 30, 10, 3, 60_000]
            await transport.aclose()

    run(main())


def test_an_option_that_the_system_refuses_costs_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that knows an option and refuses its value still gives a socket."""
    monkeypatch.setattr("asyncrouter._transport.keep_alive._OPTIONS", (("TCP_KEEPIDLE", -1),))
    with open_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))) as opened:
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


# ── a NAT that forgets ────────────────────────────────────────────────────────────────────────────────────────────────

SHORT = (("TCP_KEEPIDLE", 1), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 1), ("TCP_USER_TIMEOUT", 1500))
"""The shortest settings: what takes 60 s takes two. These tests are in real time, for the kernel's timers are."""
SO_ATTACH_FILTER = 26


def forget(peer: Peer) -> None:
    """Let the kernel drop whatever comes to this connection from now on, without a word, as a NAT does."""
    nothing = struct.pack("HBBI", 0x06, 0, 0, 0)  # BPF: return 0, keep no byte
    program = ctypes.create_string_buffer(nothing)
    filter_ = struct.pack("@HP", 1, ctypes.addressof(program))
    peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filter_)


@pytest.mark.skipif(sys.platform != "linux", reason="filters of packets are Linux's")
@pytest.mark.parametrize("begun", [False, True])
def test_a_silence_behind_a_forgotten_connection_is_noticed(monkeypatch: pytest.MonkeyPatch, begun: bool) -> None:
    """Before its headers and in its body, a response that can never come fails, and another try may follow."""
    monkeypatch.setattr(_keep_alive, "_OPTIONS", SHORT)

    async def handle(peer: Peer) -> None:
        await peer.request()
        if begun:
            await peer.send(CHUNKED)
            await peer.chunk(b"some")
            await asyncio.sleep(0.1)
        forget(peer)
        await asyncio.sleep(60)

    async def main() -> None:
        transport, loop = AiohttpTransport(), asyncio.get_running_loop()
        async with serving(handle) as server:
            began = loop.time()
            with pytest.raises(ConnectionFailed) as caught:
                response = await transport.send(server.post())
                while await response.read():
                    pass
            assert 1.0 < loop.time() - began < 6.0
            assert caught.value.again == "quick"
            await transport.aclose()

    run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="filters of packets are Linux's")
def test_a_request_over_a_forgotten_connection_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle connection that a NAT has forgotten takes a request and its answer with it: the next one serves."""
    monkeypatch.setattr(_keep_alive, "_OPTIONS", SHORT)

    async def handle(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.reply()
            if peer.number == 1:
                await asyncio.sleep(0.05)
                forget(peer)

    async def main() -> None:
        transport, loop = AiohttpTransport(), asyncio.get_running_loop()
        async with serving(handle) as server:
            await whole(await transport.send(server.post()))
            await asyncio.sleep(0.1)
            began = loop.time()
            assert await whole(await transport.send(server.post())) == b"hello"
            assert (transport.resends, len(server.peers)) == (1, 2)
            assert loop.time() - began < 6.0
            await transport.aclose()

    run(main())
