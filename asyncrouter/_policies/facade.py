"""What the engine asks of the policies: may this model be tried now, when is an attempt late, what did it teach?

One `Policies` belongs to a router. It finds the state of a model (`model_state.py`) and asks the parts in order: holds,
breakers, limits. The parts do not know one another.
"""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING

from asyncrouter._config.catalog import base_name
from asyncrouter._events import MAX_NAMES, StateChanged
from asyncrouter._policies.announced_limits import READ_EVERY_SECONDS, read_limits
from asyncrouter._policies.hedge_budget import HedgeBudgets
from asyncrouter._policies.holds import Holds
from asyncrouter._policies.lease import Lease
from asyncrouter._policies.memory import ANY_KIND
from asyncrouter._policies.model_state import ModelState, ProviderState, without_limits
from asyncrouter._policies.pacing import Rank
from asyncrouter._policies.pools.member import Member
from asyncrouter._policies.pools.pool import PoolState
from asyncrouter._policies.rescue_budget import RescueBudgets

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet
    from random import Random

    from asyncrouter._config.catalog import Model
    from asyncrouter._config.config import Config
    from asyncrouter._config.plan import PlannedPool
    from asyncrouter._errors import AttemptError
    from asyncrouter._events import Events
    from asyncrouter._policies.breaker import Breaker
    from asyncrouter._policies.memory import RequestKind, Usual
    from asyncrouter._policies.pacing import Ticket
    from asyncrouter._policies.refusal import Refusal
    from asyncrouter._policies.shared_client import SharedClient
    from asyncrouter._policies.slowness import Place
    from asyncrouter._types import Cause, Priority

RESERVE_SECONDS = 2.0
"""Seconds of the deadline that are kept for a later step whose time to first content is not known."""
RESERVE_QUANTILE = 0.9
"""The quantile of its first contents that is kept for a later step, once it is known."""


