"""What is written: a line for an answer, in our words or OpenAI's, and a line for a failure that can be read again.

A failure's line is its row with its id and `_error` beside it: the errors file is a valid input. Pure.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

import orjson

from asyncrouter import (
    AllModelsFailed,
    AttemptError,
    AttemptTimeout,
    CallError,
    DeadlineExceeded,
    NotSent,
    OutOfCredit,
    RateLimited,
    Unauthorized,
)
from asyncrouter.batch._accept import AcceptFailed

if TYPE_CHECKING:
    from asyncrouter import Attempt, Reply, Trace, Usage
    from asyncrouter.batch._rows import Fields, Id, Row

Format = Literal["native", "openai"]
SCHEMA = 1
"""The version of an answer's line. Raise it when an older asyncrouter must not go on with what this one writes.

Lines of asyncrouter 0.1.0 do not name theirs: it is 1.
"""
FINAL = frozenset({"ContextTooLong", "NotAccepted", "Refused", "Rejected"})
"""What would fail again as it is; everything else may pass another time."""


def answer_line(row: Row, reply: Reply, how: Format, *, raw: bool = False) -> bytes:
    """The line of an answer."""
    record = _openai(row, reply) if how == "openai" else _native(row, reply)
    if raw and how == "native":
        record["raw"] = reply.raw
    return orjson.dumps(record, default=str, option=orjson.OPT_APPEND_NEWLINE)


def schema_version(record: Fields) -> object:
    """The version of an answer's line, in whichever form it is."""
    ours = record.get("asyncrouter", record)
    return ours.get("schema_version", 1) if isinstance(ours, dict) else None


def failure_line(row: Row, error: Exception) -> bytes:
    """The line of a failure: its row, which can be run again."""
    name = "custom_id" if "custom_id" in row.fields else "id"
    again = {name: row.id, **row.fields, "_error": failure(error)}
    return orjson.dumps(again, default=str, option=orjson.OPT_APPEND_NEWLINE)


def error_class(error: Exception) -> str:
    """What a failure is counted as: of several attempts' errors the one most worth telling."""
    return type(cause_of(error)).__name__


def unusable(error: Exception) -> bool:
    """Whether nobody could have been answered: no credit, bad keys, no key, or an `accept` that breaks."""
    if isinstance(error, AcceptFailed):
        return True
    if not isinstance(error, AllModelsFailed) or not error.trace.attempts:
        return False
    return all(_shut(attempt.error) for attempt in error.trace.attempts)


def limit_met(error: Exception) -> RateLimited | NotSent | None:
    """The limit, where a call failed of nothing worse: it would do as well later, and its row is not to blame."""
    if not isinstance(error, CallError):
        return None
    attempts = error.trace.attempts
    if isinstance(error, DeadlineExceeded) and any(attempt.sent is not None for attempt in attempts):
        return None
    worst = _worst(error)
    held = isinstance(worst, RateLimited) or (isinstance(worst, NotSent) and worst.hold is not None)
    return worst if held else None  # type: ignore[return-value]  # it is one of the two


def cause_of(error: Exception) -> Exception:
    """The attempt's error that says most about a failed call; of anything else, itself."""
    if not isinstance(error, CallError) or isinstance(error, DeadlineExceeded):
        return error
    return _worst(error) or error


def _worst(error: CallError) -> AttemptError | None:
    errors = [attempt.error for attempt in error.trace.attempts if attempt.error is not None]
    return max(errors, key=lambda each: each.rank, default=None)


def _shut(error: AttemptError | None) -> bool:
    if isinstance(error, NotSent):
        return error.actionable or error.key_out
    return isinstance(error, OutOfCredit | Unauthorized)


def _native(row: Row, reply: Reply) -> Fields:
    trace = reply.trace
    record: Fields = {
        "id": row.id,
        "index": row.place,
        "text": reply.text,
        "finish_reason": reply.finish_reason,
        "model": reply.model,
        "served_model": reply.served_model,
        "usage": None if reply.usage is None else _usage(reply.usage),
        "cost_usd": trace.cost_usd,
        "seconds": _rounded(trace.seconds),
        "attempts": list(map(_attempt, trace.attempts)),
        "schema_version": SCHEMA,
    }
    if reply.reasoning:
        record["reasoning"] = reply.reasoning
    if reply.tool_calls:
        record["tool_calls"] = reply.tool_calls
    if "metadata" in row.fields:
        record["metadata"] = row.fields["metadata"]
    return record


def _openai(row: Row, reply: Reply) -> Fields:
    trace = reply.trace
    won = next((attempt for attempt in trace.attempts if attempt.outcome == "won"), None)
    response = {"status_code": 200, "request_id": None if won is None else won.request_id, "body": reply.raw}
    ours = {
        "model": reply.model,
        "cost_usd": trace.cost_usd,
        "seconds": _rounded(trace.seconds),
        "attempts": list(map(_attempt, trace.attempts)),
        "schema_version": SCHEMA,
    }
    return {
        "id": _request_id(row.id), "custom_id": row.id, "response": response, "error": None,
        "asyncrouter": ours,
    }


def _request_id(given: Id) -> str:
    return f"batch_req_{blake2b(str(given).encode('utf-8', 'surrogatepass'), digest_size=12).hexdigest()}"


def _attempt(attempt: Attempt) -> Fields:
    record: Fields = {"model": attempt.model, "cause": attempt.cause, "outcome": attempt.outcome}
    if attempt.status is not None:
        record["status"] = attempt.status
    if attempt.error is not None:
        record["error"] = type(attempt.error).__name__
    if attempt.sent is not None and attempt.ended is not None:
        record["seconds"] = _rounded(attempt.ended - attempt.sent)
    record["cost_usd"] = attempt.cost_usd
    return record


def _usage(usage: Usage) -> Fields:
    return {  # as orjson would write it, in half the time
        "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens, "reasoning_tokens": usage.reasoning_tokens,
    }


def _rounded(seconds: float) -> float:
    return int(seconds * 1e4 + 0.5) / 1e4


def failure(error: Exception) -> Fields:
    """What is told of a failure."""
    cause = cause_of(error)
    trace: Trace | None = error.trace if isinstance(error, CallError | AttemptError) else None
    told: Fields = {
        "class": type(cause).__name__,
        "message": cause.message if isinstance(cause, CallError) else str(cause),
        "retryable": type(cause).__name__ not in FINAL and isinstance(cause, CallError | AttemptError),
    }
    if isinstance(cause, AttemptError):
        told |= {"status": cause.status, "code": cause.code, "model": cause.model}
    if isinstance(cause, AttemptTimeout):
        told["clock"] = cause.clock
    if trace is not None:
        told |= {"cost_usd": trace.cost_usd, "attempts": list(map(_attempt, trace.attempts))}
    return told
