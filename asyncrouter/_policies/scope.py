"""Whom a failure counts against: the model, its host, or nobody (the caller, the deadline, a rate limit)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from asyncrouter._errors import AttemptTimeout, BadReply, ConnectionFailed, RateLimited, ServerFailed

if TYPE_CHECKING:
    from asyncrouter._errors import AttemptError

OVERLOADED = 529
"""Anthropic's status for an overloaded service: a failure of the model as well as a rate limit."""


def counts_against_model(error: AttemptError) -> bool:
    """Whether this failure counts for the model's breaker.

    Lost connections, timeouts, server errors and bad replies count. The caller's deadline, a rate limit (the pace
    handles it), a key, a refusal and a rejected request do not.
    """
    if isinstance(error, AttemptTimeout):
        return error.clock != "deadline"
    return isinstance(error, ConnectionFailed | ServerFailed | BadReply) or (
        isinstance(error, RateLimited) and error.status == OVERLOADED
    )


def counts_against_host(error: AttemptError | None) -> TypeGuard[AttemptError]:
    """Whether this failure counts for the host's breaker: the connection was not made, or was lost."""
    return isinstance(error, ConnectionFailed) or (isinstance(error, AttemptTimeout) and error.clock == "connect")


def is_total_timeout(error: AttemptError | None) -> bool:
    """Whether the attempt as a whole took too long: our limit, not a failure, if its answer was coming."""
    return isinstance(error, AttemptTimeout) and error.clock == "total"
