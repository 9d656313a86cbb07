"""Mutants that let the wrong attempt win, or wait for the losers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from asyncrouter import AttemptError, Chunk
from asyncrouter._engine import attempt as attempts
from asyncrouter._engine import race as races
from asyncrouter._engine import retry as retries
from asyncrouter._engine.sent_attempt import SentAttempt
from asyncrouter._reply_stream import ReplyStream
from asyncrouter._transport import errors as transport_errors
from asyncrouter._wire.openai.wire import OpenAI

from .mutation import around, mutant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter._engine.step_run import StepRun


@mutant
def failure_wins() -> Iterator[None]:
    """The first attempt to end decides the race, also with an error (resilience4j, tower)."""

    def make(failed: Any) -> Any:
        def fails(race: Any, step_run: StepRun, error: AttemptError, newest: bool) -> None:
            failed(race, step_run, error, newest)
            if race._running:
                race._outcome = races.Raised(races.error_of(race._engine, race._call, race._plan, race._trace, None))

        return fails

    with around(races.Race, "_failed", make):
        yield


@mutant
def headers_win() -> Iterator[None]:
    """The first headers decide the race (hedgedhttp)."""

    step_runs: dict[SentAttempt, StepRun] = {}

    def remember(reach: Any) -> Any:
        def reaches(sent: SentAttempt, step_run: StepRun) -> Any:
            step_runs[sent] = step_run
            return reach(sent, step_run)

        return reaches

    def make(mark_headers: Any) -> Any:
        def marks(sent: SentAttempt, response: Any) -> None:
            mark_headers(sent, response)
            if response.status == 200:
                (run := step_runs.pop(sent)).race.won(run)

        return marks

    with around(attempts, "_reach", remember), around(SentAttempt, "mark_headers", make):
        yield


@mutant
def losers_are_awaited() -> Iterator[None]:
    """The winner is delivered only when every loser has ended (Polly 8)."""

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
    """A stream that ends without its finish is taken for whole."""

    with around(OpenAI, "decoder", lambda decoder: lambda *args: Lenient(decoder(*args))):
        yield


class Lenient:
    """A decoder that takes every end for a good one."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)

    def close(self) -> AttemptError | None:
        """Whole, once anything has come."""
        error: AttemptError | None = self._decoder.close()
        return None if self._decoder.content else error


@mutant
def retried_beyond_its_attempts() -> Iterator[None]:
    """A model is tried once more than `retry.attempts`."""

    def make(pause: Any) -> Any:
        def pauses(engine: Any, call: Any, step_run: StepRun, error: AttemptError, tries: Any) -> Any:
            if tries.everything == 1:
                tries.everything = 0
            return pause(engine, call, step_run, error, tries)

        return pauses

    with around(retries, "pause_before_next", make):
        yield


@mutant
def estimates_pass_for_counts() -> Iterator[None]:
    """The estimated cost of a loser is told as counted."""

    def make(account: Any) -> Any:
        def accounts(sent: SentAttempt) -> None:
            account(sent)
            sent.attempt.cost_estimated = False

        return accounts

    with around(SentAttempt, "_account", make):
        yield


@mutant
def twins_take_turns() -> Iterator[None]:
    """With `hedge.same` the loser's step is tried again, although its own model has won."""

    def make(stop: Any) -> Any:
        def stops(race: Any, step_run: StepRun, outcome: str) -> None:
            stop(race, step_run, outcome)
            if outcome == "superseded":
                race._remaining.put_back(step_run.index)

        return stops

    with around(races.Race, "_stop", make):
        yield


@mutant
def steps_are_forgotten() -> Iterator[None]:
    """After a failure the next step is passed over."""

    def make(failed: Any) -> Any:
        def fails(race: Any, *more: Any) -> None:
            failed(race, *more)
            race._remaining.take_next()

        return fails

    with around(races.Race, "_failed", make):
        yield


@mutant
def answers_are_spliced() -> Iterator[None]:
    """A stream that restarts does not say so."""

    def make(begin: Any) -> Any:
        async def begins(stream: Any, *more: Any) -> Chunk:
            await begin(stream, *more)
            return Chunk("")

        return begins

    with around(ReplyStream, "_begin_again", make):
        yield


@mutant
def errors_are_mixed_up() -> Iterator[None]:
    """An attempt ends with the message of another one."""
    last: list[str] = []

    def make(fail: Any) -> Any:
        def fails(sent: SentAttempt, error: AttemptError) -> AttemptError:
            last.append(error.message)
            error.message = last[-2:][0]
            return fail(sent, error)  # type: ignore[no-any-return]

        return fails

    with around(SentAttempt, "fail", make):
        yield


@mutant
def no_room_is_a_failure() -> Iterator[None]:
    """An attempt that finds no descriptor free fails, instead of waiting for one (aiohttp#4067)."""
    with patch.object(attempts, "_failed", lambda sent, step_run, error: sent.fail(error)):
        yield


@mutant
def no_room_is_the_hosts_fault() -> Iterator[None]:
    """A connection that could not be made for want of a descriptor counts against the host."""
    with patch.dict(transport_errors._LOCAL, clear=True):
        yield
