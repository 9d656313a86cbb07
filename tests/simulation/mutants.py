"""Routers broken on purpose, each as some library once was: the simulation must notice every one of them.

Each is a context manager that replaces one piece. What a mutant restates of the engine it restates on purpose: the
defect is in what it leaves out.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from math import inf
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from asyncrouter import AttemptError, RateLimited
from asyncrouter import _attempt as attempts
from asyncrouter import _race as races
from asyncrouter import _retry as retries
from asyncrouter._clock import Clock
from asyncrouter._flight import Flight, Lane
from asyncrouter._policies import Bucket, Breaker, Lease, Pacer, Policies, RetryBudget, Standing
from asyncrouter._policies import lease as leases
from asyncrouter._wire.openai import OpenAI

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MUTANTS: dict[str, Callable[[], Any]] = {}
"""By what they do wrong."""


def mutant(function: Callable[[], Iterator[None]]) -> Callable[[], Iterator[None]]:
    """Enter it under its name."""
    MUTANTS[function.__name__] = contextmanager(function)
    return function


def around(where: Any, name: str, make: Callable[[Any], Any]) -> Any:
    """Replace a method by what `make` makes of it."""
    return patch.object(where, name, make(getattr(where, name)))


# ── what is counted against a model ──────────────────────────────────────────────────────────────────────────────────


def counting(outcome: str) -> Any:
    """An attempt that ends like this is a failure of its model."""

    def make(end: Any) -> Any:
        def ended(lease: Lease, now: float, became: str, *more: Any) -> None:
            if became == outcome and lease._sent_at is not None and not lease.ended:
                lease.target.breaker.failed(lease._model, now, f"it was {outcome}")
            end(lease, now, became, *more)

        return ended

    return around(Lease, "end", make)


@mutant
def losers_count() -> Iterator[None]:
    """A loser is a failure of its model (D7)."""
    with counting("superseded"):
        yield


@mutant
def cancellations_count() -> Iterator[None]:
    """So is a caller's cancellation."""
    with counting("cancelled"):
        yield


@mutant
def rate_limits_count() -> Iterator[None]:
    """A 429 is a failure."""
    with around(leases, "counts", lambda counts: lambda error, *more: isinstance(error, RateLimited) or counts(error, *more)):
        yield


@mutant
def requests_turned_down_count() -> Iterator[None]:
    """So is a caller's bad request."""
    with patch.object(leases, "counts", lambda error, *more: True):
        yield


@mutant
def stale_results_count() -> Iterator[None]:
    """What was sent before the breaker opened is held against its probe (D6)."""
    with around(Breaker, "failed", lambda failed: lambda self, _, *more: failed(self, self.generation, *more)):
        yield


@mutant
def neutral_closes() -> Iterator[None]:
    """A cancelled probe closes the breaker (D3)."""

    def left(breaker: Breaker, generation: int) -> None:
        if breaker.state == "half_open" and generation == breaker.generation:
            breaker._change("closed")

    with patch.object(Breaker, "left", left):
        yield


# ── what must be given back ──────────────────────────────────────────────────────────────────────────────────────────


@mutant
def permit_leaks_on_cancel() -> Iterator[None]:
    """A probe that is cancelled keeps its permit until it lapses (resilience4j #544)."""
    with patch.object(Breaker, "left", lambda self, generation: None):
        yield


@mutant
def permits_do_not_lapse() -> Iterator[None]:
    """A permit has no time-out."""
    with around(Breaker, "enter", lambda enter: lambda self, now, lapse: enter(self, now, inf)):
        yield


@mutant
def slots_leak_on_failure() -> Iterator[None]:
    """A failed attempt keeps its slot."""

    def make(end: Any) -> Any:
        def ended(lease: Lease, now: float, outcome: str, error: Any = None, *more: Any) -> None:
            if error is not None and lease._sent_at is not None:
                lease.ended = True
            end(lease, now, outcome, error, *more)

        return ended

    with around(Lease, "end", make):
        yield


@mutant
def settled_twice() -> Iterator[None]:
    """A lease that ends with an error is given back again."""

    def make(end: Any) -> Any:
        def ended(lease: Lease, now: float, outcome: str, error: Any = None, *more: Any) -> None:
            end(lease, now, outcome, error, *more)
            if outcome == "cancelled":
                lease.ended = False
                end(lease, now, outcome, error, *more)

        return ended

    with around(Lease, "end", make):
        yield


