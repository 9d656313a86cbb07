"""Mutants that let the wrong one win, or wait for the loser."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from asyncrouter import AttemptError
from asyncrouter import _race as races
from asyncrouter import _retry as retries
from asyncrouter._flight import Flight, Lane
from asyncrouter._wire.openai import OpenAI

from .mutation import around, mutant

if TYPE_CHECKING:
    from collections.abc import Iterator


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

    def end(self) -> AttemptError | None:
        """Whole, once anything has come."""
        error: AttemptError | None = self._decoder.end()
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
