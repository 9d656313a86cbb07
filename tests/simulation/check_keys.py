"""Invariants of several keys of one provider: one that is out takes only its own members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .check_pools import could_be_asked

if TYPE_CHECKING:
    from collections.abc import Callable

    from .checks import FinishedRun

UNANSWERED = frozenset({"AllModelsFailed", "DeadlineExceeded", "StreamInterrupted"})
OUT = "the key of "
"""How the trace begins to say that a key is out."""


def one_key_lives(run: FinishedRun) -> None:
    """On a calm day, on which keys die but for one, every call is answered."""
    for call in run.record.calls if run.scenario.calm else ():
        if call.outcome in UNANSWERED and call.behaviour.accept is None:
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
