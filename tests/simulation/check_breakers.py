"""Invariants of breakers: why they open and close, which calls they let through, and how long they refuse others."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from math import inf
from typing import TYPE_CHECKING

from .fault_kinds import COUNTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from .checks import FinishedRun, MatchedAttempt
    from .record import CallRecord, Exchange

NEAR = 1e-9
LAPSE = 120.0
"""Seconds for which a probe without a `total` of its own may keep others out."""
WINDOW = 33.0
"""Seconds that failures are counted over, and one slice more."""
SHORTEST_OPEN = 5.0
DOUBTFUL, UNAVAILABLE = ("ServerFailed", "BadReply"), 503
"""Failures that may be one request's own, but for a service that says that it cannot serve now."""
SAME_REQUEST = 30.0
"""Seconds after which the same request may count again."""
OWN_LIMIT = "max_response_bytes"
"""How the error names a limit that its caller has set to the size of answers."""


def breakers(run: FinishedRun) -> None:
    """A breaker opens for failures that count, closes for an answer, and stays open as long as it says."""
    for subject in {change.subject: None for change in run.record.changes if change.state.startswith("breaker")}:
        mine = [one for one in run.tries if subject in {one.attempt.model, one.attempt.provider} and one.exchange]
        host = subject in run.config.providers
        failures = sorted((one for one in mine if _counts(run, one, host=host)), key=_ended)
        _changes(run, subject, failures, mine, 5 if host else 3)


def _changes(
    run: FinishedRun, subject: str, failures: list[MatchedAttempt], mine: list[MatchedAttempt], in_a_row: int
) -> None:
    """Check each change of one breaker against the failures and answers of that instant."""
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
                before = failures[bisect_left(ends, since - NEAR):bisect_right(ends, now + NEAR)]
                row = _different(before)
                recent = _different([one for one in before if one.ended >= now - WINDOW])
                if row < in_a_row and recent < 10:
                    run.flag("breaker opens", f"{subject} at {now!r}: after {row} failures since {since!r}")
        elif became == "half-open" and state == "open" and now < since + SHORTEST_OPEN:
            run.flag("breaker open", f"{subject} at {now!r}: a probe after {now - since:.3f} s")
        elif became == "closed" and not any(_good(one, now) for one in mine):
            run.flag("breaker closes", f"{subject} at {now!r}: nobody had an answer there and then")
        since, state = now, became


def _different(failures: list[MatchedAttempt]) -> int:
    """How many of these failures count: what may be the fault of one request, or of one caller's key, does once for
    each, or in half a minute.
    """
    counted, number = dict[object, float](), 0
    for one in failures:
        whose = one.call.behaviour.key or one.call.number
        if not _may_be_the_requests(one):
            number += 1
        elif one.ended >= counted.get(whose, -inf) + SAME_REQUEST - NEAR:
            counted[whose] = one.ended
            number += 1
    return number


def _may_be_the_requests(one: MatchedAttempt) -> bool:
    """Whether the words of a failure leave open whether it is about its request, or its caller's own key, alone."""
    error = one.attempt.error
    if one.call.behaviour.key is not None and not _of_host(one):
        return True
    return type(error).__name__ in DOUBTFUL and getattr(error, "status", None) != UNAVAILABLE


def _counts(run: FinishedRun, one: MatchedAttempt, *, host: bool) -> bool:
    """Whether the failure of an attempt counts against its model, or its host."""
    assert one.exchange is not None
    error, script = type(one.attempt.error).__name__, one.exchange.script
    if one.attempt.outcome != "failed":
        return False
    if error in {"AttemptTimeout", "ConnectionFailed"} and run.was_blocked(one, one.ended):
        return False
    if host:
        return _of_host(one)
    if error == "AttemptTimeout":
        return not one.impatient
    if one.attempt.error is not None and (one.attempt.error.retry_after or OWN_LIMIT in one.attempt.error.message):
        return False  # the provider has asked for a pause, or the answer was too long for its caller
    return error in COUNTED or script.status == 529


def _of_host(one: MatchedAttempt) -> bool:
    """Whether the connection was not made, or was lost: no key was looked at."""
    error = one.attempt.error
    return type(error).__name__ == "ConnectionFailed" or getattr(error, "clock", "") == "connect"


def _good(one: MatchedAttempt, now: float) -> bool:
    """Whether an attempt has shown at this instant that its model works."""
    answered = one.exchange is not None and one.exchange.ended is not None and abs(one.exchange.ended - now) <= NEAR
    if abs(one.ended - now) > NEAR and not answered:  # its answer is whole before `accept` has judged it
        return False
    return one.attempt.first_content is not None or one.attempt.outcome in {"won", "not_accepted", "failed"}


