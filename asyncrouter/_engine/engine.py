"""What all attempts of an open router share: transport, wires, keys, policies, timers, and what runs or waits now.

This module is imported when a router is opened, and with it all that an open router needs until it is closed. So
`import asyncrouter` stays cheap, and nothing is imported in the middle of a call or while a router closes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from asyncrouter._credentials import Credential
from asyncrouter._engine.shutdown import shut_down
from asyncrouter._engine.timers import Timers
from asyncrouter._policies.facade import Policies
from asyncrouter._wire.registry import wire_for

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from random import Random

    from asyncrouter._config.catalog import Provider
    from asyncrouter._events import Events
    from asyncrouter._transport.api import Transport
    from asyncrouter._wire.api import Wire


def open_engine(
    loop: asyncio.AbstractEventLoop, transport: Transport, events: Events, random: Random, wall: Callable[[], float],
    *, breakers: bool,
) -> Engine:
    """The engine of a router that opens on `loop`; it is connected to no provider yet."""
    policies = Policies(loop, random, events, breakers=breakers)
    return Engine(loop, transport, policies, events, random, Timers(loop), wall)


@dataclass(slots=True, eq=False)
class Engine:
    """The shared parts of an open router, bound to one event loop."""

    loop: asyncio.AbstractEventLoop
    transport: Transport
    policies: Policies
    events: Events
    random: Random
    timers: Timers
    wall: Callable[[], float]
    """Seconds since the epoch, for the dates of Retry-After."""
    wires: dict[str, Wire] = field(default_factory=dict)
    """By the name of the provider, as are the credentials."""
    credentials: dict[str, Credential] = field(default_factory=dict)
    reading: int = 0
    """Replies whose bytes are being read at this moment."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    """Lanes that run beside their callers, kept until they are gone."""
    closed: bool = False
    pauses: set[asyncio.Future[None]] = field(default_factory=set)
    """Who waits for nothing but time."""

    def connect_provider(self, provider: Provider) -> None:
        """Get a provider's wire and credential ready, unless they are."""
        if provider.name not in self.wires:
            self.wires[provider.name] = wire_for(provider, self.wall)
            self.credentials[provider.name] = Credential(provider)

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until the router is closed."""
        waiter = self.loop.create_future()
        self.pauses.add(waiter)
        timer = self.timers.at(self.loop.time() + seconds, partial(_wake, waiter))
        try:
            await waiter
        finally:
            self.pauses.discard(waiter)
            self.timers.withdraw(timer)

    def close(self) -> None:
        """Let nobody wait any longer."""
        self.closed = True
        for waiter in self.pauses:
            _wake(waiter)
        self.policies.close()

    async def aclose(self) -> None:
        """Let nobody wait any longer, close the transport, and wait up to 2 s for tasks that are being cancelled."""
        self.close()
        await shut_down(self.transport, self.tasks)

    def keep(self, task: asyncio.Task[None]) -> None:
        """Hold on to a lane's task until it is gone; its result is retrieved."""
        self.tasks.add(task)
        task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.loop.call_exception_handler({"message": "a lane raised", "exception": error, "task": task})


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
