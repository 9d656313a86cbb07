"""The queue of those who wait for a model's limits: when the next request may go, and whose it is.

What is limited stands in `limits.py`. The state here is a queue for each rank and one timer for the instant at which
the head of the queue is due.

Guaranteed: requests go in the order of rank, and within a rank in the order of arrival; nobody waits while the head
could go; a hedge never waits and never goes before somebody who waits; batch work takes only what interactive work
leaves. A ticket ends once: granted, too late (`NotSent`), or withdrawn by its owner.

A call that could go to another model waits for a limited `retry.patience` seconds only, and much shorter while the
model is overloaded (`overload.py`).
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from itertools import islice
from math import inf
from typing import TYPE_CHECKING

from asyncrouter._errors import NotSent
from asyncrouter._policies.overload import Demand

if TYPE_CHECKING:
    import asyncio

    from asyncrouter._policies.limits import Limits


HIDDEN_LIMIT_SHARE = 0.25
"""The share of its patience that a call has for a limit that only 429s tell. That queue is an estimate, and of a crowd
so many should go on to the next model that both are done at the same time. Under overload a call that has been turned
down before does not wait at all."""


class Rank(IntEnum):
    """The place of a request among those who wait; lower goes first. `batch` says whether it is batch work."""

    FIRST = 0
    """The first attempt of a call."""
    AGAIN = 1
    """A retry, fallback or hedge."""
    BATCH_FIRST = 2
    """The first attempt of a call of batch work."""
    BATCH_AGAIN = 3
    """A retry, fallback or hedge of batch work."""

    batch: bool

    def __init__(self, value: int) -> None:
        self.batch = value >= 2


class Ticket:
    """A place in the queue. `done` is resolved when its request may go, or fails with `NotSent` when it is too late."""

    __slots__ = ("done", "expiry", "granted", "joined", "pacer", "rank", "tokens", "withdrawn")

    pacer: Pacer
    """Whose queue it stands in."""

    def __init__(self, rank: Rank, tokens: float, done: asyncio.Future[None], joined: float) -> None:
        self.joined = joined
        """The instant of the loop's clock at which it joined the queue."""
        self.rank = rank
        self.tokens = tokens
        self.done = done
        self.granted = self.withdrawn = False
        self.expiry: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        state = " granted" if self.granted else " withdrawn" if self.withdrawn else ""
        return f"<{type(self).__name__} of rank {self.rank:d}{state}>"

    def has_entered(self, pacer: Pacer) -> None:
        """It stands in the queue of this pacer now."""
        self.pacer = pacer

    def was_granted_by(self, pacer: Pacer) -> None:
        """Its request may go to the model of this pacer."""

    def leave(self) -> None:
        """Give up the place, or the permission to go when it has been granted and will not be used."""
        self.pacer.leave(self)


def expire(ticket: Ticket) -> None:
    """Tell a ticket that it is too late."""
    if not ticket.granted and not ticket.done.done():
        ticket.done.set_exception(NotSent("its turn did not come in time: others were before it", hold=0.0))


