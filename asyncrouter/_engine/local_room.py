"""Room on this machine: attempts that found no descriptor, port or memory for a connection wait here for it.

Who waits. An attempt whose transport says that this machine has no room (scope "local") has sent nothing.
It gives back all it holds and waits, first come, first served. While anybody waits, new attempts queue up behind.

Who is woken. The oldest waiter, whenever an attempt ends: it may have left a connection, or a place for one.
Descriptors are also freed by the rest of the program, which says nothing; so the oldest is woken every 0.1 s as well,
then two, four and so on, until one finds no room again and goes back to the head of the queue.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from asyncrouter._engine.timers import Timer, Timers

LOOK_AGAIN_SECONDS = 0.1
"""Seconds between two looks whether there is room again, when no attempt of ours ends."""
MAX_WAIT_SECONDS = 60.0
"""Seconds that a call without a deadline waits for room in all: as long as a closed connection may keep its port
(`TIME_WAIT` on Linux)."""
MAX_WOKEN = 64
"""Waiters that are woken at a time at most."""
OUT_OF_ROOM = (
    "this process has no room for another connection (descriptors, ports or memory): calls wait for one. "
    "Raise its limit (`ulimit -n`), or make fewer calls at once"
)
"""The warning that is given once."""


class LocalRoom:
    """The attempts that wait for room on this machine; `waiting` is empty as long as there is enough of it."""

    __slots__ = ("_batch", "_loop", "_timer", "_timers", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, timers: Timers) -> None:
        self._loop = loop
        self._timers = timers
        self._timer: Timer | None = None
        self._batch = 1  # how many are woken next time
        self.waiting: OrderedDict[asyncio.Future[bool], None] = OrderedDict()  # oldest first

    def __repr__(self) -> str:
        return f"<LocalRoom {len(self.waiting)} waiting>"

    async def wait(self, until: float, *, again: bool) -> bool:
        """Wait for a turn; `False` when the instant `until` has come first. `again`: the last turn found no room."""
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self.waiting[waiter] = None
        if again:
            self.waiting.move_to_end(waiter, last=False)
            self._batch = 1
        if self._timer is None:
            self._look_again_later()
        limit = self._timers.call_at(until, partial(self._wake, waiter, turn=False))
        try:
            return await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.result():
                self.freed()  # the turn goes to the next one
            raise
        finally:
            self.waiting.pop(waiter, None)
            self._timers.cancel(limit)
            if not self.waiting and self._timer is not None:
                self._timers.cancel(self._timer)
                self._timer = None

    def freed(self) -> None:
        """Wake the oldest waiter: there may be room for one."""
        if self.waiting:
            self._wake(next(iter(self.waiting)), turn=True)

    def close(self) -> None:
        """Let nobody wait any longer."""
        while self.waiting:
            self.freed()

    def _wake(self, waiter: asyncio.Future[bool], *, turn: bool) -> None:
        self.waiting.pop(waiter, None)
        if not waiter.done():
            waiter.set_result(turn)

    def _look_again_later(self) -> None:
        self._timer = self._timers.call_at(self._loop.time() + LOOK_AGAIN_SECONDS, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        for _ in range(self._batch):
            self.freed()
        self._batch = min(2 * self._batch, MAX_WOKEN)
        if self.waiting:
            self._look_again_later()
