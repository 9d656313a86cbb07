"""How connections are opened and given up: a few at a time, each under its own clock, and dropped at once."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import ClientConnectionError, ClientConnectorError, ClientTimeout, TCPConnector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import ClientRequest
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace
    from yarl import URL

# A TLS handshake is 2–3 ms of CPU: thousands at once hold the loop for seconds, and all of them miss their clock.
AT_ONCE: Final = 32
KEEP_ALIVE: Final = 30.0
NAMES_KEPT: Final = 300
READ: Final = 1 << 16
"""Bytes that are read at most at a time. asyncio's own 256 KiB are allocated for every read and given back, which past
malloc's threshold for maps of their own is a matter of the kernel: up to 15 µs of each token (glibc, mallopt(3))."""
NO_LIMITS: Final = ClientTimeout(ceil_threshold=math.inf)


class Line(NamedTuple):
    """The connection a request was given; `ready` is the loop's time, infinite while it is still being opened."""

    reused: bool
    ready: float


line: ContextVar[Line | None] = ContextVar("line", default=None)
"""What became of the request this task is sending; `None` means a pooled connection was there at once."""


class _Turns:
    """The turns of one host, and how many hold or await one: at zero they are forgotten."""

    __slots__ = ("queue", "users")

    def __init__(self) -> None:
        self.queue = asyncio.Semaphore(AT_ONCE)
        self.users = 0


class Connector(TCPConnector):
    """A pool without a limit that opens at most 32 connections at a time to one host.

    The connect clock is the `sock_connect` of a request's timeout. It covers look-up, TCP, proxy and TLS as a whole,
    fires when it says, and does not run while a request waits for its turn.
    """

    def __init__(self) -> None:
        super().__init__(limit=0, keepalive_timeout=KEEP_ALIVE, ttl_dns_cache=NAMES_KEPT)
        self._turns: dict[tuple[str, int | None], _Turns] = {}

    def forget(self, url: URL) -> None:
        """Drop the idle connections to a host: one was found dead, and a restart or a lost route kills them all."""
        for key in [key for key in self._conns if key.host == url.raw_host and key.port == url.port]:
            for protocol, _ in self._conns.pop(key):
                protocol.abort()

    async def _create_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout
    ) -> ResponseHandler:
        line.set(Line(reused=False, ready=math.inf))
        async with self._turn(req.host, req.port):
            if self.closed:
                raise ClientConnectionError("Connector is closed.")
            protocol = await self._freed(req, traces)
            reused = protocol is not None
            if protocol is None:
                protocol = await self._open(req, traces, timeout.sock_connect)
                _read_less(protocol.transport)
        line.set(Line(reused, self._loop.time()))
        return protocol

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        """A connection from the pool on which nothing has come unasked: it would be taken for the next answer."""
        while (connection := await super()._get(key, traces)) is not None:
            if connection.protocol is not None and not connection.protocol.should_close:
                return connection
            connection.close()
        return None

    async def _freed(self, req: ClientRequest, traces: list[Trace]) -> ResponseHandler | None:
        """A connection that came back to the pool while this request waited for its turn."""
        connection = await self._get(req.connection_key, traces)
        if connection is None:
            return None
        protocol, connection._protocol = connection.protocol, None
        return protocol

    async def _open(self, req: ClientRequest, traces: list[Trace], seconds: float | None) -> ResponseHandler:
        try:
            async with asyncio.timeout(seconds):
                return await super()._create_connection(req, traces, NO_LIMITS)
        except (ClientConnectorError, TimeoutError):
            # The host may have moved: the next request asks for its address again.
            self.clear_dns_cache(req.host, req.port)
            raise

    @asynccontextmanager
    async def _turn(self, host: str, port: int | None) -> AsyncIterator[None]:
        turns = self._turns.get((host, port))
        if turns is None:
            turns = self._turns[host, port] = _Turns()
        turns.users += 1
        try:
            async with turns.queue:
                yield
        finally:
            turns.users -= 1
            if not turns.users:
                del self._turns[host, port]

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        # A graceful close would first flush what the server does not read, and wait 30 s for its TLS goodbye.
        if should_close:
            protocol.abort()
        super()._release(key, protocol, should_close=should_close)


def _read_less(transport: asyncio.Transport | None) -> None:
    """Let a connection of asyncio's, plain or TLS, allocate `READ` bytes a read; one of another loop stays as it is."""
    for reader in (transport, getattr(transport, "_ssl_protocol", None)):
        if reader is not None and hasattr(reader, "max_size"):
            reader.max_size = READ
