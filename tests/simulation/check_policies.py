"""Invariants of the policies: budgets, breakers, slots, ranks, and that what has healed serves again."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from math import inf
from typing import TYPE_CHECKING

from .check_calls import tries_by_call
from .fates import COUNTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter import Model

    from .checks import Run, Try
    from .record import CallRecord, Exchange

NEAR = 1e-9
BURST = 10.0
DEPOSIT = 0.1
WARM = 100
LAPSE = 120.0
"""Seconds for which a probe may keep others out that has no limit of its own."""
WINDOW = 33.0
"""Seconds that failures are counted over, and a bucket's width more."""
SHORTEST_OPEN = 5.0
DEMOTED = 5.0
"""Seconds between two tries of a model that has been slow, in its old place."""
MODEL_OPEN, HOST_OPEN, KEY_OPEN = 15.0, 60.0, 600.0
"""The longest that a breaker stays open, and a key out."""


def hedges_in_budget(run: Run) -> None:
    """In every prefix of N calls at most budget · N + 10 hedges are sent."""
    begun: dict[tuple[str, float], list[float]] = {}
    for call in run.record.calls:
        hedge, steps = call.plan.hedge, call.plan.steps
        if hedge is not None and (len(steps) > 1 or hedge.same):
            begun.setdefault((steps[0].name, hedge.budget), []).append(call.began)
    sent: dict[tuple[str, float], list[float]] = {}
    for one in run.tries:
        if one.attempt.cause == "hedge" and one.sent is not None:
            hedge = one.call.plan.hedge
            assert hedge is not None
            sent.setdefault((one.call.plan.steps[0].name, hedge.budget), []).append(one.sent)
    for key, instants in sent.items():
        calls = sorted(begun[key])
        for number, instant in enumerate(sorted(instants), 1):
            if number > key[1] * bisect_right(calls, instant) + BURST + 1e-6:
                run.flag("hedge budget", f"{number} hedges of {key} in {bisect_right(calls, instant)} calls")
                break


def hedges_when_late(run: Run) -> None:
    """A hedge comes when every live attempt is late, counted from its sending, or when one has just failed."""
    by_call = tries_by_call(run)
    sent_by_model = _sent_by_model(run)
    for one in run.tries:
        if one.attempt.cause != "hedge" or one.sent is None:
            continue
        if abs(one.queued - one.sent) > NEAR:
            run.flag("hedge waits", f"{one} queued at {one.queued!r}, sent at {one.sent!r}")
        others = [other for other in by_call[one.call.number] if other is not one]
        if any(abs(other.ended - one.queued) < NEAR and other.attempt.outcome == "failed" for other in others):
            continue
        hedge = one.call.plan.hedge
        assert hedge is not None
        for other in others:
            if other.sent is None or not other.sent <= one.queued < other.ended:
                continue
            if other.attempt.number > one.attempt.number:
                continue  # begun in the same instant, and later
            known = bisect_left(sent_by_model[other.attempt.model], one.queued)
            after = hedge.after if isinstance(hedge.after, float | int) else 0.0
            if hedge.after == "p95" and hedge.cap is None and known < WARM:
                run.flag("hedge clock", f"{one}: p95 of {known} requests")
            if one.queued < other.sent + after - NEAR:
                run.flag("hedge clock", f"{one} after {one.queued - other.sent:.4f} s, not {after:.4f}")


def retries_in_budget(run: Run) -> None:
    """A provider is sent at most ten retries, and one for every ten answers, in every prefix."""
    answers: dict[str, list[float]] = {}
    retries: dict[str, list[Try]] = {}
    for one in run.tries:
        if one.attempt.outcome in {"won", "not_accepted"}:
            answers.setdefault(one.attempt.provider, []).append(one.ended)
        elif one.attempt.cause == "retry" and one.sent is not None:
            retries.setdefault(one.attempt.provider, []).append(one)
    for one in run.tries:
        if one.attempt.cause == "retry" and one.attempt.outcome in {"won", "not_accepted"}:
            retries.setdefault(one.attempt.provider, []).append(one)
    for provider, sent in retries.items():
        good = sorted(answers.get(provider, []))
        instants = sorted(one.sent or 0.0 for one in sent)
        for number, instant in enumerate(instants, 1):
            if number > BURST + DEPOSIT * bisect_right(good, instant) + 1e-6:
                run.flag("retry budget", f"{number} retries at {provider} for {bisect_right(good, instant)} answers")
                break


