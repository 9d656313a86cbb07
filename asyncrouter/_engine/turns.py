"""One call's places in the queues of several models at once: it goes with the model that lets it go first.

A call that waits for one of several limited models does not choose a queue: rates change while it waits, and in the
queue chosen it could stand for minutes while another model is idle. So it has a ticket for each, goes with the first
that is granted, and withdraws the others. All calls together then wait as in one queue that all models serve.

Guaranteed: every ticket is withdrawn but the one that is taken, however the wait ends. Who takes one has to use it, or
to leave it with its pacer.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter._engine.claim import claim, tokens_of
from asyncrouter._engine.trace_entry import TraceEntry
from asyncrouter._errors import NotSent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asyncrouter._config.plan import PlannedStep
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.pool_run import PoolRun
    from asyncrouter._policies.pacing import Ticket
    from asyncrouter._types import Call, Cause, Trace


class Turn(NamedTuple):
    """One ticket, and for which step, why, and with whom."""

    ticket: Ticket
    step: PlannedStep
    cause: Cause


class Turns:
    """The tickets of one call, by the index of their step; they are good `until` an instant of the loop's clock."""

    __slots__ = ("_began", "_call", "_engine", "_entries", "_since", "_tickets", "_trace", "until")

    def __init__(self, engine: Engine, call: Call, trace: Trace, until: float) -> None:
        self._engine = engine
        self._call = call
        self._trace = trace
        self.until = until
        self._began = engine.time()
        self._entries = len(trace.attempts)
        self._tickets: dict[int, Turn] = {}
        self._since: dict[int, float] = {}  # when it first joined a queue, which it may have had to leave meanwhile

    def __repr__(self) -> str:
        return f"<Turns {', '.join(map(str, self._tickets)) or 'none'}>"

    def join(
        self, index: int, step: PlannedStep, cause: Cause, *, queues: int, pool: PoolRun | None = None
    ) -> bool:
        """Queue up for a step, unless done before; whether its turn can come in time.

        `queues` is in how many queues the call stands in all. `pool`: the step is a pool.
        """
        if index not in self._tickets:
            try:
                ticket = self._ticket(step, cause, queues) if pool is None else self._pool_ticket(pool, step, cause)
            except NotSent as error:
                TraceEntry(self._engine, self._call, self._trace, step, cause).fail(error)
                return False
            ticket.joined = self._since.setdefault(index, ticket.joined)
            self._tickets[index] = Turn(ticket, step, cause)
        return True

    def _ticket(self, step: PlannedStep, cause: Cause, queues: int) -> Ticket:
        params = {**self._call.params_for(step.model.provider), **step.params}
        state, rank, tokens = claim(self._engine, self._call, step, params, cause)
        return state.pacer.join(rank, tokens, self.until, queues=queues)

    def _pool_ticket(self, pool: PoolRun, step: PlannedStep, cause: Cause) -> Ticket:
        params = {**self._call.params_for(step.model.provider), **step.params}
        tokens = tokens_of(self._call, params) if pool.state.counts_tokens else 0.0
        return pool.join(cause, tokens, self.until, self._engine.time())

    def indices(self) -> list[int]:
        """The steps it has tickets for."""
        return list(self._tickets)

    def keep(self, indices: Iterable[int]) -> None:
        """Leave all other queues."""
        for index in self._tickets.keys() - set(indices):
            self._leave(index)

    async def wait(self, seconds: float | None) -> None:
        """Wait until a ticket is granted, too late or in vain, `seconds` at most (`None`: however long)."""
        holds, waiting = self._engine.policies.holds, list(self._tickets.values())
        watched = [(ticket, step.model) for ticket, step, _ in waiting if step.pool is None]
        for ticket, model in watched:
            own_key = model.provider in self._call.own_keys
            holds.watch(model, ticket.done, inf if own_key else self.until)
        try:
            done = [turn.ticket.done for turn in waiting]
            await asyncio.wait(done, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for ticket, model in watched:
                holds.unwatch(model, ticket.done)

    def granted(self) -> int | None:
        """The first step whose ticket is granted."""
        return next((index for index in sorted(self._tickets) if self._tickets[index].ticket.granted), None)

    def expired(self) -> list[int]:
        """The steps whose turn did not come in time; they are entered in the trace, and their tickets dropped."""
        errors = {
            index: ticket.done.exception()
            for index, (ticket, *_) in self._tickets.items() if ticket.done.done() and not ticket.granted
        }
        late = {index: error for index, error in errors.items() if isinstance(error, NotSent)}
        for index, error in late.items():
            self.give_up(index, error)
        return list(late)

    def give_up(self, index: int, error: NotSent) -> None:
        """Leave the queue of a step that cannot be sent any more, and enter that in the trace."""
        if not self._engine.closed:
            ticket, step, cause = self._tickets[index]
            TraceEntry(self._engine, self._call, self._trace, step, cause, ticket.joined).fail(error)
        self._leave(index)

    def tell_in_vain(self, step: PlannedStep, cause: Cause, error: NotSent) -> None:
        """Enter a step in the trace that the call has waited for without a ticket, unless that has been entered."""
        told = any(attempt.model == step.name for attempt in self._trace.attempts[self._entries:])
        if not told and self._engine.time() > self._began:
            TraceEntry(self._engine, self._call, self._trace, step, cause, self._began).fail(error)

    def take(self, index: int) -> Ticket:
        """Take a ticket that is granted, and leave all other queues."""
        ticket = self._tickets.pop(index).ticket
        self.keep(())
        return ticket

    def _leave(self, index: int) -> None:
        ticket = self._tickets.pop(index).ticket
        ticket.leave()
        if not ticket.done.cancel() and not ticket.done.cancelled():
            ticket.done.exception()  # it has been looked at
