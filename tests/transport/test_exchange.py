"""A small plain POST goes past aiohttp's session, everything else through it, with the same bytes and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from yarl import URL

from asyncrouter._errors import ConnectionFailed
from asyncrouter._transport.aiohttp import AiohttpTransport
from asyncrouter._transport.api import Request
from asyncrouter._transport.exchange import SMALL_BODY, Destination, is_plain
from tests.helpers.loopback import run, serving

if TYPE_CHECKING:
    from tests.helpers.loopback import Peer


async def head_of(transport: AiohttpTransport, body: bytes, headers: dict[str, str]) -> list[bytes]:
    """The lines that reach a server before the body, and the body's length as it arrived."""
    seen: list[bytes] = []

    async def handle(peer: Peer) -> None:
        head, _, sent = (await peer.request()).partition(b"\r\n\r\n")
        port = str(server.port).encode()
        seen.extend([*head.replace(port, b"PORT").split(b"\r\n"), b"%d" % len(sent)])
        await peer.reply()

    async with serving(handle) as server:
        response = await transport.send(Request("POST", f"http://127.0.0.1:{server.port}/v1?a=%20b", headers, body))
        while await response.read():
            pass
    return seen


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer sk", "Content-Type": "application/json", "User-Agent": "x"},
        {"content-type": "application/json", "host": "elsewhere"},
        {"Content-Type": "application/json", "X-Name": "Ünïcode"},
    ],
)
def test_the_short_way_sends_what_the_session_sends(headers: dict[str, str]) -> None:
    """The same request is sent past the session and through it byte for byte, but for the length of its body."""

    async def main() -> None:
        transport = AiohttpTransport()
        short = await head_of(transport, b"x" * SMALL_BODY, headers)
        long = await head_of(transport, b"x" * (SMALL_BODY + 1), headers)
        assert [line.replace(b"%d" % SMALL_BODY, b"N") for line in short] == [
            line.replace(b"%d" % (SMALL_BODY + 1), b"N") for line in long
        ]
        await transport.aclose()

    run(main())


def test_an_aiohttp_of_another_version_is_not_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an unknown version of aiohttp small requests go through its session too, with the same bytes."""
    headers = {"Content-Type": "application/json", "User-Agent": "x"}

    async def main() -> None:
        transport = AiohttpTransport()
        short = await head_of(transport, b"{}", headers)
        await transport.aclose()
        monkeypatch.setattr("asyncrouter._transport.aiohttp_version.KNOWN", False)
        monkeypatch.setattr("asyncrouter._transport.aiohttp.exchange", None)
        other = AiohttpTransport()
        assert await head_of(other, b"{}", headers) == short
        await other.aclose()

    run(main())


def test_the_heads_of_several_keys_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that take turns at one URL: the head of each is built once."""
    built: list[str] = []
    seen: list[str] = []
    build = Destination._build
    monkeypatch.setattr(Destination, "_build", lambda self, fields: built.append("a head") or build(self, fields))

    async def handle(peer: Peer) -> None:
        while head := await peer.request():
            seen.append(head.partition(b"Bearer ")[2][:1].decode())
            await peer.reply()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            url = f"http://127.0.0.1:{server.port}/v1"
            requests = [Request("POST", url, {"Authorization": f"Bearer {name}"}, b"{}") for name in "ab"]
            for request in requests * 3:
                response = await transport.send(request)
                while await response.read():
                    pass
            await transport.aclose()

    run(main())
    assert seen == ["a", "b"] * 3
    assert built == ["a head", "a head"]


def test_both_ways_share_the_pool() -> None:
    """A connection opened past the session serves requests through it, and the other way round."""

    async def handle(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.reply()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            reused = []
            for size in (2, SMALL_BODY + 1, 2):
                response = await transport.send(server.post(b"x" * size))
                while await response.read():
                    pass
                reused.append(response.reused)
            assert (reused, len(server.peers)) == ([False, True, True], 1)
            await transport.aclose()

    run(main())


def test_a_header_cannot_smuggle_a_line() -> None:
    """A line break in the value of a header raises ValueError before anything is sent."""
    seen: list[bytes] = []

    async def handle(peer: Peer) -> None:
        seen.append(await peer.reader.read(1))

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            request = Request("POST", server.post().url, {"X-Name": "a\r\nX-Other: b"}, b"{}")
            with pytest.raises(ValueError, match="header"):
                await transport.send(request)
            await transport.aclose()
        assert seen in ([], [b""])

    run(main())


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/v1", "http://user:word@127.0.0.1/v1", "/v1"])
def test_what_is_not_plain_is_left_to_the_session(url: str) -> None:
    """A URL with another scheme, a user name or no host goes through the session."""
    assert not is_plain(URL(url))


def test_a_connection_that_is_cut_before_the_answer_is_given_up() -> None:
    """A connection that is reset before the response fails the request, and does not return to the pool."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        peer.reset()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            for number in (1, 2):
                with pytest.raises(ConnectionFailed):
                    await transport.send(server.post())
                assert len(server.peers) == number
            await transport.aclose()

    run(main())


INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
BOTH_WAYS = pytest.mark.parametrize("size", [2, SMALL_BODY + 1], ids=["past the session", "through it"])


@BOTH_WAYS
def test_interim_responses_are_passed_over(size: int) -> None:
    """A 100 and a 103 before the response are not taken for it, and the connection is kept."""

    async def handle(peer: Peer) -> None:
        while await peer.request():
            await peer.send(INTERIM)
            await peer.reply(b"done")

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            for _ in range(2):
                response = await transport.send(server.post(b"x" * size))
                assert (response.status, await response.read(), await response.read()) == (200, b"done", b"")
            await transport.aclose()
            assert len(server.peers) == 1

    run(main())


@BOTH_WAYS
def test_another_protocol_is_no_response(size: int) -> None:
    """After a 101 the connection is not used again."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
        await peer.gone()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            for _ in range(2):
                response = await transport.send(server.post(b"x" * size))
                assert response.status == 101
                response.close()
            assert len(server.peers) == 2
            await transport.aclose()

    run(main())
