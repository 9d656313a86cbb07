"""The world's end of every connection: a `Transport` that plays fates and keeps the books."""

from __future__ import annotations

import asyncio
from collections import Counter
from math import inf
from random import Random
from typing import TYPE_CHECKING

import orjson

from asyncrouter import AttemptTimeout, ConnectionFailed

from .knowledge import Knowledge
from .record import Exchange
from .trouble import EPOCH, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter import Request, Response

    from .day import Day
    from .record import CallRecord, Record


class World:
    """One seed's providers. `send` and `aclose` make it a `Transport`."""

    def __init__(self, day: Day, record: Record, loop: asyncio.AbstractEventLoop) -> None:
        self._day = day
        self._record = record
        self._loop = loop
        self._random = Random(f"network {day.seed}")
        self.trouble = Trouble(day)
        self.knows = Knowledge()
        self.live: Counter[str] = Counter()
        """Connections by model."""
        self.closed = False
        self._answers: dict[Answer, None] = {}
        self._sending: dict[Exchange, asyncio.Future[None]] = {}
        self.watchers: list[Callable[[Exchange], None]] = []
        """Asked at each sending, before anything else happens."""
        self.cancel: Callable[[CallRecord], None] = lambda _: None

    def wall(self) -> float:
        """Seconds since the epoch."""
        return EPOCH + self._loop.time()

    def key(self, provider: str) -> str:
        """The key that a provider takes now."""
        return self.trouble.key(provider, self._loop.time())

    async def send(self, request: Request) -> Response:
        """Play one request up to its headers."""
        exchange = self._begin(request)
        fate = exchange.fate
        try:
            if request.connect is not None and fate.connect > request.connect:
                await self._until(exchange, exchange.at + request.connect)
                raise AttemptTimeout("connect")
            await self._until(exchange, exchange.at + fate.connect)
            if fate.broken:
                raise _broken(fate.kind)
            exchange.connected = self._loop.time()
            await self._until(exchange, exchange.connected + fate.headers_at)
            if fate.lost:
                raise ConnectionFailed("reset before the headers")
        except asyncio.CancelledError:
            self.end(exchange)
            if self._lingers(exchange):
                await asyncio.sleep(self._random.uniform(0.1, 1.5))
            raise
        except BaseException:
            self.end(exchange)
            self.knows.host_failures.add(exchange.provider)
            raise
        answer = Answer(self, self._loop, exchange)
        self._answers[answer] = None
        return answer

    async def aclose(self) -> None:
        """Every connection ends, whether it is being made, waited for or read."""
        self.closed = True
        for waiter in self._sending.values():
            _wake(waiter)
        for answer in tuple(self._answers):
            answer.close()

    def end(self, exchange: Exchange) -> None:
        """The connection of a request is gone."""
        if exchange.ended is None:
            exchange.ended = self._loop.time()
            exchange.call.live -= 1
            self.live[exchange.model] -= 1
            self._record.log(exchange.ended, f"gone {exchange.number} with {exchange.words} words")

    def heard(self, exchange: Exchange) -> None:
        """The client has read a response to its end."""
        exchange.taken = True
        if exchange.fate.status != 200:
            self.knows.hear(exchange, self._loop.time(), self.key(exchange.provider))

    def over(self, answer: Answer, exchange: Exchange) -> None:
        """A response has been read to its end, or closed."""
        self._answers.pop(answer, None)
        self.end(exchange)

    async def _until(self, exchange: Exchange, at: float) -> None:
        """Until this instant; `inf` = for ever. Raises when the transport has been closed."""
        if at <= self._loop.time():
            await asyncio.sleep(0)
        else:
            waiter = self._sending[exchange] = self._loop.create_future()
            try:
                await wait(self._loop, waiter, at)
            finally:
                del self._sending[exchange]
        if self.closed:
            raise ConnectionFailed("closed while sending")

    def _begin(self, request: Request) -> Exchange:
        now, record = self._loop.time(), self._record
        body = orjson.loads(request.body)
        call = record.calls[int(body["messages"][-1]["content"].partition(" ")[0])]
        model = self._day.models[body["model"]]
        number, size = len(record.exchanges), len(request.body)
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        fate = self.trouble.fate(model, now, number, key, stream=body.get("stream") is True, size=size)
        exchange = Exchange(number, call, model.provider, model.name, key, now, fate)
        for watch in self.watchers:
            watch(exchange)
        record.exchanges.append(exchange)
        call.exchanges.append(exchange)
        call.live += 1
        self.live[model.name] += 1
        record.log(now, f"seen {number} of call {call.number} at {model.name}: {fate.kind}")
        self._cancel_with(exchange)
        return exchange

    def _lingers(self, exchange: Exchange) -> bool:
        """A hedge that has lost may take a while to let go: a name look-up outlives what asked for it.

        Only one that has lost: whoever gives up waiting for something else does so at once.
        """
        call, task = exchange.call, asyncio.current_task(self._loop)
        own = task is not None and task.get_name() != f"call {call.number}"
        now, others = self._loop.time(), (other for other in call.exchanges if other is not exchange)
        won = any(other.words and (other.ended is None or other.ended == now) for other in others)
        lost = won or call.cancelled_at is not None
        return own and lost and self._random.random() < self._day.slow_cancel

    def _cancel_with(self, exchange: Exchange) -> None:
        """Somebody cancels in the very instant in which something else happens."""
        call, fate = exchange.call, exchange.fate
        event = call.behaviour.cancel_at_event
        if event is None or call.cancelled_at is not None:
            return
        connected = exchange.at + fate.connect
        at = {
            "sent": exchange.at,
            "connected": connected,
            "headers": connected + fate.headers_at,
            "content": connected + next((at for at, _, words in fate.pieces if words), inf),
            "end": connected + fate.ends_at,
        }[event]
        if at <= exchange.at:
            self._loop.call_soon(self.cancel, call)
        elif at < inf:
            self._loop.call_at(at, self.cancel, call)


