"""`batch.run`: the lines it writes, the rows it takes, its progress and its report; in virtual time."""

from __future__ import annotations

import asyncio
import multiprocessing
from typing import TYPE_CHECKING

import pytest

from asyncrouter import ConfigError, Router, batch
from asyncrouter.batch import BatchError
from asyncrouter.sim import Act
from tests.helpers.batching import (
    ONE_MODEL,
    PRICED,
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
    from pathlib import Path
    from random import Random

    from asyncrouter.batch import Progress
    from asyncrouter.sim import Clock, LoggedRequest, World


def test_an_answers_line(clock: Clock, world: World, tmp_path: Path) -> None:
    """The line of an answer has the text, the model, usage, cost, time, every attempt, and the row's metadata."""
    world.model("down", Act(status=500))
    world.model("m", Act(text="hello there", first_token=0.5))
    source = write_lines(tmp_path / "in", [{"id": "a", "prompt": "hi", "metadata": {"k": [1]}}])

    run(clock, world, source, tmp_path / "out.jsonl", chain=["down", "m"], retry={"attempts": 1},
        config={"models": PRICED})

    [line] = read_lines(tmp_path / "out.jsonl")
    assert line == {
        "id": "a", "index": 0, "text": "hello there", "finish_reason": "stop", "model": "m", "served_model": "m",
        "usage": {
            "input_tokens": 1, "output_tokens": 2, "cached_tokens": 0, "reasoning_tokens": 0, "cache_write_tokens": 0,
        },
        "cost_usd": 3.0,
        "seconds": 0.5, "metadata": {"k": [1]}, "schema_version": 1,
        "attempts": [
            {"model": "down", "cause": "first", "outcome": "failed", "status": 500, "error": "ServerFailed",
             "seconds": 0.0, "cost_usd": 0.0},
            {"model": "m", "cause": "fallback", "outcome": "won", "status": 200, "seconds": 0.5, "cost_usd": 3.0},
        ],
    }


def test_the_line_of_a_pools_answer(clock: Clock, world: World, tmp_path: Path) -> None:
    """The model is the pool; each attempt names the member that was asked."""
    world.model("a", Act(status=500))
    world.model("b", Act(text="hello"))
    source = write_lines(tmp_path / "in", rows(1))
    pool = {"any": ["sim:a", "sim-gemini:b"], "pick": "first"}

    run(clock, world, source, tmp_path / "out.jsonl", model="pool", retry=1, config={"models": {"pool": pool}})

    [line] = read_lines(tmp_path / "out.jsonl")
    attempts = line["attempts"]
    assert isinstance(attempts, list)
    assert (line["model"], [(one["model"], one["member"]) for one in attempts]) == (
        "pool", [("pool", "sim:a"), ("pool", "sim-gemini:b")]
    )


def test_answers_are_written_as_they_come(clock: Clock, world: World, tmp_path: Path) -> None:
    """An answer is in the file one iteration of the event loop after it came, while other rows are in flight."""
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
    """With `ordered` the answers are in the order of the input at the end, otherwise in that of their coming."""
    world.model("m", lambda seen, random: Act(first_token=random.random()))
    source = write_lines(tmp_path / "in", rows(300))

    run(clock, world, source, tmp_path / "came.jsonl")
    run(clock, world, source, tmp_path / "out.jsonl", ordered=True)

    assert ids(tmp_path / "out.jsonl") == [row["id"] for row in rows(300)]
    assert ids(tmp_path / "came.jsonl") != sorted(ids(tmp_path / "came.jsonl"))
    assert not list(tmp_path.glob("*.tmp"))


def test_poisoned_rows_do_not_stop_the_others_and_run_again_after_a_fix(
    clock: Clock, world: World, tmp_path: Path
) -> None:
    """Rows that fail do not stop the others, and the errors file, mended, is the input of another run."""
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


@pytest.mark.parametrize(("options", "error"), [
    ({"format": "csv"}, "format: expected \"native\" or \"openai\", got 'csv'"),
    ({"limit": 0}, "limit: expected a whole number of at least 1, got 0"),
    ({"concurrency": "8"}, "concurrency: expected a whole number of at least 1, got '8'"),
    ({"budget_usd": "5"}, "budget_usd: expected US dollars above 0, got '5'"),
    ({"max_error_rate": 20}, "max_error_rate: expected a share from 0 to 1, got 20"),
    ({"accept": "json"}, "accept: expected a function of a reply, got str"),
    ({"params": {"model": "n"}}, "params.model: is set by the router and cannot be a parameter"),
])
def test_invalid_options_are_reported_before_anything_is_done(
    clock: Clock, world: World, tmp_path: Path, options: dict[str, object], error: str
) -> None:
    """An invalid option is an error with its name and value, and no file is made."""
    with pytest.raises((BatchError, ConfigError, TypeError)) as caught:
        run(clock, world, write_lines(tmp_path / "in", rows(1)), tmp_path / "out", **options)

    assert str(caught.value) == error
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_rows_in_memory_are_no_file(clock: Clock, world: World, tmp_path: Path) -> None:
    """A list in the place of a path is a `TypeError` that names `batch.map`."""
    with pytest.raises(TypeError) as caught:
        run(clock, world, rows(1), tmp_path / "out")

    assert str(caught.value) == "source: expected a file's path, got list; batch.map takes any iterable"


def test_a_limit_takes_the_next_rows_each_time(clock: Clock, world: World, tmp_path: Path) -> None:
    """`limit` asks the next rows that have no answer yet, in each run."""
    world.model("m", Act())
    source, output = write_lines(tmp_path / "in", rows(10)), tmp_path / "out"

    done = [run(clock, world, source, output, limit=4).done for _ in range(4)]

    assert done == [4, 4, 2, 0]
    assert len(set(ids(output))) == world.requests == 10


def test_progress_is_reported_four_times_a_second(clock: Clock, world: World, tmp_path: Path) -> None:
    """`progress` is called four times a second with rows, costs, projection and each model's share."""
    world.model("m", Act(text="four", first_token=1.0)).price(1e6, 1e6)
    updates: list[Progress] = []

    run(clock, world, write_lines(tmp_path / "in", rows(64)), tmp_path / "out", config={"models": PRICED},
        concurrency=8, progress=updates.append)

    assert 32 <= len(updates) <= 34
    halfway = updates[17]
    assert (halfway.rows, halfway.done, halfway.in_flight, halfway.cost_usd) == (64, 32, 8, 32.0 * 3)
    assert (halfway.projected_usd, halfway.models) == (64.0 * 3, {"m": 1.0})
    assert halfway.seconds_left is not None
    assert 3.0 < halfway.seconds_left < 5.0
    assert updates[-1].done == 64


def test_the_report_counts_everything(clock: Clock, world: World, tmp_path: Path) -> None:
    """The report has answers, attempts and cost by model, tokens, and latencies to within 2.5 %."""

    def behaviour(seen: LoggedRequest, random: Random) -> Act:
        return Act(text="four", first_token=1.0 + int(prompt_of(seen).split()[1]) / 100)

    world.model("m", behaviour).price(1e6, 1e6)
    report = run(clock, world, write_lines(tmp_path / "in", rows(100)), tmp_path / "out", config={"models": PRICED})

    assert (report.done, report.input_tokens, report.output_tokens, report.cost_usd) == (100, 200, 100, 300.0)
    assert report.models == {"m": {"answered": 100, "attempts": 100, "cost_usd": 300.0}}
    assert report.latency == pytest.approx({"p50": 1.49, "p90": 1.89, "p95": 1.94, "p99": 1.98}, rel=0.026)


@pytest.mark.parametrize(("row", "options", "error"), [
    ({"id": "1", "prompt": "x"}, {"make_router": lambda number, count: Router()},
     "processes: something here cannot be handed to another process"),
    ({"id": "1"}, {}, "line 1"),
])
def test_processes_that_get_nothing_to_do_end(
    tmp_path: Path, row: dict[str, object], options: dict[str, object], error: str
) -> None:
    """Processes that are started but get nothing to do end with the error. (Starting processes takes a second.)"""
    source = write_lines(tmp_path / "in.jsonl", [row])
    config = {"default_provider": "p", "providers": {"p": {"base_url": "http://127.0.0.1:9/v1"}}, "tasks": ONE_MODEL}

    async def scenario() -> None:
        async with Router(config) as router:
            await batch.run(router, source, tmp_path / "out.jsonl", processes=2, **options)  # type: ignore[arg-type]

    with pytest.raises(BatchError, match=error):
        asyncio.run(scenario())

    assert multiprocessing.active_children() == []


def test_the_report_counts_ends_and_calls_made_again(clock: Clock, world: World, tmp_path: Path) -> None:
    """A report counts answers by their finish reason, and the calls that were made again."""
    world.model("m", Act(why="rate_limit", retry_after=20), Act(finish_reason="length"), Act(), Act())

    report = run(
        clock, world, write_lines(tmp_path / "in", rows(3)), tmp_path / "out", retry={"attempts": 1}, concurrency=1
    )

    assert (report.done, report.retries) == (3, 1)
    assert report.ends == {"stop": 2, "length": 1}


def test_the_seconds_of_a_line_are_the_providers(clock: Clock, world: World, tmp_path: Path) -> None:
    """A row that waited for its turn has the provider's seconds in its line, and those of the queue apart."""
    world.model("m", Act(first_token=0.5))
    models = {"m": {"provider": "sim", "id": "m", "rpm": 60}}

    run(clock, world, write_lines(tmp_path / "in", rows(4)), tmp_path / "out", config={"models": models})

    lines = read_lines(tmp_path / "out")
    assert {line["seconds"] for line in lines} == {0.5}
    assert max(float(str(line.get("queued", 0.0))) for line in lines) >= 1.0
