"""With a version of aiohttp whose inner parts are not known, only what can be set from outside is used."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from asyncrouter._errors import AttemptTimeout
from asyncrouter._transport import aiohttp_version
from asyncrouter._transport.aiohttp import AiohttpTransport
from asyncrouter._transport.connector import Connector
from tests.helpers.loopback import CHUNKED, Peer, Server, answering, failing, free_port, run, serving, turns, whole


@pytest.fixture(autouse=True)
def _unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiohttp_version, "KNOWN", False)

    async def untouchable(*args: object, **options: object) -> None:
        raise AssertionError("an inner part of an unknown version was used")

    for name in ("_get", "_create_connection", "_open", "_release"):
        monkeypatch.setattr(Connector, name, untouchable)


def test_the_pool_is_aiohttps_own() -> None:
    """Requests are answered and connections reused; which of them are, nobody can say."""

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(answering) as server:
            for _ in range(3):
                response = await transport.send(server.post())
                assert not response.reused
                assert await whole(response) == b"hello"
            assert transport._session is not None
            assert type(transport._session.connector) is aiohttp.TCPConnector
            assert len(server.peers) == 1
            await transport.aclose()

    run(main())


def test_a_stale_connection_is_a_failure() -> None:
    """What died before its response is not sent again by the transport: it cannot know whether that is safe."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.reply()
        await peer.request()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            await whole(await transport.send(server.post()))
            error = await failing(transport, server.post())
            assert error.message == f"127.0.0.1:{server.port} closed the connection before its reply"
            assert (transport.resends, error.again) == (0, "quick")
            await transport.aclose()

    run(main())


def test_failures_keep_their_classes() -> None:
    """A refused connection and a handshake that hangs are what they are with a known version."""

    async def main() -> None:
        transport, port = AiohttpTransport(), free_port()
        assert (await failing(transport, Server(port).post())).message == f"127.0.0.1:{port} refused the connection"
        async with serving(lambda peer: peer.gone()) as server:
            server.scheme = "https"
            with pytest.raises(AttemptTimeout) as caught:
                await transport.send(server.post(connect=0.1))
            assert caught.value.clock == "connect"
        await transport.aclose()

    run(main())


def test_closing_is_immediate() -> None:
    """A response is closed at once, and a transport with open responses too."""

    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        await peer.gone()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(endless) as server:
            one, other = await transport.send(server.post()), await transport.send(server.post())
            one.close()
            reading = asyncio.ensure_future(other.read())
            await turns()
            await transport.aclose()
            with pytest.raises(Exception, match="closed"):
                await reading

    run(main())


@pytest.mark.parametrize(
    ("version", "known"),
    [("3.14.0", True), ("3.14.9", True), ("3.15.0", True), ("3.15.1.dev0", True), ("3.16.0", False), ("4.0.0", False)],
)
def test_two_versions_are_known(version: str, known: bool) -> None:
    """The parts of 3.14 and 3.15 are used; others are not, whatever they look like."""
    assert aiohttp_version._knows(version) is known


def test_a_known_version_without_a_part_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that has lost a parameter that is used makes the version unknown."""

    def _get(self: object, key: object) -> None:
        """Take no traces."""

    monkeypatch.setattr(aiohttp_version, "_PARAMETERS", ((_get, {"key", "traces"}),))
    assert not aiohttp_version._knows("3.14.5")