def retries_bounded(run: Run) -> None:
    """`retry.attempts` bounds the tries on one model, each time it is its turn."""
    for tries in tries_by_call(run).values():
        call = tries[0].call
        for model in {one.attempt.model: None for one in tries}:
            mine = [one for one in tries if one.attempt.model == model]
            again = sum(one.attempt.cause == "retry" for one in mine)
            most = max(step.retry.attempts for step in call.plan.steps if step.name == model) - 1
            if again > most * (len(mine) - again):
                run.flag("retries", f"call {call.number}: {again} retries at {model}, {most} allowed")


def slots(run: Run) -> None:
    """Never more requests at a model than `max_concurrent`."""
    for name, model in run.config.models.items():
        if model.max_concurrent is None:
            continue
        steps = []
        for exchange in run.record.exchanges:
            if exchange.model == name:
                # In one instant an end counts before a beginning.
                steps += [(exchange.at, 1), (inf if exchange.ended is None else exchange.ended, -1)]
        live = 0
        for at, change in sorted(steps):
            live += change
            if live > model.max_concurrent:
                run.flag("slots", f"{name} at {at!r}: {live} of {model.max_concurrent}")
                break


def ranks(run: Run) -> None:
    """Whoever waits longer in a better place goes first: batch work after interactive, later attempts after first."""
    for name in run.config.models:
        mine = run.of(name)
        waiting = [one for one in mine if _waited_until(one) > one.queued + NEAR]
        # Who sits out a Retry-After does so beside the queue, and joins it when that is over.
        spans = [(one.queued, _waited_until(one), one.rank, one) for one in waiting
                 if not run.barred(name, one.queued, _waited_until(one))]
        for one in mine if spans else ():
            sent, rank = one.sent, one.rank
            if sent is None or one.attempt.cause == "hedge":
                continue
            for since, until, better, other in spans:
                if better < rank and since < sent - NEAR and until > sent + NEAR:
                    run.flag("ranks", f"{one} (rank {rank}) sent at {sent!r} before {other} (rank {better})")
                    return


def _waited_until(one: Try) -> float:
    return one.ended if one.sent is None else one.sent


def breakers(run: Run) -> None:
    """A breaker opens for the failures that count, closes for an answer, and sends nobody away for longer than told."""
    for subject in {change.subject: None for change in run.record.changes if change.state.startswith("breaker")}:
        mine = [one for one in run.tries if subject in {one.attempt.model, one.attempt.provider} and one.exchange]
        host = subject in run.config.providers
        failures = sorted((one for one in mine if _counts(one, host=host)), key=_ended)
        _changes(run, subject, failures, mine, 5 if host else 3)


def _changes(run: Run, subject: str, failures: list[Try], mine: list[Try], in_a_row: int) -> None:
    ends = [one.ended for one in failures]
    since, state = -inf, "closed"
    for change in run.record.changes:
        if change.subject != subject or not change.state.startswith("breaker"):
            continue
        now, became = change.at, change.state.removeprefix("breaker ")
        if became == "open":
            last = [one for one in failures if abs(one.ended - now) < NEAR]
            if not last:
                run.flag("breaker opens", f"{subject} at {now!r}: nothing failed there and then")
            elif state == "half-open":
                if not any(one.sent is not None and one.sent >= since - NEAR for one in last):
                    run.flag("breaker opens", f"{subject} at {now!r}: by what was sent before its probe")
            else:
                recent = bisect_right(ends, now + NEAR) - bisect_left(ends, max(since, now - WINDOW))
                row = bisect_right(ends, now + NEAR) - bisect_left(ends, since - NEAR)
                if row < in_a_row and recent < 10:
                    run.flag("breaker opens", f"{subject} at {now!r}: after {row} failures since {since!r}")
        elif became == "half-open" and state == "open" and now < since + SHORTEST_OPEN:
            run.flag("breaker open", f"{subject} at {now!r}: a probe after {now - since:.3f} s")
        elif became == "closed" and not any(_good(one, now) for one in mine):
            run.flag("breaker closes", f"{subject} at {now!r}: nobody had an answer there and then")
        since, state = now, became


def open_is_open(run: Run) -> None:
    """While a breaker is open only calls go that have nobody else left to ask."""
    spans = _open_spans(run)
    if not spans or run.config.defaults.breaker == "off":
        return
    by_call = tries_by_call(run)
    for one in run.tries:
        exchange = one.exchange
        if exchange is None:
            continue
        closed = [*spans.get(exchange.model, ()), *spans.get(exchange.provider, ())]
        if any(begin < exchange.at < end for begin, end in closed):
            other = _somebody_else(run, by_call[one.call.number], exchange)
            if other is not None:
                run.flag("open", f"{one} at {exchange.at!r} though it is open and {other} was not asked")