class Answer:
    """A `Response`: nothing runs for it, what has come is worked out when it is read."""

    __slots__ = (
        "_base", "_closed", "_exchange", "_failure", "_loop", "_next", "_over", "_waiter", "_world", "connected_at",
        "headers", "reused", "status",
    )

    headers: Mapping[str, str]

    def __init__(self, world: World, loop: asyncio.AbstractEventLoop, exchange: Exchange) -> None:
        fate = exchange.fate
        assert exchange.connected is not None
        self.status = fate.status
        self.headers = fate.headers
        self.connected_at = self._base = exchange.connected
        self.reused = False
        self._world = world
        self._loop = loop
        self._exchange = exchange
        self._next = 0
        self._over = False
        self._failure: ConnectionFailed | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def read(self, rest: float = 0.0) -> bytes:
        """Leave it alone for `rest` seconds, then take what has come, waiting if nothing has; b"" is the end."""
        if rest > 0.0 and not self._over:
            await self._wait(self._loop.time() + rest)
        while not self._over:
            if data := self._take():
                return data
            await self._wait(self._due())
        if self._failure is not None:
            raise self._failure
        return b""

    def close(self) -> None:
        """Give the connection up at once."""
        if not self._over:
            self._over = True
            self._failure = ConnectionFailed("closed while reading")
            self._world.over(self, self._exchange)
            if self._waiter is not None:
                _wake(self._waiter)

    def _due(self) -> float:
        fate = self._exchange.fate
        if self._next < len(fate.pieces):
            return self._base + fate.pieces[self._next][0]
        return inf if fate.ending == "never" else self._base + fate.ends_at

    def _take(self) -> bytes:
        """All that has come by now; with nothing before it, an ending ends the response."""
        now, exchange = self._loop.time(), self._exchange
        fate, begin = exchange.fate, self._next
        pieces = fate.pieces
        while self._next < len(pieces) and self._base + pieces[self._next][0] <= now:
            self._next += 1
        if self._next > begin:
            exchange.words = max(exchange.words, pieces[self._next - 1][2])
            return b"".join([piece[1] for piece in pieces[begin:self._next]])
        if self._due() <= now:
            self._over = True
            if fate.ending == "cut":
                self._failure = ConnectionFailed("cut")
            self._world.over(self, exchange)
            self._world.heard(exchange)
        return b""

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
    timer = None if at == inf else loop.call_at(at, _wake, waiter)
    try:
        await waiter
    finally:
        if timer is not None:
            timer.cancel()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _broken(kind: str) -> ConnectionFailed:
    error = ConnectionFailed(f"simulated: {kind}")
    if kind == "certificate":
        error.again = "never"
    return error
