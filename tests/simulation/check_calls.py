"""Invariants of calls and attempts: their ends, their times, their bytes, their money."""

from __future__ import annotations

from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

from .fates import CONNECTION, TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable

    from .checks import Run, Try
    from .record import CallRecord

NEAR = 1e-9
DRAIN, SIP = 0.25, 0.2
"""Seconds that the end of a body after its [DONE], and a busy router's rest, may take."""


def ends_once(run: Run) -> None:
    """Every call ends exactly once, in words that fit, and its trace is complete."""
    for call in run.record.calls:
        if not call.over:
            run.flag("ends", f"call {call.number} never ended")
        elif call.outcome not in OUTCOMES and not (call.outcome == "RouterClosed" and _closed(run, call)):
            run.flag("ends", f"call {call.number} ended as {call.outcome}: {call.error!r}")
        elif run.record.heard and call.trace is not None:
            if call.ends_told != 1:
                run.flag("ends", f"call {call.number}: its end was told {call.ends_told} times")
            if call.attempts_told != len(call.trace.attempts):
                run.flag("ends", f"call {call.number}: {call.attempts_told} ends, {len(call.trace.attempts)} attempts")


def _closed(run: Run, call: CallRecord) -> bool:
    """Whether the router was closed before the call ended."""
    return call.ended is not None and call.ended >= run.record.closed_at


FAILURES = frozenset({"AllModelsFailed", "DeadlineExceeded", "Refused"})
OUTCOMES = FAILURES | {"reply", "left", "cancelled", "accept raised", "StreamInterrupted"}


def in_order(run: Run) -> None:
    """The instants of an attempt come one after the other, within its call."""
    for one in run.tries:
        attempt = one.attempt
        told = (0.0, attempt.queued, attempt.sent, attempt.connected, attempt.first_content, attempt.last_content,
                attempt.ended)
        instants = [instant for instant in told if instant is not None]
        if any(later < earlier for earlier, later in pairwise(instants)):
            run.flag("order", f"{one}: {instants}")
        if one.call.ended is not None and one.ended > one.call.ended + NEAR:
            run.flag("order", f"{one} ended at {one.ended!r}, its call at {one.call.ended!r}")


def connections(run: Run) -> None:
    """A connection is gone when its attempt is, and a call has two at most."""
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


def attributed(run: Run) -> None:
    """A failure has the name of what went wrong; a clock may always come first."""
    for one in run.tries:
        attempt, exchange = one.attempt, one.exchange
        if attempt.outcome == "not_sent":
            if exchange is not None or type(attempt.error).__name__ not in {"NotSent", "RouterClosed"}:
                run.flag("attribution", f"{one}: not sent, {attempt.error!r}")
            continue
        if exchange is None or attempt.outcome not in {"failed", "won", "not_accepted"}:
            continue
        fate, told = exchange.fate, type(attempt.error).__name__
        if attempt.outcome == "failed" and one.call.outcome == "accept raised" and attempt.error is None:
            continue
        expected: set[str | None] = {fate.error, TIMEOUT} if attempt.outcome == "failed" else {None}
        if one.ended >= run.record.closed_at - NEAR:
            expected.add(CONNECTION)
        if (told if attempt.outcome == "failed" else fate.error) not in expected:
            run.flag("attribution", f"{one}: {attempt.outcome} with {told} after {fate.kind}")


def whole_replies(run: Run) -> None:
    """A reply is one attempt's answer, all of it, and nothing else; what is handed over before is its beginning."""
    winners = {id(call): [] for call in run.record.calls}  # type: dict[int, list[Try]]
    for one in run.tries:
        if one.attempt.outcome == "won":
            winners[id(one.call)].append(one)
    for call in run.record.calls:
        won, spoken = winners[id(call)], "".join(call.chunks)
        if call.reply is None:
            if won and call.outcome not in {"left", "cancelled"}:
                run.flag("reply", f"call {call.number}: {won[0]} won, yet {call.outcome}")
            partial = getattr(call.error, "partial", "")
            if not any(exchange.text().startswith(spoken) for exchange in call.exchanges) and spoken:
                run.flag("reply", f"call {call.number} was told {spoken!r}")
            if call.outcome == "StreamInterrupted" and not partial.startswith(spoken):
                run.flag("reply", f"call {call.number}: partial {partial!r} of {spoken!r}")
            continue
        if len(won) != 1 or won[0].exchange is None:
            run.flag("reply", f"call {call.number} has {len(won)} winners")
            continue
        winner, text = won[0], call.reply.text
        if text != winner.exchange.text() or call.reply.model != winner.attempt.model:  # type: ignore[union-attr]
            run.flag("reply", f"call {call.number}: {text!r} from {call.reply.model}, {winner} won")
        if call.behaviour.stream and spoken != text:
            run.flag("reply", f"call {call.number}: chunks {spoken!r}, text {text!r}")
        if call.behaviour.accept in {"no", "raises"}:
            run.flag("reply", f"call {call.number}: a reply although accept says {call.behaviour.accept}")


