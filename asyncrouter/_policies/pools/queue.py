"""A call that waits for any of several models: one ticket in all of their queues, granted by the first."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from asyncrouter._errors import NotSent
from asyncrouter._policies.pacing import Pacer, Rank, Ticket, expire

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence


class PoolTicket(Ticket):
    """A place in the queues of several models at once; the first that lets it go is `granted_by`, and ends the others.

    All who wait for the same models then stand in one queue that all of these serve. `pacers` are those it has entered.
    """

    __slots__ = ("granted_by", "pacers")

    def __init__(self, rank: Rank, tokens: float, done: asyncio.Future[None], joined: float) -> None:
        super().__init__(rank, tokens, done, joined)
        self.pacers: list[Pacer] = []
        self.granted_by: Pacer | None = None

    def has_entered(self, pacer: Pacer) -> None:
        """It stands in the queue of this pacer now."""
        self.pacers.append(pacer)

    def was_granted_by(self, pacer: Pacer) -> None:
        """Its request may go to the model of this pacer: it has left all other queues."""
        self.granted_by = pacer
        for other in self.pacers:
            if other is not pacer:
                other.forget(self)

    def leave(self) -> None:
        """Give up the place in all queues, or the permission to go when it has been granted and will not be used."""
        if self.granted_by is not None:
            self.granted_by.leave(self)
            return
        if self.expiry is not None:
            self.expiry.cancel()
        if not self.withdrawn:
            self.withdrawn = True
            for pacer in self.pacers:
                pacer.forget(self)
                pacer.look_again()


def join_several(
    pacers: Sequence[Pacer], loop: asyncio.AbstractEventLoop, rank: Rank, tokens: float, until: float,
    patience: float = inf, *, ahead: bool = False,
) -> PoolTicket:
    """Queue up with several models until the instant `until`, and for `patience` seconds at most.

    `ahead`: before all others of its rank, because it has been turned down after it had waited. Raises `NotSent` when
    none of them could let it go in time.
    """
    now = loop.time()
    late: list[NotSent] = []
    in_time: list[Pacer] = []
    if patience < inf:
        until = min(until, now + max(pacer.patience_now(now, rank, patience) for pacer in pacers))
    for pacer in pacers:
        try:
            pacer.check_in_time(now, rank, tokens, until, len(pacers))
        except NotSent as error:
            late.append(error)
        else:
            in_time.append(pacer)
    if not in_time:
        raise min(late, key=lambda error: inf if error.hold is None else error.hold)
    ticket = PoolTicket(rank, tokens, loop.create_future(), now)
    if until < inf:
        ticket.expiry = loop.call_at(until, expire, ticket)
    if not ahead:
        min(in_time, key=lambda pacer: pacer.expected_wait(rank)).count_demand(now, rank)
    for pacer in in_time:
        if not ticket.granted:
            pacer.enter(ticket, ahead=ahead)
    return ticket
