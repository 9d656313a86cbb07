"""Invariants of an event loop that the program has blocked: no answer is lost for it, and nobody is blamed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .checks import FinishedRun, MatchedAttempt

NEAR = 1e-9


def what_has_come_is_read(run: FinishedRun) -> None:
    """No attempt times out that had its first words in the socket, however late its timer came."""
    for one in run.tries:
        if type(one.attempt.error).__name__ != "AttemptTimeout" or one.attempt.first_content is not None:
            continue
        came = _first_words(one)
        if came is not None and came < one.ended - NEAR:
            run.flag("socket", f"{one} timed out at {one.ended!r}, its first words had come at {came!r}")


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
        kind, exchange = type(error).__name__, one.exchange
        # The reader of a stream may see only later that a limit has closed the connection.
        at = one.ended if exchange is None or kind == "ConnectionFailed" else exchange.ended or one.ended
        ours = kind in {"AttemptTimeout", "ConnectionFailed"} and run.was_blocked(one, at)
        if ours and scope != "local":
            run.flag("blame", f"{one}: {error!r} has the scope {scope}, and the loop was blocked")


CHECKS: list[Callable[[FinishedRun], None]] = [what_has_come_is_read, nobody_is_blamed]
