"""One deadline for the whole call: how it is split among the steps, and that it ends the call on time."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from asyncrouter import AllModelsFailed, AttemptTimeout, DeadlineExceeded, NotSent, Reply, Router, StreamInterrupted
from asyncrouter.sim import Act, Clock, World
from tests.helpers.failing import HEALTHY, MODES, REJECTED, SILENT, Tried, ask, asked, call, play, script, tried

CHAT, BUFFERED, STREAM = MODES
NO_CLOCKS = {
    "connect": "none", "first_token": "none", "idle": "none", "total": "none", "wire_stream": True, "rescue": "off",
}
TALKS = Act(text="a b c", fault="endless", gap=0.5)


def spans(result: Any) -> list[tuple[str, float | None, float | None]]:
    """For each attempt its model, when it was sent (`None`: it was not) and when it ended."""
    return [(one.model, one.sent, one.ended) for one in tried(result.trace)]


@pytest.mark.parametrize("mode", MODES)
def test_three_silent_models_share_alike(clock: Clock, world: World, mode: str) -> None:
    """30 s over three silent models is 10 s for each, and the call ends at 30 s."""
    script(world, SILENT, SILENT, SILENT)

    result = call(clock, world, mode=mode, deadline=30)

    assert tried(result.trace) == [
        Tried("a", "first", "failed", "AttemptTimeout", None, 0.0, 10.0),
        Tried("b", "fallback", "failed", "AttemptTimeout", None, 10.0, 20.0),
        Tried("c", "fallback", "failed", "AttemptTimeout", None, 20.0, 30.0),
    ]
    clocks = [attempt.error.clock for attempt in result.trace.attempts if isinstance(attempt.error, AttemptTimeout)]
    gave_way = "total" if mode == BUFFERED else "first_token"
    assert [gave_way, gave_way, "deadline"] == clocks
    assert (type(result), clock.now, world.open) == (DeadlineExceeded, 30.0, 0)


@pytest.mark.parametrize(
    ("acts", "deadline", "limits", "expected"),
    [
        # What one step leaves over, the later ones share.
        ((REJECTED, SILENT, SILENT), 30, {}, [("a", 0.0, 0.0), ("b", 0.0, 15.0), ("c", 15.0, 30.0)]),
        ((SILENT, Act(status=400, first_token=4.0), SILENT), 30, {},
         [("a", 0.0, 10.0), ("b", 10.0, 14.0), ("c", 14.0, 30.0)]),
        # A step's own clock holds where it is shorter than the share.
        ((SILENT, SILENT, SILENT), 30, {"first_token": 4}, [("a", 0.0, 4.0), ("b", 4.0, 8.0), ("c", 8.0, 12.0)]),
        ((SILENT, SILENT, SILENT), 30, {"first_token": 12}, [("a", 0.0, 10.0), ("b", 10.0, 20.0), ("c", 20.0, 30.0)]),
        # Once it has begun to answer, a step leaves 2 s for each later one.
        ((TALKS, TALKS, TALKS), 30, {}, [("a", 0.0, 26.0), ("b", 26.0, 28.0), ("c", 28.0, 30.0)]),
        ((TALKS, SILENT, SILENT), 30, {}, [("a", 0.0, 26.0), ("b", 26.0, 28.0), ("c", 28.0, 30.0)]),
        ((TALKS, TALKS, TALKS), 30, {"total": 7}, [("a", 0.0, 7.0), ("b", 7.0, 14.0), ("c", 14.0, 21.0)]),
        # But it always has its share.
        ((TALKS, TALKS, TALKS), 3, {}, [("a", 0.0, 1.0), ("b", 1.0, 2.0), ("c", 2.0, 3.0)]),
        ((TALKS, TALKS, TALKS), 5.25, {}, [("a", 0.0, 1.75), ("b", 1.75, 3.5), ("c", 3.5, 5.25)]),
        ((TALKS, TALKS, TALKS), 6.75, {}, [("a", 0.0, 2.75), ("b", 2.75, 4.75), ("c", 4.75, 6.75)]),
        # A step with less than a quarter of a second is not worth starting.
        ((SILENT, SILENT, SILENT), 0.75, {}, [("a", 0.0, 0.25), ("b", 0.25, 0.5), ("c", 0.5, 0.75)]),
        ((SILENT, SILENT, SILENT), 0.625, {}, [("a", None, 0.0), ("b", 0.0, 0.3125), ("c", 0.3125, 0.625)]),
    ],
)  # fmt: skip
def test_split(
    clock: Clock, world: World, acts: tuple[Act, ...], deadline: float, limits: dict[str, float],
    expected: list[tuple[str, float | None, float | None]],
) -> None:  # fmt: skip
    """Each step starts and ends at its exact instant."""
    script(world, *acts)

    result = call(clock, world, tables={"defaults": NO_CLOCKS | limits}, deadline=deadline)

    assert spans(result) == expected
    last = expected[-1][2]
    assert (type(result), clock.now) == (DeadlineExceeded if last == deadline else AllModelsFailed, last)


def test_too_little_is_left_for_a_step(clock: Clock, world: World) -> None:
    """A step with too little time left is passed over with an entry in the trace; then every model has failed."""
    script(world, Act(text="a b", gap=0.75), HEALTHY)

    async def too_slow(reply: Reply) -> bool:
        await asyncio.sleep(0.875)
        return False

    result = call(clock, world, chain=["a", "b"], deadline=1.75, accept=too_slow)

    assert isinstance(result, AllModelsFailed)
    assert tried(result.trace)[-1] == Tried("b", "escalate", "not_sent", "NotSent", ended=1.625)
    error = result.trace.attempts[-1].error
    assert isinstance(error, NotSent)
    assert error.message == "only 0.12 s of the deadline are left for it"


@pytest.mark.parametrize("deadline", [0.125, 0.25, 0.5])
def test_short_deadline_asks_somebody(clock: Clock, world: World, deadline: float) -> None:
    """However little time there is, the last model gets it when no other was asked."""
    script(world, HEALTHY, HEALTHY, HEALTHY)

    result = call(clock, world, deadline=deadline)

    assert isinstance(result, Reply)
    assert sum(asked(world)) == 1


def test_steps_that_cannot_be_sent_have_no_share(clock: Clock, world: World) -> None:
    """A model that is out now does not make the shares of the others smaller."""
    script(world, (REJECTED, SILENT), Act(why="missing"), SILENT)

    async def scenario(router: Router) -> Any:
        await ask(router, chain=["a", "b"])
        return await ask(router, deadline=20)

    result = play(clock, world, scenario)

    assert spans(result) == [("a", 0.0, 10.0), ("b", None, 10.0), ("c", 10.0, 20.0)]


@pytest.mark.parametrize("mode", MODES)
def test_no_deadline(clock: Clock, world: World, mode: str) -> None:
    """`deadline=None` is no limit: a step without clocks may take days, whatever comes after it."""
    script(world, Act(first_token=500_000.0), HEALTHY)

    result = call(clock, world, mode=mode, tables={"defaults": NO_CLOCKS}, chain=["a", "b"], deadline=None)

    assert isinstance(result, Reply)
    assert (result.model, clock.now) == ("a", 500_000.0)


@pytest.mark.parametrize(
    ("tables", "arguments", "ends"),
    [
        ({}, {}, 300.0),
        ({"defaults": {"deadline": 8}}, {}, 8.0),
        ({"defaults": {"deadline": 8}, "tasks": {"coding": {"models": ["a"], "deadline": 6}}}, {}, 6.0),
        ({"defaults": {"deadline": 8}, "tasks": {"coding": {"models": ["a"], "deadline": 6}}}, {"deadline": 4}, 4.0),
    ],
)
def test_where_a_deadline_comes_from(
    clock: Clock, world: World, tables: dict[str, Any], arguments: dict[str, Any], ends: float
) -> None:
    """The call's deadline comes before the task's, and that before the default of five minutes."""
    script(world, SILENT)
    tables = {"tasks": {"coding": {"models": ["a"]}}, **tables}
    tables["defaults"] = {**NO_CLOCKS, **tables.get("defaults", {})}

    result = call(clock, world, tables=tables, **arguments)

    assert (type(result), clock.now) == (DeadlineExceeded, ends)


# ── on time ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("limits", "act"),
    [
        ({"connect": 5}, Act(fault="hang", at="connect")),
        ({"first_token": 5}, SILENT),
        ({"total": 5}, SILENT),
        ({"total": 5, "first_token": 5, "connect": 5, "idle": 5}, Act(fault="hang", comments=0.5)),
        ({}, Act(first_token=5.0)),
        ({}, Act(status=500, first_token=5.0)),
        ({}, Act(connect=5.0)),
        ({}, Act(connect=5.0, fault="refuse")),
        ({}, Act(fault="cut", at="headers", headers_after=5.0)),
    ],
)
def test_deadline_wins_ties(clock: Clock, world: World, mode: str, limits: dict[str, float], act: Act) -> None:
    """Whatever else happens in the same instant, the deadline has ended the call."""
    script(world, act, HEALTHY)

    result = call(clock, world, mode=mode, tables={"defaults": NO_CLOCKS | limits}, chain=["a"], deadline=5)

    assert (type(result), clock.now) == (DeadlineExceeded, 5.0)
    [attempt] = result.trace.attempts
    assert isinstance(attempt.error, AttemptTimeout)
    assert (attempt.error.clock, attempt.outcome, attempt.ended) == ("deadline", "failed", 5.0)
    assert world.open == 0


@pytest.mark.parametrize(
    ("limits", "act"),
    [({"idle": 3}, Act(text="a b", first_token=2.0, fault="hang", at=1)), ({"total": 5}, TALKS), ({}, TALKS)],
)
def test_deadline_wins_ties_in_the_answer(clock: Clock, world: World, limits: dict[str, float], act: Act) -> None:
    """The deadline also comes first while an answer is being read; it interrupts a stream."""
    script(world, act)
    tables = {"defaults": NO_CLOCKS | limits}

    result = call(clock, world, tables=tables, chain=["a"], deadline=5)

    assert (type(result), clock.now) == (DeadlineExceeded, 5.0)

    with pytest.raises(StreamInterrupted) as caught:
        call(clock, world, mode=STREAM, tables=tables, chain=["a"], deadline=5)
    assert isinstance(caught.value.__cause__, AttemptTimeout)
    assert (caught.value.__cause__.clock, clock.now, world.open) == ("deadline", 10.0, 0)


def test_deadline_is_exact_wherever_the_clock_stands() -> None:
    """No rounding of shares ends the last step before the deadline, or after it."""
    random = Random(3)
    moments = [(3.1, 7.7), *((random.uniform(0, 40), random.uniform(41, 90)) for _ in range(200))]
    for fails, deadline in moments:
        clock, world = Clock(), World()
        script(world, Act(status=400, first_token=fails), SILENT)

        result = call(clock, world, tables={"defaults": NO_CLOCKS}, chain=["a", "b"], deadline=2 * deadline)

        assert (type(result), clock.now) == (DeadlineExceeded, 2 * deadline), (fails, deadline)


def test_every_model_failed_before_the_deadline(clock: Clock, world: World) -> None:
    """When the last model fails before the deadline, the call ends then, as `AllModelsFailed`."""
    script(world, Act(status=400, first_token=0.5), Act(status=400, first_token=0.5))

    result = call(clock, world, chain=["a", "b"], deadline=30)

    assert (type(result), clock.now) == (AllModelsFailed, 1.0)


def test_deadline_runs_during_accept(clock: Clock, world: World) -> None:
    """A slow `accept` is stopped by the deadline, and by no other clock."""
    script(world, Act(text="a", first_token=1.0), HEALTHY)

    async def accept(reply: Reply) -> bool:
        await asyncio.sleep(1000)
        return True

    limits = {"total": 2, "first_token": 2, "idle": 2}
    result = call(clock, world, tables={"defaults": limits}, chain=["a", "b"], deadline=20, accept=accept)

    assert (type(result), clock.now) == (DeadlineExceeded, 20.0)
    assert asked(world, "ab") == [1, 0]


@pytest.mark.parametrize(
    ("hint", "sent", "ends"),
    [(4, [4.0, 8.0], 8.0), (6, [6.0], 6.0), (9.75, [9.75], 9.75), (10, [], 0.0), (60, [], 0.0)],
)
def test_no_pause_goes_past_the_deadline(
    clock: Clock, world: World, hint: float, sent: list[float], ends: float
) -> None:
    """A model that is held, or asks for a pause, is waited for only if something of the deadline is left then."""
    script(world, Act(status=429, retry_after=hint))

    async def scenario(router: Router) -> Any:
        await ask(router, chain=["a"], deadline=3)
        return await ask(router, chain=["a"], deadline=10)

    result = play(clock, world, scenario)

    assert [one.sent for one in tried(result.trace) if one.sent is not None] == sent
    assert (type(result), clock.now) == (AllModelsFailed, ends)
