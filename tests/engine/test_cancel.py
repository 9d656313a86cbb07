"""Cancelling a call at any await leaves nothing behind: no task, no connection, no attempt without an outcome.

The cases run in virtual time and are cancelled after the first, second, third … callback of the loop, until a run comes
to its end uncancelled. So every await is hit, and every order of what happens in one instant.
"""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from asyncrouter import (
    AttemptEnded,
    AttemptStarted,
    CallEnded,
    Router,
)
from asyncrouter.sim import Act, VirtualLoop, World
from tests.helpers.cancelling import CASES, Case
from tests.helpers.racing import hedge_tokens

if TYPE_CHECKING:
    from collections.abc import Callable


class Stepper:
    """Counts the callbacks that the loop runs, and calls functions after some of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._count = 0
        self._at: dict[int, Callable[[], object]] = {}
        run = asyncio.Handle._run  # type: ignore[attr-defined]  # private to asyncio

        def stepped(handle: asyncio.Handle) -> None:
            run(handle)
            self._count += 1
            if (due := self._at.pop(self._count, None)) is not None:
                due()

        monkeypatch.setattr(asyncio.Handle, "_run", stepped)

    def begin(self, at: dict[int, Callable[[], object]]) -> None:
        """Call these after so many callbacks, not counting the one that is running."""
        self._count, self._at = -1, at


@pytest.fixture
def stepper(monkeypatch: pytest.MonkeyPatch) -> Stepper:
    """A counter of the loop's callbacks."""
    return Stepper(monkeypatch)


@dataclass
class Run:
    """What was seen of one run of a case that was cancelled after so many callbacks."""

    cancels: int = 0
    """How many of the cancels came before the end."""
    received: int = 0
    """How often the caller got a `CancelledError`."""
    cancelling: int = 0
    events: list[object] = field(default_factory=list)
    before: int = 0
    """How many attempts had ended before the first cancel."""
    standing: list[dict[str, str]] = field(default_factory=list)
    left: set[asyncio.Task[object]] = field(default_factory=set)
    timers: list[object] = field(default_factory=list)
    open: int = 0
    in_flight: int = 0
    tokens: float = 0.0
    later: int = 0
    """Requests that began when all was over."""
    unheard: list[object] = field(default_factory=list)

    @property
    def outcomes(self) -> list[str | None]:
        """How the attempts ended, one after the other."""
        return [event.attempt.outcome for event in self.events if isinstance(event, AttemptEnded)]


def play(case: Case, stepper: Stepper, *cancels: int) -> Run:
    """Run a case and cancel its caller after these callbacks."""
    world, run = World(), Run()
    for name in "abc":
        world.model(name, *case.acts.get(name, (Act(),)))
    config = world.config(tasks={"default": {"models": ["a", "b", "c"]}})

    def cancel(router: Router, task: asyncio.Task[None]) -> None:
        if not run.standing:
            run.standing.append(standing(router))
            run.before = len(run.outcomes)
        run.cancels += task.cancel()

    async def caller(router: Router) -> None:
        try:
            await case.run(router)
        except asyncio.CancelledError:
            run.received += 1
            raise

    async def main() -> int:
        loop, me = asyncio.get_running_loop(), asyncio.current_task()
        loop.set_exception_handler(lambda _, context: run.unheard.append(context))
        async with Router(config, transport=world.transport(), listeners=[run.events.append], seed=0) as router:
            if case.before is not None:
                await case.before(router)
            run.events.clear()

            def over(task: asyncio.Task[None]) -> None:
                """Note what is left in the very next turn of the loop."""
                run.cancelling = task.cancelling()
                run.left = asyncio.all_tasks() - {me}
                timers: list[asyncio.TimerHandle] = loop._scheduled  # type: ignore[attr-defined]  # private to asyncio
                run.timers = [timer for timer in timers if not timer.cancelled()]
                run.open = world.open
                run.in_flight = sum(model.in_flight for model in router.health().values())
                run.standing.append(standing(router))
                run.tokens = hedge_tokens(router)
                run.later = -len(world.seen)

            task = loop.create_task(caller(router))
            task.add_done_callback(over)
            stepper.begin({at: lambda: cancel(router, task) for at in cancels})
            await asyncio.wait([task])
            stepper.begin({})
            await asyncio.sleep(1000.0)
            run.later += len(world.seen)
            assert task.cancelled() or task.exception() is None
        return run.cancels

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
    return run


def standing(router: Router) -> dict[str, str]:
    """The standing of every model."""
    return {name: model.standing for name, model in router.health().items()}


def check(run: Run, whole: Run) -> None:
    """Hold a cancelled run against what is promised, and against the run that was not cancelled."""
    assert (run.received, run.cancelling) == (1, run.cancels)
    assert (run.left, run.timers, run.open, run.in_flight, run.later) == (set(), [], 0, 0, 0)
    assert run.standing[0] == run.standing[1]
    # What was to end in the same instant may have ended first; after it everything is cancelled.
    settled = run.outcomes[run.before :]
    first = next((index for index, outcome in enumerate(settled) if outcome == "cancelled"), len(settled))
    assert whole.outcomes[run.before : run.before + first] + ["cancelled"] * (len(settled) - first) == settled
    ends = [event for event in run.events if isinstance(event, CallEnded)]
    assert [type(end.error) for end in ends] == [asyncio.CancelledError]
    attempts = ends[0].trace.attempts
    assert sorted(run.outcomes, key=str) == sorted((each.outcome for each in attempts), key=str)
    assert all(each.ended is not None for each in attempts)
    started = [event.attempt for event in run.events if isinstance(event, AttemptStarted)]
    assert all(attempt in attempts for attempt in started)
    assert 10.0 - sum(attempt.cause == "hedge" for attempt in started) == run.tokens


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_cancel_at_any_await_leaves_nothing_behind(case: Case, stepper: Stepper) -> None:
    """A call cancelled after any callback is cancelled once, settled at once, and gone one turn of the loop later."""
    whole = play(case, stepper)
    assert (whole.cancels, len(whole.outcomes)) == (0, case.attempts)
    unheard = [*whole.unheard]

    at = 1
    while (run := play(case, stepper, at)).cancels:
        check(run, whole)
        unheard += run.unheard
        at += 1
    gc.collect()

    assert at > 6
    assert unheard == []


@pytest.mark.parametrize("between", [1, 2, 3])
@pytest.mark.parametrize("case", [case for case in CASES if case.hedges], ids=lambda case: case.name)
def test_a_second_cancel_changes_nothing(case: Case, stepper: Stepper, between: int) -> None:
    """A caller that cancels twice in one instant gets one `CancelledError`, and nothing is left."""
    whole = play(case, stepper)

    at = 1
    while (run := play(case, stepper, at, at + between)).cancels:
        check(run, whole)
        at += 1
