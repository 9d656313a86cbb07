"""Rows survive outages, slow servers and random failures, which cost time; poisoned rows cost nobody but themselves."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Reply, batch
from asyncrouter.batch._availability import DOWN_AFTER, OUTAGE_TRIES, TRIES, Availability, Past
from asyncrouter.sim import Act
from tests.helpers.batching import asked, ids, prompt_of, read_lines, router_of, rows, run, write_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from asyncrouter.batch import Report
    from asyncrouter.sim import Clock, LoggedRequest, World

    Rule = Callable[[LoggedRequest, Random], Act | None]

ROWS = 600


def run_through(clock: Clock, world: World, tmp_path: Path, rule: Rule, **options: object) -> Report:
    """A run of 600 rows, one a second and slot, through this trouble; each answer stands once in the output."""
    world.model("m", Act(first_token=1.0))
    world.rule(rule)
    source = write_lines(tmp_path / "in", rows(ROWS))
    report = run(clock, world, source, tmp_path / "out", **{"concurrency": 16, **options})
    answered = ids(tmp_path / "out")
    assert len(answered) == len(set(answered)) == report.done
    return report


def number_of(seen: LoggedRequest) -> int:
    return int(prompt_of(seen).split()[-1])


TROUBLES: dict[str, tuple[Rule, float]] = {
    "8 s of 503": (lambda seen, _: Act(status=503) if 5 <= seen.at < 13 else None, 62.0),
    "60 s of refused connections": (lambda seen, _: Act(fault="refuse") if 5 <= seen.at < 65 else None, 110.0),
    "60 s of 500": (lambda seen, _: Act(status=500) if 5 <= seen.at < 65 else None, 110.0),
    "down from the start": (lambda seen, _: Act(fault="refuse") if seen.at < 30 else None, 75.0),
    "a restart each ten seconds": (lambda seen, _: Act(fault="reset") if seen.at % 10 < 2 else None, 80.0),
    "10 % random 500s": (lambda _, random: Act(status=500) if random.random() < 0.1 else None, 60.0),
    "10 % random resets": (lambda _, random: Act(fault="reset") if random.random() < 0.1 else None, 60.0),
    "10 % bodies cut short": (lambda _, random: Act(fault="cut", at=0) if random.random() < 0.1 else None, 60.0),
    "ten times as slow for a minute": (lambda seen, _: Act(first_token=10.0) if 5 <= seen.at < 65 else None, 110.0),
}


@pytest.mark.parametrize("name", list(TROUBLES))
def test_every_row_is_answered_once_whatever_happens(
    clock: Clock, world: World, tmp_path: Path, name: str
) -> None:
    """Every row is answered, exactly once in the output, and the time lost is little more than that of the trouble."""
    rule, seconds = TROUBLES[name]

    report = run_through(clock, world, tmp_path, rule)

    assert report.seconds <= seconds
    assert (report.done, report.failed, report.stopped) == (ROWS, 0, None)


def test_map_gives_every_answer_whatever_happens(clock: Clock, world: World) -> None:
    """`map` waits for an outage as `run` does."""
    world.model("m", Act(first_token=1.0))
    world.rule(lambda seen, _: Act(fault="refuse") if seen.at < 60 else None)

    async def scenario() -> list[bool]:
        async with router_of(world) as router:
            return [isinstance(result, Reply) async for _, result in batch.map(router, map(str, range(100)))]

    assert clock.run(scenario()) == [True] * 100
    assert 60.0 <= clock.now <= 70.0


def test_nobody_is_asked_while_nobody_answers(clock: Clock, world: World, tmp_path: Path) -> None:
    """In an outage of a minute single rows are asked, at most five seconds apart, and nothing else is sent."""
    run_through(clock, world, tmp_path, lambda seen, _: Act(fault="refuse") if 5 <= seen.at < 65 else None)

    probes = [seen.at for seen in world.seen if 10.0 <= seen.at < 66.0]
    assert len(probes) <= 30
    assert max(later - earlier for earlier, later in pairwise(probes)) <= 5.1


def test_a_row_that_times_out_has_twice_the_time_at_its_next_try(
    clock: Clock, world: World, tmp_path: Path
) -> None:
    """Rows that need 50 s, at a timeout of 10 s, are answered at the fourth try: after 10, 20, 40 and 50 s."""
    world.model("m", lambda seen, _: Act(first_token=50.0 if number_of(seen) < 2 else 1.0))
    config = {"defaults": {"total": 10.0, "retry": {"attempts": 1}}}

    report = run(clock, world, write_lines(tmp_path / "in", rows(100)), tmp_path / "out", config=config)

    assert (report.done, report.failed) == (100, 0)
    assert asked(world).count("say 0") == 4


def test_an_answer_of_minutes_is_no_failure(clock: Clock, world: World, tmp_path: Path) -> None:
    """Where nobody has set a timeout, an answer that begins after nine minutes is an answer, and asked for once."""
    world.model("m", Act(first_token=550.0))

    report = run(clock, world, write_lines(tmp_path / "in", rows(20)), tmp_path / "out")

    assert (report.done, report.attempts) == (20, 20)


def test_rows_with_no_reader_come_as_one_body(clock: Clock, world: World, tmp_path: Path) -> None:
    """The provider is asked for one JSON body, unless a timeout that needs a stream is set, or a hedge."""
    world.model("m")
    source = write_lines(tmp_path / "in", rows(1))

    run(clock, world, source, tmp_path / "1")
    run(clock, world, source, tmp_path / "2", config={"defaults": {"first_token": 5.0}})
    run(clock, world, source, tmp_path / "3", hedge=5.0)

    assert [seen.stream for seen in world.seen] == [False, True, True]


POISONS = {
    "404": Act(status=404, message="No endpoints found that support tool use."),
    "403": Act(status=403, type="blocked", message="Request blocked."),
    "402": Act(status=402, message="This request needs more credits, or fewer max_tokens."),
    "400": Act(why="bad_request"),
    "too long": Act(why="context"),
    "refused": Act(why="policy"),
    "500": Act(status=500),
    "no answer": Act(fault="malformed"),
    "reset": Act(fault="reset"),
}


@pytest.mark.parametrize("name", list(POISONS))
def test_poisoned_rows_fail_alone(clock: Clock, world: World, tmp_path: Path, name: str) -> None:
    """One row in a hundred meets something of its own: these fail, and all others are answered."""
    report = run_through(
        clock, world, tmp_path, lambda seen, _: POISONS[name] if number_of(seen) % 100 == 50 else None
    )

    assert (report.done, report.failed, report.stopped) == (ROWS - 6, 6, None)
    assert {line["id"] for line in read_lines(tmp_path / "out.errors.jsonl")} == {f"r{n}50" for n in ("", *range(1, 6))}


def test_a_row_that_always_fails_is_final_though_nobody_answers_by_then(
    clock: Clock, world: World, tmp_path: Path
) -> None:
    """A last row that has failed amid answers to others ends after seven tries, when no other row is left."""
    world.model("m", lambda seen, _: Act(status=500) if number_of(seen) == 99 else Act(first_token=1.0))

    report = run(
        clock, world, write_lines(tmp_path / "in", rows(100)), tmp_path / "out", retry={"attempts": 1}
    )

    assert (report.done, report.failed, report.stopped) == (99, 1, None)
    assert asked(world).count("say 99") == TRIES


@pytest.mark.parametrize("act", [Act(status=503), Act(fault="refuse"), Act(status=500)], ids=["503", "refused", "500"])
def test_a_server_that_stays_away_stops_it(clock: Clock, world: World, tmp_path: Path, act: Act) -> None:
    """After `patience` without an answer the run stops, no row has failed, and a later run answers all of them."""
    world.model("m", act)
    source = write_lines(tmp_path / "in", rows(100))

    report = run(clock, world, source, tmp_path / "out", patience=300.0)

    assert report.stopped is not None
    assert report.stopped.startswith("nobody has answered for 5 minutes: m: ")
    assert (report.done, report.failed, report.left, report.exit_status) == (0, 0, 100, 3)
    assert clock.now == pytest.approx(300.0, abs=6.0)
    world.model("m", Act())
    assert run(clock, world, source, tmp_path / "out").done == 100


def test_map_never_stops_early(clock: Clock, world: World) -> None:
    """`map` has one result for each call: after `patience` without an answer the error of the call."""
    world.model("m", Act(fault="refuse"))

    async def scenario() -> list[object]:
        async with router_of(world) as router:
            return [result async for _, result in batch.map(router, map(str, range(50)), patience=60.0)]

    results = clock.run(scenario())
    assert len(results) == 50
    assert not any(isinstance(result, Reply) for result in results)
    assert clock.now == pytest.approx(60.0, abs=6.0)


def test_a_404_for_all_stops_it(clock: Clock, world: World, tmp_path: Path) -> None:
    """When every row meets a 404 the run stops after a few, and none of them is final."""
    world.model("m", POISONS["404"])

    report = run(clock, world, write_lines(tmp_path / "in", rows(3000)), tmp_path / "out")

    assert report.stopped == "no row can be answered: Rejected"
    assert (report.done, report.failed, report.left) == (0, 0, 3000)
    assert world.requests < 40


def test_a_model_that_is_disabled_for_a_while_fails_no_row(clock: Clock, world: World, tmp_path: Path) -> None:
    """A row whose 404 says that the model does not exist disables it for five minutes: the other rows wait."""
    report = run_through(
        clock, world, tmp_path, lambda seen, _: Act(why="missing") if number_of(seen) == 100 else None
    )

    assert (report.done, report.failed, report.stopped) == (ROWS - 1, 1, None)


def test_a_cancelled_run_in_an_outage_leaves_nothing(clock: Clock, world: World, tmp_path: Path) -> None:
    """A run that is cancelled while all rows wait leaves no task and no timer that fires."""
    world.model("m", Act(fault="refuse"))
    source = write_lines(tmp_path / "in", rows(50))

    async def scenario() -> int:
        async with router_of(world) as router:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(20.0):
                    await batch.run(router, source, tmp_path / "out")
            sent = world.requests
            await asyncio.sleep(100.0)
            assert world.requests == sent
            return len(asyncio.all_tasks())

    assert clock.run(scenario()) == 1


# The rules alone.


def failing(models: Availability, kind: str, past: Past, *, amid: bool = True) -> str:
    if amid:
        models.answered()
    return models.failed(0.0, kind, past, probe=False)  # type: ignore[arg-type]  # as the test has it


@pytest.mark.parametrize(("kind", "tries"), [("server", TRIES), ("timeout", TRIES), ("outage", OUTAGE_TRIES)])
def test_a_row_is_final_after_its_tries_amid_answers(kind: str, tries: int) -> None:
    """Failures count while others are answered between them: seven, or thirty of outages."""
    models, past = Availability(Random(0)), Past()

    verdicts = [failing(models, kind, past) for _ in range(tries)]

    assert verdicts == ["again"] * (tries - 1) + ["final"]


def test_limits_never_count() -> None:
    """A row that meets only limits is asked again for ever."""
    models, past = Availability(Random(0)), Past()

    assert {failing(models, "limit", past) for _ in range(100)} == {"again"}


@pytest.mark.parametrize("kind", ["server", "timeout", "outage"])
def test_nothing_counts_while_nobody_answers(kind: str) -> None:
    """Without an answer to anybody no failure counts."""
    models, past = Availability(Random(0)), Past()

    assert {failing(models, kind, past, amid=False) for _ in range(100)} == {"again"}
    assert (models.down, past.counted, past.outages) == (True, 0, 0)


def test_it_is_down_after_eight_failures_in_a_row() -> None:
    """Seven failures in a row are chance; the eighth says that nobody answers, and one answer ends it."""
    models, downs = Availability(Random(0)), []
    models.answered()

    for _ in range(DOWN_AFTER):
        failing(models, "server", Past(), amid=False)
        downs.append(models.down)

    assert downs == [False] * 7 + [True]
    assert (models.answered(), models.down) == (True, False)


def test_pauses_double_up_to_ten_seconds() -> None:
    """A row waits for 0.5 s after its first failure, then twice as long each time, up to 10 s."""
    models, past = Availability(Random(0)), Past()

    pauses = [models.pause("server", past, None) for _ in range(7)]

    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_retry_after_is_waited_out_up_to_ten_minutes() -> None:
    """A longer pause that the provider asked for is kept, up to ten minutes."""
    models = Availability(Random(0))

    assert [models.pause("limit", Past(), seconds) for seconds in (20.0, 86_400.0)] == [20.0, 600.0]
