"""What must have held, checked when a run is over: each attempt of a trace beside the request the world saw."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from asyncrouter import AttemptTimeout

from . import (
    check_blame,
    check_blocked,
    check_breakers,
    check_budgets,
    check_calls,
    check_in_time,
    check_keys,
    check_latency,
    check_pools,
    check_recovery,
    check_replies,
    check_shared,
    check_steps,
    check_waits,
)
from .failure_report import failure_report
from .record import model_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncrouter import Attempt, Model
    from asyncrouter._config.config import Config
    from asyncrouter._config.places import Places

    from .record import CallRecord, Exchange, Record
    from .scenario import Scenario
    from .world import World

UNKNOWN, IMPATIENT = 2.0, 3.0
"""Seconds of silence that say nothing about a model that nobody knows; and the same in units of what is usual."""
NEAR = 1e-9
"""Seconds by which instants may differ: those of an attempt count from the beginning of its call."""
DRAINED = 2.0
"""Seconds of a running loop after which nobody waits any more for room on this machine, once there is some."""

LONG = 0.3
"""Seconds from which on a block of the event loop is seen for sure."""
MUCH = 0.5
"""Share of an attempt's time for which the loop was blocked, so that its time says nothing for sure."""


@dataclass(slots=True, eq=False)
class MatchedAttempt:
    """An attempt of a trace in the loop's time, and its request; `exchange` is `None` if it made none."""

    call: CallRecord
    attempt: Attempt
    queued: float
    sent: float | None
    ended: float
    exchange: Exchange | None = None
    impatient: bool = False
    """Whether a limit of the call's own has ended it though its model was not silent for longer than usual."""

    def __str__(self) -> str:
        return f"attempt {self.call.number}.{self.attempt.number} at {self.attempt.model}"

    @property
    def model(self) -> str:
        """The model that it asks; of a pool its member."""
        return model_of(self.attempt)

    @property
    def answered_at(self) -> float | None:
        """When it had a whole answer, whatever `accept` made of it afterwards, or its caller; `None` for never."""
        exchange = self.exchange
        if self.attempt.outcome in {"won", "not_accepted"}:
            return self.ended if exchange is None or exchange.ended is None else exchange.ended
        if exchange is None or exchange.connected is None or self.call.behaviour.accept is None:
            return None
        script = exchange.script
        # What has come whole is judged by `accept`, which may raise, or be cancelled.
        said = script.error is None and 0 < exchange.words == script.words
        return exchange.ended if said and exchange.connected + script.pieces[-1][0] < self.ended + NEAR else None

    def silent_since(self, at: float, tries: Sequence[MatchedAttempt]) -> float:
        """Since when its step had been silent when another one was started at this instant.

        Between two tries a step is as silent as it was. A retry may be due in the very turn of the loop in which it is
        seen to be late, for the program had blocked the loop until then: that retry has not changed anything yet.
        """
        assert self.sent is not None
        if self.attempt.cause != "retry" or self.sent < at:
            return self.sent
        before = [one for one in tries if one.attempt.model == self.attempt.model and one.sent is not None
                  and one.ended <= at and one.attempt.number < self.attempt.number]
        return max((one.sent for one in before if one.sent is not None), default=self.sent)

    @property
    def told_at(self) -> float:
        """When it was known whether its model had answered: a slow `accept` comes after that."""
        return self.ended if self.answered_at is None else self.answered_at

    @property
    def rank(self) -> int:
        """Its place among those who wait."""
        later = self.attempt.cause != "first"
        return later + 2 * (self.call.behaviour.options.get("priority") == "batch")


@dataclass(slots=True, eq=False)
class FinishedRun:
    """Everything that the checks look at."""

    scenario: Scenario
    record: Record
    world: World
    config: Config
    tries: list[MatchedAttempt]
    by_call: dict[int, list[MatchedAttempt]] = field(default_factory=dict)
    """The attempts of each call, in the order of its trace."""
    sent_by_model: dict[str, list[float]] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)
    """Every model by its name, once for each key of its provider."""
    places: dict[str, Places] = field(default_factory=dict)
    """The members of each name that stands for several places."""

    def flag(self, invariant: str, detail: str) -> None:
        """Note that an invariant does not hold."""
        self.record.flag(invariant, detail)

    def was_held(self, model: str, since: float, until: float | None = None) -> bool:
        """Whether there was a reason not to ask this model, at an instant or at some time in a span."""
        provider = self.scenario.models[model].provider
        return self.world.expected.was_held(provider, model, since, since if until is None else until)

    def breakers_closed(self, model: str, at: float) -> bool:
        """Whether the breakers of this model and its host were closed at an instant, as far as the events tell."""
        host = self.scenario.models[model].of_all_keys[1]
        subjects = {model, *(one.provider for one in self.scenario.models.values() if one.of_all_keys[1] == host)}
        last = {change.subject: change.state for change in self.record.changes
                if change.subject in subjects and change.state.startswith("breaker") and change.at <= at}
        return set(last.values()) <= {"breaker closed"}

    def was_crowded(self, since: float, until: float) -> bool:
        """Whether attempts waited for room on this machine at some time in a span, behind one another."""
        return any(begins <= until and since <= self._drained(ends) for begins, ends in self.scenario.crowded)

    def crowded_until(self, until: float) -> float:
        """The last instant before `until` at which attempts waited for room on this machine; 0 for none."""
        spans = ((begins, self._drained(ends)) for begins, ends in self.scenario.crowded)
        return max((min(ends, until) for begins, ends in spans if begins < until), default=0.0)

    def _drained(self, ends: float) -> float:
        """When nobody waits any more for room that there is since `ends`; nobody is woken while the loop is blocked."""
        drained = self.record.late(ends) + DRAINED
        for begins, over in sorted(self.record.blocked):
            drained += over - begins if ends < begins < drained else 0.0
        return drained

    def was_blocked(self, one: MatchedAttempt, until: float) -> bool:
        """Whether the loop was blocked for so much of an attempt's time until then that it says nothing for sure."""
        sent = one.ended if one.sent is None else one.sent
        return until > sent and self.record.blocked_between(sent, until, LONG) >= MUCH * (until - sent)

    def of(self, model: str) -> list[MatchedAttempt]:
        """The attempts of one model, in the order in which they queued up."""
        return sorted((one for one in self.tries if one.attempt.model == model), key=_queued)


