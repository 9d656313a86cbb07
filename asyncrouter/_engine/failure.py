"""What is said about failure: the error of a call, the entry of a step that had no turn, the warning."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from asyncrouter._errors import (
    AllModelsFailed,
    AttemptError,
    CallError,
    DeadlineExceeded,
    NotSent,
    OutOfCredit,
    Rejected,
    Unauthorized,
)
from asyncrouter._events import AttemptEnded, Notice
from asyncrouter._types import Attempt

if TYPE_CHECKING:
    from asyncrouter._config.plan import Plan, PlannedStep
    from asyncrouter._engine.engine import Engine
    from asyncrouter._types import Call, Cause, Trace

E = TypeVar("E", bound=CallError)


def used_up(plan: Plan, trace: Trace) -> AllModelsFailed:
    """The error of a call whose models are used up; it names the cause its reader can do most about, not the last."""
    best = max(_errors(trace), key=_usefulness, default=None)
    message = f"{plan.failure_message}: {best}" if best is not None else plan.failure_message
    return _caused(AllModelsFailed(message, trace), trace)


def too_late(call: Call, trace: Trace) -> DeadlineExceeded:
    """The error of a call whose deadline came first."""
    best = max(_errors(trace), key=_usefulness, default=None)
    message = f"no whole answer within the deadline of {call.deadline - call.began:g} s"
    return _caused(DeadlineExceeded(f"{message}: {best}" if best is not None else message, trace), trace)


def pass_over(engine: Engine, call: Call, trace: Trace, step: PlannedStep, cause: Cause, error: NotSent) -> None:
    """Enter a step in the trace that had no turn, and why."""
    error.model, error.provider = step.name, step.model.provider
    now = engine.loop.time() - call.began
    number = len(trace.attempts) + 1
    attempt = Attempt(number, step.name, step.model.provider, cause, "not_sent", error, queued=now, ended=now)
    trace.attempts.append(attempt)
    if not engine.events.quiet:
        engine.events.emit(AttemptEnded(trace, attempt))


def warn(engine: Engine, step: PlannedStep, error: AttemptError) -> None:
    """Tell a person, once, what only a person can mend: a request turned down, a key, an account, a retired model."""
    if isinstance(error, Rejected) and error.gone and step.model.successor is not None:
        engine.events.notice(Notice(step.name, f"{error}; it has been replaced by {step.model.successor}"))
    elif isinstance(error, Rejected | Unauthorized | OutOfCredit) or (isinstance(error, NotSent) and error.actionable):
        engine.events.notice(Notice(step.name, str(error)))


def _errors(trace: Trace) -> list[AttemptError]:
    return [attempt.error for attempt in trace.attempts if attempt.error is not None]


def _usefulness(error: AttemptError) -> tuple[bool, int]:
    return isinstance(error, NotSent) and error.actionable, error.rank


def _caused(error: E, trace: Trace) -> E:
    if errors := _errors(trace):
        error.__cause__ = ExceptionGroup("every attempt that failed", errors)
    return error