def _somebody_else(run: Run, tries: list[Try], exchange: Exchange) -> str | None:
    """Another model of the chain that nobody has tried yet, and nothing was known against; none after a refusal."""
    if any(type(one.attempt.error).__name__ == "Refused" and one.ended <= exchange.at for one in tries):
        return None
    tried = {one.attempt.model for one in tries if one.queued <= exchange.at + NEAR}
    for step in exchange.call.plan.steps:
        if step.name not in tried and not run.barred(step.name, exchange.at):
            return step.name
    return None


def _open_spans(run: Run) -> dict[str, list[tuple[float, float]]]:
    """When which breaker was open, for sure: five seconds, or until it changed again."""
    spans: dict[str, list[tuple[float, float]]] = {}
    opened: dict[str, float] = {}
    for change in run.record.changes:
        begin = opened.pop(change.subject, None) if change.state.startswith("breaker") else None
        if begin is not None:
            spans.setdefault(change.subject, []).append((begin, min(change.at, begin + SHORTEST_OPEN)))
        if change.state == "breaker open":
            opened[change.subject] = change.at
    for subject, begin in opened.items():
        spans.setdefault(subject, []).append((begin, begin + SHORTEST_OPEN))
    return spans


def permits_lapse(run: Run) -> None:
    """A probe keeps others out for as long as it may take, and a second more; then its permit lapses."""
    sent = _sent_by_model(run)
    longest = max((LAPSE if step.total is None else step.total + 1.0
                   for call in run.record.calls for step in call.plan.steps), default=0.0)
    for one in run.tries:
        if one.attempt.outcome != "not_sent" or "probe is under way" not in getattr(one.attempt.error, "message", ""):
            continue
        host = one.attempt.error.message.startswith(one.attempt.provider)  # type: ignore[union-attr]
        asked = [name for name, day in run.day.models.items()
                 if name == one.attempt.model or (host and day.provider == one.attempt.provider)]
        last = max((sent[name][at - 1] for name in asked if (at := bisect_right(sent[name], one.ended))), default=-inf)
        if one.ended > last + longest + NEAR:
            run.flag("permit", f"{one} kept out at {one.ended!r} by a probe that was sent at {last!r} at the latest")


def alive_again(run: Run) -> None:
    """Once all is well, the first model serves within one open interval, or when what it has asked for is over."""
    world, healed = run.world, run.record.healed_at
    for call in run.record.calls:
        if not call.healed:
            continue
        model = call.plan.steps[0].model
        until = healed + (HOST_OPEN if model.provider in world.knows.host_failures else MODEL_OPEN)
        until = max(until, world.knows.held.get(model.name, 0.0), world.knows.gone.get(model.name, 0.0))
        if model.provider in world.knows.key_trouble:
            until = max(until, healed + KEY_OPEN)
        if _excused(run, call, model):
            continue
        if call.began >= until + DEMOTED and (call.reply is None or call.reply.model != model.name):
            served = call.outcome if call.reply is None else call.reply.model
            after = f"{call.began - healed:.1f} s after all was well"
            run.flag("alive", f"call {call.number}, {after}: {served}, not {model.name}")


def _excused(run: Run, call: CallRecord, model: Model) -> bool:
    """Whether a model need not serve: it keeps to its pace, or its key has just been found to be an old one."""
    paced = call.trace is not None and any(
        one.model == model.name and one.outcome == "not_sent" and "its pace of" in getattr(one.error, "message", "")
        for one in call.trace.attempts
    )
    new_key = model.provider in run.day.rotates and any(exchange.fate.kind == "401" for exchange in call.exchanges)
    return paced or new_key


def _counts(one: Try, *, host: bool) -> bool:
    """Whether an attempt's failure says something against its model, or its host."""
    assert one.exchange is not None
    error, fate = type(one.attempt.error).__name__, one.exchange.fate
    if one.attempt.outcome != "failed":
        return False
    if host:
        return error == "ConnectionFailed" or getattr(one.attempt.error, "clock", "") == "connect"
    if error == "AttemptTimeout":
        return getattr(one.attempt.error, "clock", "") != "deadline"
    return error in COUNTED or fate.status == 529


def _good(one: Try, now: float) -> bool:
    """Whether an attempt has shown at this instant that its model works."""
    if abs(one.ended - now) > NEAR:
        return False
    return one.attempt.first_content is not None or one.attempt.outcome in {"won", "not_accepted", "failed"}


def _ended(one: Try) -> float:
    return one.ended


def _sent_by_model(run: Run) -> dict[str, list[float]]:
    sent: dict[str, list[float]] = {name: [] for name in run.config.models}
    for exchange in run.record.exchanges:
        sent[exchange.model].append(exchange.at)
    return sent


CHECKS: list[Callable[[Run], None]] = [
    hedges_in_budget, hedges_when_late, retries_in_budget, retries_bounded, slots, ranks, breakers, open_is_open,
    permits_lapse, alive_again,
]
