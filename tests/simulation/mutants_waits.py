"""Mutants that charge waits, give up early, wait for the wrong thing, or keep what a waiting call does not need."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from asyncrouter import NotSent
from asyncrouter._engine import remaining as steps_left
from asyncrouter._engine import retry as retries
from asyncrouter._engine.remaining import Remaining
from asyncrouter._engine.sent_attempt import SentAttempt
from asyncrouter._engine.step_run import StepRun
from asyncrouter._engine.turns import Turns
from asyncrouter._policies import facade
from asyncrouter._policies.announced_limits import AnnouncedLimit, AnnouncedLimits
from asyncrouter._policies.holds import Holds
from asyncrouter._policies.lease import Lease

from .mutation import around, mutant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from asyncrouter import AttemptError


MANY = 40
"""Requests that do for no end: without any bound a run of a model that always fails would have none."""


def unless(refused: Callable[[Any, StepRun, AttemptError], bool]) -> Any:
    """Neither a retry nor a come-back after an error that is `refused` (by router, step run and error)."""

    def pauses(pause: Any) -> Any:
        def paused(engine: Any, call: Any, step_run: StepRun, error: AttemptError, tries: Any) -> Any:
            return None if refused(engine, step_run, error) else pause(engine, call, step_run, error, tries)

        return paused

    def returns(comes_back: Any) -> Any:
        def returned(left: Remaining, step_run: StepRun, error: AttemptError, trace: Any) -> None:
            if isinstance(error, NotSent) or not refused(left._engine, step_run, error):
                comes_back(left, step_run, error, trace)

        return returned

    stack = ExitStack()
    stack.enter_context(around(retries, "pause_before_next", pauses))
    stack.enter_context(around(Remaining, "may_come_back", returns))
    return stack


@mutant
def waits_are_charged() -> Iterator[None]:
    """A pause that the provider asked for is paid for from the retry budget (litellm#3793)."""

    def refused(engine: Any, step_run: StepRun, error: AttemptError) -> bool:
        return error.retry_after is not None and not engine.policies.may_retry(step_run.step.model, error)

    with unless(refused):
        yield


@mutant
def waits_count_as_attempts() -> Iterator[None]:
    """A pause that the provider asked for counts as one of the usual three attempts."""
    tried: dict[int, int] = {}

    def refused(engine: Any, step_run: StepRun, error: AttemptError) -> bool:
        tried[id(step_run)] = tried.get(id(step_run), 0) + 1
        return error.retry_after is not None and tried[id(step_run)] >= step_run.step.retry.attempts

    with unless(refused):
        yield


@mutant
def unhinted_limits_give_up() -> Iterator[None]:
    """A rate limit that does not say how long it lasts ends its step."""
    with unless(lambda engine, step_run, error: error.retry_after is None and error.status in {429, 529}):
        yield


@mutant
def held_steps_are_lost() -> Iterator[None]:
    """A step that was passed over, because it was held, has no further turn (litellm#3646)."""
    with patch.object(Remaining, "may_come_back", lambda self, step_run, error, trace: None):
        yield


@mutant
def limited_hedges_are_lost() -> Iterator[None]:
    """A step that was raced, and was limited, has no further turn."""

    def make(comes_back: Any) -> Any:
        def returned(left: Remaining, step_run: StepRun, *more: Any) -> None:
            if not step_run.hedged:
                comes_back(left, step_run, *more)

        return returned

    with around(Remaining, "may_come_back", make):
        yield


@mutant
def pointless_waits_go_on() -> Iterator[None]:
    """A wait goes on although it has become known that the model will not be free in time."""
    with patch.object(Holds, "_lengthened", lambda self, key, until: None):
        yield


@mutant
def the_last_free_is_waited_for() -> Iterator[None]:
    """With all its models held a call waits for the one that is free last."""

    def make(waits_of: Any) -> Any:
        def waits(left: Remaining, turns: Turns) -> dict[int, float]:
            found: dict[int, float] = waits_of(left, turns)
            last = max(found, key=found.__getitem__, default=None)
            return {} if last is None else {last: found[last]}

        return waits

    with around(Remaining, "_waits", make):
        yield


@mutant
def pauses_have_no_end() -> Iterator[None]:
    """A call without a deadline is tried again as often as its provider asks for a pause."""
    with patch.object(retries, "UNHINTED_TRIES", MANY), patch.object(steps_left, "UNHINTED_TRIES", MANY):
        yield


@mutant
def places_in_queues_are_kept() -> Iterator[None]:
    """A call that goes with one of several limited models keeps its places in the queues of the others."""
    with patch.object(Turns, "keep", lambda self, indices: None):
        yield


@mutant
def reservations_are_kept() -> Iterator[None]:
    """The tokens that were reserved for an attempt which failed unbilled are not given back."""

    def make(release: Any) -> Any:
        return lambda lease, used=None, *, billed=True: release(lease, used)

    with around(Lease, "release", make):
        yield


@mutant
def accept_holds_the_slot() -> Iterator[None]:
    """While `accept` runs, its attempt keeps the slot."""
    with patch.object(SentAttempt, "give_back_lease", lambda self: None):
        yield


@mutant
def announced_room_is_not_read() -> Iterator[None]:
    """Of what a provider announces only the limit is read, not what is left of it: it is spread over a minute."""

    def make(read: Any) -> Any:
        def reads(headers: Any) -> AnnouncedLimits:
            requests, tokens = read(headers)
            return AnnouncedLimits(None if requests is None else AnnouncedLimit(requests.per_minute), tokens)

        return reads

    with around(facade, "read_limits", make):
        yield


@mutant
def long_pauses_go_on() -> Iterator[None]:
    """A call that pauses for an hour stays in its pause when a model that it has raced is free sooner."""
    with patch.object(StepRun, "give_way", lambda self, free_in: None):
        yield


@mutant
def free_first_is_for_ever() -> Iterator[None]:
    """A call that came back to the model that was free first stays with it, however long it waited for room."""

    def make(delay: Any) -> Any:
        def delays(step_run: StepRun, seconds: float, deadline: float) -> None:
            patient = step_run.patient
            delay(step_run, seconds, deadline)
            step_run.patient = patient

        return delays

    with around(StepRun, "delay", make):
        yield
