"""What one open router does with a store that many processes share: limits by place, holds, and the accounts.

Guaranteed: no call waits for the store longer than a question takes to fail, and none fails of it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING

from asyncrouter._errors import RouterClosed
from asyncrouter._events import Notice, StateChanged
from asyncrouter._policies.shared_limit import SharedLimit
from asyncrouter._policies.shared_money import SharedMoney
from asyncrouter.shared import SharedHold

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from random import Random

    from asyncrouter._events import Events
    from asyncrouter._policies.holds import Hold, Holds, Key
    from asyncrouter._policies.model_state import ModelState
    from asyncrouter.shared import Shared

NEWS_SECONDS = 0.9, 1.1
"""Between these, at random, lies the pause after which the holds of the other processes are asked for again."""
SUBJECT = "shared state"
"""What events about the store are about."""


class SharedClient:
    """One router's part of a store, on one event loop.

    `mark_of_key(provider)` tells keys of a provider apart: a hold that is about a key is for those who use the same
    one. So a process in which a key is not set, or is an old one, takes it from nobody else.
    """

    def __init__(
        self, store: Shared, loop: asyncio.AbstractEventLoop, random: Random, events: Events, holds: Holds,
        mark_of_key: Callable[[str], str],
    ) -> None:
        self.store = store
        self.processes = int(getattr(store, "processes", 1))
        """How many processes there are, as far as is known."""
        self.money = SharedMoney(store, loop, self.told, lambda: self.processes)
        """The accounts of the budget."""
        self._loop = loop
        self._random = random
        self._events = events
        self._holds = holds
        self._mark_of_key = mark_of_key
        self._limits: list[SharedLimit] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[None] | None = None
        self._away = False
        self._closed = False
        self.opened = False
        """Whether the store is ready, or is known to be away."""

    def __repr__(self) -> str:
        return f"<SharedClient {'away' if self._away else 'open' if self.opened else 'not opened'}, {self.store!r}>"

    async def ready(self) -> None:
        """Wait until the store is ready. Raises `RouterClosed`; `ConfigError` where it must be reachable and is not."""
        if self.opened:
            return
        if self._opening is None or self._opening.done():
            self._opening = self._loop.create_task(self._open())
            self._opening.add_done_callback(_look_at)
        try:
            await asyncio.shield(self._opening)
        except asyncio.CancelledError:
            if self._closed and self._opening.cancelled():
                raise RouterClosed("the router was closed while the call was running") from None
            raise

    async def _open(self) -> None:
        try:
            await self.store.open()
            self.told(None)
        except OSError as error:
            self.told(error)
        self.opened = True
        self._holds.on_new = self._tell_hold
        await self._read_news()
        for limit in self._limits:
            limit.want()

    # Limits.

    def share(self, state: ModelState) -> None:
        """Keep the limits of a model in the store from now on, if it has any that are configured."""
        model = state.model
        if model.rpm is model.tpm is model.max_concurrent is None:
            return
        limit = SharedLimit(
            self.store, place_of(model.provider, model.id), model, self._loop, self._random,
            lambda: state.limits.slots.running, self.told, partial(self._held, model.provider, model.id),
        )
        self._limits.append(limit)
        state.limits.keep_in(limit)
        limit.begin(state.pacer.demand, state.pacer.look_again, self.processes)

    def _held(self, provider: str, model: str, seconds: float, why: str) -> None:
        self._holds.adopt("held", (provider, model, True), seconds, seconds, why, self._loop.time(), of_key=True)

    # Holds.

    def _tell_hold(self, kind: str, key: Key, hold: Hold, now: float) -> None:
        names: tuple[str | bool, ...] = (key,) if isinstance(key, str) else key
        place = place_of(str(names[0]), str(names[1])) if kind == "held" and hold.of_key else ""
        mark = self._mark_of_key(str(names[0])) if hold.of_key else ""
        told = SharedHold(kind, (*names, mark), hold.until - now, hold.seconds, hold.why, hold.of_key, place)
        self._begin(self.store.tell(told))

    async def _read_news(self) -> None:
        with suppress(Exception):  # whoever needs a turn will say so
            self.processes, holds = await self.store.news()
            now = self._loop.time()
            for hold in holds:
                *names, mark = hold.key
                if not hold.of_key or mark == self._mark_of_key(str(names[0])):
                    key = str(names[0]) if hold.kind == "key" else tuple(names)
                    self._holds.adopt(
                        hold.kind, key, hold.seconds, hold.span, hold.why, now,  # type: ignore[arg-type]
                        of_key=hold.of_key,
                    )
        if not self._closed:
            pause = self._random.uniform(*NEWS_SECONDS)
            self._timer = self._loop.call_later(pause, lambda: self._begin(self._read_news()))

    # The store itself.

    def told(self, error: Exception | None) -> None:
        """Note whether the store could be reached; a change is said."""
        if (error is not None) == self._away:
            return
        self._away = error is not None
        if error is not None:
            text = "cannot be reached: this process goes on with its own share of the limits"
            self._events.notice(Notice(SUBJECT, f"{SUBJECT}: {text} ({error})"))
        if not self._events.quiet:
            self._events.emit(StateChanged(SUBJECT, "away" if self._away else "back", str(error or "")))

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task = self._loop.create_task(self._quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _quietly(self, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except Exception as error:  # as in `shared_limit.py`
            self.told(error)

    async def aclose(self) -> None:
        """Give everything back and leave."""
        self._closed = True
        self._holds.on_new = None
        if self._timer is not None:
            self._timer.cancel()
        for task in (*self._tasks, *((self._opening,) if self._opening else ())):
            task.cancel()
        closing = [self.money.aclose(), *(limit.aclose() for limit in self._limits)]
        await asyncio.gather(*closing, return_exceptions=True)
        with suppress(Exception):
            await self.store.aclose()


def _look_at(task: asyncio.Task[None]) -> None:
    """Retrieve the exception of a task whose caller may have gone."""
    if not task.cancelled():
        task.exception()


def place_of(provider: str, model: str) -> str:
    """The name of a place in the store: a hash, so that nobody reads names of models in the names of keys."""
    return blake2b(f"{provider}\0{model}".encode(), digest_size=16, person=b"asyncrouter").hexdigest()
