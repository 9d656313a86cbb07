"""`batch.run`: what is written, what is resumed, when it stops, what it reports; in virtual time."""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import shutil
from typing import TYPE_CHECKING

import pytest

from asyncrouter import ConfigError, Router, batch
from asyncrouter.batch import BatchError, WriteFailed
from asyncrouter.sim import Act
from tests.helpers.batching import (
    ONE_MODEL,
    PRICED,
    asked,
    ids,
    poisoned,
    prompt_of,
    read_lines,
    router_of,
    rows,
    run,
    write_lines,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

    from asyncrouter import Reply
    from asyncrouter.batch import Progress, Report
    from asyncrouter.sim import Clock, LoggedRequest, World


def test_an_answers_line(clock: Clock, world: World, tmp_path: Path) -> None:
    """Whose it is, what was said, by whom, what it cost, what was tried; metadata comes back."""
    world.model("down", Act(status=500))
    world.model("m", Act(text="hello there", first_token=0.5))
    source = write_lines(tmp_path / "in", [{"id": "a", "prompt": "hi", "metadata": {"k": [1]}}])

    run(clock, world, source, tmp_path / "out.jsonl", chain=["down", "m"], retry={"attempts": 1},
        config={"models": PRICED})

    [line] = read_lines(tmp_path / "out.jsonl")
    assert line == {
        "id": "a", "index": 0, "text": "hello there", "finish_reason": "stop", "model": "m", "served_model": "m",
        "usage": {"input_tokens": 1, "output_tokens": 2, "cached_tokens": 0, "reasoning_tokens": 0}, "cost_usd": 3.0,
        "seconds": 0.5, "metadata": {"k": [1]}, "schema_version": 1,
        "attempts": [
            {"model": "down", "cause": "first", "outcome": "failed", "status": 500, "error": "ServerFailed",
             "seconds": 0.0, "cost_usd": 0.0},
            {"model": "m", "cause": "fallback", "outcome": "won", "status": 200, "seconds": 0.5, "cost_usd": 3.0},
        ],
    }


def test_answers_are_written_as_they_come(clock: Clock, world: World, tmp_path: Path) -> None:
    """One turn of the loop after an answer its line is in the file, while others are still on their way."""
    world.model("m", Act(first_token=1.0), Act(first_token=9.0))
    source = write_lines(tmp_path / "in", rows(2))

    async def scenario() -> list[object]:
        async with router_of(world) as router:
            work = asyncio.create_task(batch.run(router, source, tmp_path / "out.jsonl"))
            await asyncio.sleep(1.0 + 1e-6)
            found = ids(tmp_path / "out.jsonl")
            await work
        return found

    assert clock.run(scenario()) == ["r0"]


def test_ordered_answers_stand_in_the_order_of_the_input(clock: Clock, world: World, tmp_path: Path) -> None:
    """At the end, in a file that is replaced at once; without it they stand as they came."""
    world.model("m", lambda seen, random: Act(first_token=random.random()))
    source = write_lines(tmp_path / "in", rows(300))

    run(clock, world, source, tmp_path / "came.jsonl")
    run(clock, world, source, tmp_path / "out.jsonl", ordered=True)

    assert [row["id"] for row in rows(300)] == ids(tmp_path / "out.jsonl")
    assert ids(tmp_path / "came.jsonl") != sorted(ids(tmp_path / "came.jsonl"))
    assert not list(tmp_path.glob("*.tmp"))


def test_poisoned_rows_do_not_stop_the_others_and_run_again_after_a_fix(
    clock: Clock, world: World, tmp_path: Path
) -> None:
    """Three ways of being poisoned, one row in a hundred; the errors file, mended, is the input of another run."""
    world.model("m", poisoned)
    given = rows(300)
    for number, poison in zip((50, 150, 250), ("too long", "filtered", "malformed"), strict=True):
        given[number]["prompt"] = f"{poison} {number}"
    report = run(clock, world, write_lines(tmp_path / "in", given), tmp_path / "out.jsonl")

    assert (report.done, report.failed, report.exit_status) == (297, 3, 1)
    assert report.errors == {"ContextTooLong": 1, "Refused": 1, "Rejected": 1}
    failures = read_lines(tmp_path / "out.errors.jsonl")
    assert [failure["id"] for failure in failures] == ["r50", "r150", "r250"]
    assert [failure["_error"]["retryable"] for failure in failures] == [False] * 3  # type: ignore[index]

    mended = [{**failure, "prompt": "mended"} for failure in failures]
    again = run(clock, world, write_lines(tmp_path / "mended", mended), tmp_path / "more.jsonl")
    assert (again.done, again.failed, again.exit_status) == (3, 0, 0)
    assert sorted(map(str, ids(tmp_path / "more.jsonl"))) == ["r150", "r250", "r50"]


def test_a_finished_run_asks_only_for_its_failures_again(clock: Clock, world: World, tmp_path: Path) -> None:
    """Only successes count as done; the errors file is of the last run."""
    world.model("m", poisoned)
    given = [*rows(20), {"id": "bad", "prompt": "broken"}]
    source = write_lines(tmp_path / "in", given)
    run(clock, world, source, tmp_path / "out.jsonl", retry={"attempts": 1})
    world.seen.clear()

    world.model("m", Act(text="better now"))
    report = run(clock, world, source, tmp_path / "out.jsonl", retry={"attempts": 1})

    assert asked(world) == ["broken"]
    assert (report.skipped, report.done, report.failed, report.left) == (20, 1, 0, 0)
    assert len(set(ids(tmp_path / "out.jsonl"))) == 21
    assert not (tmp_path / "out.errors.jsonl").exists()


def test_half_a_last_line_is_cut_and_its_row_asked_again(clock: Clock, world: World, tmp_path: Path) -> None:
    """Wherever in its line the writer was killed, every id stands in the output once."""
    world.model("m", poisoned)
    source, output = write_lines(tmp_path / "in", rows(3)), tmp_path / "out.jsonl"
    run(clock, world, source, output, ordered=True)
    whole = output.read_bytes()
    last = whole.rstrip().rfind(b"\n") + 1

    for cut in (last, last + 1, len(whole) - 2, len(whole) - 1):
        output.write_bytes(whole[:cut])
        report = run(clock, world, source, output)
        assert (report.skipped, report.done) == (2, 1)
        assert ids(output) == ["r0", "r1", "r2"]


def test_a_copied_output_resumes(clock: Clock, world: World, tmp_path: Path) -> None:
    """The fingerprint is of content: another directory, other times, a packed copy of the input, all the same."""
    world.model("m", poisoned)
    (tmp_path / "here").mkdir()
    source = write_lines(tmp_path / "here" / "in.jsonl", rows(3))
    run(clock, world, source, tmp_path / "here" / "out.jsonl")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    from gzip import compress

    (tmp_path / "there" / "in.jsonl.gz").write_bytes(compress(source.read_bytes()))

    report = run(clock, world, tmp_path / "there" / "in.jsonl.gz", tmp_path / "there" / "out.jsonl")

    assert (report.skipped, report.done) == (3, 0)


@pytest.mark.parametrize(
    ("change", "told"),
    [({"task": "other"}, 'task was null and is "other"'), ({"params": {"temperature": 1}}, "params was {} and is"),
     ({"format": "openai"}, 'format was "native" and is "openai"')],
)
def test_another_batch_does_not_write_into_an_output(
    clock: Clock, world: World, tmp_path: Path, change: dict[str, object], told: str
) -> None:
    """What differs is said; nothing is sent and nothing is changed."""
    world.model("m", poisoned)
    source, output = write_lines(tmp_path / "in", rows(3)), tmp_path / "out.jsonl"
    tasks = {"default": ["m"], "other": ["m"]}
    run(clock, world, source, output, config={"tasks": tasks})
    before = output.read_bytes()

    with pytest.raises(BatchError, match="belongs to another batch") as caught:
        run(clock, world, source, output, config={"tasks": tasks}, **change)

    assert told in str(caught.value)
    assert world.requests == 3
    assert before == output.read_bytes()


def test_answers_of_other_rows_are_not_counted_as_done(clock: Clock, world: World, tmp_path: Path) -> None:
    """Somebody has put two outputs together."""
    world.model("m")
    source, out = write_lines(tmp_path / "in", rows(3)), tmp_path / "out.jsonl"
    run(clock, world, source, out)
    write_lines(out, [*read_lines(out), *({"id": f"other {n}"} for n in range(4))])

    again = run(clock, world, source, out)

    assert (again.done, again.skipped, again.left) == (0, 3, 0)


def test_another_input_needs_force_and_then_ids_decide(clock: Clock, world: World, tmp_path: Path) -> None:
    """Rows that were added are asked, those that have an answer are not; `restart` throws everything away."""
    world.model("m", poisoned)
    output = tmp_path / "out.jsonl"
    run(clock, world, write_lines(tmp_path / "in", rows(3)), output)
    longer = write_lines(tmp_path / "longer", rows(5)[1:])

    with pytest.raises(BatchError, match="the content of the input has changed"):
        run(clock, world, longer, output)
    forced = run(clock, world, longer, output, force=True)
    assert (forced.rows, forced.skipped, forced.done) == (4, 2, 2)
    assert len(set(ids(output))) == 5
    assert run(clock, world, longer, output, restart=True).done == 4
    assert len(ids(output)) == 4


def test_a_file_that_is_no_output_is_left_alone(clock: Clock, world: World, tmp_path: Path) -> None:
    """Not even half a last line is cut before it is known what it is."""
    world.model("m")
    (tmp_path / "thesis").write_bytes(b"ten years of work")

    with pytest.raises(BatchError, match="is not empty"):
        run(clock, world, write_lines(tmp_path / "in", rows(1)), tmp_path / "thesis")

    assert (tmp_path / "thesis").read_bytes() == b"ten years of work"


@pytest.mark.parametrize(("options", "error"), [
    ({"format": "csv"}, "format: expected \"native\" or \"openai\", got 'csv'"),
    ({"limit": 0}, "limit: expected a whole number of at least 1, got 0"),
    ({"concurrency": "8"}, "concurrency: expected a whole number of at least 1, got '8'"),
    ({"budget_usd": "5"}, "budget_usd: expected US dollars above 0, got '5'"),
    ({"max_error_rate": 20}, "max_error_rate: expected a share from 0 to 1, got 20"),
    ({"accept": "json"}, "accept: expected a function of a reply, got str"),
    ({"params": {"model": "n"}}, "params.model: is for the router to say and cannot be a parameter"),
])
def test_options_that_make_no_sense_are_told_before_anything_is_done(
    clock: Clock, world: World, tmp_path: Path, options: dict[str, object], error: str
) -> None:
    """With their value; no file is made."""
    with pytest.raises((BatchError, ConfigError, TypeError)) as caught:
        run(clock, world, write_lines(tmp_path / "in", rows(1)), tmp_path / "out", **options)

    assert error == str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_rows_in_memory_are_no_file(clock: Clock, world: World, tmp_path: Path) -> None:
    """They are for `map`."""
    with pytest.raises(TypeError) as caught:
        run(clock, world, rows(1), tmp_path / "out")

    assert str(caught.value) == "source: expected a file's path, got list; batch.map takes any iterable"


def test_an_errors_file_that_holds_something_else_is_left_alone(
    clock: Clock, world: World, tmp_path: Path
) -> None:
    """It would be emptied; nothing is sent."""
    world.model("m")
    source, notes = write_lines(tmp_path / "in", rows(1)), write_lines(tmp_path / "notes", rows(1))

    with pytest.raises(BatchError, match="not the failures of an earlier run"):
        run(clock, world, source, tmp_path / "out.jsonl", errors=notes)

    assert rows(1) == read_lines(notes)
    assert world.requests == 0


def test_nothing_is_thrown_away_when_the_errors_file_cannot_be_used(
    clock: Clock, world: World, tmp_path: Path
) -> None:
    """What was paid is still there after a restart that could not begin."""
    world.model("m")
    source, out = write_lines(tmp_path / "in", rows(1)), tmp_path / "out.jsonl"
    run(clock, world, source, out)

    with pytest.raises(BatchError, match="not the failures of an earlier run"):
        run(clock, world, source, out, errors=write_lines(tmp_path / "notes", rows(1)), restart=True)

    assert ids(out) == ["r0"]


def test_half_a_line_of_failures_is_begun_anew(clock: Clock, world: World, tmp_path: Path) -> None:
    """A kill may have left no more than that."""
    world.model("m", poisoned)
    source = write_lines(tmp_path / "in", [{"id": "bad", "prompt": "malformed"}])
    (tmp_path / "out.errors.jsonl").write_bytes(b'{"id":"bad","pro')

    run(clock, world, source, tmp_path / "out.jsonl")

    assert ids(tmp_path / "out.errors.jsonl") == ["bad"]


def test_two_runs_do_not_write_into_one_output(clock: Clock, world: World, tmp_path: Path) -> None:
    """The second is told, before it has sent anything."""
    world.model("m", Act(first_token=5.0))
    source = write_lines(tmp_path / "in", rows(2))

    async def scenario() -> None:
        async with router_of(world) as router:
            first = asyncio.create_task(batch.run(router, source, tmp_path / "out.jsonl"))
            await asyncio.sleep(1.0)
            with pytest.raises(BatchError, match="another run is writing"):
                await batch.run(router, source, tmp_path / "out.jsonl")
            assert (await first).done == 2

    clock.run(scenario())
    assert world.requests == 2


def stopped_early(clock: Clock, world: World, tmp_path: Path, **options: object) -> tuple[Report, Callable[[], Report]]:
    """A run of 400 rows that stops, and what resumes it without these options."""
    source, output = write_lines(tmp_path / "in", rows(400)), tmp_path / "out.jsonl"
    more = {"config": {"models": PRICED}, "concurrency": 16, "retry": {"attempts": 1}}
    report = run(clock, world, source, output, **more, **options)
    return report, lambda: run(clock, world, source, output, **more)


def test_a_budget_is_kept_and_the_run_resumes(clock: Clock, world: World, tmp_path: Path) -> None:
    """What is on its way is counted with what is spent: no row is begun that might not be paid for."""
    world.model("m", Act(text="four", first_token=0.1)).price(1e6, 1e6)
    report, resume = stopped_early(clock, world, tmp_path, budget_usd=600.0)

    assert report.stopped is not None
    assert "the budget of $600 has no room for another row" in report.stopped
    assert report.exit_status == 3
    assert 597.0 <= world.usd <= 600.0
    assert report.cost_usd == world.usd
    assert report.done + resume().done == 400


def test_a_budget_smaller_than_a_window_is_used(clock: Clock, world: World, tmp_path: Path) -> None:
    """Not refused because a window of rows would cost more."""
    world.model("m", Act(text="four", first_token=0.1)).price(1e6, 1e6)

    report, _ = stopped_early(clock, world, tmp_path, budget_usd=10.0, params={"max_tokens": 2})

    assert (report.done, world.usd) == (3, 9.0)


def test_a_budget_needs_prices(clock: Clock, world: World, tmp_path: Path) -> None:
    """It refuses to start when a model of any row's chain has none."""
    source = write_lines(tmp_path / "in", [{"prompt": "a"}, {"prompt": "b", "chain": ["m", "secret"]}])

    with pytest.raises(BatchError, match="the price of secret is not known"):
        run(clock, world, source, tmp_path / "out.jsonl", config={"models": PRICED}, budget_usd=5.0)


def test_too_many_failures_stop_it(clock: Clock, world: World, tmp_path: Path) -> None:
    """Once so many rows have ended and more than this share of them failed."""
    world.model("m", lambda seen, random: Act(why="bad_request") if random.random() < 0.5 else Act())
    report, resume = stopped_early(clock, world, tmp_path, max_error_rate=0.3, min_rows=50)

    assert report.stopped is not None
    assert "of the rows failed, more than 30.0%" in report.stopped
    assert 50 <= report.done + report.failed < 90
    world.model("m", Act())
    assert report.done + resume().done == 400


@pytest.mark.parametrize("why", ["key", "credit"])
def test_a_chain_that_nobody_can_use_stops_it(clock: Clock, world: World, tmp_path: Path, why: str) -> None:
    """A bad key costs a window of rows, not the whole file; with a good one the run goes on."""
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
    """Answers that are paid and thrown away help nobody; the next run asks for them again."""
    world.model("m")

    def broken(reply: Reply) -> bool:
        raise KeyError(reply.model)

    report = run(clock, world, write_lines(tmp_path / "in", rows(100)), tmp_path / "out", accept=broken)

    assert report.stopped == "no row can be answered: AcceptFailed"
    assert (report.done, report.failed, report.left) == (0, 17, 83)
    [told] = {failure["_error"]["message"] for failure in read_lines(tmp_path / "out.errors.jsonl")}  # type: ignore[index]
    assert told == "accept() raised KeyError: 'm'"


def test_an_accept_that_breaks_for_one_row_stops_nothing(clock: Clock, world: World, tmp_path: Path) -> None:
    """Nor does one that says yes in its own time."""
    world.model("m", poisoned)

    async def sceptical(reply: Reply) -> bool:
        return 1 / ("say 3" not in reply.text) > 0

    report = run(clock, world, write_lines(tmp_path / "in", rows(8)), tmp_path / "out", accept=sceptical)

    assert (report.done, report.failed, report.errors) == (7, 1, {"AcceptFailed": 1})


def test_a_model_of_one_rows_own_that_cannot_be_used_stops_nothing(
    clock: Clock, world: World, tmp_path: Path
) -> None:
    """The other rows' models are not its."""
    world.model("m", Act(first_token=0.1))
    world.model("n", Act(why="forbidden"))
    own = [{"prompt": f"a{number}", "model": "n"} for number in range(9)]
    given = [*rows(100), *own, *({"prompt": f"b{number}"} for number in range(50))]

    report = run(clock, world, write_lines(tmp_path / "in", given), tmp_path / "out.jsonl")

    assert (report.done, report.failed, report.stopped) == (150, 9, None)


def test_a_chain_of_which_one_model_still_listens_goes_on(clock: Clock, world: World, tmp_path: Path) -> None:
    """Though it turns down every row: another row may suit it."""
    world.model("m", Act(why="forbidden"))
    world.model("n", Act(why="bad_request"))

    report = run(clock, world, write_lines(tmp_path / "in", rows(30)), tmp_path / "out", chain=["m", "n"])

    assert (report.failed, report.stopped) == (30, None)


def test_stop_finishes_what_is_on_its_way(clock: Clock, world: World, tmp_path: Path) -> None:
    """No row is begun after it, no answer is lost, and the status says that somebody did it."""
    world.model("m", Act(first_token=1.0))
    source = write_lines(tmp_path / "in", rows(100))

    async def scenario() -> Report:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(1.5, stop.set)
        async with router_of(world) as router:
            return await batch.run(router, source, tmp_path / "out.jsonl", stop=stop)

    report = clock.run(scenario())
    assert (report.done, report.left, report.exit_status, report.interrupted) == (24, 76, 130, True)
    assert clock.now == 2.0
    assert 24 == world.requests == len(ids(tmp_path / "out.jsonl"))


def test_a_cancelled_run_keeps_what_it_has(clock: Clock, world: World, tmp_path: Path) -> None:
    """And leaves no task behind."""
    world.model("m", Act(first_token=1.0))
    source = write_lines(tmp_path / "in", rows(100))

    async def scenario() -> int:
        async with router_of(world) as router:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    await batch.run(router, source, tmp_path / "out.jsonl")
            return len(asyncio.all_tasks())

    assert clock.run(scenario()) == 1
    assert len(ids(tmp_path / "out.jsonl")) == 8


def test_a_full_disk_is_told_and_stops_it_at_once(clock: Clock, world: World, tmp_path: Path) -> None:
    """Nothing more is sent than was on its way; the error has the report so far."""
    world.model("m", Act(first_token=1.0))
    source = write_lines(tmp_path / "in", rows(100))

    with pytest.raises(WriteFailed, match="/dev/full: No space left on device") as caught:
        run(clock, world, source, "/dev/full", errors=tmp_path / "errors")

    report = caught.value.report
    assert report is not None
    assert (report.done, report.left, report.exit_status) == (0, 100, 3)
    assert world.requests <= 24


def test_a_disk_that_is_full_in_the_middle_of_a_line(clock: Clock, world: World, tmp_path: Path) -> None:
    """What is left of the line is cut, and the next run goes on with it."""
    world.model("m", poisoned)
    source, output = write_lines(tmp_path / "in", rows(100)), tmp_path / "out"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(WriteFailed, match="File too large") as caught:
            run(clock, world, source, output)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert caught.value.report is not None
    assert caught.value.report.done == len(ids(output)) > 10
    assert 100 - len(ids(output)) == run(clock, world, source, output).done
    assert 100 == len(set(ids(output))) == len(ids(output))


def test_an_errors_file_on_a_full_disk_loses_no_answer(clock: Clock, world: World, tmp_path: Path) -> None:
    """No row is begun any more, but what is on its way is finished and written; the next run resumes."""
    world.model("m", poisoned)
    source, output = write_lines(tmp_path / "in", [{"id": "bad", "prompt": "malformed"}, *rows(100)]), tmp_path / "out"

    with pytest.raises(WriteFailed, match="/dev/full: No space left") as caught:
        run(clock, world, source, output, errors="/dev/full")

    assert caught.value.report is not None
    assert world.requests - 1 == caught.value.report.done == len(ids(output)) > 0
    assert run(clock, world, source, output).failed == 1
    assert (world.requests, len(set(ids(output)))) == (102, 100)


def test_an_errors_file_that_cannot_be_written_is_told_before_anything_is_sent(
    clock: Clock, world: World, tmp_path: Path
) -> None:
    """A directory that is not there."""
    with pytest.raises(BatchError, match="cannot be written"):
        run(clock, world, write_lines(tmp_path / "in", rows(3)), tmp_path / "out", errors=tmp_path / "no" / "errors")

    assert world.requests == 0


def test_a_limit_takes_the_next_rows_each_time(clock: Clock, world: World, tmp_path: Path) -> None:
    """Of those that have no answer yet."""
    world.model("m", Act())
    source, output = write_lines(tmp_path / "in", rows(10)), tmp_path / "out"

    done = [run(clock, world, source, output, limit=4).done for _ in range(4)]

    assert done == [4, 4, 2, 0]
    assert 10 == len(set(ids(output))) == world.requests


def test_progress_is_told_four_times_a_second(clock: Clock, world: World, tmp_path: Path) -> None:
    """Not once a row; it says what is done, how fast, what it costs and will cost, and who answered."""
    world.model("m", Act(text="four", first_token=1.0)).price(1e6, 1e6)
    told: list[Progress] = []

    run(clock, world, write_lines(tmp_path / "in", rows(64)), tmp_path / "out", config={"models": PRICED},
        concurrency=8, progress=told.append)

    assert 32 <= len(told) <= 34
    halfway = told[17]
    assert (halfway.rows, halfway.done, halfway.in_flight, halfway.cost_usd) == (64, 32, 8, 32.0 * 3)
    assert (halfway.projected_usd, halfway.models) == (64.0 * 3, {"m": 1.0})
    assert halfway.seconds_left is not None
    assert 3.0 < halfway.seconds_left < 5.0
    assert told[-1].done == 64


def test_the_report_counts_everything(clock: Clock, world: World, tmp_path: Path) -> None:
    """Answers and attempts by model, tokens, money, latencies to within 2.5 %."""

    def behaviour(seen: LoggedRequest, random: Random) -> Act:
        return Act(text="four", first_token=1.0 + int(prompt_of(seen).split()[1]) / 100)

    world.model("m", behaviour).price(1e6, 1e6)
    report = run(clock, world, write_lines(tmp_path / "in", rows(100)), tmp_path / "out", config={"models": PRICED})

    assert (report.done, report.input_tokens, report.output_tokens, report.cost_usd) == (100, 200, 100, 300.0)
    assert report.models == {"m": {"answered": 100, "attempts": 100, "cost_usd": 300.0}}
    assert pytest.approx(report.latency, rel=0.026) == {"p50": 1.49, "p90": 1.89, "p95": 1.94, "p99": 1.98}


def test_a_limit_told_only_by_429s_is_used_and_kept(clock: Clock, world: World, tmp_path: Path) -> None:
    """50 requests a second: at least 95 % of that over the run, at most 3 % rejected."""
    world.seen = type(world.seen)(maxlen=0)
    model = world.model("m", Act(first_token=0.1)).limit(50)

    report = run(clock, world, write_lines(tmp_path / "in", rows(6_000)), tmp_path / "out", deadline=None)

    rejected = model.bill.statuses.get(429, 0)
    assert report.done == 6_000
    assert rejected <= 0.03 * model.bill.requests
    assert report.done / report.seconds >= 0.95 * 50


def test_a_row_that_only_met_a_limit_is_asked_again(clock: Clock, world: World, tmp_path: Path) -> None:
    """It is no fault of the row; its place in the window waits meanwhile, and every attempt is counted."""
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
    """A model that takes 5 requests a minute, or is held for 400 s, answers every row in the end."""
    world.model("m", *[Act(first_token=0.1)] * first, *[Act(why="rate_limit", retry_after=400)] * (first > 0), Act())

    report = run(clock, world, write_lines(tmp_path / "in", rows(150)), tmp_path / "out", config=config)

    assert (report.done, report.failed) == (150, 0)
    assert report.attempts == world.requests


def test_a_limit_that_lasts_until_tomorrow_stops_it(clock: Clock, world: World, tmp_path: Path) -> None:
    """Within an hour, not after a day; no row is a failure."""
    world.model("m", *[Act(first_token=0.1)] * 20, Act(why="rate_limit", retry_after=86_400))

    report = run(clock, world, write_lines(tmp_path / "in", rows(200)), tmp_path / "out")

    assert (report.done, report.failed, report.left, report.exit_status) == (20, 0, 180, 3)
    assert report.stopped is not None
    assert "rate-limited continuously for 30 minutes: m: " in report.stopped
    assert 1800.0 < clock.now < 3600.0


def test_a_long_wait_for_a_limit_is_told_once(
    clock: Clock, world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody should have to guess why nothing happens."""
    world.model("m", Act(why="rate_limit", retry_after=60), Act(why="rate_limit", retry_after=60), Act())

    report = run(clock, world, write_lines(tmp_path / "in", rows(1)), tmp_path / "out")

    told = [record.getMessage() for record in caplog.records if "rows wait" in record.getMessage()]
    assert report.done == 1
    assert len(told) == 1
    assert "no answer for" in told[0]


def test_stop_does_not_wait_for_rows_that_wait_themselves(
    clock: Clock, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that met a limit, and would be asked again later, is left to the next run."""
    monkeypatch.setattr("asyncrouter.batch._job.RETRY_PAUSES", (1e6,))
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


# ── several processes ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("row", "options", "error"), [
    ({"id": "1", "prompt": "x"}, {"make_router": lambda number, count: Router()},
     "processes: something here cannot be handed to another process"),
    ({"id": "1"}, {}, "line 1"),
])
def test_processes_that_get_nothing_to_do_end(
    tmp_path: Path, row: dict[str, object], options: dict[str, object], error: str
) -> None:
    """They are begun while the input is checked, and end with what is wrong; that they must first begin takes time."""
    source = write_lines(tmp_path / "in.jsonl", [row])
    config = {"default_provider": "p", "providers": {"p": {"base_url": "http://127.0.0.1:9/v1"}}, "tasks": ONE_MODEL}

    async def scenario() -> None:
        async with Router(config) as router:
            await batch.run(router, source, tmp_path / "out.jsonl", processes=2, **options)  # type: ignore[arg-type]

    with pytest.raises(BatchError, match=error):
        asyncio.run(scenario())

    assert multiprocessing.active_children() == []
