"""What a failed call means for its row: the error it counts as, and whether another call could succeed.

A failure is of one of six kinds, by the errors of its attempts:

- *own*: the row's own fault, or the caller's: asking again gives the same.
- *unusable*: no attempt could have answered any row: keys that are turned down, models that do not exist, no credit,
  a budget (`Config.budget`) that is used up.
- *limit*: rate limits, and holds after them.
- *outage*: nobody was there: no connection, 502 to 504, an open breaker, no room on this machine.
- *timeout*: the provider was there, and too slow.
- *server*: the provider failed: another 5xx, a reply that is none.

Where attempts differ, the row may yet be answered if one of them may pass, and the latest kind in this list is its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from asyncrouter import (
    AllModelsFailed,
    AttemptError,
    AttemptTimeout,
    BadReply,
    CallError,
    ConnectionFailed,
    DeadlineExceeded,
    NotSent,
    OutOfCredit,
    OverBudget,
    RateLimited,
    Rejected,
    ServerFailed,
    Unauthorized,
)
from asyncrouter.batch._accept import AcceptFailed

if TYPE_CHECKING:
    from collections.abc import Collection

Kind = Literal["own", "unusable", "limit", "outage", "timeout", "server"]
"""What a failed call means for its row."""

_BY_HOPE: tuple[Kind, ...] = ("own", "limit", "outage", "timeout", "server")
_AWAY = frozenset({502, 503, 504})
"""Statuses of a gateway whose server is away, or that is starting."""
_DISABLED = "disabled for "
"""How the message of a `NotSent` begins whose model does not exist, or may not be used."""
_ACCESS = frozenset({401, 402, 403, 404})
"""Statuses that may be about a key, an account or a model, or about one request."""
NOT_RETRYABLE = frozenset({"ContextTooLong", "NotAccepted", "Refused", "Rejected"})
"""Errors that the same row would meet again: they depend on what it asks. All others may pass at another time."""


def kind_of(error: Exception) -> Kind:
    """What a failed call means for its row."""
    if is_unanswerable(error):
        return "unusable"
    if not isinstance(error, CallError):
        return "own"
    attempts = error.trace.attempts
    kinds = {_kind(attempt.error) for attempt in attempts if attempt.error is not None}
    if isinstance(error, DeadlineExceeded) and any(attempt.sent is not None for attempt in attempts):
        kinds.add("timeout")
    return max(kinds, key=_BY_HOPE.index, default="own")


def _kind(error: AttemptError) -> Kind:
    if error.scope == "local":
        return "outage"
    match error:
        case RateLimited():
            return "limit"
        case NotSent():
            return _kind_of_not_sent(error)
        case AttemptTimeout():
            return "outage" if error.clock == "connect" else "timeout"
        case ConnectionFailed():
            return "outage"
        case ServerFailed():
            return "outage" if error.status in _AWAY else "server"
        case BadReply():
            return "server"
        case _:
            return "own"


def _kind_of_not_sent(error: NotSent) -> Kind:
    if error.forcible:
        return "outage"
    return "limit" if error.hold is not None or "in time" in error.message or "deadline" in error.message else "own"


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
    """Whether no row could have been answered: no key or model can be used, no credit is left, or `accept` raised."""
    if isinstance(error, AcceptFailed):
        return True
    if not isinstance(error, AllModelsFailed) or not error.trace.attempts:
        return False
    return all(_is_unusable(attempt.error) for attempt in error.trace.attempts)


def was_sent(error: Exception) -> bool:
    """Whether a request of the call was sent, as far as is known."""
    return not isinstance(error, CallError) or any(attempt.sent is not None for attempt in error.trace.attempts)


def is_access(error: Exception) -> bool:
    """Whether no attempt was let in: models that are not found, keys or accounts that are turned down."""
    errors = error.errors if isinstance(error, CallError) else []
    return bool(errors) and all(each.status in _ACCESS for each in errors)


def is_only_disabled(error: Exception, models: Collection[str]) -> bool:
    """Whether nothing was sent, because models are disabled for a while that are all among these."""
    if not isinstance(error, CallError) or not error.trace.attempts:
        return False
    return all(
        isinstance(attempt.error, NotSent) and not attempt.error.key_out and attempt.error.message.startswith(_DISABLED)
        and attempt.model in models for attempt in error.trace.attempts
    )


def _most_telling(error: CallError) -> AttemptError | None:
    errors = [attempt.error for attempt in error.trace.attempts if attempt.error is not None]
    return max(errors, key=lambda each: each.rank, default=None)


def _is_unusable(error: AttemptError | None) -> bool:
    """Whether an attempt failed of what only the user can change: a key, an account, a model's name, the budget."""
    if isinstance(error, NotSent):
        return (
            error.actionable or error.key_out or isinstance(error, OverBudget) or error.message.startswith(_DISABLED)
        )
    if isinstance(error, OutOfCredit | Unauthorized | Rejected):
        return error.scope in {"model", "key"}
    return False
