"""A simulated response as the client reads it: what has come by now, what is still to come, and how it ends."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from asyncrouter import ConnectionFailed

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from .record import Exchange
    from .world import World


class SimulatedResponse:
    """A `Response` without a task of its own: what has come is worked out when it is read."""

    __slots__ = (
        "_base", "_exchange", "_failure", "_loop", "_next", "_over", "_pieces_left", "_waiter", "_world",
        "connected_at", "headers", "reused", "status",
    )

    headers: Mapping[str, str]

    def __init__(self, world: World, loop: asyncio.AbstractEventLoop, exchange: Exchange) -> None:
        script = exchange.script
        assert exchange.connected is not None
        self.status = script.status
        self.headers = script.headers
        self.connected_at = self._base = exchange.connected
        self.reused = False
        self._world = world
        self._loop = loop
        self._exchange = exchange
        self._next = 0
        self._pieces_left = b""
        self._over = False
        self._failure: ConnectionFailed | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def read(self, rest: float = 0.0) -> bytes:
        """Leave it alone for `rest` seconds, then take what has come, waiting if nothing has; b"" is the end."""
        read_all = not self._pieces_left and self._next == len(self._exchange.script.pieces)
        at_end = read_all and self._due() <= self._loop.time()
        if rest > 0.0 and not self._over and not at_end:
            await self._wait(self._loop.time() + rest)
        while not self._over:
            if data := self._take(rest):
                return data
            await self._wait(self._due())
        if self._failure is not None:
            raise self._failure
        return b""

    def close(self) -> None:
        """Close the connection at once."""
        if not self._over:
            self._over = True
            self._failure = ConnectionFailed("closed while reading")
            self._world.over(self, self._exchange)
            if self._waiter is not None:
                wake(self._waiter)

    def _due(self) -> float:
        """The instant of the next piece, or of the end."""
        script = self._exchange.script
        if self._next < len(script.pieces):
            return self._base + script.pieces[self._next][0]
        return inf if script.ending == "never" else self._base + script.ends_at

    def _take(self, rested: float) -> bytes:
        """All that has come by now; when nothing has and the end is due, the response ends."""
        now, exchange = self._loop.time(), self._exchange
        script, begin = exchange.script, self._next
        pieces = script.pieces
        if self._pieces_left:
            return self._next_fragment(rested)
        while self._next < len(pieces) and self._base + pieces[self._next][0] <= now:
            self._next += 1
        if self._next > begin:
            exchange.words = max(exchange.words, pieces[self._next - 1][2])
            data = b"".join([piece[1] for piece in pieces[begin:self._next]])
            if not script.fragmented:
                return data
            self._pieces_left = data
            return self._next_fragment(rested)
        if self._due() <= now:
            self._over = True
            if script.ending == "cut":
                self._failure = ConnectionFailed("cut")
            self._world.over(self, exchange)
            self._world.read_to_end(exchange)
        return b""

    def _next_fragment(self, rested: float) -> bytes:
        """The next few bytes of what has come, cut anywhere, also inside a character; after a rest, all of it."""
        few = len(self._pieces_left) if rested else 1 + (len(self._pieces_left) * 7 + self._exchange.number) % 61
        data, self._pieces_left = self._pieces_left[:few], self._pieces_left[few:]
        return data

    async def _wait(self, at: float) -> None:
        if at <= self._loop.time():
            return
        self._waiter = self._loop.create_future()
        try:
            await wait(self._loop, self._waiter, at)
        finally:
            self._waiter = None


async def wait(loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[None], at: float) -> None:
    """Wait for a future, until an instant at most."""
    timer = None if at == inf else loop.call_at(at, wake, waiter)
    try:
        await waiter
    finally:
        if timer is not None:
            timer.cancel()


def wake(waiter: asyncio.Future[None]) -> None:
    """Resolve a future that is still pending."""
    if not waiter.done():
        waiter.set_result(None)
