"""The life of a router: it opens an engine at its first call, counts the calls in flight, and closes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from asyncrouter._credentials import Credential
from asyncrouter._errors import ConfigError, RouterClosed
from asyncrouter._transport.aiohttp import AiohttpTransport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from asyncrouter._config.config import Config
    from asyncrouter._config.plan import Plan
    from asyncrouter._engine.committed import CommittedStream
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.race import Race
    from asyncrouter._engine.spending import Spending
    from asyncrouter._events import Events
    from asyncrouter._transport.api import Transport
    from asyncrouter._types import Call, Trace
    from asyncrouter.shared import Shared


class Lifecycle:
    """Opens, counts and closes. `engine` is the open one, `None` before the first call and after closing.

    States: not opened → open (at the first call, on the event loop of that call) → closed → not opened (when entered
    again). A router that was never closed opens anew if the loop of its engine has been closed.
    """

    __slots__ = (
        "_begin_stream", "_config", "_entered", "_events", "_idle", "_new_race", "_random", "_shared", "_spending",
        "_transport", "_wall", "calls", "closed", "engine",
    )

    _new_race: type[Race]
    _begin_stream: Callable[..., Awaitable[CommittedStream]]

    def __init__(
        self, transport: Transport | None, events: Events, random: Random, wall: Callable[[], float], config: Config,
        shared: Shared | None = None,
    ) -> None:
        self._transport = transport
        self._events = events
        self._random = random
        self._wall = wall
        self._config = config
        self._shared = shared
        self._spending: Spending | None = None  # outlives the engine: closing a router gives no money back
        self._entered = 0  # how many `async with` are around it now
        self._idle: asyncio.Event | None = None  # set when no call is in flight any more
        self.calls = 0
        self.closed = False
        self.engine: Engine | None = None

    def __repr__(self) -> str:
        return f"<Lifecycle {self.state}, {self.calls} calls in flight>"

    @property
    def state(self) -> str:
        """In words: closed, open or not opened."""
        return "closed" if self.closed else "open" if self.engine is not None else "not opened"

    @property
    def shared(self) -> Shared | None:
        """Where limits, holds and the budget are kept for many processes; `None`: nowhere."""
        return self._shared

    @property
    def transport(self) -> Transport:
        """The transport, made if none was given, and kept, so that it lets go of a loop that has been closed."""
        if self._transport is None:
            self._transport = AiohttpTransport()
        return self._transport

    def open(self) -> Engine:
        """The engine of the running event loop, made by the first call. Raises `RouterClosed`, `RuntimeError`."""
        if self.closed:
            raise RouterClosed("the router is closed; enter it again (`async with router:`) to open it")
        loop, engine = asyncio.get_running_loop(), self.engine
        if engine is not None and engine.loop is loop:
            return engine
        self._check_loop()
        return self._open_on(loop)

    def _check_loop(self) -> None:
        """Raise `RuntimeError` while the router is open on another event loop that has not been closed."""
        engine = self.engine
        if engine is not None and engine.loop is not asyncio.get_running_loop() and not engine.loop.is_closed():
            raise RuntimeError("this router is open on another event loop; close it there, or use one for each loop")

    def _open_on(self, loop: asyncio.AbstractEventLoop) -> Engine:
        # What an open router needs takes some 20 milliseconds to import, which `import asyncrouter` should not cost.
        from asyncrouter._engine.committed import begin_stream
        from asyncrouter._engine.engine import open_engine
        from asyncrouter._engine.race import Race

        self._new_race, self._begin_stream = Race, begin_stream
        breakers = self._config.defaults.breaker == "auto"
        engine = open_engine(loop, self.transport, self._events, self._random, self._wall, breakers=breakers)
        if self._shared is not None:
            from asyncrouter._engine.sharing import share

            share(engine, self._shared, self._mark_of_key)
        engine.spending = self.spending(engine)
        self.engine = engine
        return engine

    def _mark_of_key(self, provider: str) -> str:
        """By what processes know whether their keys of a provider are the same; "" while there is none."""
        credential = None if self.engine is None else self.engine.credentials.get(provider)
        try:
            return (credential or Credential(self._config.provider(provider))).mark()
        except ConfigError:  # only another process has such a provider
            return ""

    def spending(self, engine: Engine | None = None) -> Spending | None:
        """What is spent and reserved under the budget; `None` without one. `engine` is the one that has just opened."""
        if (budget := self._config.budget) is None:
            return None
        if self._spending is None:
            from asyncrouter._engine.spending import Spending
            from asyncrouter.shared import OwnAccounts

            self._spending = Spending(budget, OwnAccounts(self._wall), self._wall)
        elif self._spending.budget is not budget:
            self._spending = self._spending.under(budget)
        engine = engine or self.engine
        if engine is not None and engine.shared is not None:
            self._spending.accounts = engine.shared.money
        return self._spending

    def reload(self, old: Config, new: Config) -> set[str]:
        """Go on with another configuration; the names of the providers whose entries, or keys, have changed.

        Calls in flight keep the engine they began with; the new one shares all with it but those providers.
        """
        self._config = new
        if (engine := self.engine) is None:
            return set()
        self._check_loop()
        changed = {name for name in engine.wires if not _same_provider(name, old, new)}
        changed |= {name for name, credential in engine.credentials.items() if credential.has_changed()}
        self.engine = engine.reloaded(changed, self.spending())
        engine.policies.reconfigure(new, changed)
        return changed

    def race(self, engine: Engine, call: Call, plan: Plan, trace: Trace) -> Race:
        """The race of a call on the open engine, over all steps of its plan."""
        return self._new_race(engine, call, plan, trace)

    def begin_stream(
        self, engine: Engine, call: Call, plan: Plan, trace: Trace, *, restart: bool
    ) -> Awaitable[CommittedStream]:
        """Race a stream's first content on the open engine; `restart`: it may begin again when it breaks or stalls."""
        return self._begin_stream(engine, call, plan, trace, restart=restart)

    def end_call(self) -> None:
        """Count a call that has ended; `calls` was raised when it began."""
        self.calls -= 1
        if self.calls == 0 and self._idle is not None:
            self._idle.set()
            self._idle = None

    def enter(self) -> None:
        """Count an `async with` that begins; the outermost one opens a closed router again."""
        if self._entered == 0 or (self.closed and self.engine is None):
            self.closed = False
        self._entered += 1

    async def leave(self) -> None:
        """Count an `async with` that ends; the outermost one closes the router."""
        self._entered -= 1
        if self._entered == 0:
            await self.aclose()

    async def drain(self) -> None:
        """Take no new calls, wait for those in flight, then close. Raises `RuntimeError` on another event loop."""
        self._check_loop()
        self.closed = True
        if self.calls:
            self._idle = self._idle or asyncio.Event()
            await self._idle.wait()
        await self.aclose()

    async def aclose(self) -> None:
        """Close the engine, in 2 s at most. Does nothing when it is closed or was never opened.

        Raises `RuntimeError` on another event loop: its connections can be closed on their own one alone.
        """
        self._check_loop()
        self.closed = True
        engine, self.engine = self.engine, None
        if engine is not None:
            await engine.aclose()


def _same_provider(name: str, old: Config, new: Config) -> bool:
    try:
        return old.provider(name) == new.provider(name)
    except ConfigError:  # there is no such provider any more
        return False
