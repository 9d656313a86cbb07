"""Invariants of an event loop that the program has blocked: no answer is lost for it, and nobody is blamed."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .checks import FinishedRun, MatchedAttempt

NEAR = 1e-9
SEEN = 0.25
"""Seconds that a block must last at least so that half of it is noticed for sure."""


def what_has_come_is_read(run: FinishedRun) -> None:
    """No attempt times out that had its first words in the socket, however late its timer came."""
    for one in run.tries:
        if type(one.attempt.error).__name__ != "AttemptTimeout" or one.attempt.first_content is not None:
            continue
        came, closed = _first_words(one), _closed(one)
        if came is not None and came < closed - NEAR:
            run.flag("socket", f"{one} timed out at {closed!r}, its first words had come at {came!r}")


def _closed(one: MatchedAttempt) -> float:
    """When a limit closed the connection; who reads it may see that later."""
    return one.ended if one.exchange is None else one.exchange.ended or one.ended


def _first_words(one: MatchedAttempt) -> float | None:
    """When the first words of an answer came; `None` for never, or for a response that is read in many pieces."""
    exchange = one.exchange
    if exchange is None or exchange.connected is None or exchange.script.fragmented or exchange.script.status != 200:
        return None
    connected = exchange.connected
    return next((connected + at for at, _, words in exchange.script.pieces if words), None)


def nobody_is_blamed(run: FinishedRun) -> None:
    """A limit that passed, or a connection that was lost, while the loop was blocked is a failure of this machine."""
    for one in run.tries:
        error, scope = one.attempt.error, one.attempt.scope
        kind = type(error).__name__
        at = one.ended if kind == "ConnectionFailed" else _closed(one)
        ours = kind in {"AttemptTimeout", "ConnectionFailed"} and run.was_blocked(one, at)
        if ours and scope != "local":
            run.flag("blame", f"{one}: {error!r} has the scope {scope}, and the loop was blocked")


def limits_stand_still(run: FinishedRun) -> None:
    """While the loop is blocked the limits of a step do not run: its request may be written only after that.

    How long a block was is known to two fifths of the wait at worst, so half of a longer one counts for sure.
    """
    for one in run.tries:
        error, exchange = one.attempt.error, one.exchange
        if type(error).__name__ != "AttemptTimeout" or one.attempt.first_content is not None:
            continue
        if exchange is None or one.sent is None or exchange.ended is None or one.call.deadline < inf:
            continue  # a share of a deadline runs in any case
        name = getattr(error, "clock", "")
        limits = [getattr(step, name, None) for step in one.call.plan.steps if step.name == one.attempt.model]
        limit = min((limit for limit in limits if limit is not None), default=0.0)
        ends, spent = exchange.ended, exchange.ended - one.sent
        blocks = [(begin, min(end, ends) - begin) for begin, end in run.record.blocked if one.sent <= begin < ends]
        still = sum(lasts / 2 for begin, lasts in blocks if lasts >= max(SEEN, begin - one.sent))
        if name != "connect" and spent < limit + still - NEAR:
            run.flag("blocked limits", f"{one}: {name} {limit} after {spent} s, blocked for {2 * still} s of it")


CHECKS: list[Callable[[FinishedRun], None]] = [what_has_come_is_read, nobody_is_blamed, limits_stand_still]
