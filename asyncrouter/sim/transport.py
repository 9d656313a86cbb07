"""The in-process front of a world: a `Transport` without sockets, whose instants are exact under the virtual clock.

Nothing runs between two calls: what has come of a response is worked out when it is read, from the plan that the world
made when the request began. A read that finds nothing waits for the instant of the next bytes, or for `close`.
"""

from __future__ import annotations

import asyncio
import math
import zlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from asyncrouter import AttemptTimeout, ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter import Request
    from asyncrouter.sim._bodies import TimedBytes
    from asyncrouter.sim._request_log import LoggedRequest
    from asyncrouter.sim._world_api import WorldApi
    from asyncrouter.sim.play import Play

MAX_READ = 1 << 20
"""Bytes that one read takes before it returns, so that a body without end does not fill the memory."""
KEEP_ALIVE = 30.0
"""Seconds for which an idle connection stays in the pool: less than usual servers keep it (nginx: 75)."""
GZIP = 31
"""The window bits that make zlib read gzip (zlib manual, `inflateInit2`)."""
_MESSAGES = {
    "refuse": "connection refused",
    "dns": "name not resolved",
    "tls": "TLS handshake failed",
    "certificate": "certificate verify failed",
    "cut": "connection closed early",
    "reset": "connection reset by peer",
}
"""The messages of lost connections, by fault."""


class SimTransport:
    """Carries requests to a world. Instants are those of the running event loop.

    Without a `pool` each request has a new connection. With one, a connection whose response was read to its end is
    kept, and carries the next request to its host without any time to connect. When such a connection fails before the
    headers, the request is sent once more on a new one; `resends` counts these.
    """

    def __init__(self, world: WorldApi, *, pool: bool = False) -> None:
        self.resends: int = 0
        self._world = world
        self._open: dict[SimResponse, None] = {}  # a dict for its order, so that one seed closes in one order
        self._sending: dict[LoggedRequest, asyncio.Future[None] | None] = {}  # what each waits for
        self._idle: dict[str, list[float]] | None = {} if pool else None  # by host: idle since, the newest last

    async def send(self, request: Request) -> SimResponse:
        """Send a request, and return with the response's headers.

        Raises `ConnectionFailed`, or `AttemptTimeout("connect")` after `request.connect` seconds.
        """
        loop = asyncio.get_running_loop()
        if self._take_idle(request.url, loop.time()):
            try:
                return await self._send(loop, request, reused=True)
            except ConnectionFailed:
                if self._idle is None:
                    raise
                self._idle.pop(_host(request.url), None)
                self.resends += 1
        return await self._send(loop, request)

    async def _send(self, loop: asyncio.AbstractEventLoop, request: Request, *, reused: bool = False) -> SimResponse:
        logged, play = self._world.begin(
            request.url, request.headers, request.body, loop.time(), request.method
        )
        if reused:
            play.connect = 0.0
        self._sending[logged] = None
        try:
            await self._connect(loop, logged, play, request.connect)
            response = SimResponse(self, loop, logged, play)
            response.reused = reused
            await self._wait_until(loop, logged, response.connected_at + play.headers_at)
            if play.headers_fault is not None:
                raise _connection_failed(play.headers_fault)
        except ConnectionFailed:
            self._world.end(logged, loop.time())
            raise
        except BaseException:
            self._world.end(logged, loop.time(), gone=True)
            raise
        finally:
            self._sending.pop(logged, None)
        logged.status = play.status
        self._open[response] = None
        return response

    async def aclose(self) -> None:
        """Close every connection; a `send` or a `read` that waits raises `ConnectionFailed`. Idempotent."""
        now = asyncio.get_running_loop().time()
        for logged, waiter in self._sending.items():
            self._world.end(logged, now, gone=True)
            if waiter is not None:
                _wake(waiter)
        self._sending.clear()
        for response in list(self._open):
            response.close()

    def ended(self, response: SimResponse, request: LoggedRequest, at: float, *, gone: bool, whole: bool) -> None:
        """Forget a response that is over; if it came whole, its connection goes into the pool."""
        self._open.pop(response, None)
        self._world.end(request, at, gone=gone)
        if whole and self._idle is not None:
            self._idle.setdefault(_host(request.url), []).append(at)

    def _take_idle(self, url: str, now: float) -> bool:
        """Take the newest connection to this host from the pool; whether there is one that is still open."""
        idle = self._idle.get(_host(url)) if self._idle else None
        return idle is not None and idle != [] and idle.pop() + KEEP_ALIVE > now

    async def _connect(
        self, loop: asyncio.AbstractEventLoop, logged: LoggedRequest, play: Play, limit: float | None
    ) -> None:
        if limit is not None and play.connect > limit:
            await self._wait_until(loop, logged, logged.at + limit)
            raise AttemptTimeout("connect")
        if play.connect > 0.0 or play.connect_fault is not None:  # else waiting for the headers yields to the loop
            await self._wait_until(loop, logged, logged.at + play.connect)
        if play.connect_fault is not None:
            raise _connection_failed(play.connect_fault)
        logged.connected = loop.time()

    async def _wait_until(self, loop: asyncio.AbstractEventLoop, logged: LoggedRequest, at: float) -> None:
        """Wait until this instant, `inf` for ever; yields to the event loop once if it has come already.

        Raises `ConnectionFailed` when the transport was closed meanwhile.
        """
        if at <= loop.time():
            await asyncio.sleep(0)
        else:
            self._sending[logged] = waiter = loop.create_future()
            await _woken_at(loop, waiter, at)
        if logged not in self._sending:
            raise ConnectionFailed("closed while sending")


