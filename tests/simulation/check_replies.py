"""Invariants of replies: whose they are, that they are whole, when they win, and what they cost."""

from __future__ import annotations

from math import isclose
from typing import TYPE_CHECKING

from .check_in_time import makes_room
from .record import words_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter import Chunk

    from .checks import FinishedRun, MatchedAttempt
    from .scripted_response import ScriptedResponse

NEAR = 1e-9
DRAIN, BATCHED_READ = 0.25, 0.2
"""Seconds that the end of a body after its last word, and a batched read of a busy router, may take."""


def whole_replies(run: FinishedRun) -> None:
    """A reply is the whole answer of one attempt and nothing else; chunks handed over are its beginning."""
    winners: dict[int, list[MatchedAttempt]] = {id(call): [] for call in run.record.calls}
    for one in run.tries:
        if one.attempt.outcome == "won":
            winners[id(one.call)].append(one)
    for call in run.record.calls:
        won, spoken = winners[id(call)], "".join(map(words_of, call.chunks))
        if call.reply is None:
            if won and call.outcome not in {"left", "cancelled"}:
                run.flag("reply", f"call {call.number}: {won[0]} won, yet {call.outcome}")
            partial = getattr(call.error, "partial", "")
            if not any(exchange.text().startswith(spoken) for exchange in call.exchanges) and spoken:
                run.flag("reply", f"call {call.number} was told {spoken!r}")
            if call.outcome == "StreamInterrupted" and not partial.startswith(text := "".join(map(_text, call.chunks))):
                run.flag("reply", f"call {call.number}: partial {partial!r} of {text!r}")
            continue
        if len(won) != 1 or won[0].exchange is None:
            run.flag("reply", f"call {call.number} has {len(won)} winners")
            continue
        winner, text = won[0], words_of(call.reply)
        if text != winner.exchange.text() or call.reply.model != winner.attempt.model:  # type: ignore[union-attr]
            run.flag("reply", f"call {call.number}: {text!r} from {call.reply.model}, {winner} won")
        if call.behaviour.stream and spoken != text:
            run.flag("reply", f"call {call.number}: chunks {spoken!r}, text {text!r}")
        if call.behaviour.accept in {"no", "raises"}:
            run.flag("reply", f"call {call.number}: a reply although accept says {call.behaviour.accept}")


def _text(chunk: Chunk) -> str:
    return chunk.text


def prompt_winner(run: FinishedRun) -> None:
    """A call ends with the last byte of its winner, or when one that may still come was waited for."""
    for one in run.tries:
        call, exchange = one.call, one.exchange
        behaviour = call.behaviour
        if one.attempt.outcome != "won" or behaviour.stream or behaviour.accept or exchange is None:
            continue
        script = exchange.script
        if script.error is not None or call.ended is None or exchange.connected is None:
            continue
        whole = run.record.late(exchange.connected + _last_word(script))
        idle = max((step.idle or 0.0 for step in call.plan.steps), default=0.0)
        silence = 0.0 if script.ending != "never" else 1e9 if idle == 0.0 else idle
        latest = run.record.late(whole + DRAIN + BATCHED_READ + silence)
        if call.ended > latest + NEAR or call.ended > one.ended + NEAR:
            run.flag("winner waits", f"{one}: whole {call.ended - whole:.3f} s before the call ended")


def _last_word(script: ScriptedResponse) -> float:
    """Seconds from `connected` after which a client can know that nothing more comes."""
    if script.ending == "never" or script.done_sent:
        return script.pieces[-1][0]
    return script.ends_at


def content_decides(run: FinishedRun) -> None:
    """An attempt is superseded when another one has content: as it begins for a stream, else whole or after eight; or
    as a third one is sent.
    """
    by_call = run.by_call
    for one in run.tries:
        if one.attempt.outcome != "superseded" or one.attempt.ended is None:
            continue
        others = [other for other in by_call[one.call.number] if other is not one]
        if not any(_decides(other, one.ended) or makes_room(one, other) for other in others):
            run.flag("content decides", f"{one} superseded at {one.ended!r} by nobody's content")


