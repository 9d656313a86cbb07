"""How connections are opened, kept and closed: a few at a time, each under its own connect timeout.

A pool of aiohttp's without a limit on connections, with these differences:

- At most 32 connections to a host are being opened at a time. A request that waits for one of these connect slots takes
  a connection that comes back to the pool meanwhile, instead of opening another.
- The connect timeout covers name look-up, TCP, proxy and TLS as a whole, and does not run while a request waits for a
  connect slot. When the program has blocked the event loop meanwhile, it is longer by as much.
- A pooled connection on which something came unasked is not used again: it would be taken for the next response.
- There are at most as many connections as the process may have descriptors, less those it needs elsewhere. Beyond that
  idle ones are closed, and then a request fails with `EMFILE`, as it does when the system has none left: whoever sends
  waits and tries again.
- Closing is immediate: what is unsent is dropped, and nobody waits for the other side's goodbye.

State: aiohttp's pool, and for each host that is being connected to a semaphore. Guaranteed: a request that is cancelled
while it waits or connects gives its slot back and leaves no connection.

Names of aiohttp's that begin with an underscore are overridden and used here; they are those of 3.14.
"""

from __future__ import annotations

import asyncio
import errno
import math
import os
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import ClientConnectionError, ClientConnectorError, ClientTimeout, TCPConnector

from asyncrouter._transport.errors import is_local

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import ClientRequest
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace
    from yarl import URL

MAX_CONNECTING: Final = 32
"""Connections to one host that are being opened at a time. A TLS handshake is 2 to 3 ms of CPU: thousands at once would
hold the loop for seconds, and all of them would miss their connect timeout."""
RESERVED_DESCRIPTORS: Final = 64
"""Descriptors that are left for look-ups, files and whatever else the program opens; a quarter of a small limit."""
MIN_CONNECTIONS: Final = 8
"""Connections that are tried for, however few descriptors seem to be left."""
KEEP_ALIVE_SECONDS: Final = 30.0
"""Seconds that an idle connection stays in the pool: servers and load balancers close theirs after a minute or more."""
DNS_SECONDS: Final = 300
"""Seconds that the addresses of a host are remembered, unless connecting to one fails."""
LATE_SECONDS: Final = 0.01
"""Seconds after its instant from which on the connect timeout is late: the event loop was blocked."""
READ_SIZE: Final = 1 << 16
"""Bytes that are read at most at a time. asyncio's own 256 KiB are allocated for every read and given back, which past
malloc's threshold for maps of their own is the kernel's work: up to 15 µs of each token (glibc, mallopt(3))."""
NO_TIMEOUT: Final = ClientTimeout(ceil_threshold=math.inf)
"""No timeout of aiohttp's; it would round those above five seconds up to whole ones."""


class ConnectionInfo(NamedTuple):
    """The connection a request was given.

    `reused`: it came from the pool. `ready`: the loop's time at which it was, infinite while it is being opened.
    """

    reused: bool
    ready: float


connection_info: ContextVar[ConnectionInfo | None] = ContextVar("connection_info", default=None)
"""The connection of the request that this task is sending; `None` means that one was in the pool at once."""


class _ConnectSlots:
    """The connect slots of one host, and how many requests hold or await one: at zero they are forgotten."""

    __slots__ = ("free", "users")

    def __init__(self) -> None:
        self.free = asyncio.Semaphore(MAX_CONNECTING)
        self.users = 0