class Pacer:
    """Lets requests to one model go within its limits, and keeps the queue of those who wait."""

    __slots__ = ("_demand", "_limits", "_loop", "_queues", "_timer", "_waiting")

    def __init__(self, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self._limits = limits
        self._loop = loop
        self._queues: tuple[deque[Ticket], ...] = tuple(deque() for _ in Rank)
        self._waiting = [0] * len(Rank)
        self._timer: asyncio.TimerHandle | None = None
        self._demand = Demand()

    def __repr__(self) -> str:
        rate = "unlimited" if (rate := self._limits.rate) is None else f"{rate:.3g}/s"
        return f"<Pacer {rate}, {self.running} running, {self.waiting} waiting>"

    @property
    def rate(self) -> float | None:
        """Requests a second that may go now; `None` when no limit is known."""
        return self._limits.rate

    @property
    def running(self) -> int:
        """How many requests run."""
        return self._limits.slots.running

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(self._waiting)

    def demand(self, most: int) -> list[tuple[float, bool]]:
        """The first ones that wait, in their order: the tokens of each, and whether it is batch work."""
        waiting = (ticket for queue in self._queues for ticket in queue if not (ticket.withdrawn or ticket.granted))
        return [(ticket.tokens, ticket.rank.batch) for ticket in islice(waiting, most)]

    # One request.

    def may_go(self, tokens: float, rank: Rank = Rank.FIRST) -> bool:
        """Whether a request may go at this instant, without waiting and without passing anybody."""
        if self._limits.unlimited:
            return True
        now = self._loop.time()
        return not any(self._waiting[: rank + 1]) and self._limits.due(now, tokens, batch=rank.batch) <= now

    def take_now(self, tokens: float, rank: Rank = Rank.FIRST) -> bool:
        """Let a request go at this instant, if it need not wait; whether it goes."""
        if self._limits.unlimited:
            self._limits.slots.take(batch=rank.batch)
            return True
        if not self.may_go(tokens, rank):
            return False
        now = self._loop.time()
        self.count_demand(now, rank)
        self._limits.take(now, tokens, batch=rank.batch)
        return True

    def take_slot(self, rank: Rank) -> bool:
        """Take a slot for a request that is not paced; whether one was free."""
        if not self.has_slot(rank):
            return False
        self._limits.slots.take(batch=rank.batch)
        return True

    def has_slot(self, rank: Rank) -> bool:
        """Whether a request that is not paced may go at this instant."""
        return self._limits.slots.free(self._loop.time(), batch=rank.batch)

    def give_slot_back(self, rank: Rank) -> None:
        """Note that a request that was not paced has ended, and let the next one go."""
        self._limits.slots.give_back(batch=rank.batch)
        self.look_again()

    def unpace(self, ticket: Ticket) -> None:
        """Let a granted request keep its slot only: it goes with a key that has limits of its own."""
        self._limits.refund(self._loop.time(), ticket.tokens, batch=ticket.rank.batch)
        self.look_again()

    def give_back(
        self, tokens: float, rank: Rank = Rank.FIRST, *, sent: bool, used: float | None = None
    ) -> None:
        """Note that a request has ended, and let the next one go; `sent`, `used`: see `Limits.give_back`."""
        if self._limits.unlimited:
            self._limits.slots.give_back(batch=rank.batch)
            return
        self._limits.give_back(self._loop.time(), tokens, batch=rank.batch, sent=sent, used=used)
        self._serve()

    def was_rejected(self, rank: Rank) -> None:
        """Note that the provider has turned a request down for its limit: more is asked for than that lets through."""
        self.count_demand(self._loop.time(), rank)

    def patience_now(self, now: float, rank: Rank, patience: float) -> float:
        """The seconds to wait of a request that could go to another model instead."""
        if not self._limits.hidden_binds:
            return self._demand.patience(now, patience, batch=rank.batch)
        patience *= HIDDEN_LIMIT_SHARE
        shortened = self._demand.patience(now, patience, batch=rank.batch)
        return 0.0 if shortened < patience and rank in {Rank.AGAIN, Rank.BATCH_AGAIN} else shortened

    def count_demand(self, now: float, rank: Rank) -> None:
        """Count one more request that asks for the limit."""
        if (limit := self._limits.requests) is not None:
            self._demand.add(now, limit, batch=rank.batch)

    # The queue.

    def join(
        self, rank: Rank, tokens: float, until: float, patience: float = inf, *, queues: int = 1
    ) -> Ticket:
        """Queue up, until the instant `until` and for `patience` seconds at most, shorter under overload.

        `queues`: the request stands in so many queues, and goes with the first model that lets it. Raises `NotSent`
        when it could not go in time.
        """
        now = self._loop.time()
        if patience < inf:
            until = min(until, now + self.patience_now(now, rank, patience))
        self.count_demand(now, rank)
        self.check_in_time(now, rank, tokens, until, queues)
        ticket = Ticket(rank, tokens, self._loop.create_future(), now)
        if until < inf:
            ticket.expiry = self._loop.call_at(until, expire, ticket)
        self.enter(ticket)
        return ticket

    def enter(self, ticket: Ticket, *, ahead: bool = False) -> None:
        """Put a ticket into the queue, `ahead` of all others of its rank, and let those go who may."""
        queue = self._queues[ticket.rank]
        if ahead:
            queue.appendleft(ticket)
        else:
            queue.append(ticket)
        self._waiting[ticket.rank] += 1
        ticket.has_entered(self)
        self._serve()

    def forget(self, ticket: Ticket) -> None:
        """Note that a ticket of its queue is not valid any more; those behind it may go sooner if they need less."""
        self._waiting[ticket.rank] -= 1
        if self._limits.counts_tokens:
            self._loop.call_soon(self.look_again)

    def leave(self, ticket: Ticket) -> None:
        """Give up a place, or the permission to go when it has been granted and will not be used."""
        if ticket.expiry is not None:
            ticket.expiry.cancel()
        if ticket.granted:
            self.give_back(ticket.tokens, ticket.rank, sent=False)
        elif not ticket.withdrawn:
            ticket.withdrawn = True
            self._waiting[ticket.rank] -= 1
        self._serve()

    def look_again(self) -> None:
        """The limits have changed: let those go who may go now."""
        if any(self._waiting):
            self._serve()

    def close(self) -> None:
        """Send away all who wait."""
        for queue in self._queues:
            for ticket in queue:
                expire(ticket)

    def next_in_line(self) -> Ticket | None:
        """The ticket that goes next; those that were withdrawn are dropped on the way."""
        for queue in self._queues:
            while queue and (queue[0].withdrawn or queue[0].granted):
                queue.popleft()
            if queue:
                return queue[0]
        return None

    def expected_wait(self, rank: Rank) -> float:
        """About how many seconds a request that joins now would wait; `inf` while all slots are taken.

        Never 0 while others wait before it: what they take of a limit of tokens is not known, but the first of them is.
        """
        if self._limits.unlimited:
            return 0.0
        now, ahead = self._loop.time(), sum(self._waiting[: rank + 1])
        expected = self._limits.expected(now, 0.0, ahead, batch=rank.batch)
        if ahead and (first := self.next_in_line()) is not None:
            expected = max(expected, self._limits.due(now, first.tokens, batch=first.rank.batch))
        return expected - now

    def check_in_time(self, now: float, rank: Rank, tokens: float, until: float, queues: int) -> None:
        """Raise `NotSent` when a request that joins now would go later than `until`."""
        ahead, rate = sum(self._waiting[: rank + 1]), self.rate
        expected = self._limits.expected(now, tokens, ahead / queues, batch=rank.batch)
        if until <= expected < inf:
            limit = "limit of tokens" if rate is None else f"pace of {rate:.3g} requests a second"
            raise NotSent(f"its {limit} has no room in time: {ahead} are waiting", hold=expected - now)

    def _serve(self) -> None:
        """Let those go who may, in order; then look again when the next one is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while (ticket := self.next_in_line()) is not None:
            now, batch = self._loop.time(), ticket.rank.batch
            due = self._limits.due(now, ticket.tokens, batch=batch)
            if due > now:
                self._limits.note_wait(now, due, batch=batch)
                if (look_at := due if due < inf else self._limits.slots.next_look(now)) < inf:
                    self._timer = self._loop.call_at(look_at, self._serve)
                return
            self._queues[ticket.rank].popleft()
            self._waiting[ticket.rank] -= 1
            self._grant(ticket, now)

    def _grant(self, ticket: Ticket, now: float) -> None:
        self._limits.take(now, ticket.tokens, batch=ticket.rank.batch)
        ticket.granted = True
        ticket.was_granted_by(self)
        if ticket.expiry is not None:
            ticket.expiry.cancel()
        if not ticket.done.done():
            ticket.done.set_result(None)
