"""What must hold at every instant: checked with each request, with each event, and now and then in between."""

from __future__ import annotations

from collections import Counter
from math import inf
from typing import TYPE_CHECKING

from asyncrouter import AttemptEnded, AttemptStarted, CallEnded, HedgeDenied, Notice, StateChanged
from asyncrouter._config.catalog import base_name
from asyncrouter._policies.pools.answer_times import MAX_AGE, MIN_ANSWERS
from asyncrouter._policies.pools.queue import PoolTicket
from asyncrouter._policies.slowness import LAST_PROBE_SECONDS

from .check_breakers import longest_probe
from .record import Change, MemberStanding, model_of
from .scenario import RECOVERY_CALLS
from .world import NEWS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection, Mapping

    from asyncrouter import Event, Model, Router
    from asyncrouter._engine.engine import Engine
    from asyncrouter._explain import ModelHealth
    from asyncrouter._policies.pools.pool import PoolState

    from .record import Exchange, Record
    from .world import World

ROUNDING = 1e-6
MOST_ANSWERED = 2500
"""Tokens that a request of a few words has at most, with its answer, by any estimate."""
PROBES = 3
"""Answers of a model that is well again after which it is not slow any more, where each could be a probe."""
SLOWEST = 0.05
"""Requests a second below which a hidden limit is never cut."""


class Pace:
    """Checks the configured requests a minute with token buckets: a second's worth, one for batch work, and `spare`."""

    def __init__(self, record: Record, spare: float = 0.0) -> None:
        self._record = record
        self._spare = spare
        self._left: dict[str, tuple[float, float]] = {}  # by model: when, and what was left of its rpm

    def take(self, model: Model, now: float, what: str) -> None:
        """Check a request that is sent now, described by `what`."""
        assert model.rpm is not None
        rate = model.rpm / 60.0
        size = (1.0 + self._spare) * max(1.0, rate) + 1.0
        at, left = self._left.get(model.name, (now, size))
        left = min(size, left + (now - at) * rate) - 1.0
        self._left[model.name] = now, left
        if left < -ROUNDING:
            self._record.flag("rpm", f"{what}: {left:.3f} below {model.rpm} a minute")


