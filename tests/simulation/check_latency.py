"""Invariants of the memory of latencies: one sample from each attempt that tells, none from others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .checks import FinishedRun, MatchedAttempt

HELD_BACK = 0.3
"""The least share of the samples that is learned: while there is evidence that a model has become slow none is."""
FORGETS = 200
"""Samples from which on a memory may have forgotten some, for they no longer fit."""


def one_sample_each(run: FinishedRun) -> None:
    """First content, a lost race and a timeout are one sample each; a cancellation without content is none.

    What a demoted model does is not learned, nor how long something took while the event loop was blocked.
    """
    if not run.record.has_listener:
        return  # nobody has the traces of those that were cancelled
    slow = {change.subject for change in run.record.changes if change.state == "slow"}
    for model, count in run.record.samples.items():
        telling = [one for one in run.tries if one.attempt.model == model and one.exchange is not None and _tells(one)]
        most = sum(not run.was_blocked(one, _told_at(one)) for one in telling)
        least = sum(run.record.blocked_between(one.sent or 0.0, _told_at(one)) == 0.0 for one in telling)
        if count > most or (count < HELD_BACK * least and least < FORGETS and model not in slow):
            run.flag("samples", f"{model}: {count}, not {least} to {most}")


def _tells(one: MatchedAttempt) -> bool:
    attempt = one.attempt
    timed_out = type(attempt.error).__name__ == "AttemptTimeout"
    return attempt.first_content is not None or attempt.outcome == "superseded" or timed_out


def _told_at(one: MatchedAttempt) -> float:
    """When it was known how quick the model was."""
    first = one.attempt.first_content
    return one.ended if first is None else one.call.began + first


CHECKS: list[Callable[[FinishedRun], None]] = [one_sample_each]
