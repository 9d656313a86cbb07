"""What a failed call means for its row: the error it counts as, and whether another call could succeed."""

from __future__ import annotations

from asyncrouter import (
    AllModelsFailed,
    AttemptError,
    CallError,
    DeadlineExceeded,
    NotSent,
    OutOfCredit,
    RateLimited,
    Unauthorized,
)
from asyncrouter.batch._accept import AcceptFailed

NOT_RETRYABLE = frozenset({"ContextTooLong", "NotAccepted", "Refused", "Rejected"})
"""Errors that the same row would meet again: they depend on what it asks. All others may pass at another time."""


def cause_of(error: Exception) -> Exception:
    """The most telling of the attempts' errors, where every model failed; any other exception as it is."""
    if not isinstance(error, CallError) or isinstance(error, DeadlineExceeded):
        return error
    return _most_telling(error) or error


def error_class(error: Exception) -> str:
    """The name of the class that a failed row is counted under."""
    return type(cause_of(error)).__name__


def is_retryable(cause: Exception) -> bool:
    """Whether a row that failed of this cause may succeed when it is asked again as it is."""
    return type(cause).__name__ not in NOT_RETRYABLE and isinstance(cause, CallError | AttemptError)


def is_unanswerable(error: Exception) -> bool:
    """Whether no row could have been answered: all keys invalid, missing or out of credit, or `accept` raised."""
    if isinstance(error, AcceptFailed):
        return True
    if not isinstance(error, AllModelsFailed) or not error.trace.attempts:
        return False
    return all(_is_unusable(attempt.error) for attempt in error.trace.attempts)


def limit_met(error: Exception) -> RateLimited | NotSent | None:
    """The rate limit, or the hold after one, that a call failed of; `None` if anything else was worse.

    Such a row is asked again later: the same call can succeed then. A call that was sent and ran out of its deadline is
    no such case.
    """
    if not isinstance(error, CallError):
        return None
    attempts = error.trace.attempts
    if isinstance(error, DeadlineExceeded) and any(attempt.sent is not None for attempt in attempts):
        return None
    worst = _most_telling(error)
    if isinstance(worst, RateLimited) or (isinstance(worst, NotSent) and worst.hold is not None):
        return worst
    return None


def _most_telling(error: CallError) -> AttemptError | None:
    errors = [attempt.error for attempt in error.trace.attempts if attempt.error is not None]
    return max(errors, key=lambda each: each.rank, default=None)


def _is_unusable(error: AttemptError | None) -> bool:
    """Whether an attempt failed of something that only the user can change: a key or an account."""
    if isinstance(error, NotSent):
        return error.actionable or error.key_out
    return isinstance(error, OutOfCredit | Unauthorized)