def _decides(one: MatchedAttempt, now: float) -> bool:
    """Whether an attempt has content by now, or is whole without content."""
    first, exchange = one.attempt.first_content, one.exchange
    if first is not None or exchange is None or exchange.connected is None or exchange.script.words:
        return first is not None and one.call.began + first < now + NEAR
    whole = exchange.connected + max((piece[0] for piece in exchange.script.pieces), default=0.0)
    return whole - NEAR < now < (exchange.ended or 0.0) + NEAR


def _is_raced(one: MatchedAttempt, tries: list[MatchedAttempt]) -> bool:
    """Whether an attempt belongs to the race with a silent stream, or follows one that does."""
    races = [other.attempt.number for other in tries if "no more content" in other.attempt.why]
    return one.call.behaviour.restart and min(races, default=one.attempt.number + 1) <= one.attempt.number


def nothing_after_content(run: FinishedRun) -> None:
    """Once an attempt of a stream has content, no other one is sent while it runs, unless it falls silent and may begin
    again."""
    for tries in run.by_call.values():
        if not tries[0].call.behaviour.stream:
            continue
        spoken = [one for one in tries if one.attempt.first_content is not None]
        for one in spoken:
            first = one.call.began + (one.attempt.first_content or 0.0)
            for other in tries:
                beside = other is not one and other.sent is not None and first + NEAR < other.sent < one.ended - NEAR
                if beside and not _is_raced(other, tries):
                    run.flag("commit", f"{other} sent at {other.sent!r}, {one} had content at {first!r}")


def money(run: FinishedRun) -> None:
    """A counted answer costs its price, one that was not counted is an estimate, and an error costs nothing."""
    for one in run.tries:
        attempt, exchange = one.attempt, one.exchange
        if exchange is None:
            if attempt.cost_usd != 0.0 or attempt.cost_estimated:
                run.flag("money", f"{one} was not sent and costs {attempt.cost_usd!r}")
            continue
        script, price = exchange.script, run.models[one.model].usd_per_mtok
        if attempt.usage is not None:
            tokens = attempt.usage.input_tokens, attempt.usage.output_tokens
            costs = None if price is None else (tokens[0] * price.input + tokens[1] * price.output) / 1e6
            costs = script.reported_usd if script.reported_usd is not None else costs
            if tokens != (script.prompt_tokens, script.words) or attempt.cost_usd != costs or attempt.cost_estimated:
                run.flag("money", f"{one}: {attempt.usage} costs {attempt.cost_usd!r}, not {costs!r}")
        elif exchange.words or (attempt.outcome == "superseded" and script.status == 200):
            # It has produced something, and nobody told how much.
            if attempt.cost_usd is None and price is None:
                continue
            if not attempt.cost_estimated or attempt.cost_usd is None:
                run.flag("money", f"{one} after {exchange.words} words: {attempt.cost_usd!r}, no estimate")
        elif attempt.status not in {None, 200} and attempt.outcome == "failed" and attempt.cost_usd != 0.0:
            run.flag("money", f"{one}: HTTP {attempt.status} costs {attempt.cost_usd!r}")
    for call in run.record.calls:
        if call.trace is None:
            continue
        bills = [attempt.cost_usd for attempt in call.trace.attempts]
        total = None if None in bills else sum(bill for bill in bills if bill is not None)
        cost = call.trace.cost_usd
        if (cost is None) != (total is None) or not isclose(cost or 0.0, total or 0.0):  # sum() rounds as Python will
            run.flag("money", f"call {call.number}: {call.trace.cost_usd!r}, its attempts {total!r}")


CHECKS: list[Callable[[FinishedRun], None]] = [
    whole_replies, prompt_winner, content_decides, nothing_after_content, money,
]