class Policies:
    """Everything that may refuse an attempt, and learns from how it ended."""

    __slots__ = (
        "_events", "_left", "_loop", "_models", "_pools", "_providers", "_random", "breakers_on", "hedge_budgets",
        "holds", "rescue_budgets", "shared", "slow_models",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, random: Random, events: Events, *, breakers: bool = True
    ) -> None:
        self._loop = loop
        self._random = random
        self._events = events
        self.breakers_on = breakers
        self._models: dict[tuple[str, str], ModelState] = {}
        self._providers: dict[str, ProviderState] = {}
        self.shared: SharedClient | None = None
        """Keeps configured limits and holds for many processes."""
        self._pools: dict[int, tuple[PlannedPool, PoolState]] = {}  # by the identity of the plan's own
        self._left: list[ModelState] = []  # of earlier configurations, with calls that wait
        self.holds = Holds()
        self.holds.on_change = self._members_changed
        self.hedge_budgets = HedgeBudgets()
        self.rescue_budgets = RescueBudgets()
        self.slow_models: set[str] = set()
        """The names of the models that have become slow."""

    def __repr__(self) -> str:
        return f"<Policies in flight: {sum(state.pacer.running for state in self._models.values())}, {self.holds!r}>"

    def state_of(self, model: Model) -> ModelState:
        """What is known about a model."""
        return self._models.get((model.provider, model.id)) or self._new(model)

    def pool_of(self, pool: PlannedPool) -> PoolState:
        """The state of a pool; plans with the same pool share it."""
        found = self._pools.get(id(pool))
        return found[1] if found is not None else self._new_pool(pool)

    # May it go?

    def refusal(
        self, model: Model, now: float, *, forced: bool = False, own_key: bool = False
    ) -> Refusal | None:
        """Why `model` may not be tried now; `None` when it may.

        `forced` asks as the last one that could answer, `own_key` for a call that brings a key of its own.
        """
        holds = self.holds
        if holds.held or holds.models or holds.keys:
            refusal = holds.refusal(model, now, own_key=own_key)
            if refusal is not None:
                return refusal
        if forced or not self.breakers_on:
            return None
        state = self.state_of(model)
        host = state.provider.host
        if state.breaker.state == host.state == "closed":
            return None
        if (refusal := state.breaker.refusal(now)) is not None:
            return refusal
        refusal = host.refusal(now)
        return None if refusal is None else refusal._replace(provider=model.provider, host=True)

    def may_go_at_once(self, model: Model, now: float, tokens: float, rank: Rank) -> bool:
        """Whether a hedge could be sent now: nothing refuses it, nobody waits, and the breakers are closed."""
        if self.refusal(model, now) is not None:
            return False
        state = self.state_of(model)
        return (state.breakers_closed or not self.breakers_on) and state.pacer.may_go(tokens, rank)

    def rank(self, cause: Cause, priority: Priority) -> Rank:
        """The place of an attempt among those who wait: first attempts before later ones, batch work after all."""
        if priority == "batch":
            return Rank.BATCH_FIRST if cause == "first" else Rank.BATCH_AGAIN
        return Rank.FIRST if cause == "first" else Rank.AGAIN

    def lease_now(
        self, state: ModelState, rank: Rank, tokens: float, *, own_key: bool = False
    ) -> Lease | None:
        """The lease of an attempt that may go at this instant; `None` when it has to wait in the queue.

        With a key of its own a call is not paced, for the limits are our key's; it takes a slot like any other.
        """
        if own_key and state.pacer.take_slot(rank):
            return Lease(state, rank, 0.0, own_key=True)
        if (known := state.provider.limit_of_a_model) is not None and state.limits.unlimited:
            rate, until = known
            now = self._loop.time()
            state.limits.suspect(now, rate if now < until else inf)
        return Lease(state, rank, tokens) if state.pacer.take_now(tokens, rank) else None

    def lease_granted(self, state: ModelState, ticket: Ticket, *, own_key: bool = False) -> Lease:
        """The lease of an attempt whose ticket was granted; with a key of its own it has waited for a slot only."""
        if own_key:
            state.pacer.unpace(ticket)
        return Lease(state, ticket.rank, 0.0 if own_key else ticket.tokens, own_key=own_key)

    def may_retry(self, model: Model, error: AttemptError, *, given: bool = False) -> bool:
        """Whether the same model may be tried again after `error`; if so that is paid for.

        `given`: somebody has asked for so many attempts.
        """
        return self.state_of(model).provider.retries.pay_for_retry(error, given=given)

    def queues(self, model: Model) -> bool:
        """Whether many wait for their turn at the model's limit: its queue spreads their requests, not their pauses."""
        state = self.state_of(model)
        return state.pacer.waiting > 0 or state.limits.hidden.met_by_crowd

    def expected_wait(self, model: Model, priority: Priority, *, own_key: bool = False) -> float:
        """About how many seconds a request would wait for its turn now; `inf` while that is not known.

        With a key of its own it waits for a slot only.
        """
        pacer, rank = self.state_of(model).pacer, Rank.BATCH_AGAIN if priority == "batch" else Rank.AGAIN
        return 0.0 if own_key and pacer.has_slot(rank) else pacer.expected_wait(rank)

    # Which model, and when is it late?

    def place(self, model: Model, now: float) -> Place:
        """Where a model stands in its chain: in its usual place, last as it has become slow, or due for a probe."""
        return self.state_of(model).slowness.place(now) if self.breakers_on else "usual"

    def begin_probe(self, model: Model, now: float) -> None:
        """A call finds out whether a slow model is as quick as usual again."""
        self.state_of(model).slowness.begin_probe(now)

    def pardon(self, models: Iterable[Model], now: float) -> None:
        """Forget that models are slow, as all of a chain are."""
        for model in models:
            self.state_of(model).slowness.pardon(now)

    def usual(self, model: Model, size: int, *, streams: bool, kind: RequestKind = ANY_KIND) -> Usual:
        """What is usual for such a request to a model."""
        return self.state_of(model).memory(streams=streams).usual(size, kind)

    def reserve(self, model: Model, *, streams: bool) -> float:
        """Seconds of the deadline that an answering step should leave to this one: its p90, 2 s while not known."""
        known = self.state_of(model).memory(streams=streams).quantile(RESERVE_QUANTILE)
        return RESERVE_SECONDS if known is None else known

    def usual_first(self, model: Model, *, streams: bool) -> float:
        """The median seconds to its first content; 0 while not known."""
        return self.state_of(model).memory(streams=streams).quantile(0.5) or 0.0

    # Learning.

    def read_limits(self, state: ModelState, headers: Mapping[str, str]) -> None:
        """Take the limits that a response's headers announce; they are read once a second."""
        now = self._loop.time()
        if now < state.limits_read_at + READ_EVERY_SECONDS:
            return
        counted, state.limits_read_at = state.limits.counts_tokens, now
        state.limits.announce(*read_limits(headers), now=now)
        if state.limits.counts_tokens != counted:
            self._members_changed()
        state.pacer.look_again()

    def reconfigure(self, config: Config, changed: AbstractSet[str]) -> None:
        """Take the limits of another configuration; what is known of the providers that have `changed` is forgotten."""
        self.breakers_on = config.defaults.breaker == "auto"
        entries = [model for name in reversed([*config.models]) for model in reversed(config.members(name))]
        models = {(model.provider, model.id): model for model in entries}
        for key, state in list(self._models.items()):
            if key[0] in changed:
                self._leave(state)
            elif key not in models and state.pacer.waiting:  # who waits goes by the limits that are gone
                self._leave(state)
                self._new(without_limits(state.model))
            else:
                state.reconfigure(models.get(key) or without_limits(state.model), breakers_on=self.breakers_on)
                if self.shared is not None and state.limits.shared is None:
                    self.shared.share(state)
        for provider in changed:
            self._providers.pop(provider, None)
        self._pools.clear()  # sessions find their members again by hashing
        self.holds.forget(changed)
        self._left = [state for state in self._left if state.pacer.waiting]

    def _leave(self, state: ModelState) -> None:
        """Leave a model to the calls that have begun with it."""
        del self._models[state.model.provider, state.model.id]
        self.slow_models.discard(state.model.name)
        self._left.append(state)

    def close(self) -> None:
        """Send away all who wait."""
        for state in (*self._models.values(), *self._left):
            state.pacer.close()

    def _new(self, model: Model) -> ModelState:
        """The state of a model that is met for the first time.

        Names of models can come from anywhere, so the oldest idle one is forgotten when there are too many.
        """
        provider = self._providers.get(model.provider)
        if provider is None:
            provider = ProviderState(self._random, partial(self._emit, model.provider), self._host_of(model.provider))
            self._providers[model.provider] = provider
        if len(self._models) >= MAX_NAMES:
            idle = (key for key, one in self._models.items() if not one.pacer.running and not one.pacer.waiting)
            self._models.pop(next(idle, (model.provider, model.id)), None)
        state = ModelState(
            model, provider, self.holds, partial(self._emit, model.name), self._random, self._loop,
            self.slow_models, breakers_on=self.breakers_on,
        )
        self._models[model.provider, model.id] = state
        if self.shared is not None:
            self.shared.share(state)
        return state

    def _host_of(self, provider: str) -> Breaker | None:
        """The breaker of a host that is reached with another key, too."""
        base = base_name(provider)
        return next((one.host for name, one in self._providers.items() if base_name(name) == base), None)

    def disable_key(self, model: Model, error: AttemptError) -> None:
        """Disable the key of a model for a while, as after a 401: it is not set."""
        if (change := self.holds.disable_key(model.provider, error, self._loop.time())) is not None:
            self._emit(model.provider, *change)

    def _new_pool(self, pool: PlannedPool) -> PoolState:
        key = pool.key
        state = next((one for other, one in self._pools.values() if other.key == key), None)
        if state is None:
            steps = zip(pool.members, pool.weights, strict=True)
            members = [
                Member(index, step, self.state_of(step.model), weight) for index, (step, weight) in enumerate(steps)
            ]
            state = PoolState(pool, members, self._random, self._refuses, self._events.notice)
        if len(self._pools) >= MAX_NAMES:
            self._pools.pop(next(iter(self._pools)))
        self._pools[id(pool)] = pool, state
        return state

    def _refuses(self, member: Member, now: float) -> Refusal | None:
        return self.refusal(member.model, now)

    def _members_changed(self) -> None:
        for _, pool in self._pools.values():
            pool.look_again()

    def _emit(self, subject: str, state: str, why: str) -> None:
        self._members_changed()
        if not self._events.quiet:
            self._events.emit(StateChanged(subject, state, why))
