"""How connections are opened, kept and closed: a few at a time, each under its own connect timeout.

A pool of aiohttp's without a limit on connections, with these differences:

- At most 32 connections to a host are being opened at a time. A request that waits for one of these connect slots takes
  a connection that comes back to the pool meanwhile, instead of opening another.
- The connect timeout covers name look-up, TCP, proxy and TLS as a whole, and does not run while a request waits for a
  connect slot. When the program has blocked the event loop meanwhile, it is longer by as much.
- A pooled connection on which something came unasked is not used again: it would be taken for the next response.
- Nor is one that is older than two minutes, or whose address its host's name no longer has. Names that are in use are
  looked up again every ten seconds, beside the requests, and after an error before the next request (`names.py`).
- Idle and silent connections are probed, so that a NAT does not forget them (`keep_alive.py`).
- There are at most as many connections as the process may have descriptors, less those it needs elsewhere. Beyond that
  idle ones are closed, and then a request fails with `EMFILE`, as it does when the system has none left: whoever sends
  waits and tries again.
- Closing is immediate: what is unsent is dropped, and nobody waits for the other side's goodbye.

State: aiohttp's pool, and for each host that is being connected to a semaphore. Guaranteed: a request that is cancelled
while it waits or connects gives its slot back and leaves no connection.

Names of aiohttp's that begin with an underscore are overridden and used here; they are those of 3.14 and 3.15. With any
other version `make_connector` gives a pool of aiohttp's own, with what can be set from outside: no limit, probes, and
names that are looked up after 30 s.
"""

from __future__ import annotations

import asyncio
import errno
import math
import os
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import ClientConnectionError, ClientConnectorError, ClientTimeout, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from asyncrouter._transport import aiohttp_version
from asyncrouter._transport.connect_timeout import connect_timeout
from asyncrouter._transport.errors import is_local
from asyncrouter._transport.keep_alive import open_socket
from asyncrouter._transport.names import Names

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import ClientRequest
    from aiohttp.abc import ResolveResult
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.tracing import Trace
    from yarl import URL

    from asyncrouter._transport.names import Key

MAX_CONNECTING: Final = 32
"""Connections to one host that are being opened at a time. A TLS handshake is 2 to 3 ms of CPU: thousands at once would
hold the loop for seconds, and all of them would miss their connect timeout."""
RESERVED_DESCRIPTORS: Final = 64
"""Descriptors that are left for look-ups, files and whatever else the program opens; a quarter of a small limit."""
MIN_CONNECTIONS: Final = 8
"""Connections that are tried for, however few descriptors seem to be left."""
KEEP_ALIVE_SECONDS: Final = 30.0
"""Seconds that an idle connection stays in the pool: servers and load balancers close theirs after a minute or more."""
MAX_AGE_SECONDS: Final = 120.0
"""Seconds after which a connection takes no further request, however busy it is: load balancers that drain, and routes
that have moved, must come to an end. A handshake every two minutes costs nothing that shows."""
MIN_AGE_SHARE: Final = 0.5
"""The shortest age as a share of the longest: connections that were opened together are not all replaced at once."""
DNS_SECONDS: Final = 30
"""Seconds for which new connections use the addresses of a host, unless connecting to one fails."""
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


class _Opened(NamedTuple):
    """When a connection retires, by the monotonic clock, and which address of which name it goes to, if known."""

    until: float
    name: Key | None
    address: str


class _Protocol(ResponseHandler):
    """One connection, and what is known of its opening; `None` until it is open."""

    opened: _Opened | None = None


