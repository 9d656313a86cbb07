"""A server on loopback whose every byte a test writes itself, and what tests of the transport do with it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from asyncrouter import ConnectionFailed
from asyncrouter._transport.api import Request
from tests.helpers.planted import KEY

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from asyncrouter._transport.aiohttp import AiohttpTransport
    from asyncrouter._transport.api import Response

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
"""The head of a response whose body follows in chunks (`Peer.chunk`)."""


@dataclass
class Peer:
    """One connection, from the server's side; `number` counts from 1."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> bytes:
        """The next request, whole; raises `IncompleteReadError` when the client is gone."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return head + await self.reader.readexactly(int(lengths[0][15:])) if lengths else head

    async def reply(self, body: bytes = b"hello", status: str = "200 OK", **headers: str) -> None:
        """Send a whole response; underscores in the names of headers become hyphens."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def send(self, data: bytes) -> None:
        """Send these bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def chunk(self, data: bytes) -> None:
        """Send one chunk of a chunked body."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def gone(self) -> None:
        """Return when the client has closed or reset the connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        connection: socket.socket = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass
class Server:
    """A listening server and the connections it has accepted."""

    port: int
    scheme: str = "http"
    peers: list[Peer] = field(default_factory=list)

    def post(
        self, body: bytes = b"{}", *, host: str = "127.0.0.1", connect: float | None = 5.0, ca: str | None = None
    ) -> Request:
        """A POST to this server, with the planted key."""
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        return Request("POST", f"{self.scheme}://{host}:{self.port}/v1", headers, body, connect, None, ca)


@contextlib.asynccontextmanager
async def serving(
    handle: Callable[[Peer], Awaitable[object]], context: ssl.SSLContext | None = None, *,
    address: str = "127.0.0.1", port: int = 0,
) -> AsyncIterator[Server]:
    """A server that runs `handle` for every connection, and closes it after that."""
    running: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        peer = Peer(len(server.peers) + 1, reader, writer)
        server.peers.append(peer)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await handle(peer)
        finally:
            running.discard(task)
            writer.close()

    listener = await asyncio.start_server(accept, address, port, ssl=context)
    server = Server(listener.sockets[0].getsockname()[1], "http" if context is None else "https")
    try:
        yield server
    finally:
        listener.close()
        tasks = tuple(running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for peer in server.peers:
            peer.writer.transport.abort()
        await turns()


def run(main: Coroutine[object, object, None]) -> None:
    """Run to the end and collect garbage: what was left unclosed warns here, in the test that left it."""
    asyncio.run(asyncio.wait_for(main, 20))
    gc.collect()


async def turns(count: int = 10) -> None:
    """Let the event loop run so many turns, so that what is ready happens."""
    for _ in range(count):
        await asyncio.sleep(0)


async def answering(peer: Peer) -> None:
    """Answer every request of a connection with "hello"."""
    while True:
        await peer.request()
        await peer.reply()


async def whole(response: Response) -> bytes:
    """The body of a response, read to its end."""
    parts = []
    while part := await response.read():
        parts.append(part)
    return b"".join(parts)


async def failing(transport: AiohttpTransport, request: Request) -> ConnectionFailed:
    """The error of a request that must fail, before its headers or in its body."""
    with pytest.raises(ConnectionFailed) as caught:
        await whole(await transport.send(request))
    return caught.value


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
