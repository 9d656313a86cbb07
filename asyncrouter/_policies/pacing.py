"""When the next request may go to a model: its limits, and the queue of those who wait for them.

Known limits (configured, or announced in headers) are kept; unknown ones are found by their 429s (`probing.py`). Who
must wait does so in the order of rank, first come first served within each; a hedge never waits, and never goes before
somebody who does. Batch work takes only what interactive work leaves (`gcra.py`), of the slots as of the rates.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING

from asyncrouter._errors import NotSent
from asyncrouter._policies.gcra import Gcra
from asyncrouter._policies.hidden_limit import Probe
from asyncrouter._policies.overload import Demand
from asyncrouter._policies.slots import Slots

if TYPE_CHECKING:
    import asyncio

    from asyncrouter._config.catalog import Model

MARGIN = 0.98
"""Share of a stated limit that is used."""
FIRST, AGAIN, BATCH = 0, 1, 2
"""Ranks: a call's first attempt, its retries and fallbacks, and both of those for batch work (2 and 3)."""
RANKS = 4


class Ticket:
    """A place in the queue. `done` is resolved when its request may go, or fails with `NotSent` when it is too late."""

    __slots__ = ("done", "granted", "late", "left", "rank", "tokens")

    def __init__(self, rank: int, tokens: float, done: asyncio.Future[None]) -> None:
        self.rank = rank
        self.tokens = tokens
        self.done = done
        self.granted = self.left = False
        self.late: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Ticket of rank {self.rank}{' granted' if self.granted else ' left' if self.left else ''}>"


