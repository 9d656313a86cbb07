"""Whose fault a failure is, and what is remembered of it: one table, and the rule for what words leave open.

Every failure has a scope (`_errors.Scope`). The policies learn from failures of a model, a key or a host alone. Where
the provider's words leave open whose fault it is, the scope is the request's until three different requests in a row
have met the same on the same model (`doubts.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from asyncrouter._errors import (
    AttemptError,
    AttemptTimeout,
    BadReply,
    ConnectionFailed,
    ContextTooLong,
    NotAccepted,
    NotSent,
    OutOfCredit,
    RateLimited,
    Refused,
    Rejected,
    ServerFailed,
    Unauthorized,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._errors import Scope

Remembered = Literal["nothing", "breaker", "pace", "pace and breaker", "model out", "key out"]
"""What a failure changes: nothing; it counts for the model's breaker (a lost connection for the host's, too); its
model's pace; both; its model is disabled; its key is disabled. A Retry-After holds the model in any case."""

OVERLOADED = 529
"""Anthropic's status for an overloaded service: a failure of the model as well as a rate limit."""
UNAVAILABLE = 503
"""The status for a service that cannot serve now: it is about the service, never about one request."""


class Rule(NamedTuple):
    """The scope of a failure, and what is remembered of it.

    `doubtful`: the provider may mean the request alone, unless its words are definite (`AttemptError.definite`).
    """

    scope: Scope | None
    remembered: Remembered
    doubtful: bool = False


RULES: Mapping[type[AttemptError], Rule] = {
    ConnectionFailed: Rule("host", "breaker"),
    AttemptTimeout: Rule("model", "breaker"),
    RateLimited: Rule("model", "pace"),
    ServerFailed: Rule("model", "breaker", doubtful=True),
    BadReply: Rule("model", "breaker", doubtful=True),
    ContextTooLong: Rule("request", "nothing"),
    Refused: Rule("request", "nothing"),
    NotAccepted: Rule("call", "nothing"),
    Rejected: Rule("request", "nothing"),
    Unauthorized: Rule("key", "key out"),
    OutOfCredit: Rule("key", "key out", doubtful=True),
    NotSent: Rule(None, "nothing"),
    AttemptError: Rule("call", "nothing"),  # an exception of `accept`, or of a transport of the caller's own
}
"""What holds for each class of errors."""
NOBODY = Rule(None, "nothing")
"""An error of no known class."""
CONNECT_TIMEOUT = Rule("host", "breaker")
"""A connection that was not made in time."""
SERVICE_UNAVAILABLE = Rule("model", "breaker")
"""A 503."""
SERVICE_OVERLOADED = Rule("model", "pace and breaker")
"""A 529."""
NOT_FOUND = Rule("model", "model out", doubtful=True)
"""A 404, or a code that says that the model does not exist: it may also be a feature that this model does not have."""
CREDIT_OF_A_MODEL = Rule("model", "model out", doubtful=True)
"""An account that cannot pay for this model, while it can for others."""
CODES_OF_A_MODEL = frozenset({"credits_required", "AllocationQuota.FreeTierOnly"})
"""The codes that say so: Anthropic's and Alibaba's."""
FORBIDDEN = Rule("key", "model out", doubtful=True)
"""A 403: it may also be a firewall that dislikes one prompt."""

OWN_KEY_CLASSES = (RateLimited, Rejected, Unauthorized, OutOfCredit)
"""Errors that say something about the key, the account or its limits: under a caller's own key they are the call's."""


def rule_of(error: AttemptError) -> Rule:
    """The row of the table for this error."""
    if isinstance(error, AttemptTimeout) and error.clock == "connect":
        return CONNECT_TIMEOUT
    if isinstance(error, ServerFailed) and error.status == UNAVAILABLE:
        return SERVICE_UNAVAILABLE
    if isinstance(error, RateLimited) and error.status == OVERLOADED:
        return SERVICE_OVERLOADED
    if isinstance(error, Rejected) and error.gone:
        return NOT_FOUND
    if isinstance(error, OutOfCredit) and error.code in CODES_OF_A_MODEL:
        return CREDIT_OF_A_MODEL
    if isinstance(error, Unauthorized) and error.status == 403:
        return FORBIDDEN
    return RULES.get(type(error)) or next((RULES[kind] for kind in type(error).__mro__ if kind in RULES), NOBODY)


def asks_for_pause(error: AttemptError) -> bool:
    """Whether the provider asks for a pause, whatever its status: it holds the model, and counts against nobody."""
    return bool(error.retry_after) and not isinstance(error, NotSent | OutOfCredit | ContextTooLong | Refused)


def is_a_limit(error: AttemptError) -> bool:
    """Whether the provider may have turned the request down because there were too many of them."""
    return isinstance(error, RateLimited) or (error.status == UNAVAILABLE and asks_for_pause(error))


def is_the_calls(error: AttemptError, *, own_key: bool) -> bool:
    """Whether an error is the call's because it met a limit, a key or an account that the caller brought along."""
    if not own_key or error.status == OVERLOADED or not isinstance(error, OWN_KEY_CLASSES):
        return False
    return error.gone if isinstance(error, Rejected) else True


def is_doubtful(error: AttemptError, rule: Rule, *, own_key: bool) -> bool:
    """Whether it is open whose fault an error is, so that it takes three different requests to blame the model.

    Under a caller's own key that is so of all that the model does: another account has other quotas, deployments and
    queues. There three different keys must have met it. A lost connection is the host's, for no key was looked at; and
    a pause that a service asks for is its word.
    """
    if asks_for_pause(error):
        return False
    return (rule.doubtful and not error.definite) or (own_key and rule.scope == "model")


def counts_against_host(error: AttemptError) -> bool:
    """Whether this failure counts for the host's breaker: the connection was not made, or was lost."""
    return isinstance(error, ConnectionFailed) or (isinstance(error, AttemptTimeout) and error.clock == "connect")


def is_total_timeout(error: AttemptError | None) -> bool:
    """Whether the attempt as a whole took too long: our limit, not a failure, if its answer was coming."""
    return isinstance(error, AttemptTimeout) and error.clock == "total"


def usual_silence_is_over(silence: float, usual: float | None, *, of_the_call: bool) -> bool:
    """Whether a clock that fired after `silence` seconds says something about the model, not only about the clock.

    `usual` is the p99.9 of the model's first contents, `None` while it is not known. `of_the_call`: the clock is the
    caller's, or a share of the deadline; otherwise it stands in the configuration, whose owner knows the model.
    """
    if of_the_call:
        return silence >= UNKNOWN_SILENCE if usual is None else silence > IMPATIENT_TIMES * usual
    return usual is None or silence > usual


IMPATIENT_TIMES = 3.0
"""Times its p99.9 that a model must have been silent for a caller's own clock to count against it."""
UNKNOWN_SILENCE = 2.0
"""Seconds of silence from which on a caller's own clock counts against a model of which nothing is known."""
USUAL_QUANTILE = 0.999
"""The quantile of its first contents that is a model's usual silence at most."""