@mutant
def hedge_outlives_its_caller() -> Iterator[None]:
    """A cancelled caller leaves its hedge running (hedge-python)."""

    def make(drop: Any) -> Any:
        def dropped(race: Any, lane: Lane, outcome: str) -> None:
            if outcome == "cancelled" and lane.task is not None:
                race._running.remove(lane)
            else:
                drop(race, lane, outcome)

        return dropped

    with around(races.Race, "_drop", make):
        yield


@mutant
def nobody_is_served_next() -> Iterator[None]:
    """A slot that becomes free wakes nobody."""

    def make(give_back: Any) -> Any:
        def given_back(pacer: Pacer, *args: Any, **more: Any) -> None:
            with patch.object(Pacer, "_serve", lambda self: None):
                give_back(pacer, *args, **more)

        return given_back

    with around(Pacer, "give_back", make):
        yield


@mutant
def breaker_sticks() -> Iterator[None]:
    """Open once, open for ever (OmniRoute #13836)."""
    with around(Breaker, "_open", lambda opens: lambda self, now: (opens(self, now), setattr(self, "until", inf))):
        yield


# ── how much, and when ───────────────────────────────────────────────────────────────────────────────────────────────


@mutant
def hedges_without_budget() -> Iterator[None]:
    """A hedge costs nothing."""
    with patch.object(Bucket, "take", lambda self: True):
        yield


@mutant
def budget_asked_too_early() -> Iterator[None]:
    """The budget is asked when the hedge is scheduled, not when it fires (D2)."""

    def make(watch: Any) -> Any:
        def watched(race: Any) -> None:
            race._bucket = Promised.of(race._bucket)
            watch(race)

        return watched

    with around(races.Race, "_watch", make):
        yield


class Promised:
    """A bucket that has said yes already."""

    @classmethod
    def of(cls, bucket: Any) -> Any:
        """The promise of a bucket that is not empty now."""
        return cls(bucket) if isinstance(bucket, Bucket) and bucket.tokens >= 1.0 else bucket

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)

    def take(self) -> bool:
        """Whatever has become of it since."""
        self._bucket.tokens = max(0.0, self._bucket.tokens - 1.0)
        return True


@mutant
def retries_without_budget() -> Iterator[None]:
    """Every failure may be retried, in an outage too."""
    with patch.object(RetryBudget, "take", lambda self, error: True):
        yield


@mutant
def hedge_clock_from_the_beginning() -> Iterator[None]:
    """A step is late counted from its turn, not from its sending: a queue hedges itself."""

    def make(sent: Any) -> Any:
        def noted(race: Any, lane: Lane) -> None:
            real, lane.sent_at = lane.sent_at, race._call.began
            sent(race, lane)
            lane.sent_at = real

        return noted

    with around(races.Race, "sent", make):
        yield


@mutant
def hedges_queue() -> Iterator[None]:
    """A hedge waits for its turn (M13)."""

    def make(admitted: Any) -> Any:
        async def admits(flight: Flight) -> Any:
            hedged, flight.lane.hedged = flight.lane.hedged, False
            try:
                return await admitted(flight)
            finally:
                flight.lane.hedged = hedged

        return admits

    with ExitStack() as stack:
        stack.enter_context(around(attempts, "_admitted", make))
        stack.enter_context(patch.object(Policies, "goes_at_once", lambda self, model, now: True))
        yield


@mutant
def sleeps_after_the_last_try() -> Iterator[None]:
    """A pause although no try comes after it."""

    def make(retry: Any) -> Any:
        async def retried(engine: Any, call: Any, trace: Any, lane: Lane) -> Any:
            import asyncio

            result = await retry(engine, call, trace, lane)
            if isinstance(result, AttemptError) and lane.fits(0.1):
                await asyncio.sleep(0.05)
            return result

        return retried

    with around(races, "retry", make):
        yield


@mutant
def retry_after_ignored() -> Iterator[None]:
    """Nobody is held back by a Retry-After."""

    def make(refusal: Any) -> Any:
        def refuses(standing: Standing, *args: Any) -> Any:
            standing.held.clear()
            return refusal(standing, *args)

        return refuses

    with around(Standing, "refusal", make):
        yield


