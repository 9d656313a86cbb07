"""When a batch stops early: budget, error rate, nobody who can answer, the caller."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from asyncrouter import batch
from asyncrouter.batch import BatchError
from asyncrouter.sim import Act
from tests.helpers.batching import PRICED, ids, poisoned, read_lines, router_of, rows, run, write_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from asyncrouter import Reply
    from asyncrouter.batch import Report
    from asyncrouter.sim import Clock, World


def stopped_early(clock: Clock, world: World, tmp_path: Path, **options: object) -> tuple[Report, Callable[[], Report]]:
    """A run of 400 rows that stops, and what resumes it without these options."""
    source, output = write_lines(tmp_path / "in", rows(400)), tmp_path / "out.jsonl"
    more = {"config": {"models": PRICED}, "concurrency": 16, "retry": {"attempts": 1}}
    report = run(clock, world, source, output, **more, **options)
    return report, lambda: run(clock, world, source, output, **more)


def test_a_budget_is_kept_and_the_run_resumes(clock: Clock, world: World, tmp_path: Path) -> None:
    """Rows in flight count with what is spent, so that the budget is never exceeded; the next run answers the rest."""
    world.model("m", Act(text="four", first_token=0.1)).price(1e6, 1e6)
    report, resume = stopped_early(clock, world, tmp_path, budget_usd=600.0)

    assert report.stopped is not None
    assert "the budget of $600 has no room for another row" in report.stopped
    assert report.exit_status == 3
    assert 597.0 <= world.usd <= 600.0
    assert report.cost_usd == world.usd
    assert report.done + report.failed + resume().done == 400


def test_a_budget_for_fewer_rows_than_concurrency_is_used(clock: Clock, world: World, tmp_path: Path) -> None:
    """A budget that covers fewer rows than may be in flight is still spent."""
    world.model("m", Act(text="four", first_token=0.1)).price(1e6, 1e6)

    report, _ = stopped_early(clock, world, tmp_path, budget_usd=10.0, params={"max_tokens": 2})

    assert (report.done, world.usd) == (3, 9.0)


def test_a_budget_needs_prices(clock: Clock, world: World, tmp_path: Path) -> None:
    """A budget is refused when a model in any row's chain has no known price."""
    source = write_lines(tmp_path / "in", [{"prompt": "a"}, {"prompt": "b", "chain": ["m", "secret"]}])

    with pytest.raises(BatchError, match="the price of secret is not known"):
        run(clock, world, source, tmp_path / "out.jsonl", config={"models": PRICED}, budget_usd=5.0)


def test_too_many_failures_stop_it(clock: Clock, world: World, tmp_path: Path) -> None:
    """The run stops once `min_rows` have ended and more than `max_error_rate` of them failed."""
    world.model("m", lambda seen, random: Act(why="bad_request") if random.random() < 0.5 else Act())
    report, resume = stopped_early(clock, world, tmp_path, max_error_rate=0.3, min_rows=50)

    assert report.stopped is not None
    assert "of the rows failed, more than 30.0%" in report.stopped
    assert 50 <= report.done + report.failed < 90
    world.model("m", Act())
    assert report.done + report.failed + resume().done == 400


@pytest.mark.parametrize("why", ["key", "credit"])
def test_a_chain_that_nobody_can_use_stops_it(clock: Clock, world: World, tmp_path: Path, why: str) -> None:
    """A bad key, or no credit, stops the run after a few rows, and a later run resumes it."""
    world.model("m", Act(why=why))
    report, resume = stopped_early(clock, world, tmp_path)

    assert report.stopped is not None
    assert "no row can be answered: " in report.stopped
    assert (report.done, report.exit_status) == (0, 3)
    assert report.failed < 40
    world.model("m", Act())
    assert resume().done == 400


def test_an_accept_that_breaks_stops_it_before_everything_is_paid(
    clock: Clock, world: World, tmp_path: Path
) -> None:
    """An `accept` that raises for every row stops the run, and its rows are failures."""
    world.model("m")

    def broken(reply: Reply) -> bool:
        raise KeyError(reply.model)

    report = run(clock, world, write_lines(tmp_path / "in", rows(100)), tmp_path / "out", accept=broken)

    assert report.stopped == "no row can be answered: AcceptFailed"
    assert (report.done, report.failed, report.left) == (0, 25, 75)
    [message] = {failure["_error"]["message"] for failure in read_lines(tmp_path / "out.errors.jsonl")}  # type: ignore[index]
    assert message == "accept() raised KeyError: 'm'"


