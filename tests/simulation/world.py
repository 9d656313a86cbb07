"""The simulated providers: a `Transport` that plays scripted responses and records every request."""

from __future__ import annotations

import asyncio
import errno
from collections import Counter
from itertools import count
from math import inf
from random import Random
from typing import TYPE_CHECKING, Any

from asyncrouter import AttemptTimeout, ConnectionFailed

from .expected_holds import ExpectedHolds
from .faults import EPOCH, Faults, provider_of
from .record import Exchange
from .response import SimulatedResponse, wait, wake
from .wires import key_in, request_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from asyncrouter import Request, Response

    from .record import CallRecord, Record
    from .scenario import ModelProfile, Scenario


NEWS = 1.2
"""Seconds after which all routers with one store know of a hold that one of them has met."""


class World:
    """The providers of one seed, as one router reaches them; `send` and `aclose` make it a `Transport`."""

    def __init__(
        self, scenario: Scenario, record: Record, loop: asyncio.AbstractEventLoop, others: Sequence[World] = ()
    ) -> None:
        self._scenario = scenario
        self._record = record
        self._loop = loop
        self._random = Random(f"network {scenario.seed}")
        self.faults: Faults = others[0].faults if others else Faults(scenario)
        self.expected = ExpectedHolds()
        self.rumours = ExpectedHolds()
        """What other routers have met, as soon as this one must have heard of it."""
        self.keys_used: dict[str, float] = {}
        """When each key was first used here: what is about a key is for those who know that they use the same."""
        self.number = len(others)
        """Which router this is the world of."""
        self.others: list[World] = list(others)
        """Those of the other routers, which are at the same providers."""
        for other in others:
            other.others.append(self)
        self.live: Counter[str] = Counter()
        """Open connections by model."""
        self.closed = False
        self._places = count(1)
        self._answers: dict[SimulatedResponse, None] = {}
        self._sending: dict[Exchange, asyncio.Future[None]] = {}
        self.watchers: list[Callable[[Exchange], None]] = []
        """Called with each request as it is sent, before anything else happens."""
        self.cancel: Callable[[CallRecord], None] = lambda _: None

    def wall(self) -> float:
        """Seconds since the epoch by the router's wall clock, which somebody may set."""
        now, (at, by) = self._loop.time(), self._scenario.wall_jump
        return EPOCH + now + (by if now >= at else 0.0)

    def key(self, provider: str) -> str:
        """The key that a provider accepts now."""
        return self.faults.key(provider, self._loop.time())

    async def send(self, request: Request) -> Response:
        """Play a request up to the headers of its response."""
        if any(begins <= self._loop.time() < ends for begins, ends in self._scenario.crowded):
            raise OSError(errno.EMFILE, "simulated: no descriptor is free")
        exchange = self._begin(request)
        script = exchange.script
        try:
            if request.connect is not None and script.connect > request.connect:
                await self._until(exchange, exchange.at + request.connect)
                raise AttemptTimeout("connect")
            await self._until(exchange, exchange.at + script.connect)
            if script.broken:
                raise _broken(script.kind)
            exchange.connected = self._loop.time()
            await self._until(exchange, exchange.connected + script.headers_at)
            if script.lost:
                raise ConnectionFailed("reset before the headers")
        except asyncio.CancelledError:
            self.end(exchange)
            if self._lingers(exchange):
                await asyncio.sleep(self._random.uniform(0.1, 1.5))
            raise
        except BaseException:
            self.end(exchange)
            self.expected.host_failures.add(exchange.provider)
            raise
        answer = SimulatedResponse(self, self._loop, exchange)
        self._answers[answer] = None
        return answer

    async def aclose(self) -> None:
        """End every connection, whether it is being made, waited for or read."""
        self.closed = True
        for waiter in self._sending.values():
            wake(waiter)
        for answer in tuple(self._answers):
            answer.close()
        await asyncio.sleep(self._scenario.slow_close)

    def end(self, exchange: Exchange) -> None:
        """Note that the connection of a request is gone."""
        if exchange.ended is None:
            exchange.ended, exchange.place = self._loop.time(), next(self._places)
            exchange.call.live -= 1
            self.live[exchange.model] -= 1
            self._record.log(exchange.ended, f"gone {exchange.number} with {exchange.words} words")

    def read_to_end(self, exchange: Exchange) -> None:
        """Note that the client has read a response to its end."""
        exchange.taken = True
        if exchange.script.status != 200:
            met = exchange, self._loop.time(), self.wall(), self.key(exchange.provider)
            self.expected.learn(*met)
            for other in self.others:
                self._loop.call_later(NEWS, other.rumours.learn, *met)

    def over(self, answer: SimulatedResponse, exchange: Exchange) -> None:
        """Note that a response has been read to its end, or closed."""
        self._answers.pop(answer, None)
        self.end(exchange)

    async def _until(self, exchange: Exchange, at: float) -> None:
        """Wait until this instant (`inf` = for ever). Raises when the transport is closed meanwhile."""
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
        """Record a request and draw its response."""
        now, record = self._loop.time(), self._record
        name, prompt, stream, max_tokens = request_parts(request)
        number, size, key = len(record.exchanges), len(request.body), key_in(request.headers)
        call, model = record.calls[int(prompt)], self._profile(name, key)
        script = self.faults.script(
            model, now, number, key, call.behaviour.slowdown, stream=stream, size=size,
            max_tokens=None if max_tokens is None else self._limit(call), disliked=call.behaviour.disliked,
        )
        exchange = Exchange(number, call, model.provider, model.name, key, now, script, dict(self.live))
        self.keys_used.setdefault(key, now)
        for watch in self.watchers:
            watch(exchange)
        record.exchanges.append(exchange)
        call.exchanges.append(exchange)
        call.live += 1
        self.live[model.name] += 1
        record.log(now, f"seen {number} of call {call.number} at {model.name}: {script.kind}")
        self._cancel_with(exchange)
        return exchange

    def _profile(self, name: str, key: str) -> ModelProfile:
        """The model of this name; where its provider has several keys, as it is with this one."""
        models = self._scenario.models
        return models[name] if name in models else models[f"{provider_of(key)}:{name}"]

    def _limit(self, call: CallRecord) -> int | None:
        """The limit of tokens that a caller has asked for: a request may have to ask for more."""
        tasks: Mapping[str, Any] = self._scenario.config["tasks"]  # type: ignore[assignment]  # drawn as a dict
        of_task = tasks[call.behaviour.task].get("params", {}).get("max_tokens")
        return call.behaviour.options.get("max_tokens", of_task)  # type: ignore[return-value]  # drawn as a number

    def _lingers(self, exchange: Exchange) -> bool:
        """Whether a cancelled hedge takes a while to let go, as a name look-up outlives what asked for it.

        Only one that has lost: whoever gives up waiting for something else, or at its own limit, does so at once.
        """
        call, task = exchange.call, asyncio.current_task(self._loop)
        own = task is not None and task.get_name() != f"call {call.number}"
        now, others = self._loop.time(), (other for other in call.exchanges if other is not exchange)
        won = any(other.words and (other.ended is None or (other.ended == now and other.is_whole_at(now)))
                  for other in others)
        limit = min(call.deadline, exchange.at + _total(exchange))
        lost = (won and now < limit) or call.cancelled_at is not None
        return own and lost and self._random.random() < self._scenario.slow_cancel

    def _cancel_with(self, exchange: Exchange) -> None:
        """Cancel the caller at the very instant of an event of its request, if its behaviour says so."""
        call, script = exchange.call, exchange.script
        event = call.behaviour.cancel_at_event
        if event is None or call.cancelled_at is not None:
            return
        connected = exchange.at + script.connect
        at = {
            "sent": exchange.at,
            "connected": connected,
            "headers": connected + script.headers_at,
            "content": connected + next((at for at, _, words in script.pieces if words), inf),
            "end": connected + script.ends_at,
        }[event]
        if at <= exchange.at:
            self._loop.call_soon(self.cancel, call)
        elif at < inf:
            self._loop.call_at(at, self.cancel, call)


def _total(exchange: Exchange) -> float:
    """Seconds after which the client ends an attempt, however it goes: the least of the steps that it may be of."""
    steps = [step for step in exchange.call.plan.steps if step.pool is not None or step.name == exchange.model]
    return min((step.total for step in steps if step.total is not None), default=inf)


def _broken(kind: str) -> ConnectionFailed:
    error = ConnectionFailed(f"simulated: {kind}")
    if kind == "certificate":
        error.again = "never"
    return error
