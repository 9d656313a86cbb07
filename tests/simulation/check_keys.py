"""Invariants of several keys of one provider: one that is out takes only its own members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .check_pools import could_be_asked

if TYPE_CHECKING:
    from collections.abc import Callable

    from .checks import FinishedRun
    from .record import CallRecord

UNANSWERED = frozenset({"AllModelsFailed", "DeadlineExceeded", "StreamInterrupted"})
OUT = "the key of "
"""How the trace begins to say that a key is out."""


def is_unanswered(run: FinishedRun, call: CallRecord) -> bool:
    """Whether a call has failed that nobody has judged, and before anybody closed the router."""
    in_time = (call.ended or 0.0) < run.record.closed_at
    return call.outcome in UNANSWERED and call.behaviour.accept is None and in_time


def one_key_lives(run: FinishedRun) -> None:
    """On a calm day, on which keys die but for one, every call is answered."""
    for call in run.record.calls if run.scenario.calm else ():
        if is_unanswered(run, call):
            run.flag("keys", f"call {call.number}: {call.outcome} {call.error!r}")


def a_key_is_alone(run: FinishedRun) -> None:
    """No step is passed over because a key is out while another place of it could be asked that had no part yet."""
    for one in run.tries:
        places, said = run.places.get(one.attempt.model), getattr(one.attempt.error, "message", "")
        if places is None or one.attempt.outcome != "not_sent" or OUT not in said:
            continue
        asked = {other.model for other in run.by_call[one.call.number] if other.queued <= one.ended}
        free = [place.name for place in places.members
                if place.name not in asked and could_be_asked(run, place.name, one.ended)]
        if free:
            run.flag("keys", f"{one}: {said!r}, though {free[0]} could be asked")


CHECKS: list[Callable[[FinishedRun], None]] = [one_key_lives, a_key_is_alone]
