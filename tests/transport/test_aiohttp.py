"""What `AiohttpTransport` sends and hands over, over which session and proxy, and how it is closed."""

from __future__ import annotations

import asyncio
import base64
import gc
import gzip
from urllib.parse import unquote

import aiohttp
import pytest

from asyncrouter._errors import ConnectionFailed
from asyncrouter._transport.aiohttp import AiohttpTransport
from asyncrouter._transport.api import Request
from tests.helpers.loopback import CHUNKED, Peer, Server, answering, failing, free_port, run, serving, turns, whole
from tests.helpers.planted import KEY

# ── requests and responses ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_is_sent_as_it_is() -> None:
    """Nothing is added to the headers of a request but Host and Content-Length."""
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
            assert seen == [head.encode() + b'Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}']
            await transport.aclose()

    run(main())


def test_a_get_has_no_body() -> None:
    """A request with an empty body is sent without a body and without Content-Length."""
    seen = []

    async def handle(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.reply()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            await whole(await transport.send(Request("GET", server.post().url, {}, b"")))
            assert seen == [f"GET /v1 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()]
            await transport.aclose()

    run(main())


def test_a_large_body_arrives_without_a_warning() -> None:
    """A body of 3 MB, as of a prompt with images, is sent whole and without a warning of aiohttp's."""
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
    """A compressed body is handed over as plain bytes."""

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
    """A 302 is handed over like any other response, and its Location is not followed."""

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


# ── opening and closing ───────────────────────────────────────────────────────────────────────────────────────────────


def test_aclose_ends_everything_and_a_later_send_begins_anew() -> None:
    """Closing fails pending sends and reads, closing twice does nothing, and the transport may be used again."""

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
    """A transport that is never closed causes one `ResourceWarning`, which says what to write."""

    async def forget() -> None:
        await failing(AiohttpTransport(), Server(free_port()).post())
        await turns()
        gc.collect()

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        with pytest.warns(ResourceWarning, match="a router was not closed"):
            await forget()

    run(main())


def test_a_second_loop_is_an_error_while_the_first_lives() -> None:
    """A transport cannot be used on a second loop before it is closed on the first, and can after that."""
    transport = AiohttpTransport()
    request = Server(free_port()).post()
    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(failing(transport, request))
        with pytest.raises(RuntimeError, match="another event loop"):
            second.run(transport.send(request))
        first.run(transport.aclose())
        second.run(failing(transport, request))
        second.run(transport.aclose())


def test_a_given_session_is_used_and_left_open() -> None:
    """A session that the caller gives carries the requests, and closing the transport leaves it open."""

    async def main() -> None:
        async with aiohttp.ClientSession(raise_for_status=True) as session, serving(answering) as server:
            transport = AiohttpTransport(session=session)
            response = await transport.send(server.post())
            assert (await whole(response), response.reused) == (b"hello", False)
            await transport.aclose()
            assert not session.closed
            assert await whole(await transport.send(server.post())) == b"hello"

    run(main())


def test_with_a_given_session_a_pending_send_fails_when_closed() -> None:
    """A response whose headers come after `aclose()`, over a session that lives on, is closed, and its send fails."""
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


# ── proxies ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_proxy_is_asked() -> None:
    """A request goes to the transport's proxy, or to its own if it names one."""
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


@pytest.mark.parametrize("own", [False, True], ids=["our session", "the caller's session"])
@pytest.mark.parametrize("login", ["user:pass%40word", "user", "us%C3%A9r:p%C3%A4ss", ":p"])
def test_a_proxy_gets_its_password(login: str, own: bool) -> None:
    """A proxy gets user and password of its URL (RFC 7617): with the request if that is plain, else with its own.

    The connection that aiohttp keeps has an address without them.
    """
    seen = []

    async def handle(peer: Peer) -> None:
        head = (await peer.request()).split(b"\r\n\r\n")[0].split(b"\r\n")
        seen.append([head[0].split()[0], *(line for line in head if line.lower().startswith(b"proxy-auth"))])
        await peer.reply(status="403 No" if head[0].startswith(b"CONNECT") else "200 OK")

    async def main() -> None:
        async with serving(handle) as proxy, aiohttp.ClientSession() as session:
            transport = AiohttpTransport(
                proxy=f"http://{login}@127.0.0.1:{proxy.port}", session=session if own else None
            )
            await whole(await transport.send(Request("POST", "http://models.invalid/v1", {"X-A": "b"}, b"{}")))
            await failing(transport, Request("POST", "https://models.invalid/v1", {"X-A": "b"}, b"{}"))
            used = session if own else transport._session
            assert used is not None
            assert used.connector is not None
            keys = list(used.connector._conns)  # type: ignore[attr-defined]
            assert [(str(key.proxy), key.proxy_auth) for key in keys] == [(f"http://127.0.0.1:{proxy.port}", None)]
            await transport.aclose()

    run(main())
    pair = unquote(login) if ":" in login else f"{login}:"
    line = b"Proxy-Authorization: Basic " + base64.b64encode(pair.encode())
    assert seen == [[b"POST", line], [b"CONNECT", line]]


def test_a_proxy_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `trust_env` HTTP_PROXY and NO_PROXY are used; without it they are not."""
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
    """A proxy that answers 407 fails the request for good."""

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
