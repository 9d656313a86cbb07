"""Invariants of two routers with one store: nobody is lost where nothing but the common limits makes calls wait.

That the limits are kept together is checked with each request (`live_checks.py`), and at the end (`slots`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .check_keys import is_unanswered

if TYPE_CHECKING:
    from collections.abc import Callable

    from .checks import FinishedRun


def all_are_answered(run: FinishedRun) -> None:
    """On a calm day every call is answered, however long it waits for its turn."""
    for call in run.record.calls if run.scenario.calm else ():
        if is_unanswered(run, call):
            run.flag("shared", f"call {call.number}: {call.outcome} {call.error!r}")


CHECKS: list[Callable[[FinishedRun], None]] = [all_are_answered]
