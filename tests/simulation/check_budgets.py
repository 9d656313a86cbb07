"""Invariants of what is limited: hedges, retries, slots, and the order of those who wait."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .checks import FinishedRun, MatchedAttempt

NEAR = 1e-9
BURST = 10.0
DEPOSIT = 0.1
GIVEN_SHARE = 0.1
NO_TURN = "its turn did not come in time"
"""What the trace says of an attempt that did not stand in the queue any more, or not yet, when its call gave it up."""
FREE = "has become slow"
"""Words in the reason of a hedge that nobody pays for: a probe, or a race of a call on its way to a slow model."""
SOONER = (FREE, "no more content", "apart")
"""Words in the reason of a hedge that does not wait for the delay of first contents."""


def hedges_in_budget(run: FinishedRun) -> None:
    """In every prefix of N calls at most budget · N + 10 hedges are sent."""
    begun: dict[tuple[str, float], list[float]] = {}
    for call in run.record.calls:
        hedge, steps = call.plan.hedge, call.plan.steps
        if hedge is not None and (len(steps) > 1 or hedge.same or steps[0].pool is not None):
            begun.setdefault((steps[0].name, hedge.budget), []).append(call.began)
    sent: dict[tuple[str, float], list[float]] = {}
    for one in run.tries:
        if one.attempt.cause == "hedge" and one.sent is not None and FREE not in one.attempt.why:
            hedge = one.call.plan.hedge
            assert hedge is not None
            sent.setdefault((one.call.plan.steps[0].name, hedge.budget), []).append(one.sent)
    for key, instants in sent.items():
        calls = sorted(begun[key])
        for number, instant in enumerate(sorted(instants), 1):
            if number > key[1] * bisect_right(calls, instant) + BURST + 1e-6:
                run.flag("hedge budget", f"{number} hedges of {key} in {bisect_right(calls, instant)} calls")
                break


def hedges_when_late(run: FinishedRun) -> None:
    """A hedge is sent when every running attempt is late, counted from its sending, or when one has just failed."""
    by_call = run.by_call
    for one in run.tries:
        if one.attempt.cause != "hedge" or one.sent is None:
            continue
        if abs(one.queued - one.sent) > NEAR:
            run.flag("hedge waits", f"{one} queued at {one.queued!r}, sent at {one.sent!r}")
        others = [other for other in by_call[one.call.number] if other is not one]
        failed = [other for other in others if other.attempt.outcome in {"failed", "not_sent", "not_accepted"}]
        if any(abs(other.ended - one.queued) < NEAR for other in failed):
            continue
        hedge = one.call.plan.hedge
        assert hedge is not None
        for other in others:
            if other.sent is None or not other.sent <= one.queued < other.ended:
                continue
            if other.attempt.number > one.attempt.number:
                continue  # begun in the same instant, and later
            after = hedge.after if isinstance(hedge.after, float | int) else 0.0
            if any(words in one.attempt.why for words in SOONER):
                continue
            silent = one.queued - other.silent_since(one.queued, others)
            if silent < after - NEAR:
                run.flag("hedge clock", f"{one} after {silent:.4f} s, not {after:.4f}")


def retries_in_budget(run: FinishedRun) -> None:
    """In every prefix a provider is sent at most ten retries, and one more for ten answers.

    Waits are free, and a retry costs a tenth where a number of attempts was given.
    """
    waits = _waits(run)
    answers: dict[str, list[float]] = {}
    retries: dict[str, list[MatchedAttempt]] = {}
    for one in run.tries:
        if (at := one.answered_at) is not None:
            answers.setdefault(one.attempt.provider, []).append(at)
        elif one.attempt.cause == "retry" and one.sent is not None and one not in waits:
            retries.setdefault(one.attempt.provider, []).append(one)
    for one in run.tries:
        if one.attempt.cause == "retry" and one.answered_at is not None and one not in waits:
            retries.setdefault(one.attempt.provider, []).append(one)
    for call in run.record.calls:
        if call.trace is None:  # nobody can tell how its attempts ended: all of them may have been answers
            for exchange in call.exchanges:
                answers.setdefault(exchange.provider, []).append(exchange.ended or exchange.at)
    for provider, sent in retries.items():
        good = sorted(answers.get(provider, []))
        number = 0.0
        for one in sorted(sent, key=lambda each: each.sent or 0.0):
            instant = one.sent or 0.0
            number += GIVEN_SHARE if any(step.retry.attempts_given for step in one.call.plan.steps) else 1.0
            if number > BURST + DEPOSIT * bisect_right(good, instant) + 1e-6:
                run.flag("retry budget", f"{number} retries at {provider} for {bisect_right(good, instant)} answers")
                break


def _waits(run: FinishedRun) -> list[MatchedAttempt]:
    """The attempts after a wait: the provider asked for a pause, a limit was reached, or the key was renewed.

    A step that was limited may come back when another step of the same model, or a hedge of its own, has run meanwhile.
    """
    waits: list[MatchedAttempt] = []
    for tries in run.by_call.values():
        last: dict[str, MatchedAttempt] = {}
        owed: Counter[str] = Counter()
        names = Counter(step.name for step in tries[0].call.plan.steps)
        names.update(one.attempt.model for one in tries if one.attempt.cause == "hedge")
        for one in sorted(tries, key=lambda each: each.attempt.number):
            name = one.attempt.model
            after_wait = name in last and _ends_in_wait(last[name])
            if one.attempt.cause == "retry" and (after_wait or (names[name] > 1 and owed[name] > 0)):
                waits.append(one)
                owed[name] -= 1
            owed[name] += _ends_in_wait(one)
            last[name] = one
    return waits


def _ends_in_wait(one: MatchedAttempt) -> bool:
    """Whether a further attempt of its step would come after a wait."""
    error = one.attempt.error
    return error is not None and (
        error.retry_after is not None or error.status == 503
        or type(error).__name__ in {"RateLimited", "NotSent", "Unauthorized"}
    )


def retries_bounded(run: FinishedRun) -> None:
    """`retry.attempts`, where it was given, bounds the requests of each step."""
    waits = _waits(run)
    for tries in run.by_call.values():
        call = tries[0].call
        for model in {one.attempt.model: None for one in tries}:
            mine = [one for one in tries if one.attempt.model == model]
            mine = [one for one in mine if one.sent is not None]
            again = sum(one.attempt.cause == "retry" for one in mine)
            most = max(step.retry.attempts for step in call.plan.steps if step.name == model) - 1
            if not all(step.retry.attempts_given for step in call.plan.steps):
                again -= sum(one in waits for one in mine)
            if again > most * (len(mine) - again):
                run.flag("retries", f"call {call.number}: {again} retries at {model}, {most} allowed")


def slots(run: FinishedRun) -> None:
    """No model has more requests at once than `max_concurrent`."""
    for name, model in run.models.items():
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


def ranks(run: FinishedRun) -> None:
    """Requests that wait go in the order of rank and arrival: first attempts, later ones, batch work."""
    for name in run.config.models:
        mine = run.of(name)
        waiting = [one for one in mine if _waited_until(one) > one.queued + NEAR]
        # Who sits out a Retry-After does so beside the queue, and joins it when that is over.
        spans = [(_joined(one), _waited_until(one), one.rank, one) for one in waiting
                 if not run.was_held(name, one.queued, _waited_until(one))
                 and not run.was_crowded(one.queued, _waited_until(one))]
        for one in mine if spans else ():
            sent, rank = one.sent, one.rank
            if sent is None or one.attempt.cause in {"hedge", "rescue"} or one.call.behaviour.key is not None:
                continue
            for since, until, better, other in spans:
                passed = better < rank or (better == rank and since < one.queued - NEAR)
                if passed and other is not one and since < sent - NEAR and until > sent + NEAR:
                    run.flag("ranks", f"{one} (rank {rank}) sent at {sent!r} before {other} (rank {better})")
                    return


def _joined(one: MatchedAttempt) -> float:
    """When an attempt stood in the queue at the latest; one that had no turn may have waited beside it, in a pause."""
    paused = one.sent is None and getattr(one.attempt.error, "message", "") == NO_TURN
    return one.queued + (max([1.0, *(step.retry.cap for step in one.call.plan.steps)]) if paused else 0.0)


def _waited_until(one: MatchedAttempt) -> float:
    return one.ended if one.sent is None else one.sent


CHECKS: list[Callable[[FinishedRun], None]] = [
    hedges_in_budget, hedges_when_late, retries_in_budget, retries_bounded, slots, ranks,
]
