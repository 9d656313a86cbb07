"""What all attempts of an open router share: transport, wires, keys, policies, timers, and what runs or waits now.

This module is imported when a router is opened, and with it all that an open router needs until it is closed. So
`import asyncrouter` stays cheap, and nothing is imported in the middle of a call or while a router closes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING
from weakref import WeakSet

from anyio import CancelScope
from backoff import expo

from asyncrouter._credentials import Credential
from asyncrouter._engine.local_room import LocalRoom
from asyncrouter._engine.shutdown import shut_down
from asyncrouter._engine.timers import Timers
from asyncrouter._errors import RouterClosed
from asyncrouter._events import MAX_NAMES
from asyncrouter._policies.facade import Policies
from asyncrouter._wire.registry import embeddings_for, wire_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet
    from random import Random

    from asyncrouter._config.catalog import Model, Provider
    from asyncrouter._config.plan import Plan
    from asyncrouter._engine.spending import Spending
    from asyncrouter._events import Events
    from asyncrouter._policies.shared_client import SharedClient
    from asyncrouter._transport.api import Transport
    from asyncrouter._wire.api import Wire
    from asyncrouter._wire.embeddings.base import EmbeddingsWire


def open_engine(
    loop: asyncio.AbstractEventLoop, transport: Transport, events: Events, random: Random, wall: Callable[[], float],
    *, breakers: bool,
) -> Engine:
    """The engine of a router that opens on `loop`; it is connected to no provider yet."""
    time, policies = clock_of(loop), Policies(loop, random, events, breakers=breakers)
    timers = Timers(loop, time)
    return Engine(loop, time, transport, policies, events, random, timers, LocalRoom(loop, timers), wall)


def clock_of(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """The clock of a loop; that of asyncio's own loops without the call in between."""
    return monotonic if type(loop).time is asyncio.BaseEventLoop.time else loop.time


@dataclass(slots=True, eq=False, weakref_slot=True)
class Engine:
    """The shared parts of an open router, bound to one event loop."""

    loop: asyncio.AbstractEventLoop
    time: Callable[[], float]
    """The loop's clock."""
    transport: Transport
    policies: Policies
    events: Events
    random: Random
    timers: Timers
    room: LocalRoom
    wall: Callable[[], float]
    """Seconds since the epoch, for the dates of Retry-After."""
    spending: Spending | None = None
    """What is spent and reserved under the router's budget; `None` without one."""
    wires: dict[str, Wire] = field(default_factory=dict)
    """By the name of the provider, as are the credentials."""
    embeddings: dict[str, EmbeddingsWire] = field(default_factory=dict)
    """The wires for embeddings, by the name of the provider."""
    credentials: dict[str, Credential] = field(default_factory=dict)
    plans: dict[int, Plan] = field(default_factory=dict)
    """The plans that calls have had before, whose providers are connected, by identity."""
    reading: int = 0
    """Replies whose bytes are being read at this moment."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    """The tasks of hedges, kept until they are done."""
    closed: bool = False
    shield: CancelScope = field(default_factory=partial(CancelScope, shield=True))
    """For `aclose()`. Made now, because anyio imports half of itself with its first scope."""
    sleepers: set[asyncio.Future[None]] = field(default_factory=set)
    """The pauses that are being waited out; closing cuts them short."""
    exponential_backoff: Callable[..., Iterator[float]] = expo
    """Makes generators of growing pauses. It is kept here because importing `backoff` would slow every import down."""
    shared: SharedClient | None = None
    """What is kept for many processes; `None` without a store."""
    earlier: WeakSet[Engine] = field(default_factory=WeakSet)
    """The engines of configurations before a reload, as long as calls are in flight that began with them."""

    def reloaded(self, changed: AbstractSet[str], spending: Spending | None) -> Engine:
        """The engine that goes on after a reload; it shares all but the providers that have `changed`."""
        engine = replace(
            self, spending=spending,
            wires={name: wire for name, wire in self.wires.items() if name not in changed},
            embeddings={name: wire for name, wire in self.embeddings.items() if name not in changed},
            credentials={name: one for name, one in self.credentials.items() if name not in changed}, plans={},
        )
        self.earlier.add(self)
        return engine

    def connect_provider(self, provider: Provider) -> None:
        """Get a provider's wire and credential ready, unless they are."""
        if provider.name not in self.wires:
            self.wires[provider.name] = wire_for(provider, self.wall)
            self.credentials[provider.name] = Credential(provider, self.keep_task)

    def connect(self, plan: Plan) -> None:
        """Get the providers of all steps ready, of pools those of all members, and remember the plan."""
        for step in plan.steps:
            for place in (step,) if step.pool is None else (step, *step.pool.members):
                self.connect_provider(place.provider)
        if len(self.plans) >= MAX_NAMES:
            self.plans.clear()
        self.plans[id(plan)] = plan

    def embeddings_of(self, provider: Provider) -> EmbeddingsWire:
        """A provider's wire for embeddings."""
        if (wire := self.embeddings.get(provider.name)) is None:
            wire = self.embeddings[provider.name] = embeddings_for(provider, self.wall)
        return wire

    def check_open(self) -> None:
        """Raise `RouterClosed` when the router has been closed."""
        if self.closed:
            raise RouterClosed("the router was closed while the call was running")

    async def sleep(
        self, seconds: float, model: Model, limit: float, sleeper: asyncio.Future[None] | None = None
    ) -> None:
        """Wait so long before `model` is tried; shorter when the router is closed, or the wait has become pointless.

        That is when it becomes known meanwhile that the model cannot be tried before the instant `limit`. Who has
        given a `sleeper` may resolve it to end the wait.
        """
        sleeper = self.loop.create_future() if sleeper is None else sleeper
        self.sleepers.add(sleeper)
        self.policies.holds.watch(model, sleeper, limit)
        timer = self.timers.call_at(self.time() + seconds, partial(_wake, sleeper))
        try:
            await sleeper
        finally:
            self.policies.holds.unwatch(model, sleeper)
            self.sleepers.discard(sleeper)
            self.timers.cancel(timer)

    async def aclose(self) -> None:
        """Let nobody wait any longer, close the transport, and wait up to 2 s for tasks that are being cancelled."""
        for engine in (self, *self.earlier):
            engine.closed = True
            for credential in engine.credentials.values():
                credential.close()
        for sleeper in self.sleepers:
            _wake(sleeper)
        self.room.close()
        self.policies.close()
        await shut_down(self.transport, self.tasks, self.shield, self.shared)

    def keep_task(self, task: asyncio.Task[None]) -> None:
        """Hold a reference to a hedge's task until it is done, and retrieve its result."""
        self.tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.loop.call_exception_handler({"message": "a hedge's task raised", "exception": error, "task": task})


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