def check_all(scenario: Scenario, record: Record, world: World, config: Config) -> None:
    """Check everything; violations go into the record, with a report of the first one."""
    run = FinishedRun(scenario, record, world, config, [])
    for call in record.calls:
        run.tries += _tries(run, call)
    for one in run.tries:
        run.by_call.setdefault(one.call.number, []).append(one)
    run.models |= {one.name: one for name in config.models for one in config.members(name)}
    run.places |= {name: found for name in config.models if (found := config.places(name)) is not None}
    run.sent_by_model |= {name: [] for name in run.models}
    for exchange in record.exchanges:
        run.sent_by_model[exchange.model].append(exchange.at)
    _find_impatient(run)
    for check in CHECKS_OF_SEVERAL if scenario.routers > 1 else CHECKS_WITH_POOLS if scenario.pools else CHECKS:
        check(run)
    record.story = failure_report(run)


def _find_impatient(run: FinishedRun) -> None:
    """Mark the attempts that a deadline, or a share of one, has ended too soon to say anything about their model.

    What is usual for a model the router knows better; but three times the quickest first content, and two seconds, are
    not too long for any.
    """
    quickest = dict.fromkeys(run.config.models, inf)
    for one in run.tries:
        if one.attempt.first_content is not None and one.attempt.sent is not None:
            first = one.attempt.first_content - one.attempt.sent
            quickest[one.attempt.model] = min(quickest[one.attempt.model], first)
    for one in run.tries:
        error = one.attempt.error
        if isinstance(error, AttemptTimeout) and "deadline" in error.message and one.sent is not None:
            since = one.sent if one.attempt.last_content is None else one.call.began + one.attempt.last_content
            one.impatient = one.ended - since < min(UNKNOWN, IMPATIENT * quickest[one.attempt.model])


def _queued(one: MatchedAttempt) -> float:
    return one.queued


def _sent(one: MatchedAttempt) -> tuple[float, str]:
    return round(one.sent or 0.0, 9), one.model


def _seen(exchange: Exchange) -> tuple[float, str]:
    return round(exchange.at, 9), exchange.model


def _tries(run: FinishedRun, call: CallRecord) -> list[MatchedAttempt]:
    """The attempts of a call, matched with the requests that the world saw."""
    if call.trace is None:
        # Without a listener nobody has the trace of a call that was cancelled; a closed router has made none.
        turned_away = call.outcome == "RouterClosed" and not call.exchanges
        kept = run.record.has_listener or call.outcome not in {"cancelled", "accept raised", "RouterClosed"}
        if not turned_away and kept:
            run.flag("trace", f"call {call.number} has none, {call.outcome}")
        return []
    tries = []
    for attempt in call.trace.attempts:
        if attempt.ended is None or attempt.outcome is None or attempt.queued is None:
            run.flag("ended", f"attempt {call.number}.{attempt.number} at {attempt.model} never ended")
            continue
        sent = None if attempt.sent is None else call.began + attempt.sent
        tries.append(MatchedAttempt(call, attempt, call.began + attempt.queued, sent, call.began + attempt.ended))
    sent_ones = sorted((one for one in tries if one.sent is not None), key=_sent)
    seen = sorted(call.exchanges, key=_seen)
    if [_sent(one)[1] for one in sent_ones] != [exchange.model for exchange in seen]:
        run.flag("sent is seen", f"call {call.number}: {len(sent_ones)} sent, {len(seen)} seen")
        return []
    for one, exchange in zip(sent_ones, seen, strict=True):
        if abs((one.sent or 0.0) - exchange.at) > NEAR:
            run.flag("sent is seen", f"{one}: sent at {one.sent!r}, seen at {exchange.at!r}")
        one.exchange = exchange
    return tries


MODULES = (
    check_calls, check_steps, check_waits, check_replies, check_budgets, check_breakers, check_blame, check_latency,
    check_blocked, check_recovery, check_in_time,
)
CHECKS: list[Callable[[FinishedRun], None]] = [check for room in MODULES for check in room.CHECKS]
CHECKS_WITH_POOLS: list[Callable[[FinishedRun], None]] = [
    *check_calls.CHECKS, *check_replies.CHECKS, check_steps.failure_never_wins, check_steps.every_model_was_tried,
    check_budgets.hedges_in_budget, check_budgets.slots, check_in_time.rescues_where_allowed,
    check_in_time.rescues_in_budget, check_in_time.whole_or_confirmed, *check_pools.CHECKS, *check_keys.CHECKS,
]
"""Those of a day with pools: the others know a step by the model that it asks."""
CHECKS_OF_SEVERAL: list[Callable[[FinishedRun], None]] = [
    *check_calls.CHECKS, *check_replies.CHECKS, check_steps.failure_never_wins, check_steps.every_model_was_tried,
    check_budgets.slots, check_in_time.rescues_where_allowed, check_in_time.whole_or_confirmed, *check_shared.CHECKS,
]
"""Those of a day with several routers: the others know of one that alone has asked the models."""