class Connector(TCPConnector):
    """The pool. The connect timeout is the `sock_connect` of a request's `ClientTimeout`."""

    def __init__(self) -> None:
        super().__init__(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS, ttl_dns_cache=DNS_SECONDS)
        self._connect_slots: dict[tuple[str, int | None], _ConnectSlots] = {}
        self._max_connections = max_connections()

    def forget(self, url: URL) -> None:
        """Drop the idle connections to a host: one was found dead, and a restart or a lost route kills them all."""
        for key in [key for key in self._conns if key.host == url.raw_host and key.port == url.port]:
            for protocol, _ in self._conns.pop(key):
                protocol.abort()

    async def _create_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout
    ) -> ResponseHandler:
        """Wait for a connect slot, then take a connection from the pool or open one."""
        connection_info.set(ConnectionInfo(reused=False, ready=math.inf))
        self._make_room()
        async with self._connect_slot(req.host, req.port):
            if self.closed:
                raise ClientConnectionError("Connector is closed.")
            protocol = await self._freed(req, traces)
            reused = protocol is not None
            if protocol is None:
                protocol = await self._open(req, traces, timeout.sock_connect)
                _limit_read_size(protocol.transport)
        connection_info.set(ConnectionInfo(reused, self._loop.time()))
        return protocol

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        """A connection from the pool on which nothing has come unasked."""
        while (connection := await super()._get(key, traces)) is not None:
            if connection.protocol is not None and not connection.protocol.should_close:
                return connection
            connection.close()
        return None

    async def _freed(self, req: ClientRequest, traces: list[Trace]) -> ResponseHandler | None:
        """A connection that came back to the pool while this request waited for a connect slot."""
        connection = await self._get(req.connection_key, traces)
        if connection is None:
            return None
        protocol, connection._protocol = connection.protocol, None
        return protocol

    async def _open(self, req: ClientRequest, traces: list[Trace], seconds: float | None) -> ResponseHandler:
        """Open a connection within so many seconds (`None` = no limit)."""
        try:
            async with _connect_timeout(seconds):
                return await super()._create_connection(req, traces, NO_TIMEOUT)
        except (ClientConnectorError, TimeoutError) as error:
            if is_local(getattr(error, "os_error", error)):
                self._close_idle(math.inf)
                raise
            # The host may have moved: the next request asks for its address again.
            self.clear_dns_cache(req.host, req.port)
            raise

    def _make_room(self) -> None:
        """Close as many idle connections as another one needs descriptors. Raises `OSError`: too many are busy."""
        if len(self._acquired) > self._max_connections:  # this request's own is among them
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        idle = sum(map(len, self._conns.values()))
        self._close_idle(len(self._acquired) + idle - self._max_connections)

    def _close_idle(self, count: float) -> None:
        """Close so many idle connections, if there are."""
        while count > 0 and self._conns:
            key, idle = next(iter(self._conns.items()))
            protocol, _ = idle.popleft()
            if not idle:
                del self._conns[key]
            protocol.abort()
            count -= 1

    @asynccontextmanager
    async def _connect_slot(self, host: str, port: int | None) -> AsyncIterator[None]:
        slots = self._connect_slots.get((host, port))
        if slots is None:
            slots = self._connect_slots[host, port] = _ConnectSlots()
        slots.users += 1
        try:
            async with slots.free:
                yield
        finally:
            slots.users -= 1
            if not slots.users:
                del self._connect_slots[host, port]

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        """Give a connection back to the pool, or close it at once."""
        # A graceful close would first flush what the server does not read, and wait 30 s for its TLS goodbye.
        if should_close:
            protocol.abort()
        super()._release(key, protocol, should_close=should_close)


def max_connections() -> float:
    """How many connections this process may have: its limit of descriptors, less those in use and a reserve."""
    if resource is None:
        return math.inf
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return math.inf
    try:
        used = len(os.listdir("/dev/fd"))
    except OSError:
        used = 0
    return max(limit - used - min(RESERVED_DESCRIPTORS, limit // 4), MIN_CONNECTIONS)


@asynccontextmanager
async def _connect_timeout(seconds: float | None) -> AsyncIterator[None]:
    """`asyncio.timeout(seconds)`, once longer by the time that the event loop was blocked when it was due.

    A peer has often done its part by then, and a handshake takes several turns: looking once would not be enough.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        timer: asyncio.TimerHandle | None = None

        def due(when: float, *, again: bool) -> None:
            nonlocal timer
            now = loop.time()
            if again and now - when > LATE_SECONDS:
                timer = loop.call_at(now + min(now - when, seconds or 0.0), partial(due, when, again=False))
            else:
                limit.reschedule(now)

        if seconds is not None:
            when = loop.time() + seconds
            timer = loop.call_at(when, partial(due, when, again=True))
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()


def _limit_read_size(transport: asyncio.Transport | None) -> None:
    """Let a connection of asyncio's, plain or TLS, allocate `READ_SIZE` bytes a read; another loop's stays as it is."""
    for reader in (transport, getattr(transport, "_ssl_protocol", None)):
        if reader is not None and hasattr(reader, "max_size"):
            reader.max_size = READ_SIZE
