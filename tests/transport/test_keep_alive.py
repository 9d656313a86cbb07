"""TCP keep-alive: connections that a NAT or a firewall forgets are noticed."""

from __future__ import annotations

import socket

import pytest

from asyncrouter._transport import exchange as _exchange
from asyncrouter._transport.aiohttp import AiohttpTransport
from asyncrouter._transport.keep_alive import open_socket
from tests.helpers.loopback import answering, run, serving, whole


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
    monkeypatch.setattr(_exchange, "KNOWN_VERSION", known)

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
