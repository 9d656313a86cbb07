"""Admission to a pool: a member is picked, and its lease taken, in one synchronous step; or the call waits for any.

`admit_to_pool_now()` is the usual way, and never awaits. It binds the step run to the member that has let it go
(`StepRun.bind`); from then on it is that of a plain model. While the call waits it has one ticket in the queues of all
members that could serve it (`_policies/pools/queue.py`), which is given up when the wait is cancelled.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

from asyncrouter._engine.claim import tokens_of
from asyncrouter._engine.pool_run import NOBODY
from asyncrouter._errors import NotSent, RouterClosed
from asyncrouter._policies.pools.picking import least_busy
from asyncrouter._policies.pools.queue import PoolTicket, join_several

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncrouter._credentials import Credential
    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.pool_run import PoolRun
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._policies.lease import Lease
    from asyncrouter._policies.pacing import Rank
    from asyncrouter._policies.pools.member import Member
    from asyncrouter._policies.refusal import Refusal


def admit_to_pool_now(run: PoolRun, step_run: StepRun) -> Lease | None:
    """The lease of an attempt at the member that it goes to at this instant; `None` when it has to wait for each.

    Raises `NotSent` when the step should be passed over, `RouterClosed` when the router is closing.
    """
    if step_run.ticket is not None:  # it has waited already
        ticket, step_run.ticket = step_run.ticket, None
        assert isinstance(ticket, PoolTicket)
        return _granted(run, step_run, ticket)
    now = _check(run.engine, step_run)
    rank, tokens = _asks(run, step_run)
    refused = NOBODY  # by what is only known when the lease is asked for
    while (member := _pick(run, step_run, now, rank, tokens, refused)) is not None:
        own_key = bool(run.call.own_keys) and run.own_key(member)
        lease = run.engine.policies.lease_now(member.state, rank, tokens, own_key=own_key)
        if lease is not None:
            step_run.bind(member, now, own_key=own_key)
            return lease
        refused |= {member.index}
    return None


async def fetch_key(credential: Credential, engine: Engine, step_run: StepRun, lease: Lease) -> None:
    """Fetch the key of the member that was picked; if that fails, its lease is given back. Raises `NotSent`."""
    try:
        await credential.fetch(step_run.silent_until - engine.time())
    except BaseException:
        lease.end(engine.time(), "not_sent")
        raise


async def admit_to_pool_later(run: PoolRun, step_run: StepRun) -> Lease:
    """Wait for the lease that `admit_to_pool_now()` did not give.

    Raises `NotSent` when that would take too long, `RouterClosed` when the router closes.
    """
    if step_run.hedged:
        raise NotSent("a hedge does not wait for its turn", hold=0.0)
    while True:
        now = run.engine.time()
        refusals = {one: run.refusal_of(one, now) for one in _could_serve(run)}
        queues = [one for one, refusal in refusals.items() if refusal is None]
        held = {one: refusal.hold for one, refusal in refusals.items() if refusal and refusal.hold is not None}
        if queues:
            ticket = await _wait_for_turn(run, step_run, queues, min(held.values(), default=inf))
            if ticket is not None and (lease := _granted(run, step_run, ticket)) is not None:
                return lease
        elif held:
            member, hold = min(held.items(), key=lambda item: item[1])
            if not step_run.should_wait(hold):
                raise _error(refusals)
            await run.engine.sleep(hold, member.model, step_run.pointless_after())
        elif (forced := _forced(run, step_run)) is not None:
            return forced
        else:
            raise _error(refusals)
        if (lease := admit_to_pool_now(run, step_run)) is not None:
            return lease


def _check(engine: Engine, step_run: StepRun) -> float:
    """The present instant. Raises `RouterClosed`, or `NotSent` when the share of the deadline is over."""
    if engine.closed:
        raise RouterClosed("the router was closed while the call was running")
    now = engine.time()
    if now >= step_run.silent_until:  # a wait has ended late: the program has blocked the event loop
        raise NotSent("its share of the deadline was over before it could be sent")
    return now


def _asks(run: PoolRun, step_run: StepRun) -> tuple[Rank, float]:
    """The rank of the call among those who wait, and its tokens, where any member counts them."""
    rank = run.engine.policies.rank("first" if run.asked else step_run.cause, run.call.priority)
    return rank, tokens_of(run.call, step_run.params) if run.state.counts_tokens else 0.0


def _pick(
    run: PoolRun, step_run: StepRun, now: float, rank: Rank, tokens: float, refused: frozenset[int]
) -> Member | None:
    """The member that the call goes to at this instant."""
    call = run.call
    if call.own_keys or step_run.hedged:
        return _pick_apart(run, step_run, now, rank, refused)
    if call.session is not None:
        return _pick_of_session(call.session, run, step_run, now, rank, tokens, refused)
    without = run.left_out | refused if run.running or refused else run.without
    return run.state.choose(now, rank, tokens, without, step=step_run.cause == "first")


def _pick_apart(
    run: PoolRun, step_run: StepRun, now: float, rank: Rank, refused: frozenset[int]
) -> Member | None:
    """The member for a hedge, which takes no part in the rule of the pool, or for a caller with a key of its own."""
    if step_run.hedged:
        return run.may_go_at_once(now) if not refused else None
    able = [
        one for one in run.left() if one.index not in refused and run.refusal_of(one, now) is None
        and (one.slots.free(now, batch=rank.batch) if run.own_key(one) else one.state.pacer.may_go(0.0, rank))
    ]
    return least_busy(able, run.engine.random) if able else None


def _pick_of_session(
    session: str, run: PoolRun, step_run: StepRun, now: float, rank: Rank, tokens: float, refused: frozenset[int]
) -> Member | None:
    """The member that the session is on; `None` when the call waits for its turn there."""
    patience = step_run.step.retry.patience

    def may_be_asked(member: Member) -> bool:
        if member.index in run.left_out or member.index in refused or run.refusal_of(member, now) is not None:
            return False
        return member.state.pacer.may_go(tokens, rank) or member.state.pacer.expected_wait(rank) <= patience

    run.pinned = member = _place_of_session(session, run, now, may_be_asked)
    return member if member is not None and member.state.pacer.may_go(tokens, rank) else None


def _place_of_session(session: str, run: PoolRun, now: float, may_be_asked: Callable[[Member], bool]) -> Member | None:
    """Where a session is: not at a member that has become slow, but to try it, nor at one that has turned down its call
    for a limit; unless that leaves none that may be asked.
    """

    def keeps_it(member: Member) -> bool:
        is_usual = member.state.slowness.place(now) != "last"
        return is_usual and member.index not in run.limited and may_be_asked(member)

    poor = [one for one in run.state.members if one.state.slow or one.index in run.limited]
    others_could = poor and any(may_be_asked(one) for one in run.state.members if one not in poor)
    return run.state.affinity.place(session, now, keeps_it if others_could else may_be_asked)


def _could_serve(run: PoolRun) -> Sequence[Member]:
    """The members that the call would wait for."""
    return [run.pinned] if run.call.session is not None and run.pinned is not None else list(run.left())


async def _wait_for_turn(
    run: PoolRun, step_run: StepRun, queues: Sequence[Member], seconds: float
) -> PoolTicket | None:
    """Wait in the queues of these members, for so many seconds at most; the ticket if it is granted."""
    rank, tokens = _asks(run, step_run)
    ticket = join_several(
        [one.state.pacer for one in queues], run.engine.loop, rank, tokens, step_run.wait_until(), step_run.max_wait(),
        ahead=run.asked,
    )
    try:
        if seconds < inf:
            await asyncio.wait([ticket.done], timeout=seconds)
            if ticket.done.done():
                ticket.done.result()
        else:
            await ticket.done
    except BaseException:
        ticket.leave()
        raise
    if not ticket.granted:
        ticket.leave()
        return None
    return ticket


def _granted(run: PoolRun, step_run: StepRun, ticket: PoolTicket) -> Lease | None:
    """The lease of the member whose turn has come; `None` when it may not be asked any more."""
    kept: PoolTicket | None = ticket
    try:
        now = _check(run.engine, step_run)
        member = next(one for one in run.state.members if one.state.pacer is ticket.granted_by)
        if run.refusal_of(member, now) is not None or member.index in run.without:
            run.asked = True  # it has waited: it goes before those that have come since
            return None
        own_key = run.own_key(member)
        step_run.bind(member, now, own_key=own_key)
        lease, kept = run.engine.policies.lease_granted(member.state, ticket, own_key=own_key), None
        return lease
    finally:
        if kept is not None:
            kept.leave()


def _forced(run: PoolRun, step_run: StepRun) -> Lease | None:
    """The lease of a member whose breaker is open, when nobody else could answer the call."""
    now = run.engine.time()
    if not step_run.is_last():
        return None
    able = [one for one in run.left() if run.refusal_of(one, now, forced=True) is None]
    if not able:
        return None
    rank, tokens = _asks(run, step_run)
    member = least_busy(able, run.engine.random)
    own_key = run.own_key(member)
    lease = run.engine.policies.lease_now(member.state, rank, tokens, own_key=own_key)
    if lease is not None:
        step_run.bind(member, now, own_key=own_key)
    return lease


def _error(refusals: dict[Member, Refusal | None]) -> NotSent:
    """Why no member may be asked: what is over first."""
    found = [refusal for refusal in refusals.values() if refusal is not None]
    if not found:
        return NotSent("none of its members is left to ask")
    first = min(found, key=lambda one: (inf if one.hold is None else one.hold, one.left))
    member = next(member for member, refusal in refusals.items() if refusal is first)
    error = first.error()
    error.message = f"{member.name}: {error.message}"
    return error
