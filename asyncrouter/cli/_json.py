"""Answers, failures and traces as JSON: what --json prints."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

import click
import orjson

from asyncrouter import AttemptTimeout
from asyncrouter.files import json_bytes
from asyncrouter.schema import to_json

if TYPE_CHECKING:
    from asyncrouter import Attempt, AttemptError, CallError, ExplainedStep, Explanation, Price, Reply, Trace

JsonObject = dict[str, object]


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
"""The option of every command that has nothing more to say of its object."""


def json_line(document: JsonObject, *, one_line: bool = False) -> str:
    """A JSON object as text: on one line into a pipe, indented on a terminal, unless it is one of many."""
    if sys.stdout.isatty() and not one_line:
        with contextlib.suppress(TypeError):  # nested deeper than orjson writes
            return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"
    return json_bytes(document, line=True).decode()


def reply_json(reply: Reply) -> JsonObject:
    """A reply with its trace; its `error` is null."""
    return {
        "text": reply.text,
        "reasoning": reply.reasoning,
        "tool_calls": reply.tool_calls,
        "finish_reason": reply.finish_reason,
        "model": reply.model,
        "served_model": reply.served_model,
        "usage": None if reply.usage is None else asdict(reply.usage),
        "cost_usd": reply.cost_usd,
        "parsed": to_json(reply.parsed),
        "trace": trace_json(reply.trace),
        "error": None,
    }


def failure_json(failed: CallError | AttemptError) -> JsonObject:
    """A call without an answer, with the keys of an answer: only `trace` and `error` are not null."""
    nothing = (
        "text", "reasoning", "tool_calls", "finish_reason", "model", "served_model", "usage", "cost_usd", "parsed",
    )
    trace = None if failed.trace is None else trace_json(failed.trace)
    error: JsonObject = {"type": type(failed).__name__, "message": failed.message}
    return {**dict.fromkeys(nothing), "trace": trace, "error": error}


def trace_json(trace: Trace) -> JsonObject:
    """A trace with its attempts; times are seconds since the call began, `started` is seconds since the epoch."""
    return {
        "id": trace.id,
        "task": trace.task,
        "started": trace.started,
        "seconds": trace.seconds,
        "cost_usd": trace.cost_usd,
        "cost_estimated": trace.cost_estimated,
        "attempts": [_attempt(attempt) for attempt in trace.attempts],
    }


def plan_json(plan: Explanation) -> JsonObject:
    """A plan with its steps; times are seconds, prices US dollars for a million tokens."""
    steps, long = ([_step(step) for step in each] for each in (plan.steps, plan.on_context))
    return {"task": plan.task, "deadline": plan.deadline, "hedge": plan.hedge, "steps": steps, "on_context": long}


def price_json(price: Price | None) -> JsonObject | None:
    """The price of a million tokens in, and of a million out; `None` if unknown."""
    return None if price is None else {"input": price.input, "output": price.output}


def _step(step: ExplainedStep) -> JsonObject:
    members = [_step(member) for member in step.members]
    return {**step._asdict(), "usd_per_mtok": price_json(step.usd_per_mtok), "members": members}


def _attempt(attempt: Attempt) -> JsonObject:
    names = [field.name for field in fields(attempt) if not field.name.startswith("_")]
    document: JsonObject = {name: getattr(attempt, name) for name in names}
    document["usage"] = None if attempt.usage is None else asdict(attempt.usage)
    document["error"] = None if attempt.error is None else _error(attempt.error)
    return document


def _error(error: AttemptError) -> JsonObject:
    clock = {"clock": error.clock} if isinstance(error, AttemptTimeout) else {}
    return {
        "type": type(error).__name__, "message": error.message, "status": error.status, "code": error.code, **clock,
    }