class Pacer:
    """The limits of one model with one key, and who waits for them."""

    __slots__ = (
        "_demand", "_loop", "_model", "_queues", "_requests", "_slots", "_timer", "_tokens", "_waiting", "free",
        "probe",
    )

    def __init__(self, model: Model, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._model = model
        self._requests = _per_minute(model.rpm)
        self._tokens = _per_minute(model.tpm)
        self._slots = Slots(model.max_concurrent)
        self._queues: tuple[deque[Ticket], ...] = tuple(deque() for _ in range(RANKS))
        self._waiting = [0] * RANKS
        self._timer: asyncio.TimerHandle | None = None
        self._demand = Demand()
        self.probe = Probe()
        self.free = False
        """Whether there is nothing to keep: no limit is known."""
        self._look()

    def __repr__(self) -> str:
        rate = "unlimited" if (rate := self.rate) is None else f"{rate:.3g}/s"
        return f"<Pacer {rate}, {self.running} running, {self.waiting} waiting>"

    @property
    def rate(self) -> float | None:
        """Requests a second that may go now; `None` when no limit is known."""
        return None if (limit := self._limit()) is None else limit.rate

    @property
    def running(self) -> int:
        """How many requests are under way."""
        return self._slots.running

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(self._waiting)

    @property
    def counts_tokens(self) -> bool:
        """Whether there is a limit of tokens."""
        return self._tokens is not None

    # Limits.

    def announce(self, requests: float | None, tokens: float | None) -> None:
        """The provider has told its limits, a minute; a lower one that is configured stays."""
        self._requests = _announced(self._requests, requests, self._model.rpm)
        self._tokens = _announced(self._tokens, tokens, self._model.tpm)
        self._look()

    def answered(self) -> None:
        """A request got its answer."""
        if self.probe.limit is not None:
            self.probe.passed(self._loop.time())
            self._look()

    def rejected(self, sent_at: float, *, hinted: bool) -> bool:
        """A 429 or 529 has come for the request that was sent at `sent_at`; `hinted`: with a Retry-After.

        Whether this was the first sign of a limit that nobody tells.
        """
        new = self.probe.limit is None
        self.probe.rejected(self._loop.time(), sent_at, hinted=hinted)
        self._look()
        return new

    def _look(self) -> None:
        limits = (self._requests, self._tokens, self._slots.most, self.probe.limit)
        self.free = all(limit is None for limit in limits)

    def _limit(self) -> Gcra | None:
        """The limit of requests that binds."""
        known, hidden = self._requests, self.probe.limit
        if known is None or hidden is None:
            return known or hidden
        return known if known.rate <= hidden.rate else hidden

    # One request.

    def goes(self, tokens: float, rank: int = FIRST) -> bool:
        """Whether a request may go at this instant, without waiting and without passing anybody."""
        return self.free or (not any(self._waiting[: rank + 1]) and self._due(rank, tokens) <= self._loop.time())

    def take(self, tokens: float, rank: int = FIRST) -> None:
        """A request goes now, and has not waited."""
        self._ask(rank)
        self._go(tokens, rank)

    def _ask(self, rank: int) -> None:
        if (limit := self._limit()) is not None:
            self._demand.asked(self._loop.time(), limit, batch=rank >= BATCH)

    def _go(self, tokens: float, rank: int) -> None:
        batch = rank >= BATCH
        self._slots.take(batch=batch)
        if self.free:
            return
        now = self._loop.time()
        for limit in (self._requests, self.probe.limit):
            if limit is not None:
                limit.take(now, batch=batch)
        if self._tokens is not None:
            self._tokens.take(now, tokens, batch=batch)
        if self._slots.most is not None:
            self._slots.note(now)

    def give_back(self, tokens: float, rank: int = FIRST, *, sent: bool, used: float | None = None) -> None:
        """A request has ended: its slot is free, and the tokens it did not use; everything if it was not sent."""
        batch = rank >= BATCH
        self._slots.give_back(batch=batch)
        if self.free:
            return
        now = self._loop.time()
        if self._tokens is not None and (used is not None or not sent):
            self._tokens.correct(now, (used or 0.0) - tokens, batch=batch)
        if not sent:
            for limit in (self._requests, self.probe.limit):
                if limit is not None:
                    limit.correct(now, -1.0, batch=batch)
        self._serve()

    def _due(self, rank: int, tokens: float) -> float:
        """From when on a request could go if nobody waited; `inf` while all slots are taken."""
        now, batch = self._loop.time(), rank >= BATCH
        if not self._slots.free(now, batch=batch):
            return inf
        due = max(now, self.probe.gate)
        for limit in (self._requests, self.probe.limit):
            if limit is not None:
                due = max(due, limit.due(now, batch=batch))
        return due if self._tokens is None else max(due, self._tokens.due(now, tokens, batch=batch))

    # The queue.

    def join(self, rank: int, tokens: float, until: float, patience: float = inf) -> Ticket:
        """Queue up, until the instant `until` and for `patience` seconds at the most, less where the queue stands.

        Raises `NotSent` when the turn would come later.
        """
        if patience < inf:
            now = self._loop.time()
            until = min(until, now + self._demand.patience(now, patience, batch=rank >= BATCH))
        self._ask(rank)
        ahead, rate, due = sum(self._waiting[: rank + 1]), self.rate, self._due(rank, tokens)
        expected = due if rate is None else due + ahead / rate
        if until <= expected < inf:
            told = f"its pace of {rate or 0.0:.3g} requests a second has no room in time: {ahead} are waiting"
            raise NotSent(told, hold=expected - self._loop.time())
        turn = Ticket(rank, tokens, self._loop.create_future())
        if until < inf:
            turn.late = self._loop.call_at(until, self._expire, turn)
        self._queues[rank].append(turn)
        self._waiting[rank] += 1
        self._serve()
        return turn

    def leave(self, turn: Ticket) -> None:
        """Give up a place, or the turn itself when it has come and will not be used."""
        if turn.late is not None:
            turn.late.cancel()
        if turn.granted:
            self.give_back(turn.tokens, turn.rank, sent=False)
        elif not turn.left:
            turn.left = True
            self._waiting[turn.rank] -= 1
        self._serve()

    def close(self) -> None:
        """Send away all who wait."""
        for queue in self._queues:
            for turn in queue:
                self._expire(turn)

    def _expire(self, turn: Ticket) -> None:
        """Its time is up, and others are still before it."""
        if not turn.granted and not turn.done.done():
            turn.done.set_exception(NotSent("its turn did not come in time: others were before it", hold=0.0))

    def _serve(self) -> None:
        """Let go whoever may, in order; then look again when the next one is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while (turn := self._head()) is not None:
            due, now = self._due(turn.rank, turn.tokens), self._loop.time()  # in this order: time goes on meanwhile
            if due > now:
                if (hidden := self.probe.limit) is not None and hidden.due(now, batch=turn.rank >= BATCH) >= due:
                    self.probe.held(now)
                if due < inf:
                    self._timer = self._loop.call_at(due, self._serve)
                return
            self._queues[turn.rank].popleft()
            self._waiting[turn.rank] -= 1
            self._grant(turn)

    def _head(self) -> Ticket | None:
        """Whose turn is next; those who have left are dropped on the way."""
        for queue in self._queues:
            while queue and queue[0].left:
                queue.popleft()
            if queue:
                return queue[0]
        return None

    def _grant(self, turn: Ticket) -> None:
        self._go(turn.tokens, turn.rank)
        turn.granted = True
        if turn.late is not None:
            turn.late.cancel()
        if not turn.done.done():
            turn.done.set_result(None)


def _per_minute(per_minute: float | None) -> Gcra | None:
    if per_minute is None:
        return None
    rate = per_minute / 60.0 * MARGIN
    return Gcra(rate, max(1.0, rate))


def _announced(known: Gcra | None, per_minute: float | None, configured: float | None) -> Gcra | None:
    if per_minute is None or per_minute <= 0.0:
        return known
    now = _per_minute(per_minute if configured is None else min(per_minute, configured))
    if known is None or now is None:
        return now
    known.rate, known.burst = now.rate, now.burst
    return known
