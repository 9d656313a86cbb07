"""The in-process front: a `Transport` to a simulated world, without sockets, exact under the virtual clock."""

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
    from asyncrouter.sim._bodies import Beat
    from asyncrouter.sim._seen import Seen
    from asyncrouter.sim._stage import Stage
    from asyncrouter.sim.play import Play

MOST = 1 << 20
"""What one read takes at most, in bytes, so that a body without end does not fill the memory."""
KEEP_ALIVE = 30.0
"""Seconds for which a connection is kept when it has nothing to carry."""
_SAID = {
    "refuse": "connection refused",
    "dns": "name not resolved",
    "tls": "TLS handshake failed",
    "certificate": "certificate verify failed",
    "cut": "connection closed early",
    "reset": "connection reset by peer",
}


class SimTransport:
    """Carries requests to a world; times are those of the running loop.

    Each request has a connection of its own, unless there is a `pool`: then one that has carried a whole answer carries
    the next request to that host, at no time to connect. When a pooled connection dies before any byte of the reply,
    the request is sent once more on a new one; `resends` counts these.
    """

    def __init__(self, world: Stage, *, pool: bool = False) -> None:
        self.resends = 0
        self._world = world
        self._open: dict[SimResponse, None] = {}  # in order, so that one seed closes in one order
        self._sending: dict[Seen, asyncio.Future[None] | None] = {}
        self._idle: dict[str, list[float]] | None = {} if pool else None  # since when, the newest last

    async def send(self, request: Request) -> SimResponse:
        """Return with the headers. Raises `ConnectionFailed` or `AttemptTimeout("connect")`."""
        loop = asyncio.get_running_loop()
        if self._pooled(request.url, loop.time()):
            try:
                return await self._send(loop, request, reused=True)
            except ConnectionFailed:
                if self._idle is None:  # closed meanwhile
                    raise
                self._idle.pop(_origin(request.url), None)
                self.resends += 1
        return await self._send(loop, request)

    async def _send(self, loop: asyncio.AbstractEventLoop, request: Request, *, reused: bool = False) -> SimResponse:
        seen, play = self._world.begin(request.url, request.headers, request.body, loop.time())
        if reused:
            play.connect = 0.0
        self._sending[seen] = None
        try:
            await self._connect(loop, seen, play, request.connect)
            response = SimResponse(self, loop, seen, play)
            response.reused = reused
            await self._until(loop, seen, response.connected_at + play.headers_at)
            if play.lost is not None:
                raise _failed(play.lost)
        except ConnectionFailed:
            self._world.end(seen, loop.time())
            raise
        except BaseException:
            self._world.end(seen, loop.time(), gone=True)
            raise
        finally:
            self._sending.pop(seen, None)
        seen.status = play.status
        self._open[response] = None
        return response

    async def aclose(self) -> None:
        """Close every connection, whether it is being made, waited for or read; idempotent."""
        now = asyncio.get_running_loop().time()
        for seen, waiter in self._sending.items():
            self._world.end(seen, now, gone=True)
            if waiter is not None:
                _wake(waiter)
        self._sending.clear()
        for response in list(self._open):
            response.close()

    def ended(self, response: SimResponse, seen: Seen, at: float, *, gone: bool, whole: bool) -> None:
        """Forget a response that is over; a whole one leaves its connection behind."""
        self._open.pop(response, None)
        self._world.end(seen, at, gone=gone)
        if whole and self._idle is not None:
            self._idle.setdefault(_origin(seen.url), []).append(at)

    def _pooled(self, url: str, now: float) -> bool:
        """Take the newest connection to this host from the pool, if one is still alive."""
        idle = self._idle.get(_origin(url)) if self._idle else None
        return idle is not None and idle != [] and idle.pop() + KEEP_ALIVE > now

    async def _connect(self, loop: asyncio.AbstractEventLoop, seen: Seen, play: Play, limit: float | None) -> None:
        if limit is not None and play.connect > limit:
            await self._until(loop, seen, seen.at + limit)
            raise AttemptTimeout("connect")
        if play.connect > 0.0 or play.broken is not None:  # otherwise the wait for the headers gives way
            await self._until(loop, seen, seen.at + play.connect)
        if play.broken is not None:
            raise _failed(play.broken)
        seen.connected = loop.time()

    async def _until(self, loop: asyncio.AbstractEventLoop, seen: Seen, at: float) -> None:
        """Until this instant of the loop's clock; `inf` = for ever. Gives way once where it has come already."""
        if at <= loop.time():
            await asyncio.sleep(0)
        else:
            self._sending[seen] = waiter = loop.create_future()
            await _woken(loop, waiter, at)
        if seen not in self._sending:
            raise ConnectionFailed("closed while sending")


