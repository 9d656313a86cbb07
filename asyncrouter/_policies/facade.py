"""The door through which the engine asks: may this model be tried now, when, and what did the last try teach?"""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING

from asyncrouter._errors import NotSent
from asyncrouter._events import StateChanged
from asyncrouter._policies.hedge_budget import HedgeBudgets
from asyncrouter._policies.holds import Holds
from asyncrouter._policies.lease import Lease
from asyncrouter._policies.model_state import ModelState, ProviderState
from asyncrouter._policies.pacing import AGAIN, BATCH, FIRST, Ticket

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping
    from random import Random

    from asyncrouter._config.catalog import Model
    from asyncrouter._config.config import Hedge
    from asyncrouter._errors import AttemptError
    from asyncrouter._events import Events
    from asyncrouter._policies.hedge_budget import Bucket
    from asyncrouter._types import Cause, Priority

RESERVE = 2.0
"""Seconds of the deadline kept for a later step whose time to first content is not known."""
LATEST = 1.25
"""Times the delay that the budget stands for, beyond which a hedge does not come, however empty the bucket: where the
aim falls below the share of stragglers, the quantile would jump to where they end."""
OVERDUE = 3.0
"""Times its p75 that a model may be silent when the budget has denied the race that would show how slow it is. So a
model that has always been of two minds is not slow, nor one that takes three times as long as it did."""
REMEMBERED = 1000
"""Models remembered; names can come from anywhere, so the oldest idle one goes when there are more."""
ANNOUNCED = (
    ("x-ratelimit-limit-requests", "x-ratelimit-limit-tokens"),
    ("anthropic-ratelimit-requests-limit", "anthropic-ratelimit-tokens-limit"),
)
"""Headers that tell a limit a minute. Groq's is a day's: read as a minute's it is no limit, and does no harm."""
ANNOUNCED_EVERY = 1.0
"""Seconds between two looks at them: limits change rarely, and a look costs as much as all the rest of this."""


