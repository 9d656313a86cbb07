"""TLS: whose certificates are trusted, how failures are told, and what a closed or batched read does over it."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
import trustme

from asyncrouter._transport.aiohttp import AiohttpTransport
from tests.helpers.blocking import block
from tests.helpers.loopback import CHUNKED, Server, answering, failing, run, serving, turns

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter._transport.api import Request
    from tests.helpers.loopback import Peer


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority of our own."""
    return trustme.CA()


@pytest.fixture(scope="module")
def context(authority: trustme.CA) -> ssl.SSLContext:
    """The TLS context of a server for localhost, signed by our authority."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(made)
    return made


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> str:
    """The path of a bundle that trusts our authority."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def test_a_request_names_its_authority(context: ssl.SSLContext, ca: str) -> None:
    """A request that names a bundle trusts it, and its connection is pooled like any other."""

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(answering, context) as server:
            for reused in (False, True):
                response = await transport.send(server.post(host="localhost", ca=ca))
                assert (response.reused, await response.read(), await response.read()) == (reused, b"hello", b"")
            await transport.aclose()

    run(main())


@pytest.mark.parametrize("secure", [False, True])
def test_a_read_allocates_little(secure: bool, context: ssl.SSLContext, ca: str) -> None:
    """A connection reads 64 KiB at a time, plain or TLS, and not asyncio's 256 KiB."""

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(answering, context if secure else None) as server:
            response = await transport.send(server.post(host="localhost", ca=ca) if secure else server.post())
            while await response.read():
                pass
            [[(protocol, _)]] = transport._session.connector._conns.values()
            reader = protocol.transport._ssl_protocol if secure else protocol.transport
            assert reader.max_size == 1 << 16
            await transport.aclose()

    run(main())


def test_the_transport_takes_a_context(context: ssl.SSLContext, authority: trustme.CA) -> None:
    """The transport's `ssl` is used for every request that names no bundle."""
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    async def main() -> None:
        async with serving(answering, context) as server:
            for ours in (trusting, False):
                transport = AiohttpTransport(ssl=ours)
                response = await transport.send(server.post(host="localhost"))
                assert await response.read() == b"hello"
                await transport.aclose()

    run(main())


def test_a_certificate_of_an_unknown_issuer_is_final(context: ssl.SSLContext) -> None:
    """A certificate of an unknown issuer fails for good, and the message says which setting would trust it."""

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(answering, context) as server:
            error = await failing(transport, server.post(host="localhost"))
            assert error.message == (
                f"the certificate of localhost:{server.port} is not trusted: unable to get local issuer certificate; "
                'set ca = "bundle.pem"'
            )
            assert error.again == "never"
            await transport.aclose()

    run(main())


def test_a_certificate_for_another_name_is_final(context: ssl.SSLContext, ca: str) -> None:
    """A certificate for another host fails for good."""

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(answering, context) as server:
            error = await failing(transport, server.post(ca=ca))
            told = f"the certificate of 127.0.0.1:{server.port} is not trusted: IP address mismatch"
            assert error.message.startswith(told)
            assert "set ca" not in error.message
            assert error.again == "never"
            await transport.aclose()

    run(main())


@pytest.mark.parametrize("text", [None, ""])
def test_a_bundle_that_cannot_be_read_is_final(text: str | None, tmp_path: Path) -> None:
    """A bundle that is missing or empty fails for good, with its path in the message."""
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)

    async def main() -> None:
        transport = AiohttpTransport()
        error = await failing(transport, Server(443, "https").post(ca=str(path)))
        assert error.message.startswith(f"ca: {path}: ")
        assert error.again == "never"
        await transport.aclose()

    run(main())


def test_a_server_that_speaks_no_tls(ca: str) -> None:
    """A server that speaks no TLS fails the handshake, and another try may follow."""

    async def handle(peer: Peer) -> None:
        await peer.reader.read(1)
        await peer.reply(status="400 Bad Request")

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle) as server:
            server.scheme = "https"
            error = await failing(transport, server.post(ca=ca))
            assert error.message.startswith(f"TLS with 127.0.0.1:{server.port} failed: ")
            assert error.again == "quick"
            await transport.aclose()

    run(main())