@mutant
def hint_shortened() -> Iterator[None]:
    """A Retry-After is cut to the cap of the back-off, as decorators do (D1)."""

    def make(learn: Any) -> Any:
        def learns(standing: Standing, model: Any, error: AttemptError, now: float) -> Any:
            if error.retry_after is not None:
                error.retry_after = min(error.retry_after, 1.0)
            return learn(standing, model, error, now)

        return learns

    with around(Standing, "learn", make):
        yield


@mutant
def bad_key_used_again() -> Iterator[None]:
    """A key that was turned down is tried with the next model."""

    def make(refusal: Any) -> Any:
        def refuses(standing: Standing, *args: Any) -> Any:
            standing.keys.clear()
            return refusal(standing, *args)

        return refuses

    with around(Standing, "refusal", make):
        yield


@mutant
def open_breaker_ignored() -> Iterator[None]:
    """Everybody is let through."""
    with patch.object(Breaker, "refuses", lambda self, now: None):
        yield


@mutant
def deadline_for_each_attempt() -> Iterator[None]:
    """The deadline begins anew with each step."""

    def make(opens: Any) -> Any:
        def opened(race: Any, index: int, cause: Any) -> Any:
            call, now = race._call, race._engine.loop.time()
            if call.deadline < inf:
                race._call = call._replace(deadline=call.deadline + (now - call.began), began=call.began)
            lane = opens(race, index, cause)
            return lane

        return opened

    with around(races.Race, "_open", make):
        yield


@mutant
def clocks_round_up() -> Iterator[None]:
    """Limits are rounded up to whole seconds (aiohttp above five)."""
    import math

    def make(move: Any) -> Any:
        return lambda clock, until, word: move(clock, until if until == inf else math.ceil(until), word)

    with around(Clock, "move", make):
        yield


@mutant
def batch_goes_first() -> Iterator[None]:
    """Whoever waits is served in the order of coming, batch work too."""
    with patch.object(Policies, "lease", lambda self, model, rank, tokens: None), around(
        Pacer, "join", lambda join: lambda self, rank, *more: join(self, 3 - rank, *more)
    ):
        yield


@mutant
def rpm_ignored() -> Iterator[None]:
    """Requests go as they come."""
    with patch.object(Pacer, "_due", lambda self, rank, tokens: self._loop.time()):
        yield


# ── who wins ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@mutant
def failure_wins() -> Iterator[None]:
    """The first to end has decided, with an error too (D5, D8)."""

    def make(failed: Any) -> Any:
        def fails(race: Any, lane: Lane, error: AttemptError, newest: bool) -> None:
            failed(race, lane, error, newest)
            if race._running:
                race._error = race._verdict()

        return fails

    with around(races.Race, "_failed", make):
        yield


@mutant
def headers_win() -> Iterator[None]:
    """The race is over with somebody's headers (D9, D12)."""

    def make(arrive: Any) -> Any:
        def arrives(flight: Flight, response: Any) -> None:
            arrive(flight, response)
            if response.status == 200:
                flight.lane.won()

        return arrives

    with around(Flight, "arrive", make):
        yield


@mutant
def losers_are_awaited() -> Iterator[None]:
    """The winner waits until every loser has let go (D4)."""

    def make(run: Any) -> Any:
        async def runs(race: Any) -> Any:
            import asyncio

            result = await run(race)
            if lanes := set(race._engine.tasks) - {asyncio.current_task()}:
                await asyncio.wait(lanes)
            return result

        return runs

    with around(races.Race, "run", make):
        yield


@mutant
def half_an_answer_will_do() -> Iterator[None]:
    """A stream that ends has said all it had to say."""

    with around(OpenAI, "decoder", lambda decoder: lambda *args: Lenient(decoder(*args))):
        yield


class Lenient:
    """A decoder to whom every end is an end."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)

    def end(self) -> None:
        """Whole, once anything has come."""
        error = self._decoder.end()
        return None if self._decoder.content else error


@mutant
def retried_beyond_its_attempts() -> Iterator[None]:
    """One try more than `retry.attempts`."""

    def make(pause: Any) -> Any:
        return lambda error, tries, lane, random: pause(error, max(1, tries - 1), lane, random)

    with around(retries, "pause_before_next", make):
        yield


@mutant
def estimates_pass_for_counts() -> Iterator[None]:
    """What a loser may have cost is told as if it had been counted."""

    def make(account: Any) -> Any:
        def accounts(flight: Flight) -> None:
            account(flight)
            flight.attempt.cost_estimated = False

        return accounts

    with around(Flight, "_account", make):
        yield
