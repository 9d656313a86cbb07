"""The error of a call whose attempts have failed, and the warning about a failure that only a person can mend."""

from __future__ import annotations

from asyncio import CancelledError
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from asyncrouter._errors import (
    AllModelsFailed,
    AttemptError,
    CallError,
    DeadlineExceeded,
    NotSent,
    OutOfCredit,
    Refused,
    Rejected,
    Unauthorized,
)
from asyncrouter._events import Notice, logger

if TYPE_CHECKING:
    from asyncrouter._config.plan import Plan, PlannedStep
    from asyncrouter._engine.engine import Engine
    from asyncrouter._types import Call, Reply, Trace

E = TypeVar("E", bound=CallError)


class Raised(NamedTuple):
    """What was raised in a hedge's task and is no provider's doing: the caller gets it unchanged."""

    error: BaseException


def all_failed(plan: Plan, trace: Trace) -> AllModelsFailed:
    """The error of a call when every model has failed. It names the cause its reader can do most about."""
    best = _most_useful(trace)
    message = f"{plan.failure_message}: {best}" if best is not None else plan.failure_message
    return _with_causes(AllModelsFailed(message, trace), trace)


def deadline_error(call: Call, trace: Trace) -> DeadlineExceeded:
    """The error of a call when its deadline came before an answer. It names a cause like `all_failed()`."""
    best = _most_useful(trace)
    message = f"no whole answer within the deadline of {call.deadline - call.began:g} s"
    return _with_causes(DeadlineExceeded(f"{message}: {best}" if best is not None else message, trace), trace)


def error_of(engine: Engine, call: Call, plan: Plan, trace: Trace, outcome: object) -> BaseException:
    """What a call raises that has no answer, when nothing runs any more; `outcome` is how its race has ended."""
    if isinstance(outcome, Raised):
        return outcome.error
    if isinstance(outcome, Refused):
        outcome.trace = trace
        return outcome
    if outcome is not None or engine.time() >= call.deadline:
        return deadline_error(call, trace)
    return all_failed(plan, trace)


def warn(engine: Engine, step: PlannedStep, error: AttemptError, trace: Trace) -> None:
    """Give notice, once, of what only a person can mend: a rejected request, a key, an account, a retired model."""
    if isinstance(error, Rejected) and error.gone and step.model.successor is not None:
        engine.events.notice(Notice(step.name, f"{error}; it has been replaced by {step.model.successor}"), trace)
    elif isinstance(error, Rejected | Unauthorized | OutOfCredit) or (isinstance(error, NotSent) and error.actionable):
        engine.events.notice(Notice(step.name, str(error)), trace)


def warn_unknown_end(engine: Engine, step: PlannedStep, reply: Reply) -> None:
    """Give notice, once for each model and word, of an answer that ended with a word that the router does not know."""
    choices = reply.raw.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    word = (choice.get("native_finish_reason") or choice.get("finish_reason")) if isinstance(choice, dict) else None
    word = engine.credentials[step.model.provider].mask(f"{word!r:.80}")
    text = f"{step.name} ended its answer with {word}, a finish reason that is not known; it counts as an end"
    engine.events.notice(Notice(step.name, text), reply.trace)


def log_unseen(error: BaseException) -> None:
    """Log an exception of a hedge, or of a loser, that the caller does not get because another step goes on."""
    if not isinstance(error, CancelledError):
        logger.error("an attempt raised while another one went on", exc_info=error)


def _errors(trace: Trace) -> list[AttemptError]:
    return [attempt.error for attempt in trace.attempts if attempt.error is not None]


def _most_useful(trace: Trace) -> AttemptError | None:
    """Of all errors the one its reader can do most about; not simply the last."""
    return max(_errors(trace), key=_usefulness, default=None)


def _usefulness(error: AttemptError) -> tuple[bool, int]:
    return isinstance(error, NotSent) and error.actionable, error.rank


def _with_causes(error: E, trace: Trace) -> E:
    if errors := _errors(trace):
        error.__cause__ = ExceptionGroup("every attempt that failed", errors)
    return error