def test_a_rest_takes_all_at_once_over_tls(context: ssl.SSLContext, ca: str) -> None:
    """A read with a rest returns all that came meanwhile over TLS too."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        for piece in (b"a", b"b", b"c"):
            await resting.wait()
            await peer.chunk(piece)
        await peer.gone()

    resting = asyncio.Event()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle, context) as server:
            response = await transport.send(server.post(host="localhost", ca=ca))
            resting.set()
            assert await response.read(0.05) == b"abc"
            response.close()
            await transport.aclose()

    run(main())


def test_a_closed_response_waits_for_no_goodbye(context: ssl.SSLContext, ca: str) -> None:
    """Closing a response closes its TLS connection at once, though the server has stopped reading."""

    async def handle(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED)
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport that reads as well
        await asyncio.Event().wait()

    async def main() -> None:
        transport = AiohttpTransport()
        async with serving(handle, context) as server:
            response = await transport.send(server.post(host="localhost", ca=ca))
            connection = response._response.connection  # type: ignore[attr-defined]  # what it wraps
            raw = connection.transport.get_extra_info("socket")
            response.close()
            await transport.aclose()
            assert raw.fileno() == -1

    run(main())


# A server in a process of its own, on the other core: it answers each request a second after it came.
_SLOW_SERVER = """
import asyncio, ssl, sys

class Answer(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        for _ in range(data.count(b"POST ")):
            asyncio.get_running_loop().call_later(1.0, self.answer)
    def answer(self):
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")

async def main():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(sys.argv[1])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answer, "127.0.0.1", 0, ssl=context, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


def test_two_thousand_calls_at_once_over_tls(authority: trustme.CA, ca: str, tmp_path: Path) -> None:
    """None of 2,000 calls exceeds a connect timeout of 5 s, and the loop is never blocked for more than 0.5 s.

    It takes seconds because a thousand handshakes do: opened all at once they would hold the loop for as long.
    """
    pem = tmp_path / "server.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(pem)
    stalls = []

    async def watch() -> None:
        last = time.thread_time()  # not the clock's: others may be busy on this machine
        while True:
            await asyncio.sleep(0.01)
            stalls.append(time.thread_time() - last)
            last = time.thread_time()

    async def one(transport: AiohttpTransport, request: Request) -> bytes:
        response = await transport.send(request)
        return await response.read()

    async def main(port: int) -> None:
        transport = AiohttpTransport()
        request = Server(port, "https").post(host="localhost", ca=ca)
        watching = asyncio.ensure_future(watch())
        answers = await asyncio.gather(*(one(transport, request) for _ in range(2000)))
        watching.cancel()
        assert answers == [b"ok"] * 2000
        await transport.aclose()

    with subprocess.Popen([sys.executable, "-c", _SLOW_SERVER, str(pem)], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            run(main(int(server.stdout.readline())))
        finally:
            server.kill()
    assert max(stalls) < 0.5


def test_a_blocked_loop_does_not_spend_the_connect_timeout(context: ssl.SSLContext, ca: str) -> None:
    """A connection that is being opened while the program blocks the loop has as much time more, TLS included."""
    ready, over = threading.Event(), threading.Event()
    found: list[Server] = []

    async def serve() -> None:
        async with serving(answering, context) as server:
            found.append(server)
            ready.set()
            await asyncio.to_thread(over.wait)

    async def main() -> None:
        transport = AiohttpTransport()
        sending = asyncio.ensure_future(transport.send(found[0].post(host="localhost", ca=ca, connect=0.3)))
        await turns(5)
        block(asyncio.get_running_loop().time(), 0.5)
        assert await (await sending).read() == b"hello"
        await transport.aclose()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(5.0)
        run(main())
    finally:
        over.set()
        thread.join()
