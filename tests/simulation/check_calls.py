"""Invariants of calls and attempts: how they end, when, and with which error."""

from __future__ import annotations

import re
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

from asyncrouter import AutoSeconds

from .fault_kinds import CONNECTION, TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from .checks import FinishedRun
    from .record import CallRecord

NEAR = 1e-9
MARK = re.compile(r"#(\d+)")
"""The number of its request in each of the world's error messages."""
FAILURES = frozenset({"AllModelsFailed", "DeadlineExceeded", "Refused"})
OUTCOMES = FAILURES | {"reply", "left", "cancelled", "accept raised", "StreamInterrupted"}


def ends_once(run: FinishedRun) -> None:
    """Every call ends exactly once, with a documented outcome, and its trace is complete."""
    for call in run.record.calls:
        if not call.over:
            run.flag("ends", f"call {call.number} never ended")
        elif call.outcome not in OUTCOMES and not (call.outcome == "RouterClosed" and _closed(run, call)):
            run.flag("ends", f"call {call.number} ended as {call.outcome}: {call.error!r}")
        elif run.record.has_listener and call.trace is not None:
            if call.end_events != 1:
                run.flag("ends", f"call {call.number}: its end was told {call.end_events} times")
            if call.attempt_events != len(call.trace.attempts):
                run.flag("ends", f"call {call.number}: {call.attempt_events} ends, {len(call.trace.attempts)} attempts")


def _closed(run: FinishedRun, call: CallRecord) -> bool:
    """Whether the router was closed before the call ended."""
    return call.ended is not None and call.ended >= run.record.closed_at


def in_order(run: FinishedRun) -> None:
    """The instants of an attempt are in order, and within its call."""
    for one in run.tries:
        attempt = one.attempt
        told = (0.0, attempt.queued, attempt.sent, attempt.connected, attempt.first_content, attempt.last_content,
                attempt.ended)
        instants = [instant for instant in told if instant is not None]
        if any(later < earlier for earlier, later in pairwise(instants)):
            run.flag("order", f"{one}: {instants}")
        if one.call.ended is not None and one.ended > one.call.ended + NEAR:
            run.flag("order", f"{one} ended at {one.ended!r}, its call at {one.call.ended!r}")


def connections(run: FinishedRun) -> None:
    """A connection is closed when its attempt ends, and a call has two at most."""
    for one in run.tries:
        exchange = one.exchange
        if exchange is not None and (exchange.ended is None or exchange.ended > one.ended + NEAR):
            run.flag("connections", f"{one} ended at {one.ended!r}, its connection at {exchange.ended!r}")
    for call in run.record.calls:
        for exchange in call.exchanges:
            live = [other for other in call.exchanges
                    if other.at <= exchange.at and (other.ended is None or other.ended > exchange.at)]
            if len(live) > 2:
                run.flag("two at once", f"call {call.number} at {exchange.at!r}: {len(live)}")


def attributed(run: FinishedRun) -> None:
    """A failed attempt has the error of what went wrong with its request, or a timeout that came first."""
    for one in run.tries:
        attempt, exchange = one.attempt, one.exchange
        if attempt.outcome == "not_sent":
            if exchange is not None or type(attempt.error).__name__ not in {"NotSent", "OverBudget", "RouterClosed"}:
                run.flag("attribution", f"{one}: not sent, {attempt.error!r}")
            continue
        if exchange is None or attempt.outcome not in {"failed", "won", "not_accepted"}:
            continue
        script, told = exchange.script, type(attempt.error).__name__
        if attempt.outcome == "failed" and told in {"AttemptError", "NoneType"} and one.call.behaviour.accept:
            continue
        expected: set[str | None] = {script.error, TIMEOUT} if attempt.outcome == "failed" else {None}
        if one.ended >= run.record.closed_at - NEAR:
            expected.add(CONNECTION)
        if (told if attempt.outcome == "failed" else script.error) not in expected:
            run.flag("attribution", f"{one}: {attempt.outcome} with {told} after {script.kind}")
        number = MARK.search(getattr(attempt.error, "message", ""))
        if number is not None and int(number[1]) != exchange.number:
            run.flag("isolation", f"{one}, request {exchange.number}, has the words of request {number[1]}")


def own_timeouts(run: FinishedRun) -> None:
    """No attempt runs longer than its step's timeouts."""
    for one in run.tries:
        attempt, call = one.attempt, one.call
        if attempt.sent is None or call.behaviour.stream:
            continue
        steps = [step for step in call.plan.steps if step.name == attempt.model]
        total = max(inf if step.total is None else step.total for step in steps)
        numbers = [inf if isinstance(step.first_token, AutoSeconds) else step.first_token for step in steps]
        first_token = max(inf if number is None else number for number in numbers)  # "auto" may wait longer
        # Before the first content a step's timeouts do not run while the loop is blocked.
        sent, late = call.began + attempt.sent, run.record.late
        blocked = run.record.blocked_between(sent, one.ended)
        if call.behaviour.accept is None and one.ended > late(sent + total + blocked) + NEAR:
            run.flag("clocks", f"{one}: {one.ended - sent} s, total {total}")
        if attempt.first_content is None and attempt.outcome in {"won", "not_accepted"}:
            continue  # whole without a word
        # So may others have been; they were silent until the end of the body, not while `accept` ran.
        heard = attempt.ended if one.exchange is None or one.exchange.ended is None else one.exchange.ended - call.began
        heard = call.began + (heard if attempt.first_content is None else attempt.first_content)
        if steps[0].streams and heard > late(sent + first_token + blocked) + NEAR:
            run.flag("clocks", f"{one}: silent for {heard - sent} s, first_token {first_token}")


CHECKS: list[Callable[[FinishedRun], None]] = [ends_once, in_order, connections, attributed, own_timeouts]
