"""Rate limits in a batch: they are used up, and no row fails of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from asyncrouter import batch
from asyncrouter.sim import Act
from tests.helpers.batching import router_of, rows, run, write_lines

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter.batch import Report
    from asyncrouter.sim import Clock, World


def test_a_limit_known_only_from_429s_is_used_and_kept(clock: Clock, world: World, tmp_path: Path) -> None:
    """A limit known only from 429s is used to 95 % over the whole run, with at most 3 % of requests rejected."""
    world.seen = type(world.seen)(maxlen=0)
    model = world.model("m", Act(first_token=0.1)).limit(50)

    report = run(clock, world, write_lines(tmp_path / "in", rows(6_000)), tmp_path / "out", deadline=None)

    rejected = model.bill.statuses.get(429, 0)
    assert report.done == 6_000
    assert rejected <= 0.03 * model.bill.requests
    assert report.done / report.seconds >= 0.95 * 50


def test_a_row_that_only_met_a_limit_is_asked_again(clock: Clock, world: World, tmp_path: Path) -> None:
    """A row that met only limits is asked again until it is answered, and every attempt is counted."""
    world.model("m", *[Act(why="rate_limit", retry_after=20)] * 2, Act())

    report = run(clock, world, write_lines(tmp_path / "in", rows(1)), tmp_path / "out", retry={"attempts": 1})

    assert (report.done, report.failed, report.attempts) == (1, 0, 3)
    assert clock.now >= 40.0


@pytest.mark.parametrize(
    ("config", "first"),
    [({"models": {"m": {"provider": "sim", "id": "m", "rpm": 5}}}, 0), ({}, 9)], ids=["a slow pace", "a long hold"],
)
def test_rows_that_have_to_wait_longer_than_their_deadline_are_not_failures(
    clock: Clock, world: World, tmp_path: Path, config: dict[str, object], first: int
) -> None:
    """Rows that wait longer than their deadline for a slow limit or a long hold are all answered in the end."""
    world.model("m", *[Act(first_token=0.1)] * first, *[Act(why="rate_limit", retry_after=400)] * (first > 0), Act())

    report = run(clock, world, write_lines(tmp_path / "in", rows(150)), tmp_path / "out", config=config)

    assert (report.done, report.failed) == (150, 0)
    assert report.attempts == world.requests


def test_a_limit_that_lasts_until_tomorrow_stops_it(clock: Clock, world: World, tmp_path: Path) -> None:
    """A Retry-After of a day stops the run within an hour, and no row counts as failed."""
    world.model("m", *[Act(first_token=0.1)] * 20, Act(why="rate_limit", retry_after=86_400))

    report = run(clock, world, write_lines(tmp_path / "in", rows(200)), tmp_path / "out")

    assert (report.done, report.failed, report.left, report.exit_status) == (20, 0, 180, 3)
    assert report.stopped is not None
    assert "rate-limited continuously for 30 minutes: m: " in report.stopped
    assert 1800.0 < clock.now < 3600.0


def test_a_long_wait_for_a_limit_is_reported_once(
    clock: Clock, world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Rows whose calls end before the limit does are reported by one warning."""
    world.model("m", Act(why="rate_limit", retry_after=400), Act(why="rate_limit", retry_after=400), Act())

    report = run(clock, world, write_lines(tmp_path / "in", rows(1)), tmp_path / "out")

    warnings = [record.getMessage() for record in caplog.records if "rows wait" in record.getMessage()]
    assert report.done == 1
    assert len(warnings) == 1
    assert "no answer for" in warnings[0]


def test_stop_does_not_wait_for_rows_that_wait_themselves(clock: Clock, world: World, tmp_path: Path) -> None:
    """`stop` leaves rows that wait to be asked again to the next run."""
    world.model("m", Act(why="rate_limit"))
    source = write_lines(tmp_path / "in", rows(1))

    async def scenario() -> Report:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, stop.set)
        async with router_of(world) as router:
            return await batch.run(router, source, tmp_path / "out", stop=stop, retry={"attempts": 1})

    report = clock.run(scenario())
    assert (report.done, report.failed, report.left) == (0, 0, 1)
    assert clock.now < 0.1


def test_a_server_that_takes_forty_at_once_is_used_and_seldom_asked_in_vain(
    clock: Clock, world: World, tmp_path: Path
) -> None:
    """A limit of 40 at once, told only by 503s, is used to 95 % within ten seconds, with few requests turned down."""
    model = world.model("m", Act(first_token=0.5)).capacity(40)

    report = run(clock, world, write_lines(tmp_path / "in", rows(1600)), tmp_path / "out")

    answers = [seen.ended for seen in world.seen if seen.act.status == 200 and seen.ended is not None]
    assert report.done == 1600
    assert sum(10.0 <= at < 18.0 for at in answers) / (8.0 * 80.0) >= 0.95
    assert model.bill.statuses[503] / 1600 <= 0.3


def test_rows_that_wait_for_a_slow_model_do_not_hold_up_those_of_another(
    clock: Clock, world: World, tmp_path: Path
) -> None:
    """Rows that only queue for one model's limit leave the window to rows of other models."""
    for name in ("slow", "m"):
        world.model(name, Act(first_token=0.5))
    models = {"slow": {"provider": "sim", "id": "slow", "rpm": 6}}
    given = [{"prompt": f"a{number}", "model": "slow"} for number in range(30)]

    report = run(
        clock, world, write_lines(tmp_path / "in", [*given, *rows(500)]), tmp_path / "out", config={"models": models}
    )

    quick = [seen.ended for seen in world.seen if seen.model == "m" and seen.ended is not None]
    assert report.done == 530
    assert max(quick) <= 15.0