class Connector(TCPConnector):
    """The pool. The connect timeout is the `sock_connect` of a request's `ClientTimeout`."""

    def __init__(self) -> None:
        self._names = Names()
        super().__init__(
            limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS, ttl_dns_cache=DNS_SECONDS, resolver=self._names,
            socket_factory=open_socket,
        )
        self._connect_slots: dict[tuple[str, int | None], _ConnectSlots] = {}
        self._max_connections = max_connections()
        protocol: type[ResponseHandler] = _Protocol
        self._factory = partial(protocol, loop=self._loop)
        self._count = 0

    def forget(self, url: URL) -> None:
        """Drop the idle connections to a host: one was found dead, and a restart or a lost route kills them all."""
        if url.raw_host is not None and url.port is not None:
            self._forget_name((url.raw_host, url.port))
        for key in [key for key in self._conns if key.host == url.raw_host and key.port == url.port]:
            for protocol, _ in self._conns.pop(key):
                protocol.abort()

    def doubt(self, url: URL) -> None:
        """Note that a host has answered with an error of its own: its name is looked up again soon."""
        if url.raw_host is not None and url.port is not None:
            self._names.doubt((url.raw_host, url.port))

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all connections, and the resolver."""
        await super().close(abort_ssl=abort_ssl)
        await self._names.close()

    async def _create_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout
    ) -> ResponseHandler:
        """Wait for a connect slot, then take a connection from the pool or open one."""
        connection_info.set(ConnectionInfo(reused=False, ready=math.inf))
        self._make_room()
        async with self._connect_slot(req.host, req.port):
            if self.closed:
                raise ClientConnectionError("Connector is closed.")
            protocol = await self._idle(req.connection_key)  # one that has come back while this request waited
            reused = protocol is not None
            if protocol is None:
                protocol = await self._open(req, traces, timeout.sock_connect)
                _limit_read_size(protocol.transport)
                self._note(req.connection_key, protocol)
        connection_info.set(ConnectionInfo(reused, self._loop.time()))
        return protocol

    async def take(self, template: ClientRequest, key: ConnectionKey, timeout: ClientTimeout) -> ResponseHandler:
        """A connection for one request like `template`, from the pool or a new one; `_release()` gives it back."""
        if (idle := await self._idle(key)) is not None:
            return idle
        connection = await self.connect(template, [], timeout)
        protocol, connection._protocol = connection._protocol, None  # else it would be closed with `connection`
        assert protocol is not None
        return protocol

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        """The same from the pool alone, for aiohttp's session."""
        protocol = await self._idle(key)
        return None if protocol is None else Connection(self, key, protocol, self._loop)

    async def _idle(self, key: ConnectionKey) -> ResponseHandler | None:
        """A connection from the pool that still goes to its host, and on which nothing has come unasked."""
        # Nearly every request comes by here, and finds that no name is due.
        now = monotonic()
        if now >= self._names.next_due and (name := _name_of(key)) is not None and self._names.is_due(name):
            looking = self._look_up_again(name)
            if self._names.is_doubted(name):  # or a breaker's only request for many seconds would go to the old address
                await asyncio.shield(looking)
        idle = self._conns.get(key)
        while idle:
            protocol, since = idle.popleft()
            if not idle:
                del self._conns[key]
            if (
                protocol.is_connected() and not protocol.should_close and now - since <= KEEP_ALIVE_SECONDS
                and self._may_serve(protocol, now)
            ):
                self._acquired.add(protocol)
                return protocol
            protocol.abort()
        return None

    def _note(self, key: ConnectionKey, protocol: ResponseHandler) -> None:
        """Remember when a new connection retires, and which address it goes to."""
        # Multiples of the golden ratio are spread evenly, in whichever order connections are opened (Weyl).
        self._count += 1
        share = MIN_AGE_SHARE + (1 - MIN_AGE_SHARE) * (self._count * 0.6180339887 % 1.0)
        name, peer = _name_of(key), protocol.transport and protocol.transport.get_extra_info("peername")
        address = peer[0] if isinstance(peer, tuple) else ""
        known = name is not None and self._names.has(name, address)  # an address in a URL has no name
        if isinstance(protocol, _Protocol):
            protocol.opened = _Opened(
                monotonic() + MAX_AGE_SECONDS * share, name if known else None, address
            )

    def _may_serve(self, protocol: ResponseHandler, now: float) -> bool:
        """Whether a connection is young enough, and goes to an address that its host's name still has."""
        opened = protocol.opened if isinstance(protocol, _Protocol) else None
        if opened is None:
            return True
        current = opened.name is None or self._names.has(opened.name, opened.address)
        return current and now < opened.until

    def _look_up_again(self, name: Key) -> asyncio.Task[list[ResolveResult]]:
        """Look a name up while requests go on with what is known of it."""
        task = self._loop.create_task(self._refresh(*name))
        self._resolve_host_tasks.add(task)  # closing cancels these, and waits for them
        task.add_done_callback(self._resolve_host_tasks.discard)
        return task

    async def _refresh(self, host: str, port: int) -> list[ResolveResult]:
        try:
            found = await self._names.resolve(host, port, self._family)
        except (OSError, ClientConnectionError):  # it is tried again when it is due the next time
            return []
        self._cached_hosts.add((host, port), found)
        return found

    def _forget_name(self, name: Key | None) -> None:
        if name is not None:
            self._names.forget(name)
            if name in self._cached_hosts:  # not removed: whoever has waited for a look-up reads it a turn later
                self._cached_hosts._timestamps[name] = -math.inf

    async def _open(self, req: ClientRequest, traces: list[Trace], seconds: float | None) -> ResponseHandler:
        """Open a connection within so many seconds (`None` = no limit)."""
        try:
            async with connect_timeout(seconds):
                return await super()._create_connection(req, traces, NO_TIMEOUT)
        except (ClientConnectorError, TimeoutError) as error:
            if is_local(getattr(error, "os_error", error)):
                self._close_idle(math.inf)
                raise
            # The host may have moved: the next request asks for its address again.
            self._forget_name(_name_of(req.connection_key))
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


def make_connector() -> TCPConnector:
    """A `Connector`; with a version of aiohttp whose inner parts are not known, a pool of aiohttp's own."""
    if aiohttp_version.KNOWN:
        return Connector()
    return TCPConnector(
        limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS, ttl_dns_cache=DNS_SECONDS, socket_factory=open_socket
    )


def _name_of(key: ConnectionKey) -> Key | None:
    """The host and port that a connection is made to: the proxy's, if there is one."""
    host, port = (key.host, key.port) if key.proxy is None else (key.proxy.raw_host, key.proxy.port)
    return None if host is None or port is None else (host, port)


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


def _limit_read_size(transport: asyncio.Transport | None) -> None:
    """Let a connection of asyncio's, plain or TLS, allocate `READ_SIZE` bytes a read; another loop's stays as it is."""
    for reader in (transport, getattr(transport, "_ssl_protocol", None)):
        if reader is not None and hasattr(reader, "max_size"):
            reader.max_size = READ_SIZE
