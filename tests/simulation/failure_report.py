"""How a violation came about: the timeline of the call it is about, for whoever has to find the defect."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .behaviour import Behaviour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .checks import FinishedRun, MatchedAttempt
    from .record import CallRecord, Exchange

NAMED = re.compile(r"\b(?:call|attempt) (\d+)")
"""How the text of a violation names the call it is about."""
LINES_BEFORE = 12
"""Lines of the log that are shown when it names none."""
USUAL = Behaviour(0.0, "")


def failure_report(run: FinishedRun) -> list[str]:
    """The report of the first violation, line by line."""
    if not run.record.violations:
        return []
    named = NAMED.search(run.record.violations[0][1])
    if named is not None and int(named[1]) < len(run.record.calls):
        return list(_call(run, run.record.calls[int(named[1])]))
    lines = run.record.lines
    at = next((index for index, line in enumerate(lines) if line.startswith("VIOLATED")), len(lines))
    return lines[max(0, at - LINES_BEFORE):at]


def _call(run: FinishedRun, call: CallRecord) -> Iterator[str]:
    behaviour, plan = call.behaviour, call.plan
    unusual = {name: value for name in Behaviour.__slots__
               if name not in {"at", "task"} and (value := getattr(behaviour, name)) != getattr(USUAL, name)}
    yield f"call {call.number} at {call.began:.6f}, due {call.deadline:.6f}: {unusual or 'nothing unusual'}"
    for step in plan.steps:
        clocks = {name: getattr(step, name) for name in ("connect", "first_token", "idle", "total")}
        wire = run.scenario.models[step.name].wire if step.name in run.scenario.models else "a pool"
        yield f"  step {step.name} at {step.model.provider} ({wire}, {'stream' if step.streams else 'body'}): {clocks}"
    yield f"  hedge: {plan.hedge}"
    for one in run.by_call.get(call.number, ()):
        yield from _attempt(call, one)
    if call.number not in run.by_call:
        yield from (f"  {_request(call, exchange)}" for exchange in call.exchanges)
    if call.cancelled_at is not None:
        yield f"  cancelled at +{call.cancelled_at - call.began:.6f}"
    yield f"  ended at +{(call.ended or call.began) - call.began:.6f}: {call.outcome} {call.error!r:.160}"


def _attempt(call: CallRecord, one: MatchedAttempt) -> Iterator[str]:
    attempt = one.attempt
    names = ("queued", "sent", "connected", "first_content", "last_content", "ended")
    instants = ", ".join(f"{name} +{at:.6f}" for name in names if (at := getattr(attempt, name)) is not None)
    why = f"; {attempt.why}" if attempt.why else ""
    place = attempt.model if attempt.member is None else f"{attempt.model}, {attempt.member}"
    yield f"  attempt {attempt.number} at {place} ({attempt.cause}): {instants}{why}"
    if one.exchange is not None:
        yield f"    {_request(call, one.exchange)}"
    yield f"    {attempt.outcome} {'' if attempt.error is None else repr(attempt.error)}"


def _request(call: CallRecord, exchange: Exchange) -> str:
    script, gone = exchange.script, exchange.ended
    ended = "" if gone is None else f", gone +{gone - call.began:.6f}"
    return f"request {exchange.number}: {script.kind}, {exchange.words} of {script.words} words, {script.ending}{ended}"
