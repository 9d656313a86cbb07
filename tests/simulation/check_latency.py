"""Invariants of the memory of latencies: one sample from each attempt that tells, none from others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .checks import FinishedRun, MatchedAttempt

FORGETS = 200
"""Samples from which on a memory may have forgotten some, for they no longer fit."""


def one_sample_each(run: FinishedRun) -> None:
    """First content, a lost race and a timeout are one sample each; a cancellation without content is none.

    What a demoted model does is not learned.
    """
    if not run.record.has_listener:
        return  # nobody has the traces of those that were cancelled
    slow = {change.subject for change in run.record.changes if change.state == "slow"}
    for model, count in run.record.samples.items():
        telling = sum(_tells(one) for one in run.tries if one.attempt.model == model and one.exchange is not None)
        if count > telling or (count < telling < FORGETS and model not in slow):
            run.flag("samples", f"{model}: {count} of {telling}")


def _tells(one: MatchedAttempt) -> bool:
    attempt = one.attempt
    timed_out = type(attempt.error).__name__ == "AttemptTimeout"
    return attempt.first_content is not None or attempt.outcome == "superseded" or timed_out


CHECKS: list[Callable[[FinishedRun], None]] = [one_sample_each]