def prompt_winner(run: Run) -> None:
    """A winner waits for nobody: the call ends with its last byte, or when one that may come has been waited for."""
    for one in run.tries:
        call, exchange = one.call, one.exchange
        behaviour = call.behaviour
        if one.attempt.outcome != "won" or behaviour.stream or behaviour.accept or exchange is None:
            continue
        fate = exchange.fate
        if fate.error is not None or call.ended is None or exchange.connected is None:
            continue
        whole_at = exchange.connected + next(at for at, _, words in fate.pieces if words == fate.words)
        late = call.ended - max(whole_at, exchange.connected + fate.pieces[-1][0])
        idle = max((step.idle or 0.0 for step in call.plan.steps), default=0.0)
        silence = 0.0 if fate.ending != "never" else 1e9 if idle == 0.0 else idle
        if late > DRAIN + SIP + silence + NEAR or call.ended > one.ended + NEAR:
            run.flag("winner waits", f"{one}: whole {late:.3f} s before the call ended")


def money(run: Run) -> None:
    """What was counted costs what its price says; what was not is an estimate, and says so; errors cost nothing."""
    for one in run.tries:
        attempt, exchange = one.attempt, one.exchange
        if exchange is None:
            if attempt.cost_usd != 0.0 or attempt.cost_estimated:
                run.flag("money", f"{one} was not sent and costs {attempt.cost_usd!r}")
            continue
        fate, price = exchange.fate, run.config.models[attempt.model].usd_per_mtok
        if attempt.usage is not None:
            tokens = attempt.usage.input_tokens, attempt.usage.output_tokens
            costs = None if price is None else (tokens[0] * price.input + tokens[1] * price.output) / 1e6
            costs = fate.told_usd if fate.told_usd is not None else costs
            if tokens != (fate.prompt_tokens, fate.words) or attempt.cost_usd != costs or attempt.cost_estimated:
                run.flag("money", f"{one}: {attempt.usage} costs {attempt.cost_usd!r}, not {costs!r}")
        elif exchange.words or (attempt.outcome == "superseded" and fate.status == 200):
            # It has produced something, and nobody told how much.
            if attempt.cost_usd is None and price is None:
                continue
            if not attempt.cost_estimated or attempt.cost_usd is None:
                run.flag("money", f"{one} after {exchange.words} words: {attempt.cost_usd!r}, no estimate")
        elif attempt.status not in {None, 200} and attempt.outcome == "failed" and attempt.cost_usd != 0.0:
            run.flag("money", f"{one}: HTTP {attempt.status} costs {attempt.cost_usd!r}")
    for call in run.record.calls:
        if call.trace is None:
            continue
        bills = [attempt.cost_usd for attempt in call.trace.attempts]
        total = None if None in bills else sum(bill for bill in bills if bill is not None)
        if call.trace.cost_usd != total:
            run.flag("money", f"call {call.number}: {call.trace.cost_usd!r}, its attempts {total!r}")


def failure_never_wins(run: Run) -> None:
    """A call fails when nobody runs any more, never over the head of a live attempt."""
    for one in run.tries:
        if one.attempt.outcome == "cancelled" and one.call.outcome in FAILURES:
            run.flag("failure wins", f"{one} was cancelled by {one.call.outcome}")


def content_decides(run: Run) -> None:
    """An attempt is superseded in the instant in which another one has its first content."""
    by_call = tries_by_call(run)
    for one in run.tries:
        if one.attempt.outcome != "superseded" or one.attempt.ended is None:
            continue
        firsts = [other.attempt.first_content for other in by_call[one.call.number] if other is not one]
        if not any(first is not None and abs(first - one.attempt.ended) < NEAR for first in firsts):
            run.flag("content decides", f"{one} superseded at {one.ended!r} by nobody's content")


