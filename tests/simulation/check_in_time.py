"""Invariants of attempts that are late, of rescues, and of models that have become slow."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

from asyncrouter import AttemptTimeout, AutoSeconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from .checks import FinishedRun, MatchedAttempt

NEAR = 1e-9
BURST = 10.0
RATE_BESIDE_HEDGE, RATE_ALONE = 0.01, 0.05
"""Rescues a call in chains with and without a hedge."""
FREE_AFTER = 10.0
"""Seconds of silence after which a rescue may be free."""
SOONEST = 2.0
"""Seconds of silence before which nobody is rescued."""
SLOW = "has become slow"
"""Words in the reason of what nobody pays for, and what does not wait: a probe, and a race of a call on its way to a
slow model."""
REPLACED = "the model raced with it failed"
"""The reason of an attempt in the place of one that has failed."""
CONFIRMED = 8
"""Contents of an answer that flows after which no other one is needed."""
FIRST_PROBE = 5.0
"""Seconds between a demotion and the first probe, and between two probes at the least."""


def rescues_where_allowed(run: FinishedRun) -> None:
    """Nobody is rescued in batch work, nor where `rescue` is off, nor while another attempt is raced with it."""
    for one in _rescues(run):
        steps = [step for step in one.call.plan.steps if step.rescue]
        if one.call.behaviour.options.get("priority") == "batch" or not steps:
            run.flag("rescue", f"{one} is a rescue, and may not be")
        live = [other for other in run.by_call[one.call.number] if other is not one
                and other.sent is not None and other.sent < one.queued - NEAR and other.ended > one.queued + NEAR]
        if len(live) > 1:
            run.flag("rescue", f"{one} is a third one")


def rescues_when_late(run: FinishedRun) -> None:
    """A rescue comes when nothing has come for two seconds at the least."""
    for one in _rescues(run):
        older = _older(run, one)
        if older is None or older.sent is None or SLOW in one.attempt.why or REPLACED in one.attempt.why:
            continue
        silent = one.queued - older.silent_since(one.queued, run.by_call[one.call.number])
        if silent < SOONEST - NEAR and "apart" not in one.attempt.why:
            run.flag("rescue clock", f"{one} {silent:.3f} s after {older}")


def rescues_in_budget(run: FinishedRun) -> None:
    """In every prefix of N calls at most 1 % (beside a hedge) or 5 % of N, and ten more, are rescued and pay for it."""
    begun: dict[tuple[str, float], list[float]] = {}
    for call in run.record.calls:
        begun.setdefault(_key(call.plan), []).append(call.began)
    paid: dict[tuple[str, float], list[float]] = {}
    for one in _rescues(run):
        older = _older(run, one)
        free = older is None or older.sent is None or one.queued >= older.sent + FREE_AFTER - NEAR
        if not free and SLOW not in one.attempt.why and one.sent is not None:
            paid.setdefault(_key(one.call.plan), []).append(one.sent)
    for key, instants in paid.items():
        calls = sorted(begun[key])
        for number, instant in enumerate(sorted(instants), 1):
            if number > key[1] * bisect_right(calls, instant) + BURST + 1e-6:
                run.flag("rescue budget", f"{number} rescues of {key} in {bisect_right(calls, instant)} calls")
                break


def auto_limits_cut_last(run: FinishedRun) -> None:
    """An "auto" limit cuts no sooner than its cap says, and nobody who could have been raced instead."""
    troubled = {change.subject for change in run.record.changes}
    for one in run.tries:
        limit = _auto_limit(one)
        if limit is None or one.sent is None:
            continue
        last = one.attempt.last_content
        since = one.sent if last is None else one.call.began + last
        if one.ended < since + limit - NEAR:
            run.flag("auto", f"{one} cut after {one.ended - since!r} s, not {limit!r}")
        committed = one.call.behaviour.stream and last is not None
        batch = one.call.behaviour.options.get("priority") == "batch"
        if committed or batch or not one.call.plan.rescues or not run.record.has_listener:
            continue
        if _is_beside_a_stream(run, one):
            continue
        for other in run.by_call[one.call.number]:
            model = other.attempt.model
            untroubled = not troubled & {model, run.scenario.models[model].provider}
            if other.sent == one.ended and other.attempt.cause == "fallback" and untroubled:
                run.flag("auto", f"{one} cut at {one.ended!r}, when {model} could have been raced with it")


def _is_beside_a_stream(run: FinishedRun, one: MatchedAttempt) -> bool:
    """Whether a stream that had fallen silent was still open when an attempt beside it ended: two ran already."""
    assert one.sent is not None
    return one.call.behaviour.stream and any(
        other.attempt.first_content is not None and other.sent is not None
        and other.sent < one.sent and one.ended < other.ended
        for other in run.by_call[one.call.number]
    )


def whole_or_confirmed(run: FinishedRun) -> None:
    """For `chat()` an attempt is superseded when another one is whole, or has eight contents, or a third is sent."""
    for one in run.tries:
        if one.attempt.outcome != "superseded" or one.call.behaviour.stream:
            continue
        others = [other for other in run.by_call[one.call.number] if other is not one and other.sent is not None]
        if others and not any(_is_enough(other, one.ended) or makes_room(one, other) for other in others):
            run.flag("whole decides", f"{one} superseded at {one.ended!r}, when nobody was whole or confirmed")


def makes_room(one: MatchedAttempt, third: MatchedAttempt) -> bool:
    """Whether an attempt has ended as a third one was sent, for the models of two that ran had become slow."""
    return third.sent is not None and abs(third.sent - one.ended) < NEAR and SLOW in third.attempt.why


def slow_models_are_last(run: FinishedRun) -> None:
    """While a model is slow, it is asked first by probes only, which become rarer; and by chains of slow models."""
    for model in run.config.models:
        for since, until in _slow_spans(run, model):
            probes = sorted(one.queued for one in run.tries if _is_first_of_several(run, one, model, since, until))
            for before, after in pairwise([since, *probes]):
                if after < before + FIRST_PROBE - NEAR:
                    run.flag("slow", f"{model}, slow from {since:.3f} on, is asked first at {before:.3f}, {after:.3f}")
                    break


def _auto_limit(one: MatchedAttempt) -> float | None:
    """The "auto" limit that has ended an attempt; `None` if something else has."""
    error = one.attempt.error
    if not isinstance(error, AttemptTimeout) or error.clock not in {"first_token", "idle"} or "share" in error.message:
        return None
    limits = {getattr(step, error.clock) for step in one.call.plan.steps if step.name == one.attempt.model}
    limit = limits.pop()
    return limit if isinstance(limit, AutoSeconds) and not limits else None


def _rescues(run: FinishedRun) -> list[MatchedAttempt]:
    return [one for one in run.tries if one.attempt.cause == "rescue" and one.sent is not None]


def _older(run: FinishedRun, one: MatchedAttempt) -> MatchedAttempt | None:
    """The attempt beside which another one was started."""
    mine = run.by_call[one.call.number]
    live = [other for other in mine if other is not one and other.sent is not None
            and other.sent <= one.queued < other.ended and other.attempt.number < one.attempt.number]
    return live[0] if live else None


def _key(plan: object) -> tuple[str, float]:
    hedged = plan.hedge is not None  # type: ignore[attr-defined]  # a plan
    return plan.steps[0].name, RATE_BESIDE_HEDGE if hedged else RATE_ALONE  # type: ignore[attr-defined]


def _is_enough(one: MatchedAttempt, now: float) -> bool:
    """Whether an answer was whole at this instant, or so much of it had come that it was confirmed."""
    exchange = one.exchange
    if exchange is None or exchange.connected is None or one.sent is None or one.sent > now + NEAR:
        return False
    if exchange.ended is not None and exchange.ended <= now + NEAR:
        return True
    pieces = exchange.script.pieces
    words = max((words for at, _, words in pieces if exchange.connected + at <= now + NEAR), default=0)
    return words >= min(CONFIRMED, exchange.script.words)


def _slow_spans(run: FinishedRun, model: str) -> list[tuple[float, float]]:
    """When a model was slow, as far as the events tell."""
    changes = [change for change in run.record.changes if change.subject == model and "slow" in change.state]
    return [(change.at, inf if after is None else after.at) for change, after in pairwise([*changes, None])
            if change is not None and change.state == "slow"]


def _is_first_of_several(run: FinishedRun, one: MatchedAttempt, model: str, since: float, until: float) -> bool:
    """Whether a call has asked a slow model first, though another one of its chain was not slow."""
    if one.attempt.model != model or one.attempt.cause != "first" or not since < one.queued < until:
        return False
    plan = one.call.plan
    if one.call.behaviour.options.get("priority") == "batch" and plan.hedge is None:
        return False
    if plan.hedge is None and not any(step.rescue for step in plan.steps):
        return False
    others = {step.name for step in plan.steps[:plan.ordinary]} - {model}
    slow = {name for name in others for begins, ends in _slow_spans(run, name) if begins <= one.queued <= ends}
    return bool(others - slow)


CHECKS: list[Callable[[FinishedRun], None]] = [
    rescues_where_allowed, rescues_when_late, rescues_in_budget, auto_limits_cut_last, whole_or_confirmed,
    slow_models_are_last,
]