def test_an_accept_that_breaks_for_one_row_stops_nothing(clock: Clock, world: World, tmp_path: Path) -> None:
    """An async `accept` that raises for one row fails only that row."""
    world.model("m", poisoned)

    async def sceptical(reply: Reply) -> bool:
        return 1 / ("say 3" not in reply.text) > 0

    report = run(clock, world, write_lines(tmp_path / "in", rows(8)), tmp_path / "out", accept=sceptical)

    assert (report.done, report.failed, report.errors) == (7, 1, {"AcceptFailed": 1})


def test_a_model_of_one_rows_own_that_cannot_be_used_stops_nothing(
    clock: Clock, world: World, tmp_path: Path
) -> None:
    """Rows whose own model cannot be used fail, and the other rows are answered."""
    world.model("m", Act(first_token=0.1))
    world.model("n", Act(why="forbidden"))
    own = [{"prompt": f"a{number}", "model": "n"} for number in range(9)]
    given = [*rows(100), *own, *({"prompt": f"b{number}"} for number in range(50))]

    report = run(clock, world, write_lines(tmp_path / "in", given), tmp_path / "out.jsonl")

    assert (report.done, report.failed, report.stopped) == (150, 9, None)


def test_a_chain_with_one_usable_model_goes_on(clock: Clock, world: World, tmp_path: Path) -> None:
    """A chain with one model that can still be used does not stop the run, although all rows fail."""
    world.model("m", Act(why="forbidden"))
    world.model("n", Act(why="bad_request"))

    report = run(clock, world, write_lines(tmp_path / "in", rows(30)), tmp_path / "out", chain=["m", "n"])

    assert (report.failed, report.stopped) == (30, None)


def test_stop_finishes_rows_in_flight(clock: Clock, world: World, tmp_path: Path) -> None:
    """After `stop` the rows in flight are answered, no more are sent, and the report says `interrupted`."""
    world.model("m", Act(first_token=1.0))
    source = write_lines(tmp_path / "in", rows(100))

    async def scenario() -> Report:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(1.5, stop.set)
        async with router_of(world) as router:
            return await batch.run(router, source, tmp_path / "out.jsonl", stop=stop)

    report = clock.run(scenario())
    assert (report.done, report.left, report.exit_status, report.interrupted) == (48, 52, 130, True)
    assert clock.now == 2.0
    assert world.requests == len(ids(tmp_path / "out.jsonl")) == 48


def test_a_cancelled_run_keeps_what_it_has(clock: Clock, world: World, tmp_path: Path) -> None:
    """A cancelled run keeps the answers it has written and leaves no task behind."""
    world.model("m", Act(first_token=1.0))
    source = write_lines(tmp_path / "in", rows(100))

    async def scenario() -> int:
        async with router_of(world) as router:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    await batch.run(router, source, tmp_path / "out.jsonl")
            return len(asyncio.all_tasks())

    assert clock.run(scenario()) == 1
    assert len(ids(tmp_path / "out.jsonl")) == 16


def test_stop_drops_rows_that_only_queue(clock: Clock, world: World, tmp_path: Path) -> None:
    """After `stop` rows that wait for their turn under a limit are not sent, and none on the wire is lost."""
    world.model("m", Act(first_token=2.0))
    source = write_lines(tmp_path / "in", rows(100))
    models = {"m": {"provider": "sim", "id": "m", "rpm": 60}}

    async def scenario() -> Report:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(4.5, stop.set)
        async with router_of(world, models=models) as router:
            return await batch.run(router, source, tmp_path / "out.jsonl", stop=stop)

    report = clock.run(scenario())
    sent = [seen.at for seen in world.seen]
    assert max(sent) <= 4.5
    assert (report.done, report.failed, report.left) == (len(sent), 0, 100 - len(sent))
    assert clock.now == pytest.approx(max(sent) + 2.0)
    assert all(not seen.gone for seen in world.seen)


def test_stop_in_a_long_hold_ends_at_once(clock: Clock, world: World, tmp_path: Path) -> None:
    """When all rows wait for the end of a Retry-After, `stop` ends the run at once."""
    world.model("m", Act(why="rate_limit", retry_after=400))
    source = write_lines(tmp_path / "in", rows(100))

    async def scenario() -> Report:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(5.0, stop.set)
        async with router_of(world) as router:
            return await batch.run(router, source, tmp_path / "out.jsonl", stop=stop)

    report = clock.run(scenario())
    assert (report.done, report.failed, report.left, report.exit_status) == (0, 0, 100, 130)
    assert clock.now == pytest.approx(5.0, abs=0.1)