def no_dead_time(run: Run) -> None:
    """While a call runs something is tried or waited for; only a pause before a retry is a pause."""
    for call in run.record.calls:
        if call.trace is None or call.behaviour.stream:
            continue
        busy = 0.0
        for attempt in sorted(call.trace.attempts, key=lambda one: (one.queued or 0.0, one.number)):
            queued = attempt.queued or 0.0
            most = _longest(call, busy) if attempt.cause in {"retry", "hedge"} else NEAR
            if queued > busy + most:
                what = f"call {call.number}: {queued - busy:.4f} s before"
                run.flag("dead time", f"{what} attempt {attempt.number}, {attempt.cause}")
            busy = max(busy, attempt.ended or queued)
        ended = 0.0 if call.ended is None else call.ended - call.began
        if call.outcome in {"AllModelsFailed", "Refused"} and ended > busy + NEAR:
            run.flag("dead time", f"call {call.number}: {ended - busy:.4f} s before its end")


def _longest(call: CallRecord, until: float) -> float:
    """The longest pause there may be after what has failed by then."""
    assert call.trace is not None
    told = [attempt.error.retry_after or 0.0 for attempt in call.trace.attempts
            if attempt.error is not None and (attempt.ended or 0.0) <= until + NEAR]
    settings = [step.retry for step in call.plan.steps]
    return max([1.0, *told, *(max(retry.base, retry.cap) for retry in settings)]) + 1e-6


def stops_at_refusal(run: Run) -> None:
    """After a refusal that is raised nobody's turn begins; after a prompt too long, nobody's with a window as small.

    A turn that has begun goes on, retries included. Only a success of its own ends a race.
    """
    by_call = tries_by_call(run)
    for one in run.tries:
        kind, steps = type(one.attempt.error).__name__, {step.name: step for step in one.call.plan.steps}
        if kind not in {"Refused", "ContextTooLong"} or one.attempt.outcome != "failed":
            continue
        mine, others = steps[one.attempt.model], by_call[one.call.number]
        if kind == "ContextTooLong" and any(other.attempt.cause == "restart" for other in others):
            continue  # a stream that begins again does so with all the steps that follow
        # A lane at the same model that runs already will hear the same, and may be raced until then.
        raced = {other.attempt.model for other in others
                 if other.sent is not None and other.sent <= one.ended < other.ended}
        for other in others:
            same = other.attempt.cause == "hedge" and one.call.plan.hedge is not None and one.call.plan.hedge.same
            if other.sent is None or same or other.attempt.cause == "retry" or other.queued <= one.ended + NEAR:
                continue
            small, window = steps[other.attempt.model].model.context, mine.model.context
            if kind == "Refused" and mine.on_refusal == "raise":
                run.flag("refused", f"{one} was refused at {one.ended!r}, {other} sent at {other.sent!r}")
            elif kind == "ContextTooLong" and other.attempt.model not in raced and _no_larger(small, window):
                run.flag("window", f"{one} was too long for {window}, {other} with {small} sent at {other.sent!r}")


def _no_larger(window: int | None, other: int | None) -> bool:
    return window is not None and other is not None and window <= other


def own_clocks(run: Run) -> None:
    """No attempt runs over its step's clocks."""
    for one in run.tries:
        attempt, call = one.attempt, one.call
        if attempt.sent is None or call.behaviour.stream:
            continue
        steps = [step for step in call.plan.steps if step.name == attempt.model]
        total = max(inf if step.total is None else step.total for step in steps)
        first_token = max(inf if step.first_token is None else step.first_token for step in steps)
        took = (attempt.ended or 0.0) - attempt.sent
        if call.behaviour.accept is None and took > total + NEAR:
            run.flag("clocks", f"{one}: {took} s, total {total}")
        silent = took if attempt.first_content is None else attempt.first_content - attempt.sent
        if steps[0].streams and silent > first_token + NEAR:
            run.flag("clocks", f"{one}: silent for {silent} s, first_token {first_token}")


def tries_by_call(run: Run) -> dict[int, list[Try]]:
    """The tries of each call, in the order of its trace."""
    found: dict[int, list[Try]] = {}
    for one in run.tries:
        found.setdefault(one.call.number, []).append(one)
    return found


CHECKS: list[Callable[[Run], None]] = [
    ends_once, in_order, connections, attributed, whole_replies, prompt_winner, money, failure_never_wins,
    content_decides, no_dead_time, stops_at_refusal, own_clocks,
]
