"""`dedupe`: rows that ask the same are asked once, and each has its own line; in virtual time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter import batch
from asyncrouter.sim import Act
from tests.batch.test_command import CONFIG
from tests.helpers.batching import (
    PRICED,
    asked,
    ids,
    poisoned,
    read_lines,
    router_of,
    run,
    write_lines,
)
from tests.helpers.commandline import spawn

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World
    from tests.helpers.commandline import Shell


def labels(count: int, different: int) -> list[dict[str, object]]:
    return [{"id": number, "prompt": f"say {number % different}"} for number in range(count)]


def test_identical_rows_are_asked_once_and_each_has_its_line(clock: Clock, world: World, tmp_path: Path) -> None:
    """A thousand rows with ten prompts are ten requests and a thousand lines, of which ten have a cost."""
    world.model("m", lambda seen, random: Act(text=f"an answer {len(world.seen)}", first_token=random.random()))
    source = write_lines(tmp_path / "in", labels(1000, 10))

    report = run(clock, world, source, tmp_path / "out.jsonl", dedupe=True, config={"models": PRICED})

    lines = read_lines(tmp_path / "out.jsonl")
    assert (report.done, report.copied, report.attempts, len(asked(world))) == (1000, 990, 10, 10)
    assert sorted(map(int, ids(tmp_path / "out.jsonl"))) == list(range(1000))  # type: ignore[call-overload]
    texts = {int(line["id"]) % 10: line["text"] for line in lines}  # type: ignore[call-overload]
    assert all(line["text"] == texts[int(line["id"]) % 10] for line in lines)  # type: ignore[call-overload]
    assert sum("same_as" in line for line in lines) == 990
    assert sum(float(line["cost_usd"]) for line in lines) == pytest.approx(report.cost_usd)  # type: ignore[arg-type]


def test_what_is_the_same(clock: Clock, world: World, tmp_path: Path) -> None:
    """A prompt is the message of a user; parameters, tasks and other messages make another request; ids and metadata
    do not.
    """
    world.model("m", Act())
    message = {"role": "user", "content": "a"}
    given: list[dict[str, object]] = [
        {"id": 1, "prompt": "a"}, {"id": 2, "messages": [message]}, {"id": 3, "prompt": "a", "metadata": {"k": 1}},
        {"id": 4, "prompt": "a", "max_tokens": 5}, {"id": 5, "prompt": "a", "params": {"max_tokens": 5}},
        {"id": 6, "messages": [{**message, "name": "x"}]}, {"prompt": "a"}, {"prompt": "a"},
        {"custom_id": "c", "body": {"model": "default", "messages": [message]}},
    ]
    source = write_lines(tmp_path / "in", given)

    report = run(clock, world, source, tmp_path / "out.jsonl", dedupe=True)

    lines = read_lines(tmp_path / "out.jsonl")
    same = {line["id"]: line.get("same_as") for line in lines if isinstance(line["id"], int)}
    assert (report.done, len(world.seen)) == (9, 4)
    assert same == {1: None, 2: 1, 3: 1, 4: None, 5: 4, 6: None}
    assert [line["metadata"] for line in lines if line["id"] == 3] == [{"k": 1}]


def test_identical_rows_fail_together(clock: Clock, world: World, tmp_path: Path) -> None:
    """A failure is that of every row that asks the same, and the errors file has all of them."""
    world.model("m", poisoned)
    given = [{"id": number, "prompt": ["malformed", "good"][number % 2]} for number in range(10)]

    report = run(clock, world, write_lines(tmp_path / "in", given), tmp_path / "out.jsonl", dedupe=True)

    assert (report.done, report.failed, report.copied, report.errors, report.attempts) == (5, 5, 8, {"Rejected": 5}, 2)
    errors = read_lines(tmp_path / "out.errors.jsonl")
    assert [(line["id"], line["_error"].get("same_as")) for line in errors] == [  # type: ignore[attr-defined]
        (0, None), (2, 0), (4, 0), (6, 0), (8, 0),
    ]


def test_copies_without_a_line_are_asked_by_the_next_run_once(clock: Clock, world: World, tmp_path: Path) -> None:
    """A kill in the middle of a row and its copies leaves copies without a line: one of them is asked."""
    world.model("m", Act())
    source, output = write_lines(tmp_path / "in", labels(30, 1)), tmp_path / "out.jsonl"
    run(clock, world, source, output, dedupe=True)
    output.write_bytes(b"\n".join(output.read_bytes().split(b"\n")[:11]))

    again = run(clock, world, source, output, dedupe=True)

    assert (again.skipped, again.done, again.attempts, len(set(ids(output)))) == (10 + 1 - 1, 20, 1, 30)


def test_a_limit_counts_what_is_asked(clock: Clock, world: World, tmp_path: Path) -> None:
    """`limit` is how many rows are asked; their copies are answered with them."""
    world.model("m", Act())
    report = run(
        clock, world, write_lines(tmp_path / "in", labels(100, 10)), tmp_path / "out.jsonl", dedupe=True, limit=3
    )

    assert (report.attempts, report.done, report.left) == (3, 30, 70)


def test_a_budget_and_an_estimate_count_what_is_asked(clock: Clock, world: World, tmp_path: Path) -> None:
    """Copies cost nothing: neither in the estimate nor under a budget that only the asked rows fit into."""
    world.model("m", Act(text="a b c d", first_token=0.1))  # 1 token in, 4 out
    source = write_lines(tmp_path / "in", [{"id": n, "prompt": f"{n % 10}", "max_tokens": 4} for n in range(1000)])

    async def estimated() -> batch.Estimate:
        async with router_of(world, models=PRICED) as router:
            return await batch.estimate(router, source, dedupe=True)

    estimate = clock.run(estimated())
    report = run(
        clock, world, source, tmp_path / "out.jsonl", dedupe=True, budget_usd=60.0, config={"models": PRICED}
    )

    assert (estimate.rows, estimate.copies, estimate.cost_usd) == (1000, 990, 50.0)
    assert (report.done, report.cost_usd) == (1000, 50.0)


def test_two_processes_share_what_is_asked(shell: Shell) -> None:
    """Two processes find the same copies, and every row has one line. (Starting processes takes a second.)"""
    shell.write(CONFIG)
    shell.world.model("m", Act())
    write_lines(Path("in.jsonl"), labels(200, 10))

    done = spawn("batch", "in.jsonl", "-o", "out.jsonl", "--processes", "2", "--dedupe", "--json")

    summary = json.loads(done.out)
    assert (summary["done"], summary["copied"], len(shell.world.seen)) == (200, 190, 10)
    assert sorted(map(int, ids(Path("out.jsonl")))) == list(range(200))  # type: ignore[call-overload]
    assert "200 answered, 0 failed, 190 of these the same as others, of 200 rows" in done.err


def test_lines_in_openais_form(clock: Clock, world: World, tmp_path: Path) -> None:
    """In OpenAI's form what is ours says that an answer is that of another row."""
    world.model("m", Act(text="hi"))
    given = [{"custom_id": str(n), "body": {"model": "m", "messages": [{"role": "user", "content": "a"}]}}
             for n in range(2)]
    run(clock, world, write_lines(tmp_path / "in", given), tmp_path / "out.jsonl", dedupe=True, format="openai")

    first, second = (orjson.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines())
    assert (first["response"], first["custom_id"], second["custom_id"]) == (second["response"], "0", "1")
    assert ("same_as" in first["asyncrouter"], second["asyncrouter"]["same_as"]) == (False, "0")
