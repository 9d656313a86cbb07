"""What all attempts of one router share, from its first call to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from random import Random

    from asyncrouter._credentials import Credential
    from asyncrouter._engine.timers import Timers
    from asyncrouter._events import Events
    from asyncrouter._policies.facade import Policies
    from asyncrouter._transport.api import Transport
    from asyncrouter._wire.api import Wire


@dataclass(slots=True, eq=False)
class Engine:
    """The transport, the wires, the keys and the policies of a router, its clock and what runs on it."""

    loop: asyncio.AbstractEventLoop
    transport: Transport
    wires: dict[str, Wire]
    credentials: dict[str, Credential]
    policies: Policies
    events: Events
    random: Random
    timers: Timers
    reading: int = 0
    """Replies whose bytes are being read at this moment."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    """Lanes that run beside their callers, kept until they are gone."""
    closed: bool = False
    pauses: set[asyncio.Future[None]] = field(default_factory=set)
    """Who waits for nothing but time."""

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