class SimResponse:
    """A response of the world. Nothing runs for it: what has come is worked out when it is read."""

    def __init__(self, transport: SimTransport, loop: asyncio.AbstractEventLoop, seen: Seen, play: Play) -> None:
        self.status = play.status
        self.headers: Mapping[str, str] = play.headers
        self.connected_at = seen.connected if seen.connected is not None else seen.at
        self.reused = False
        self._transport = transport
        self._loop = loop
        self._seen = seen
        self._beats = play.beats
        self._bitwise = play.bitwise
        self._next: Beat | None = next(play.beats, None)
        self._unzip = zlib.decompressobj(31) if self.headers.get("content-encoding") == "gzip" else None
        self._waiter: asyncio.Future[None] | None = None
        self._over = False
        self._failure: ConnectionFailed | None = None

    def __repr__(self) -> str:
        return f"<SimResponse {self.status} of {self._seen!r}>"

    async def read(self, rest: float = 0.0) -> bytes:
        """Leave it alone for `rest` seconds, then take all that has come, waiting if nothing has; b"" is the end.

        Raises `ConnectionFailed` on a cut, and when closed while reading.
        """
        if rest > 0 and not self._over and not self._at_end(self._loop.time()):
            await self._wait(self._loop.time() + rest)
        while not self._over:
            if data := self._take(self._loop.time(), apart=self._bitwise and rest == 0.0):
                return data
            if not self._over:
                await self._wait(math.inf if self._next is None else self.connected_at + self._next.at)
        if self._failure is not None:
            raise self._failure
        return b""

    def close(self) -> None:
        """Give the connection up at once; idempotent. A pending read raises."""
        if self._over:
            return
        now = self._loop.time()
        self._take(now)  # what came unread was sent all the same
        if not self._over:
            self._finish(None, gone=not self._at_end(now))
        self._failure = ConnectionFailed("closed while reading")
        if self._waiter is not None:
            _wake(self._waiter)

    def _at_end(self, now: float) -> bool:
        """Whether all has been read, and the orderly end has come too."""
        return (last := self._next) is not None and last.ending == "end" and self.connected_at + last.at <= now

    def _take(self, now: float, *, apart: bool = False) -> bytes:
        """All that has come by now (`apart`: its first piece); with nothing before it, an ending ends the response."""
        taken: list[bytes] = []
        size = 0
        while (beat := self._next) is not None and size < MOST and self.connected_at + beat.at <= now:
            if beat.ending is not None:
                if not taken:
                    self._finish(None if beat.ending == "end" else _failed(beat.ending), gone=False)
                break
            data = beat.data if self._unzip is None else self._unzip.decompress(beat.data)
            taken.append(data)
            size += len(data)
            self._seen.contents += beat.contents
            self._next = next(self._beats, None)
            if apart and data:
                break
        return b"".join(taken)

    def _finish(self, failure: ConnectionFailed | None, *, gone: bool) -> None:
        self._over, self._failure = True, failure
        whole = failure is None and not gone
        self._transport.ended(self, self._seen, self._loop.time(), gone=gone, whole=whole)

    async def _wait(self, at: float) -> None:
        """Until this instant of the loop's clock, or until closed."""
        self._waiter = self._loop.create_future()
        try:
            await _woken(self._loop, self._waiter, at)
        finally:
            self._waiter = None


async def _woken(loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[None], at: float) -> None:
    timer = None if math.isinf(at) else loop.call_at(at, _wake, waiter)
    try:
        await waiter
    finally:
        if timer is not None:
            timer.cancel()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _origin(url: str) -> str:
    return urlsplit(url).netloc


def _failed(how: str) -> ConnectionFailed:
    error = ConnectionFailed(_SAID[how])
    if how == "certificate":
        error.again = "never"
    return error
