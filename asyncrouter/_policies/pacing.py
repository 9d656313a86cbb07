"""When the next request may go to a model: its limits, and the queue of those who wait for them.

Known limits (configured, or announced in headers) are kept; unknown ones are found by their 429s (`probing.py`). Who
must wait does so in the order of rank, first come first served within each; a hedge never waits, and never goes before
somebody who does. Batch work leaves room for one more, so an interactive call that comes next need not wait for it.
"""

from __future__ import annotations

from bisect import insort
from itertools import count
from math import inf
from typing import TYPE_CHECKING

from asyncrouter._errors import NotSent
from asyncrouter._policies.gcra import Gcra
from asyncrouter._policies.probing import Probe

if TYPE_CHECKING:
    import asyncio

    from asyncrouter._catalog import Model

MARGIN = 0.98
"""Share of a stated limit that is used."""
FIRST, AGAIN, BATCH = 0, 1, 2
"""Ranks: a call's first attempt, its retries and fallbacks, and both of those for batch work (2 and 3)."""


class Turn:
    """A place in the queue. `done` is resolved when its request may go, or fails with `NotSent` when it is too late."""

    __slots__ = ("done", "granted", "late", "number", "rank", "tokens")

    def __init__(self, rank: int, number: int, tokens: float, done: asyncio.Future[None]) -> None:
        self.rank = rank
        self.number = number
        self.tokens = tokens
        self.done = done
        self.granted = False
        self.late: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Turn {self.number} of rank {self.rank}{' granted' if self.granted else ''}>"

    def __lt__(self, other: Turn) -> bool:
        return (self.rank, self.number) < (other.rank, other.number)


class Pacer:
    """The limits of one model with one key, and who waits for them."""

    __slots__ = ("_loop", "_numbers", "_queue", "_requests", "_slots", "_timer", "_tokens", "probe", "running")

    def __init__(self, model: Model, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._requests = _limit(model.rpm)
        self._tokens = _limit(model.tpm)
        self._slots = model.max_concurrent
        self._queue: list[Turn] = []
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None
        self.probe = Probe()
        self.running = 0

    def __repr__(self) -> str:
        rate = "unlimited" if (rate := self.rate) is None else f"{rate:.3g}/s"
        return f"<Pacer {rate}, {self.running} running, {len(self._queue)} waiting>"

    @property
    def rate(self) -> float | None:
        """Requests a second that may go now; `None` when no limit is known."""
        rates = [limit.rate for limit in (self._requests, self.probe.limit) if limit is not None]
        return min(rates, default=None)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    @property
    def free(self) -> bool:
        """Whether there is nothing to keep."""
        return self._requests is None and self._tokens is None and self._slots is None and self.probe.limit is None

    def announce(self, requests: float | None, tokens: float | None) -> None:
        """The provider has told its limits, a minute; a configured one goes before it."""
        self._requests = _announced(self._requests, requests)
        self._tokens = _announced(self._tokens, tokens)

    def due(self, rank: int, tokens: float) -> float:
        """From when on a request could go if nobody waited; `inf` while all slots are taken."""
        now, spare = self._loop.time(), 1.0 if rank >= BATCH else 0.0
        # Batch work leaves one slot for the next interactive call, unless there is only one.
        if self._slots is not None and self.running >= max(1.0, self._slots - spare):
            return inf
        due = max(now, self.probe.gate)
        for limit in (self._requests, self.probe.limit):
            if limit is not None:
                due = max(due, limit.due(now, 1.0, spare))
        return due if self._tokens is None else max(due, self._tokens.due(now, tokens))

    def goes(self, tokens: float, rank: int = FIRST) -> bool:
        """Whether a request may go at this instant, without waiting and without passing anybody."""
        return self.free or (not self._queue and self.due(rank, tokens) <= self._loop.time())

    def take(self, tokens: float) -> None:
        """A request goes now."""
        self.running += 1
        now = self._loop.time()
        self.probe.sent(now)
        if self._requests is not None:
            self._requests.take(now)
        if self.probe.limit is not None:
            self.probe.limit.take(now)
        if self._tokens is not None:
            self._tokens.take(now, tokens)

    def give_back(self, tokens: float, *, sent: bool, used: float | None = None) -> None:
        """A request has ended: its slot is free, and the tokens it did not use; everything if it was not sent."""
        self.running -= 1
        if self._tokens is not None and (used is not None or not sent):
            self._tokens.give_back(tokens - (used or 0.0))
        if not sent:
            for limit in (self._requests, self.probe.limit):
                if limit is not None:
                    limit.give_back()
        if self._queue:
            self._serve()

    def join(self, rank: int, tokens: float, until: float) -> Turn:
        """Queue up. Raises `NotSent` when the turn would come after the instant `until`."""
        ahead = sum(turn.rank <= rank for turn in self._queue)
        rate = self.rate
        due = self.due(rank, tokens)
        expected = due if rate is None else due + ahead / rate
        if expected != inf and expected >= until:
            raise NotSent(f"its pace of {rate or 0.0:.3g} requests a second has no room in time: {ahead} are waiting")
        turn = Turn(rank, next(self._numbers), tokens, self._loop.create_future())
        if until < inf:
            turn.late = self._loop.call_at(until, self._expire, turn)
        self.probe.held(self._loop.time())
        insort(self._queue, turn)
        self._serve()
        return turn

    def leave(self, turn: Turn) -> None:
        """Give up a place, or the turn itself when it has come and will not be used."""
        if turn.late is not None:
            turn.late.cancel()
        if turn in self._queue:
            self._queue.remove(turn)
        elif turn.granted:
            self.give_back(turn.tokens, sent=False)
        self._serve()

    def _expire(self, turn: Turn) -> None:
        """Its time is up, and others are still before it."""
        if not turn.granted and not turn.done.done():
            turn.done.set_exception(NotSent("its turn did not come in time: others were before it"))

    def _serve(self) -> None:
        """Let go whoever may, in order; then look again when the next one is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._queue:
            turn = self._queue[0]
            due = self.due(turn.rank, turn.tokens)
            if due > self._loop.time():
                if due != inf:
                    self._timer = self._loop.call_at(due, self._serve)
                return
            del self._queue[0]
            self.take(turn.tokens)
            turn.granted = True
            if turn.late is not None:
                turn.late.cancel()
            if not turn.done.done():
                turn.done.set_result(None)


def _limit(per_minute: float | None) -> Gcra | None:
    if per_minute is None:
        return None
    rate = per_minute / 60.0 * MARGIN
    return Gcra(rate, max(1.0, rate))


def _announced(known: Gcra | None, per_minute: float | None) -> Gcra | None:
    if per_minute is None or per_minute <= 0.0:
        return known
    if known is None:
        return _limit(per_minute)
    known.rate = min(known.rate, per_minute / 60.0 * MARGIN)
    return known