def _ended(one: MatchedAttempt) -> float:
    return one.ended


def open_is_open(run: FinishedRun) -> None:
    """While a breaker is open only calls go that have no other model left."""
    spans = _open_spans(run)
    if not spans or run.config.defaults.breaker == "off":
        return
    by_call = run.by_call
    for one in run.tries:
        exchange = one.exchange
        if exchange is None:
            continue
        closed = [*spans.get(exchange.model, ()), *spans.get(exchange.provider, ())]
        if any(begin < exchange.at < end for begin, end in closed):
            other = _other_model(run, by_call[one.call.number], exchange)
            if other is not None:
                run.flag("open", f"{one} at {exchange.at!r} though it is open and {other} was not asked")


def _other_model(run: FinishedRun, tries: list[MatchedAttempt], exchange: Exchange) -> str | None:
    """Another model of the chain that was not tried and that nothing is known against; none after a refusal."""
    if any(type(one.attempt.error).__name__ == "Refused" and one.ended <= exchange.at for one in tries):
        return None
    tried = {one.attempt.model for one in tries if one.queued <= exchange.at + NEAR}
    for step in exchange.call.plan.steps[first_step_left(tries, exchange.at):]:
        if step.name not in tried and not run.was_held(step.name, exchange.at):
            return step.name
    return None


def first_step_left(tries: list[MatchedAttempt], at: float) -> int:
    """The first step that a call may still try at an instant: after a restart, the one after the broken step."""
    names, first = [step.name for step in tries[0].call.plan.steps], 0
    for number, one in enumerate(tries):
        if one.attempt.cause == "restart" and one.queued <= at + NEAR:
            broken = max(tries[:number], key=_ended).attempt.model
            first = len(names) - names[::-1].index(broken)
    return first


def _open_spans(run: FinishedRun) -> dict[str, list[tuple[float, float]]]:
    """The spans in which each breaker was open for sure: five seconds, or until it changed again."""
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


def one_probe(run: FinishedRun) -> None:
    """While a breaker is half-open, one call at a time goes as a probe; others go only with no other model left."""
    if run.config.defaults.breaker == "off":
        return
    spans: dict[str, list[tuple[float, float]]] = {}
    begun: dict[str, float] = {}
    for change in run.record.changes:
        if change.subject in begun:
            spans.setdefault(change.subject, []).append((begun.pop(change.subject), change.at))
        if change.state == "breaker half-open":
            begun[change.subject] = change.at
    for subject, half_open in spans.items():
        mine = [one.exchange for one in run.tries
                if one.exchange is not None and subject in {one.exchange.model, one.exchange.provider}]
        for begin, end in half_open:
            probes = [exchange for exchange in mine if begin <= exchange.at < end
                      and _other_model(run, run.by_call[exchange.call.number], exchange) is not None]
            for probe in probes:
                longest = longest_probe(probe.call, probe.model)
                until = min(probe.at + longest, inf if probe.ended is None else probe.ended)
                if any(probe.at < other.at < until - NEAR for other in probes):
                    run.flag("probes", f"{subject}: others sent beside the probe {probe.number} at {probe.at!r}")


def permits_lapse(run: FinishedRun) -> None:
    """A probe keeps others out only while it runs, and at most a second longer than it may take."""
    if not run.record.has_listener:
        return  # nobody has the traces of those that were cancelled
    sent = [one for one in run.tries if one.sent is not None]
    for one in run.tries:
        if one.attempt.outcome != "not_sent" or "probe is under way" not in getattr(one.attempt.error, "message", ""):
            continue
        whose, subject = "model", one.attempt.model
        if one.attempt.error.message.startswith(one.attempt.provider):  # type: ignore[union-attr]
            whose, subject = "provider", one.attempt.provider
        mine = [other for other in sent if getattr(other.attempt, whose) == subject]
        if not any((other.sent or 0.0) <= one.ended + NEAR and one.ended <= _lapses(other) + NEAR for other in mine):
            run.flag("permit", f"{one} kept out at {one.ended!r} by a probe of {subject} that nobody makes")


def _lapses(one: MatchedAttempt) -> float:
    """When the permit of this attempt, if it is a probe, ends at the latest."""
    return min(one.ended, (one.sent or 0.0) + longest_probe(one.call, one.attempt.model))


def longest_probe(call: CallRecord, model: str) -> float:
    """Seconds after its sending for which an attempt at a model has a breaker's permit at the longest."""
    totals = [step.total for step in call.plan.steps if step.name == model or step.pool is not None]
    return max(LAPSE if total is None else total + 1.0 for total in totals)


CHECKS: list[Callable[[FinishedRun], None]] = [breakers, open_is_open, one_probe, permits_lapse]
