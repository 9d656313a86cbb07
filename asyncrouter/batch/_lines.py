"""The lines of the output and of the errors file, as bytes. Pure.

Lines are in our form ("native") or in that of OpenAI's Batch API ("openai"). In ours the line of a failure is its row
with its id, and `_error` beside them: the errors file is a valid input, whose `_error` fields are not read.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

from asyncrouter import AttemptError, AttemptTimeout, BadReply, CallError, Embeddings, Reply
from asyncrouter.batch._embedding_rows import embedding_body
from asyncrouter.batch._failure import cause_of, is_retryable
from asyncrouter.batch._responses_rows import RESPONSES, response_body
from asyncrouter.files import json_bytes
from asyncrouter.schema import to_json

if TYPE_CHECKING:
    from asyncrouter import Attempt, Trace, Usage
    from asyncrouter.batch._rows import Fields, Id, Row

QUEUED = 0.01
"""Seconds in the queue of a limit from which on a line has them apart from those of the provider."""
Format = Literal["native", "openai"]
"""The form of the lines."""
SCHEMA = 1
"""The version of an answer's line. Raise it when an older asyncrouter must not go on with what this one writes.

Lines of asyncrouter 0.1.0 do not name theirs: it is 1.
"""


def answer_line(
    row: Row, reply: Reply | Embeddings, form: Format, seconds: float, *, raw: bool = False,
    same_as: Id | None = None,
) -> bytes:
    """The line of an answer, with its line end; `raw` adds `reply.raw` in the native form, OpenAI's has it anyway.

    `seconds` are those that the provider took. `same_as` is the id of the row that was asked in the place of this one,
    which has cost nothing itself. Raises `BadReply` for an answer that could not be read from its line again.
    """
    if form == "openai":
        record = _openai(row, reply, _body(row, reply), seconds)
    else:
        record = _native(row, reply, seconds)
    if raw and form == "native" and isinstance(reply, Reply):
        record["raw"] = reply.raw
    if same_as is not None:
        _mark_copy(record.get("asyncrouter", record), same_as)
    try:
        return json_bytes(record, line=True)
    except ValueError as error:
        unwritable = BadReply(f"the answer cannot be written: {error}")
        unwritable.trace = reply.trace
        raise unwritable from None


def schema_version(record: Fields) -> object:
    """The version in an answer's line, of either form."""
    ours = record.get("asyncrouter", record)
    return ours.get("schema_version", 1) if isinstance(ours, dict) else None


def failure_line(row: Row, error: Exception, form: Format = "native", *, same_as: Id | None = None) -> bytes:
    """The line of a failure, with its line end: the row, which can be asked again, or the Batch API's error line.

    `same_as` as for `answer_line`.
    """
    ours = failure_record(error)
    if same_as is not None:
        _mark_copy(ours, same_as)
    if form == "openai":
        return json_bytes(_openai_failure(row, error, ours), line=True)
    name = "custom_id" if "custom_id" in row.fields else "id"
    return json_bytes({name: row.id, **row.fields, "_error": ours}, line=True)


def _mark_copy(record: object, same_as: Id) -> None:
    assert isinstance(record, dict)
    record |= {"cost_usd": 0.0, "attempts": [], "same_as": same_as}


def failure_record(error: Exception) -> Fields:
    """A failed call as a dict: `class`, `message` and `retryable`, and as far as they are known `status`, `code` and
    `model` of the most telling attempt, its `clock`, and the `cost_usd` and `attempts` of the call.
    """
    cause = cause_of(error)
    trace: Trace | None = error.trace if isinstance(error, CallError | AttemptError) else None
    record: Fields = {
        "class": type(cause).__name__,
        "message": cause.message if isinstance(cause, CallError) else str(cause),
        "retryable": is_retryable(cause),
    }
    if isinstance(cause, AttemptError):
        record |= {"status": cause.status, "code": cause.code, "model": cause.model}
    if isinstance(cause, AttemptTimeout):
        record["clock"] = cause.clock
    if trace is not None:
        record |= {"cost_usd": trace.cost_usd, "attempts": list(map(_attempt, trace.attempts))}
    return record


