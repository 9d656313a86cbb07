"""An answer, or a failure, as one JSON object: what --json prints."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from asyncrouter import AttemptTimeout

if TYPE_CHECKING:
    from asyncrouter import Attempt, AttemptError, CallError, Reply, Trace

Record = dict[str, object]


def of_reply(reply: Reply) -> Record:
    """A whole answer; its `error` is null."""
    return {
        "text": reply.text,
        "reasoning": reply.reasoning,
        "tool_calls": reply.tool_calls,
        "finish_reason": reply.finish_reason,
        "model": reply.model,
        "served_model": reply.served_model,
        "usage": None if reply.usage is None else asdict(reply.usage),
        "cost_usd": reply.cost_usd,
        "trace": of_trace(reply.trace),
        "error": None,
    }


def of_failure(failed: CallError | AttemptError) -> Record:
    """The same keys for a call without an answer: only `trace` and `error` are not null."""
    nothing = ("text", "reasoning", "tool_calls", "finish_reason", "model", "served_model", "usage", "cost_usd")
    trace = None if failed.trace is None else of_trace(failed.trace)
    error: Record = {"type": type(failed).__name__, "message": failed.message}
    return {**dict.fromkeys(nothing), "trace": trace, "error": error}


def of_trace(trace: Trace) -> Record:
    """A trace with all of its attempts; seconds since the call began, `started` since the epoch."""
    return {
        "task": trace.task,
        "started": trace.started,
        "seconds": trace.seconds,
        "cost_usd": trace.cost_usd,
        "cost_estimated": trace.cost_estimated,
        "attempts": [_of_attempt(attempt) for attempt in trace.attempts],
    }


def _of_attempt(attempt: Attempt) -> Record:
    record: Record = {field.name: getattr(attempt, field.name) for field in fields(attempt)}
    record["usage"] = None if attempt.usage is None else asdict(attempt.usage)
    record["error"] = None if attempt.error is None else _of_error(attempt.error)
    return record


def _of_error(error: AttemptError) -> Record:
    clock = {"clock": error.clock} if isinstance(error, AttemptTimeout) else {}
    return {
        "type": type(error).__name__, "message": error.message, "status": error.status, "code": error.code, **clock,
    }