class Policies:
    """Everything that may say no to an attempt, and learns from how it ended."""

    __slots__ = ("_accounts", "_events", "_loop", "_random", "_targets", "guarded", "hedges", "standing")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, random: Random, events: Events, *, breakers: bool = True
    ) -> None:
        self._loop = loop
        self._random = random
        self._events = events
        self.guarded = breakers
        self._targets: dict[tuple[str, str], ModelState] = {}
        self._accounts: dict[str, ProviderState] = {}
        self.standing = Holds()
        self.hedges = HedgeBudgets()

    def __repr__(self) -> str:
        return f"<Policies in flight: {sum(t.pacer.running for t in self._targets.values())}, {self.standing!r}>"

    def target(self, model: Model) -> ModelState:
        """What is known about a model."""
        return self._targets.get((model.provider, model.id)) or self._new(model)

    def refusal(self, model: Model, now: float, *, forced: bool = False) -> NotSent | None:
        """Why `model` may not be tried now; `None` when it may. `forced` asks as the last one that could answer."""
        refusal = self.standing.refusal(model, now)
        if refusal is not None or forced or not self.guarded:
            return refusal
        target = self.target(model)
        if target.breaker.state == "closed" and target.account.host.state == "closed":
            return None
        why = target.breaker.refuses(now)
        if why is None and (why := target.account.host.refuses(now)) is not None:
            why = f"{model.provider}: {why}"
        return None if why is None else NotSent(why, forcible=True)

    def goes_at_once(self, model: Model, now: float) -> bool:
        """Whether a hedge could be sent now: nothing in the way, nobody waiting, a breaker that is closed."""
        if self.refusal(model, now) is not None:
            return False
        target = self.target(model)
        closed = target.breaker.state == "closed" and target.account.host.state == "closed"
        return (closed or not self.guarded) and target.pacer.goes(0.0)

    # Letting through.

    def rank(self, cause: Cause, priority: Priority) -> int:
        """The place of an attempt among those who wait: first attempts before later ones, batch work after all."""
        return (FIRST if cause == "first" else AGAIN) + (BATCH if priority == "batch" else 0)

    def lease(self, target: ModelState, rank: int, tokens: float) -> Lease | None:
        """What an attempt needs to go at this instant; `None` when it has to wait for its turn."""
        if not target.pacer.goes(tokens, rank):
            return None
        target.pacer.take(tokens, rank)
        return Lease(self, target, rank, tokens)

    def taken(self, target: ModelState, turn: Ticket) -> Lease:
        """The lease of a turn that has come."""
        return Lease(self, target, turn.rank, turn.tokens)

    def may_retry(self, model: Model, error: AttemptError) -> bool:
        """Whether the same model may be asked again after `error`; if so that is paid for."""
        return self.target(model).account.retries.take(error)

    # Choosing.

    def demoted(self, model: Model, now: float) -> bool:
        """Whether the steps after this one should go first, because it has become slow."""
        return self.guarded and self.target(model).demoted(now)

    def hedge_after(self, hedge: Hedge, bucket: Bucket, model: Model, size: int, *, streams: bool) -> float:
        """Seconds after sending from which on an attempt is late; `inf` while that is not known.

        That is its p95, or a higher quantile if otherwise more would be late than the bucket can pay for; never later
        than `hedge.cap`.
        """
        if hedge.after != "p95":
            return float(hedge.after)
        latency = self.target(model).latency(streams=streams)
        delay = inf if hedge.cap is None else hedge.cap
        if (usual := latency.quantile(max(0.95, 1.0 - bucket.rate), size)) is None:
            return delay
        return min(delay, LATEST * usual, latency.quantile(max(0.95, 1.0 - bucket.aim), size) or inf)

    def slow_after(self, model: Model, size: int, *, streams: bool) -> float:
        """Seconds after sending from which on an attempt that the budget lets nobody race is slow all the same."""
        usual = self.target(model).latency(streams=streams).quantile(0.75, size)
        return inf if usual is None else OVERDUE * usual

    def reserve(self, model: Model, *, streams: bool) -> float:
        """Seconds of the deadline that an answering step should leave to this one: its p90, 2 s while not known."""
        known = self.target(model).latency(streams=streams).quantile(0.9)
        return RESERVE if known is None else known

    def usual(self, model: Model, *, streams: bool) -> float:
        """Its median time to first content in seconds; 0 while not known."""
        return self.target(model).latency(streams=streams).quantile(0.5) or 0.0

    # Learning.

    def announce(self, target: ModelState, headers: Mapping[str, str]) -> None:
        """Take the limits that a response's headers tell."""
        now = self._loop.time()
        if now < target.announced_at + ANNOUNCED_EVERY:
            return
        target.announced_at = now
        for requests, tokens in ANNOUNCED:
            if requests in headers or tokens in headers:
                target.pacer.announce(_number(headers.get(requests)), _number(headers.get(tokens)))

    def learn(self, target: ModelState, error: AttemptError, now: float) -> None:
        """Remember what a failed attempt says about the model and its key."""
        if (change := self.standing.learn(target.model, error, now)) is not None:
            self.tell(target.model.name, *change)

    def close(self) -> None:
        """Nobody's turn will come any more."""
        for target in self._targets.values():
            target.pacer.close()

    def _new(self, model: Model) -> ModelState:
        account = self._accounts.get(model.provider)
        if account is None:
            account = ProviderState(self._random, partial(self.tell, model.provider))
            self._accounts[model.provider] = account
        if len(self._targets) >= REMEMBERED:
            idle = (key for key, one in self._targets.items() if not one.pacer.running and not one.pacer.waiting)
            self._targets.pop(next(idle, (model.provider, model.id)), None)
        found = ModelState(model, account, self._loop, self._random, partial(self.tell, model.name))
        self._targets[model.provider, model.id] = found
        return found

    def tell(self, subject: str, state: str, why: str) -> None:
        """Say that something has changed."""
        if not self._events.quiet:
            self._events.emit(StateChanged(subject, state, why))


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