def _native(row: Row, reply: Reply | Embeddings, seconds: float) -> Fields:
    trace = reply.trace
    if isinstance(reply, Embeddings):
        content: Fields = {"embeddings": reply.vectors}
    else:
        content = {"text": reply.text, "finish_reason": reply.finish_reason}
    record: Fields = {
        "id": row.id,
        "index": row.number,
        **content,
        "model": reply.model,
        "served_model": reply.served_model,
        "usage": None if reply.usage is None else _usage(reply.usage),
        "cost_usd": trace.cost_usd,
        "seconds": _rounded(seconds),
        "attempts": [_attempt(attempt) for attempt in trace.attempts],
        "schema_version": SCHEMA,
    }
    if (queued := trace.seconds - seconds) > QUEUED:
        record["queued"] = _rounded(queued)
    if isinstance(reply, Reply):
        if reply.reasoning:
            record["reasoning"] = reply.reasoning
        if reply.tool_calls:
            record["tool_calls"] = reply.tool_calls
        if reply.parsed is not None:
            record["parsed"] = to_json(reply.parsed)
    for name in ("metadata", "columns"):
        if name in row.fields:
            record[name] = row.fields[name]
    return record


def _body(row: Row, reply: Reply | Embeddings) -> Fields:
    """The answer as the endpoint that the row names would write it."""
    if isinstance(reply, Embeddings):
        return embedding_body(reply)
    return response_body(_hex_id(row.id), reply) if row.fields.get("url") == RESPONSES else reply.raw


def _openai(row: Row, reply: Reply | Embeddings, body: Fields, seconds: float) -> Fields:
    trace = reply.trace
    won = next((attempt for attempt in trace.attempts if attempt.outcome == "won"), None)
    response = {"status_code": 200, "request_id": None if won is None else won.request_id, "body": body}
    ours = {
        "model": reply.model,
        "cost_usd": trace.cost_usd,
        "seconds": _rounded(seconds),
        "attempts": list(map(_attempt, trace.attempts)),
        "schema_version": SCHEMA,
    }
    return {
        "id": _batch_request_id(row.id), "custom_id": row.id, "response": response, "error": None,
        "asyncrouter": ours,
    }


def _openai_failure(row: Row, error: Exception, record: Fields) -> Fields:
    """The Batch API's error line: a response with its status and the error in its body, or else `error`."""
    cause = cause_of(error)
    response: Fields | None = None
    if isinstance(cause, AttemptError) and cause.status is not None:
        body = {"message": cause.message, "type": record["class"], "param": cause.param, "code": cause.code}
        response = {"status_code": cause.status, "request_id": cause.request_id, "body": {"error": body}}
    return {
        "id": _batch_request_id(row.id), "custom_id": row.id, "response": response,
        "error": None if response is not None else {"code": record["class"], "message": record["message"]},
        "asyncrouter": {**record, "schema_version": SCHEMA},
    }


def _batch_request_id(given: Id) -> str:
    return f"batch_req_{_hex_id(given)}"


def _hex_id(given: Id) -> str:
    return blake2b(str(given).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _attempt(attempt: Attempt) -> Fields:
    record: Fields = {"model": attempt.model, "cause": attempt.cause, "outcome": attempt.outcome}
    if attempt.member is not None:
        record["member"] = attempt.member
    if attempt.status is not None:
        record["status"] = attempt.status
    if attempt.error is not None:
        record["error"] = type(attempt.error).__name__
    if attempt.sent is not None and attempt.ended is not None:
        record["seconds"] = _rounded(attempt.ended - attempt.sent)
    record["cost_usd"] = attempt.cost_usd
    return record


def _usage(usage: Usage) -> Fields:
    return {  # what orjson would write for the dataclass, in half the time; the cost says the rest
        "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens, "reasoning_tokens": usage.reasoning_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
    }


def _rounded(seconds: float) -> float:
    return int(seconds * 1e4 + 0.5) / 1e4