class SimResponse:
    """A response of the world, see `asyncrouter.Response`."""

    def __init__(
        self, transport: SimTransport, loop: asyncio.AbstractEventLoop, request: LoggedRequest, play: Play
    ) -> None:
        self.status: int = play.status
        self.headers: Mapping[str, str] = play.headers
        self.connected_at: float = request.connected if request.connected is not None else request.at
        self.reused = False
        self._transport = transport
        self._loop = loop
        self._request = request
        self._body = play.body
        self._separate_pieces = play.separate_pieces
        self._next: TimedBytes | None = next(play.body, None)
        self._unzip = zlib.decompressobj(GZIP) if self.headers.get("content-encoding") == "gzip" else None
        self._waiter: asyncio.Future[None] | None = None
        self._over = False
        self._failure: ConnectionFailed | None = None

    def __repr__(self) -> str:
        return f"<SimResponse {self.status} of {self._request!r}>"

    async def read(self, rest: float = 0.0) -> bytes:
        """Wait `rest` seconds, then return all that has come, after waiting for the first byte if nothing has.

        b"" is the end. Raises `ConnectionFailed` when the connection is lost, and when it is closed while reading.
        """
        if rest > 0 and not self._over and not self._is_at_end(self._loop.time()):
            await self._wait_until(self._loop.time() + rest)
        while not self._over:
            if data := self._take(self._loop.time(), one_piece=self._separate_pieces and rest == 0.0):
                return data
            if not self._over:
                await self._wait_until(math.inf if self._next is None else self.connected_at + self._next.at)
        if self._failure is not None:
            raise self._failure
        return b""

    def close(self) -> None:
        """Give up the connection at once; a pending read raises `ConnectionFailed`. Idempotent."""
        if self._over:
            return
        now = self._loop.time()
        self._take(now)  # the world has sent what came and was not read
        if not self._over:
            self._finish(None, gone=not self._is_at_end(now))
        self._failure = ConnectionFailed("closed while reading")
        if self._waiter is not None:
            _wake(self._waiter)

    def _is_at_end(self, now: float) -> bool:
        """Whether everything was read, and the orderly end has come too."""
        return (last := self._next) is not None and last.ending == "end" and self.connected_at + last.at <= now

    def _take(self, now: float, *, one_piece: bool = False) -> bytes:
        """What has come by now and was not taken yet; `one_piece`: only its first piece.

        If the next thing is an ending, the response is over.
        """
        taken: list[bytes] = []
        size = 0
        while (part := self._next) is not None and size < MAX_READ and self.connected_at + part.at <= now:
            if part.ending is not None:
                if not taken:
                    self._finish(None if part.ending == "end" else _connection_failed(part.ending), gone=False)
                break
            data = part.data if self._unzip is None else self._unzip.decompress(part.data)
            taken.append(data)
            size += len(data)
            self._request.contents += part.contents
            self._next = next(self._body, None)
            if one_piece and data:
                break
        return b"".join(taken)

    def _finish(self, failure: ConnectionFailed | None, *, gone: bool) -> None:
        self._over, self._failure = True, failure
        whole = failure is None and not gone
        self._transport.ended(self, self._request, self._loop.time(), gone=gone, whole=whole)

    async def _wait_until(self, at: float) -> None:
        """Wait until this instant, or until closed."""
        self._waiter = self._loop.create_future()
        try:
            await _woken_at(self._loop, self._waiter, at)
        finally:
            self._waiter = None


async def _woken_at(loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[None], at: float) -> None:
    """Wait for a future that a timer resolves at this instant, `inf` for never, if nothing else does before."""
    timer = None if math.isinf(at) else loop.call_at(at, _wake, waiter)
    try:
        await waiter
    finally:
        if timer is not None:
            timer.cancel()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _connection_failed(fault: str) -> ConnectionFailed:
    error = ConnectionFailed(_MESSAGES[fault])
    if fault == "certificate":
        error.again = "never"  # another connection would meet the same certificate
    return error
