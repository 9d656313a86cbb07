"""Admission: an attempt waits until the policies let it be sent, and gets its lease.

`admit_now()` is the usual way, and never awaits. Only when it returns `None` is there something to wait for: a hold
that the provider asked for, or the queue of a limit. While it waits an attempt has nothing but its place in that queue,
which is given back when the wait is cancelled.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from asyncrouter._engine.claim import claim
from asyncrouter._errors import NotSent, RouterClosed

if TYPE_CHECKING:

    from asyncrouter._engine.engine import Engine
    from asyncrouter._engine.spending import Spending
    from asyncrouter._engine.step_run import StepRun
    from asyncrouter._engine.trace_entry import TraceEntry
    from asyncrouter._policies.lease import Lease
    from asyncrouter._types import Call


def admit_now(engine: Engine, call: Call, step_run: StepRun) -> Lease | None:
    """The lease of an attempt that may be sent at this instant; `None` when it would have to wait.

    Raises `NotSent` when the step should be passed over, `RouterClosed` when the router is closing.
    """
    ticket, step_run.ticket = step_run.ticket, None
    try:
        if _check_admission(engine, step_run):
            return None
        if ticket is None:
            asked = claim(engine, call, step_run.step, step_run.params, step_run.cause)
            return engine.policies.lease_now(*asked, own_key=step_run.own_key)
        state = engine.policies.state_of(step_run.step.model)
        lease, ticket = engine.policies.lease_granted(state, ticket, own_key=step_run.own_key), None
        return lease
    finally:
        if ticket is not None:
            ticket.leave()


async def admit_later(engine: Engine, call: Call, step_run: StepRun) -> Lease:
    """Wait for the lease that `admit_now()` did not give.

    Raises `NotSent` when the wait would be too long, `RouterClosed` when the router closes.
    """
    while True:
        if hold := _check_admission(engine, step_run):
            await engine.sleep(hold, step_run.step.model, step_run.pointless_after())
        elif (lease := await _lease_from_queue(engine, call, step_run)) is not None:
            return lease
        # Begin again: a hold may have become longer meanwhile, or have been set while we were queued.
        if (lease := admit_now(engine, call, step_run)) is not None:
            return lease


async def _lease_from_queue(engine: Engine, call: Call, step_run: StepRun) -> Lease | None:
    """Wait in the queue of the model's limits; `None` when the model has been held meanwhile."""
    if step_run.hedged:
        raise NotSent("a hedge does not wait for its turn", hold=0.0)
    state, rank, tokens = claim(engine, call, step_run.step, step_run.params, step_run.cause)
    ticket = state.pacer.join(rank, tokens, step_run.wait_until(), step_run.max_wait())
    holds, model = engine.policies.holds, step_run.step.model
    holds.watch(model, ticket.done, step_run.pointless_after())
    try:
        await ticket.done
        hold = _check_admission(engine, step_run)  # much may have happened since
    except BaseException:
        state.pacer.leave(ticket)
        raise
    finally:
        holds.unwatch(model, ticket.done)
    if ticket.granted and not hold:
        return engine.policies.lease_granted(state, ticket, own_key=step_run.own_key)
    state.pacer.leave(ticket)
    return None


def _check_admission(engine: Engine, step_run: StepRun) -> float:
    """Seconds to wait before the model may be tried, 0 for none.

    Raises `NotSent` when it should not be tried at all: it is out, or held for longer than it is worth to wait.
    """
    if engine.closed:
        raise RouterClosed("the router was closed while the call was running")
    model, now = step_run.step.model, engine.time()
    if now >= step_run.silent_until:  # a wait has ended late: the program has blocked the event loop
        raise NotSent("its share of the deadline was over before it could be sent")
    refusal = engine.policies.refusal(model, now, own_key=step_run.own_key)
    if refusal is not None and refusal.forcible and step_run.is_last():
        refusal = engine.policies.refusal(model, now, forced=True, own_key=step_run.own_key)
    if refusal is None:
        return 0.0
    if refusal.hold is None or not step_run.should_wait(refusal.hold):
        raise refusal.error()
    return refusal.hold


async def reserve_cost(spending: Spending, entry: TraceEntry, step_run: StepRun, lease: Lease) -> None:
    """Reserve of the budget what an admitted attempt will probably cost; if that fails, its lease is given back.

    Raises `OverBudget`.
    """
    now, total = entry.engine.time(), step_run.step.total
    seconds = min(inf if total is None else total, step_run.answer_until - now)
    try:
        entry.reserved = await spending.reserve(
            step_run.step.model, entry.call, step_run.params, entry.trace.tags, seconds
        )
    except BaseException:
        lease.end(entry.engine.time(), "not_sent")
        raise
