"""Invariants of chains: every step is tried, in order, and no time is lost between them."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from .check_calls import FAILURES

if TYPE_CHECKING:
    from collections.abc import Callable

    from .checks import FinishedRun, MatchedAttempt
    from .record import CallRecord

NEAR = 1e-9
HOLD_NEAR = 1e-5
"""Seconds before a step's turn at which its model is held: a date may be misread by some microseconds."""


def failure_never_wins(run: FinishedRun) -> None:
    """A call fails only when no attempt runs any more."""
    for one in run.tries:
        if one.attempt.outcome == "cancelled" and one.call.outcome in FAILURES:
            run.flag("failure wins", f"{one} was cancelled by {one.call.outcome}")


def every_model_was_tried(run: FinishedRun) -> None:
    """A call that fails with `AllModelsFailed` has an attempt for every model."""
    for call in run.record.calls:
        if call.outcome != "AllModelsFailed" or call.trace is None:
            continue
        told = {attempt.model for attempt in call.trace.attempts}
        if left_out := [step.name for step in call.plan.steps if step.name not in told]:
            run.flag("left out", f"call {call.number} failed, and nobody asked {left_out}")


def one_turn_each(run: FinishedRun) -> None:
    """Each step is started once, and again only when it was cancelled because another model won."""
    for tries in run.by_call.values():
        call = tries[0].call
        if any(one.attempt.cause == "restart" for one in tries):
            continue
        names, itself = [step.name for step in call.plan.steps], call.plan.hedge is not None and call.plan.hedge.same
        for name in dict.fromkeys(names):
            mine = [one for one in tries if one.attempt.model == name]
            had = sum(one.attempt.cause != "retry" for one in mine)
            again = sum(one.attempt.outcome == "superseded" and not (itself and _by_itself(one, mine)) for one in mine)
            again += sum(one.attempt.outcome == "failed" and _pausing(one, tries) for one in mine)
            again += sum(one.attempt.outcome == "not_sent" for one in mine)  # it may come back when it is free
            hedges = sum(one.attempt.cause in {"hedge", "rescue"} for one in mine) if itself else 0
            if had > names.count(name) + again + hedges:
                run.flag("turns", f"call {call.number}: {had} turns of {name}")


def _by_itself(loser: MatchedAttempt, mine: list[MatchedAttempt]) -> bool:
    """Whether it was the same model that won."""
    return any(one is not loser and one.sent is not None and one.sent <= loser.ended
               and (one.ended > loser.ended or one.attempt.outcome == "won") for one in mine)


def _pausing(failed: MatchedAttempt, tries: list[MatchedAttempt]) -> bool:
    """Whether it may have been about to be retried when another attempt had content."""
    firsts = [one.call.began + one.attempt.first_content for one in tries if one.attempt.first_content is not None]
    return any(failed.ended <= first <= failed.ended + _longest(failed.call, inf) for first in firsts)


def waits_for_room(run: FinishedRun) -> None:
    """Where this machine has no room for a connection for some seconds, only the deadline ends an attempt."""
    for one in run.tries:
        in_time = one.ended < one.call.deadline - NEAR
        if one.attempt.error is not None and "no descriptor" in one.attempt.error.message and in_time:
            run.flag("room", f"{one} failed at {one.ended!r}")


def no_dead_time(run: FinishedRun) -> None:
    """While a call runs an attempt runs or waits; the only pauses are those before a step is tried again."""
    for call in run.record.calls:
        if call.trace is None or call.behaviour.stream:
            continue
        busy = 0.0
        for attempt in sorted(call.trace.attempts, key=lambda one: (one.queued or 0.0, one.number)):
            queued = attempt.queued or 0.0
            again = any(
                before.model == attempt.model and before.number < attempt.number for before in call.trace.attempts
            )
            most = _longest(call, busy) if again or attempt.cause in {"retry", "hedge", "rescue"} else NEAR
            if again and any(_waited_for(run, step.name, call.began + queued) for step in call.plan.steps):
                most = inf
            if call.began + queued > run.record.late(call.began + busy + most) + NEAR:
                what = f"call {call.number}: {queued - busy:.4f} s before"
                run.flag("dead time", f"{what} attempt {attempt.number}, {attempt.cause}")
            busy = max(busy, attempt.ended or queued)
        ended = 0.0 if call.ended is None else call.ended - call.began
        late = any(call.began + busy < ends == call.ended for _, ends in run.record.blocked)
        if call.outcome in FAILURES and ended > busy + NEAR and not late:  # it waited, and its deadline has passed
            run.flag("dead time", f"call {call.number}: {ended - busy:.4f} s before its end")


def _waited_for(run: FinishedRun, model: str, at: float) -> bool:
    """Whether a model was held until this instant, or until the block of the event loop that ended then."""
    since = min([begins for begins, ends in run.record.blocked if abs(ends - at) < NEAR], default=at)
    return run.was_held(model, since - HOLD_NEAR, at - NEAR)


def _longest(call: CallRecord, until: float) -> float:
    """The longest pause there may be after what has failed until then."""
    assert call.trace is not None
    told = [attempt.error.retry_after or 0.0 for attempt in call.trace.attempts
            if attempt.error is not None and (attempt.ended or 0.0) <= until + NEAR]
    settings = [step.retry for step in call.plan.steps]
    return max([1.0, *told, *(max(retry.base, retry.cap) for retry in settings)]) + 1e-6


def stops_at_refusal(run: FinishedRun) -> None:
    """After a raised refusal no step starts; after a prompt too long, none with a window as small.

    A step that has started goes on, retries included. Only its own success ends a race.
    """
    by_call = run.by_call
    for one in run.tries:
        kind, steps = type(one.attempt.error).__name__, {step.name: step for step in one.call.plan.steps}
        if kind not in {"Refused", "ContextTooLong"} or one.attempt.outcome != "failed":
            continue
        mine, others = steps[one.attempt.model], by_call[one.call.number]
        if any(other.attempt.cause == "restart" for other in others):
            continue  # somebody else had content; a stream that begins again does so with all the steps that follow
        # A lane at the same model that runs already will hear the same, and may be raced until then.
        raced = {other.attempt.model for other in others
                 if other.sent is not None and other.sent <= one.ended < other.ended}
        for other in others:
            hedge, beside = one.call.plan.hedge, other.attempt.cause in {"hedge", "rescue"}
            same = beside and hedge is not None and hedge.same
            if other.sent is None or same or other.attempt.cause == "retry" or other.queued <= one.ended + NEAR:
                continue
            small, window = steps[other.attempt.model].model.context, mine.model.context
            if kind == "Refused" and mine.on_refusal == "raise":
                run.flag("refused", f"{one} was refused at {one.ended!r}, {other} sent at {other.sent!r}")
            elif kind == "ContextTooLong" and other.attempt.model not in raced and _no_larger(small, window):
                run.flag("window", f"{one} was too long for {window}, {other} with {small} sent at {other.sent!r}")


def _no_larger(window: int | None, other: int | None) -> bool:
    return window is not None and other is not None and window <= other


CHECKS: list[Callable[[FinishedRun], None]] = [
    failure_never_wins, every_model_was_tried, one_turn_each, waits_for_room, no_dead_time,
    stops_at_refusal,
]
