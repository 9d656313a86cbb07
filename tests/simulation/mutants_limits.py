"""Mutants that ignore limits, pauses, bad keys, breakers, or the order of the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from asyncrouter._policies.breaker import Breaker
from asyncrouter._policies.facade import Policies
from asyncrouter._policies.hidden_limit import HiddenLimit
from asyncrouter._policies.holds import Holds
from asyncrouter._policies.limits import Limits
from asyncrouter._policies.pacing import Pacer, Rank

from .mutation import around, mutant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter import AttemptError
    from asyncrouter._policies.pacing import Ticket


@mutant
def retry_after_ignored() -> Iterator[None]:
    """A Retry-After holds no model."""

    def make(refusal: Any) -> Any:
        def refuses(holds: Holds, *args: Any, **settings: Any) -> Any:
            holds.held.clear()
            return refusal(holds, *args, **settings)

        return refuses

    with around(Holds, "refusal", make):
        yield


@mutant
def hint_shortened() -> Iterator[None]:
    """A Retry-After is cut to the cap of the back-off, as decorators do (grpc-java overwrites it too)."""

    def make(learn: Any) -> Any:
        def learns(holds: Holds, model: Any, error: AttemptError, now: float) -> Any:
            if error.retry_after is not None:
                error.retry_after = min(error.retry_after, 1.0)
            return learn(holds, model, error, now)

        return learns

    with around(Holds, "learn", make):
        yield


@mutant
def bad_key_used_again() -> Iterator[None]:
    """A key that was turned down is used for the next model."""

    def make(refusal: Any) -> Any:
        def refuses(holds: Holds, *args: Any, **settings: Any) -> Any:
            holds.keys.clear()
            return refusal(holds, *args, **settings)

        return refuses

    with around(Holds, "refusal", make):
        yield


@mutant
def open_breaker_ignored() -> Iterator[None]:
    """An open breaker refuses nothing."""
    with patch.object(Breaker, "refusal", lambda self, now: None):
        yield


@mutant
def batch_goes_first() -> Iterator[None]:
    """The queue serves batch work first, and every request queues."""
    with patch.object(Policies, "lease_now", lambda self, model, rank, tokens, **settings: None), around(
        Pacer, "join", lambda join: lambda self, rank, *more, **settings: join(self, Rank(3 - rank), *more, **settings)
    ):
        yield


@mutant
def rpm_ignored() -> Iterator[None]:
    """Requests go at once, whatever the rate limit."""
    with patch.object(Limits, "due", lambda self, now, tokens, *, batch: now):
        yield


@mutant
def many_probes() -> Iterator[None]:
    """A half-open breaker lets every call through (hyx)."""

    def make(enter: Any) -> Any:
        def entered(breaker: Breaker, now: float, lapse: float) -> Any:
            generation = enter(breaker, now, lapse)
            breaker._permit_until = now
            return generation

        return entered

    with around(Breaker, "enter", make):
        yield


@mutant
def last_come_first_served() -> Iterator[None]:
    """A request that joins the queue goes to its head."""

    def make(join: Any) -> Any:
        def joins(pacer: Pacer, rank: Rank, *more: Any, **named: Any) -> Ticket:
            ticket: Ticket = join(pacer, rank, *more, **named)
            queue = pacer._queues[rank]
            if not ticket.granted:
                queue.remove(ticket)
                queue.appendleft(ticket)
            return ticket

        return joins

    with around(Pacer, "join", make):
        yield


@mutant
def every_429_cuts() -> Iterator[None]:
    """Each 429 of a burst cuts the hidden limit."""

    def make(rejected: Any) -> Any:
        def lowers(hidden: HiddenLimit, now: float, sent_at: float, *, hinted: bool) -> None:
            hidden._cut_at = -1e9
            rejected(hidden, now, sent_at, hinted=hinted)

        return lowers

    with around(HiddenLimit, "rejected", make):
        yield


@mutant
def queues_for_tokens_take_no_time() -> Iterator[None]:
    """How long those wait who stand first in a queue for tokens is not asked."""

    def expects(pacer: Pacer, rank: Rank) -> float:
        limits, now = pacer._limits, pacer._loop.time()
        ahead = sum(pacer._waiting[: rank + 1])
        return 0.0 if limits.unlimited else limits.expected(now, 0.0, ahead, batch=rank.batch) - now

    with patch.object(Pacer, "expected_wait", expects):
        yield
