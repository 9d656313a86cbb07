"""Invariants of waits: a call gives no model up that would be free in time, and waits for nothing that is not."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from .check_breakers import first_step_left
from .check_calls import FAILURES

if TYPE_CHECKING:
    from collections.abc import Callable

    from .checks import FinishedRun, MatchedAttempt
    from .record import CallRecord

NEAR = 1e-5
ENOUGH = 0.25
"""Seconds of the deadline that a request needs at least."""
TRIES = 8
"""Requests to a model that a call without a deadline makes when it is asked for pauses only."""
READ_EVERY = 1.0
"""Seconds for which the headers of a model need not be read again."""
NO_ROOM = "no room in time"
"""What the trace says of an attempt that did not even queue up."""
LIMITED = frozenset({"RateLimited", "ServerFailed"})
"""Errors after which the router may have found a limit of its own accord."""
USUAL_TOKENS, TOKENS_A_WORD = 600.0, 1.5
"""Tokens that a request takes of a limit at most: with its answer, and for each word that its prompt is padded with."""
MUCH_SOONER = 5.0
"""Seconds without a request to a model after which there is no queue in which a call could have stood instead."""


def nothing_given_up_early(run: FinishedRun) -> None:
    """A call that fails has waited for every model that was to be free in time, as often as that was."""
    for number, tries in run.by_call.items():
        call = tries[0].call
        given = any(step.retry.attempts_given for step in call.plan.steps)
        if call.outcome != "AllModelsFailed" or given or call.ended is None or call.ended >= run.record.closed_at:
            continue
        if "headers" in call.behaviour.options:
            continue
        if any(_stops(one) or one.attempt.cause == "restart" for one in tries):
            continue
        for name in {step.name: None for step in call.plan.steps}:
            mine = [one for one in tries if one.attempt.model == name]
            free = _free(run, mine, call.ended)
            if free + _longest(call) + ENOUGH < call.deadline and not _often_enough(call, mine):
                run.flag("given up", f"call {number} at {call.ended!r}: {name} is free at {free!r}")


def nothing_waited_for_in_vain(run: FinishedRun) -> None:
    """Once it is known that a model will not be free in time, no attempt waits for it any longer.

    A call that waits for several models at once goes on waiting while one of them may be free.
    """
    for one in run.tries:
        if one.attempt.outcome != "not_sent" or one.call.outcome not in FAILURES or one.ended <= one.queued + NEAR:
            continue
        if run.was_crowded(one.queued, one.ended) or run.record.blocked_between(one.queued, one.ended):
            continue
        provider, expected = run.scenario.models[one.attempt.model].provider, run.world.expected
        if "headers" in one.call.behaviour.options or _doubted(run, provider):
            continue
        for begin, end in expected.reasons(provider, one.attempt.model):
            in_vain = one.queued + NEAR < begin < one.ended - NEAR and end > one.call.deadline
            if in_vain and not _waits_for_another(run, one, begin):
                run.flag("in vain", f"{one} until {one.ended!r}, though since {begin!r} it is out until {end!r}")


def _waits_for_another(run: FinishedRun, one: MatchedAttempt, at: float) -> bool:
    """Whether the call of an attempt that waits waited for another one as well: in its queue, or until a hold was over.
    """
    for other in run.by_call[one.call.number]:
        if other is not one and other.queued <= at < other.ended:
            return True
        later = at < other.queued < one.ended and other.attempt.model != one.attempt.model
        if later and run.was_held(other.attempt.model, at):
            return True
    return False


def the_first_free_is_waited_for(run: FinishedRun) -> None:
    """A call with every step held waits for the one that is free first, but for queues.

    A model with an open breaker is not free: it fails, and what another one has promised goes before it. Nor is any
    while this machine has no room; and a stream that has broken begins again with the steps after the broken one.
    """
    if not run.record.has_listener:
        return  # nobody knows of the breakers
    for number, tries in run.by_call.items():
        call, asked = tries[0].call, {one.attempt.model for one in tries}
        if any(step.retry.attempts_given for step in call.plan.steps) or any(map(_stops, tries)):
            continue
        for one in tries:
            if one.sent is None or one.attempt.cause == "hedge":
                continue
            before = [other for other in tries if other.attempt.number < one.attempt.number]
            since = max((other.ended for other in before), default=one.queued)
            left = [step.name for step in call.plan.steps[first_step_left(tries, one.queued):]]
            for name in sorted(asked.intersection(left)):
                mine = [other for other in before if other.attempt.model == name]
                if name == one.attempt.model or not mine or _often_enough(call, mine):
                    continue
                free = _free(run, mine, since)
                served = max((at for at in run.sent_by_model[name] if free <= at < one.sent), default=free)
                served = max(served, _full_until(run, name, one.sent), run.crowded_until(one.sent))
                gone = served + _longest(call) + MUCH_SOONER + _apart(run, name, batch=one.rank > 1)
                if gone < one.sent and _stays_free(run, name, since, free, gone):
                    run.flag("sooner", f"{one} sent at {one.sent!r} of call {number}, {name} was free at {free!r}")


def _apart(run: FinishedRun, name: str, *, batch: bool) -> float:
    """Seconds between two requests of those that wait for the limits of a model.

    Of a limit of tokens one request takes many at once; batch work also waits for what interactive work has taken.
    """
    announced, tokens = run.scenario.models[name].announced_rpm, run.config.models[name].tpm
    apart = 0.0 if announced is None else 60.0 / (0.98 * announced)
    if tokens is None:
        return apart
    longest = max(call.behaviour.padding for call in run.record.calls)
    return max(apart, (1 + batch) * 60.0 / (0.98 * tokens) * (USUAL_TOKENS + TOKENS_A_WORD * longest))


def _full_until(run: FinishedRun, name: str, until: float) -> float:
    """The last instant before `until` at which a model had as many requests at once as it may have."""
    most = run.config.models[name].max_concurrent
    if most is None:
        return 0.0
    mine = [one for one in run.record.exchanges if one.model == name and one.at < until]
    steps = [(one.at, 1) for one in mine] + [(inf if one.ended is None else one.ended, -1) for one in mine]
    live, full_until = 0, 0.0
    for at, change in sorted(steps):
        full_until = min(at, until) if live == most else full_until
        live += change
    return full_until


def _stays_free(run: FinishedRun, name: str, since: float, free: float, gone: float) -> bool:
    """Whether a model was not held from the instant `free` to `gone`, and its breakers were closed at the decision."""
    closed = run.breakers_closed(name, since) and run.breakers_closed(name, free)
    return closed and not run.was_held(name, free + NEAR, gone)


def pauses_end(run: FinishedRun) -> None:
    """In a call without a deadline each step makes a number of requests at most when it is asked for pauses only."""
    for number, tries in run.by_call.items():
        call = tries[0].call
        if call.deadline < inf:
            continue
        names = [step.name for step in call.plan.steps]
        for name in dict.fromkeys(names):
            pausing = sum(_pausing(one) for one in tries if one.attempt.model == name and one.attempt.cause != "hedge")
            twice = call.plan.hedge is not None and call.plan.hedge.same  # then a step may run beside itself
            if pausing > TRIES * names.count(name) + twice:
                run.flag("pauses", f"call {number}: {pausing} requests to {name} were answered with a pause")


def no_wait_where_there_is_room(run: FinishedRun) -> None:
    """Nobody waits for a model, nor is sent away, while its provider's last word leaves room for all that was sent.

    Batch work waits until interactive work has left the whole limit; a 429 is a word against it.
    """
    for name, profile in run.scenario.models.items():
        model = run.config.models[name]
        own = (model.rpm, model.tpm, model.max_concurrent) != (None, None, None)
        if not profile.window or own or not run.record.has_listener:
            continue
        mine = run.of(name)
        words = [(run.record.late((one.exchange.connected or 0.0) + one.exchange.script.headers_at), one)
                 for one in mine if one.exchange is not None and one.attempt.status is not None
                 and one.call.behaviour.key is None and one.exchange.script.left is not None]
        limited = min([one.ended for one in mine if type(one.attempt.error).__name__ in LIMITED], default=inf)
        for one in mine:
            waited = one.ended if one.sent is None else one.sent
            turned_away = NO_ROOM in getattr(one.attempt.error, "message", "")
            if one.queued >= limited - NEAR or one.rank > 1 or (waited <= one.queued + NEAR and not turned_away):
                continue
            if run.was_held(name, one.queued, waited) or run.was_crowded(one.queued, waited):
                continue
            known = [(at, other) for at, other in words if at <= one.queued + NEAR]  # one of this instant may count
            last = max((at for at, _ in known if at < one.queued - NEAR), default=inf)
            rooms = [_room(mine, at, word, one) for at, word in known if at >= last - READ_EVERY - NEAR]
            if min(rooms, default=0) >= 1:
                run.flag("room", f"{one} at {one.queued!r} waits until {waited!r}, there is room for {min(rooms)}")


def _room(mine: list[MatchedAttempt], at: float, word: MatchedAttempt, one: MatchedAttempt) -> int:
    """How many more could be sent, by the headers read at an instant, when an attempt queued up."""
    assert word.exchange is not None
    room = word.exchange.script.left or 0
    for other in mine:
        if other.sent is not None and other is not one:
            room -= other is not word and other.sent <= at + NEAR and other.ended >= at - NEAR  # they may be counted
            room -= at - NEAR <= other.sent <= one.queued + NEAR
    return room


def _stops(one: MatchedAttempt) -> bool:
    """Whether the call did not go on, or not with all steps, after this attempt."""
    return type(one.attempt.error).__name__ in {"Refused", "ContextTooLong"}


def _pausing(one: MatchedAttempt) -> bool:
    """Whether the provider has asked for a pause."""
    error = one.attempt.error
    return error is not None and one.attempt.outcome == "failed" and error.again != "never" and (
        type(error).__name__ == "RateLimited" or bool(error.retry_after)
    )


def _free(run: FinishedRun, mine: list[MatchedAttempt], at: float) -> float:
    """From when on a model may be asked again, as is known at the instant `at`; `inf` if it had its last word.

    With `hedge.same` an older attempt may have ended after a newer one: silence is the last word then.
    """
    last = max(mine, key=lambda one: (one.ended, one.attempt.number))
    error, provider = last.attempt.error, run.scenario.models[last.attempt.model].provider
    held = last.attempt.outcome == "not_sent" and error is not None and error.message.startswith("held for")
    if (not held and not _pausing(last)) or _doubted(run, provider):
        return inf
    pause = 0.0 if error is None else error.retry_after or 0.0
    return max(last.ended + pause, run.world.expected.free_at(provider, last.attempt.model, at))


def _doubted(run: FinishedRun, provider: str) -> bool:
    """Whether models of this provider may have been disabled by words that leave open whose fault it is."""
    return any(run.scenario.models[model].provider == provider for model in run.world.expected.doubted)


def _often_enough(call: CallRecord, mine: list[MatchedAttempt]) -> bool:
    return call.deadline == inf and sum(one.sent is not None for one in mine) >= TRIES


def _longest(call: CallRecord) -> float:
    """The longest pause that a call makes where its provider does not say how long."""
    return max([1.0, *(step.retry.cap for step in call.plan.steps)])


CHECKS: list[Callable[[FinishedRun], None]] = [
    nothing_given_up_early, nothing_waited_for_in_vain, the_first_free_is_waited_for, pauses_end,
    no_wait_where_there_is_room,
]