class LiveChecks:
    """Checks one router while it runs; `pace` is that of all routers."""

    def __init__(
        self, record: Record, world: World, router: Router, loop: asyncio.AbstractEventLoop, pace: Pace
    ) -> None:
        self._record = record
        self._world = world
        self._router = router
        self._loop = loop
        config = router.config
        self._models = {one.name: one for name in config.models for one in config.members(name)}
        self._engine: Engine | None = None
        self._running: Counter[str] = Counter()
        self._rates: dict[str, tuple[float, float]] = {}  # by model: what was found by 429s, when it was last cut
        self._pace = pace
        world.watchers.append(self.check_sending)

    # At each sending.

    def check_sending(self, exchange: Exchange) -> None:
        """Check a request at the instant at which it is sent."""
        self._engine = engine = self._router._life.engine or self._engine
        if engine is not None:
            exchange.pools = {pool.name: _standing(state) for pool, state in engine.policies._pools.values()}
        call, now, flag = exchange.call, exchange.at, self._record.flag
        what = f"{exchange.model} for call {call.number} at {now!r}"
        if call.over:
            flag("after the end", what)
        if call.cancelled_at is not None and now > call.cancelled_at:
            flag("after the cancel", what)
        if now > call.deadline:
            flag("deadline", f"sent to {what}, due {call.deadline!r}")
        if (broken := self._world.expected.violation(exchange.provider, exchange.model, exchange.key, now)) is not None:
            flag(broken[0], f"{what}: {broken[1]}")
        told = self._world.rumours.violation(exchange.provider, exchange.model, exchange.key, now)
        has_heard = now >= self._world.keys_used[exchange.key] + NEWS
        if told is not None and has_heard and not any(now == ends for _, ends in self._record.blocked):
            flag(f"{told[0]} of another", f"{what}: {told[1]}")
        model = self._models[exchange.model]
        if model.rpm is not None and call.behaviour.key is None:  # the limit is that of our key
            self._pace.take(model, now, what)
        self._permits_lapse(now, exchange)

    def _permits_lapse(self, now: float, *sending: Exchange) -> None:
        """Check that a half-open breaker keeps nobody out for a probe that must have ended, read to its end or not."""
        if self._engine is None:
            return
        for model in self._models.values():
            state = self._engine.policies.state_of(model)
            for subject, breaker in ((model.name, state.breaker), (model.provider, state.provider.host)):
                if breaker.state != "half_open" or breaker.refusal(now) is None:
                    continue
                mine = (one for one in (*self._record.exchanges, *sending)
                        if subject == one.model or base_name(subject) == base_name(one.provider))
                if not any(now <= one.at + longest_probe(one.call, one.model) + ROUNDING for one in mine):
                    self._record.flag("permit", f"{subject} at {now!r}: lent to a probe that must have ended")

    # At each event.

    def listen(self, event: Event) -> None:
        """Record an event of the router, and check it."""
        now, record = self._loop.time(), self._record
        match event:
            case AttemptStarted(trace, attempt):
                self._running[model_of(attempt)] += 1
                record.log(now, f"start {_call(trace)}.{attempt.number} {attempt.model} {attempt.cause}")
            case AttemptEnded(trace, attempt):
                if attempt.sent is not None:
                    self._running[model_of(attempt)] -= 1
                record.calls[_call(trace)].attempt_events += 1
                self._in_steps(model_of(attempt), now)
                if not any(now == ends for _, ends in record.blocked):
                    self._not_idle(now - ROUNDING)
                error = type(attempt.error).__name__ if attempt.error is not None else "-"
                record.log(now, f"end {_call(trace)}.{attempt.number} {attempt.model} {attempt.cause} "
                                f"{attempt.outcome} {error} {attempt.cost_usd!r}")
            case CallEnded(trace, error):
                call = record.calls[_call(trace)]
                call.trace = trace
                call.end_events += 1
                record.log(now, f"ended {call.number} {type(error).__name__} {trace.seconds!r}")
            case StateChanged(subject, state, _):
                record.changes.append(Change(now, subject, state))
                record.log(now, f"{subject}: {state}")
            case HedgeDenied(trace, reason):
                record.log(now, f"no hedge for {_call(trace)}: {reason}")
            case Notice(subject, text):
                record.log(now, f"notice {subject}: {text}")

    def _in_steps(self, model: str, now: float) -> None:
        """Check that a hidden limit is cut once a second at most, and never below its floor."""
        if self._engine is None or model not in self._models:
            return
        hidden = self._engine.policies.state_of(self._models[model]).limits.hidden
        limit = hidden.limit
        before, cut_at = self._rates.get(model, (inf, -inf))  # that it begins is no cut
        rate = inf if limit is None else limit.rate
        if rate < before:
            counting = hidden._ceiling == inf  # a crowd that meets a limit at once is counted while its answers come in
            if (now < cut_at + 1.0 and not counting) or rate < SLOWEST:
                self._record.flag("steps", f"{model} at {now!r}: {rate} after {before}, cut at {cut_at!r}")
            cut_at = cut_at if counting or before == inf else now
        self._rates[model] = rate, cut_at

    # Just looking.

    def check_health(self) -> None:
        """Ask the router about itself, and compare that with what is known."""
        record, now = self._record, self._loop.time()
        try:
            health = self._router.health()
            told = [repr(self._router), *(str(self._router.explain(task=task)) for task in self._router.config.tasks)]
        except Exception as error:  # whatever it is, it must not be
            record.flag("health", f"{type(error).__name__}: {error}")
            return
        record.log(now, f"health {[(name, state.standing, state.in_flight) for name, state in health.items()]} {told}")
        if now >= record.closed_at:
            return  # what its callers still hold is not the router's any more
        if any(now == ends for _, ends in record.blocked):
            return  # whatever came due meanwhile happens in this very turn of the loop
        for name, state in _of_models(health):
            if record.has_listener and state.in_flight > self._running[name]:  # `accept` holds nothing
                record.flag("in flight", f"{name} at {now!r}: {state.in_flight} told, {self._running[name]} running")
            if self._world.live[name] > state.in_flight:
                record.flag("in flight", f"{name} at {now!r}: {self._world.live[name]} connections, {state}")
        self._not_idle(now)
        self._nothing_kept(now)
        self._permits_lapse(now)

    def _not_idle(self, now: float) -> None:
        """Check that no request waits that could go since the instant `now`."""
        engine = self._router._life.engine
        if engine is None or now >= self._record.closed_at:
            return
        for model in self._models.values():
            state = engine.policies.state_of(model)
            ticket = state.pacer.next_in_line()
            if isinstance(ticket, PoolTicket) and state.limits.counts_tokens:
                continue  # when the one before it has gone elsewhere, the next turn of the loop looks at it
            if ticket is not None and state.limits.due(now, ticket.tokens, batch=ticket.rank.batch) <= now:
                self._record.flag("idle slot", f"{model.name} at {now!r}: {state.pacer!r}")

    def _nothing_kept(self, now: float) -> None:
        """Check that no tokens of a configured limit are reserved but for requests that run, or were to be paid for."""
        engine = self._router._life.engine
        for model in self._models.values():
            tokens = None if engine is None else engine.policies.state_of(model).limits._tokens
            if tokens is None:
                continue
            until = -inf
            for one in self._record.exchanges:
                running = one.ended is None or one.ended >= now
                ours = one.model == model.name and one.call.behaviour.key is None  # else the tokens are the caller's
                if ours and (running or not _unbilled(one)):
                    until = max(until, one.at) + (MOST_ANSWERED + 2 * one.call.behaviour.padding) / tokens.rate
            if tokens._all_until > max(now, until) + ROUNDING:
                self._record.flag("reserved", f"{model.name} at {now!r}: until {tokens._all_until!r}, not {until!r}")

    def check_recovered(self) -> None:
        """Check that no model that serves again has an open breaker, and none that often does is slower than usual."""
        answers = [
            (call.reply.model, call.began) for call in self._record.calls
            if call.after_recovery and call.reply is not None and call.router == self._world.number
        ]
        served, probed_by = {name for name, _ in answers}, self._record.recovered_at + LAST_PROBE_SECONDS
        probed = Counter(name for name, began in answers if began >= probed_by)
        health, engine = self._router.health(), self._engine
        models = self._models.items() if engine is not None else ()
        demoted = {name for name, one in models if engine.policies.state_of(one).slow}
        for name, state in _of_models(health):
            if (name in demoted and probed[name] > PROBES) or (name in served and state.breaker != "closed"):
                self._record.flag("alive", f"{name} has served, and yet: {state}")
        self._none_left_out(health, demoted)

    def _none_left_out(self, health: Mapping[str, ModelHealth], demoted: Collection[str]) -> None:
        """Check that a pool leaves a member out only beside one that has answered often lately.

        Whoever is left out is slower than the shortest median of the others; a median takes eight answers within ten
        minutes before a look at the pool. The calls before the last ones were made minutes earlier, so what counts was
        sent within ten minutes before these.
        """
        since = self._record.recovered_at + RECOVERY_CALLS[-1] - MAX_AGE
        asked = Counter(one.model for one in self._record.exchanges if one.at >= since)
        known = {name for name, requests in asked.items() if requests >= MIN_ANSWERS}
        for name, pool in health.items():
            for one in pool.members:
                left_out = one.slow and one.model not in demoted and one.standing == "ready"
                if left_out and not known & {other.model for other in pool.members if other is not one}:
                    self._record.flag("alive", f"{name} leaves out {one.model}, beside nobody: {one}")

    # When all is quiet.

    def check_idle(self, when: str) -> None:
        """Check that nothing is held while nothing runs."""
        # The last one, also when the router has been closed: what its calls held must have come back.
        engine, flag, now = self._engine, self._record.flag, self._loop.time()
        if self._router._life.calls:
            flag("returned", f"{when}: {self._router!r}")
        if open_ := +self._world.live:
            flag("connections", f"{when}: {open_!r} live")
        if engine is None:
            return
        if engine.reading or engine.tasks or engine.timers._live:
            flag("returned", f"{when}: {engine.reading} reading, {len(engine.tasks)} tasks, {engine.timers!r}")
        if engine.sleepers or engine.policies.holds._waiting or engine.room.waiting:
            flag("returned", f"{when}: {len(engine.sleepers)} sleep, {engine.room!r}")
        for model in self._models.values():
            state = engine.policies.state_of(model)
            self._record.samples[model.name] = sum(one.samples.count for one in (state.streamed, state.buffered))
            if state.pacer.running or state.pacer.waiting:
                flag("returned", f"{when}: {state!r}")
            for breaker in (state.breaker, state.provider.host):
                if breaker.state == "half_open" and breaker.refusal(now) is not None:
                    flag("permit", f"{when}: {model.name}: {breaker.refusal(now)}")


def _of_models(health: Mapping[str, ModelHealth]) -> list[tuple[str, ModelHealth]]:
    """What is known of each model; of a pool, of its members."""
    return [(one.model, one) for state in health.values() for one in (state.members or (state,))]


def _standing(pool: PoolState) -> list[MemberStanding]:
    return [
        MemberStanding(one.name, one.seconds, one.state.slow or bool(pool.why_slow(one)) or one.starting)
        for one in pool.members
    ]


def _call(trace: object) -> int:
    return int(trace.tags["call"])  # type: ignore[attr-defined]


def _unbilled(exchange: Exchange) -> bool:
    """Whether the provider certainly takes no money for a request: its client has read that it is refused."""
    return exchange.taken and exchange.script.status != 200
