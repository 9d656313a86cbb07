"""Errors in the form in which OpenAI's API gives them, and the status that each error of a call has there."""

from __future__ import annotations

import logging
from math import ceil
from typing import Final

import orjson

from asyncrouter import (
    AttemptError,
    CallError,
    ConfigError,
    ContextTooLong,
    Refused,
    Rejected,
    RouterClosed,
    StreamInterrupted,
)
from asyncrouter.openai_api._answer import JSON, Answer, cost_field, summary

logger = logging.getLogger("asyncrouter")

_TYPES: Final = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
"""OpenAI's word for the kind of an error, by status; for others it depends on whose fault it is."""
_CODES: Final = {429: "rate_limit_exceeded", 502: "all_models_failed", 503: "nothing_could_be_sent", 504: "deadline"}
"""Codes of failed calls, by status, where no attempt has a better one."""
DO_NOT_RETRY: Final = {"x-should-retry": "false"}
"""Tells OpenAI's SDKs that trying again is not theirs: the router has tried what can be tried."""
_SERVER: Final = 500


class Problem(Exception):
    """Why a request cannot be carried out, as an answer of its own."""

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.answer = problem_answer(status, message, code, param)


def problem_answer(
    status: int, message: str, code: str | None = None, param: str | None = None, *, retry_after: float | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """An error answer. `retry_after` in seconds, also below one, and `None` for none; `headers` are added.

    A client's own retries make sense only where a pause is asked for, which is the case of a server without room.
    """
    fields = {"content-type": JSON, **(DO_NOT_RETRY if retry_after is None else {}), **(headers or {})}
    if retry_after is not None:
        fields["retry-after"] = str(max(1, ceil(retry_after)))
    return Answer(status, fields, orjson.dumps(error_body(status, message, code, param)))


def error_body(status: int, message: str, code: str | None = None, param: str | None = None) -> dict[str, object]:
    """The JSON document of an error."""
    kind = _TYPES.get(status, "invalid_request_error" if status < _SERVER else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def failure_answer(error: Exception) -> Answer:
    """The answer that says why a call failed. What is no failure of a call is a bug: it is logged without its text."""
    if isinstance(error, Problem):
        return error.answer
    if isinstance(error, RouterClosed):
        return problem_answer(503, "the server is closing", "closing", retry_after=1.0)
    status, message, code, param = describe(error)
    answer = problem_answer(status, message, code, param)
    trace = getattr(error, "trace", None)
    if not isinstance(error, CallError | AttemptError) or trace is None:
        return answer
    if (seconds := error.retry_after) is not None:
        answer.headers["retry-after"] = str(max(1, ceil(seconds)))
    answer.headers.update(summary(trace), **cost_field(trace))
    return answer._replace(trace=trace)


def describe(error: Exception) -> tuple[int, str, str | None, str | None]:
    """Status, message, code and parameter of an error."""
    if isinstance(error, CallError):
        last = error.last
        about = last if isinstance(last, Rejected | ContextTooLong) and error.http_status < _SERVER else None
        code = _CODES.get(error.http_status) if about is None else _code(about)
        code = "stream_interrupted" if isinstance(error, StreamInterrupted) else code
        return error.http_status, error.message, code, None if about is None else about.param
    if isinstance(error, AttemptError):  # `chat()` raises no other one than `Refused`
        code = "content_filter" if isinstance(error, Refused) else error.code
        return 400, str(error), code, error.param
    if isinstance(error, ConfigError):
        return 400, str(error), None, error.path or None
    if type(error) in {TypeError, ValueError}:  # how the router refuses an argument
        return 400, str(error).replace("prompt: ", "messages: ", 1), None, None
    logger.error("a request failed by a bug: %s", type(error).__name__)
    return 500, "internal error", "internal_error", None


def _code(error: AttemptError) -> str | None:
    return "context_length_exceeded" if isinstance(error, ContextTooLong) else error.code
