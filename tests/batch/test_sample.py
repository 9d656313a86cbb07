"""`batch.sample` and `--dry-run --sample`: some rows are asked, to tell cost and time of all."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from asyncrouter import batch
from asyncrouter.batch._sampling import Interval, Reservoir, SampledRow, mean_by, mean_of
from asyncrouter.sim import Act
from tests.batch.test_command import CONFIG
from tests.helpers.batching import PRICED, prompt_of, read_lines, router_of, rows, write_lines

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, LoggedRequest, World
    from tests.helpers.commandline import Shell


def long_tailed(seen: LoggedRequest, random: Random) -> Act:
    """An answer of 1 to some hundred tokens, and a second for every tenth of them."""
    words = 1 + int(random.lognormvariate(3, 0.8))
    return Act(text="word " * words, first_token=words / 10)


def test_what_a_sample_tells(clock: Clock, world: World, tmp_path: Path) -> None:
    """Of 5,000 rows fifty are asked; their cost and time tell those of all, with intervals around what they are."""
    world.model("m", long_tailed)
    source = write_lines(tmp_path / "in", rows(5000))

    async def scenario() -> tuple[batch.Sample, batch.Report]:
        async with router_of(world, models=PRICED) as router:
            sample = await batch.sample(router, source, 50, output=tmp_path / "s.jsonl", concurrency=64)
            return sample, await batch.run(router, source, tmp_path / "out.jsonl", concurrency=64)

    sample, report = clock.run(scenario())
    assert (sample.rows, sample.asked, sample.answered, sample.errors, sample.stopped) == (5000, 50, 50, {}, None)
    assert sample.total_usd is not None
    assert sample.total_usd.low < float(report.cost_usd or 0) < sample.total_usd.high
    assert sample.total_usd.high < 1.7 * sample.total_usd.low
    assert sample.seconds is not None
    assert sample.fastest_seconds == pytest.approx(sample.seconds.value / 4)  # 64 at once in the place of 16
    assert sample.fastest_seconds < 1.3 * report.seconds
    lines = read_lines(tmp_path / "s.jsonl")
    assert (len(lines), sum(float(line["cost_usd"]) for line in lines)) == (50, sample.spent_usd)  # type: ignore[arg-type]


def test_a_sample_is_always_of_the_same_rows(clock: Clock, world: World, tmp_path: Path) -> None:
    """Two samples of an input ask the same rows, so that models can be compared; a repetition empties the file."""
    world.model("m", Act())
    source = write_lines(tmp_path / "in", rows(500))

    async def scenario() -> None:
        async with router_of(world) as router:
            for _ in range(2):
                await batch.sample(router, source, 20, output=tmp_path / "s.jsonl")

    clock.run(scenario())
    prompts = [prompt_of(seen) for seen in world.seen]
    assert (prompts[:20], len(set(prompts)), len(read_lines(tmp_path / "s.jsonl"))) == (prompts[20:], 20, 20)


def test_a_sample_of_all_rows_is_exact(clock: Clock, world: World, tmp_path: Path) -> None:
    """Where the input has no more rows than the sample, the interval of the cost is the cost."""
    world.model("m", Act(text="a b", first_token=1.0))
    source = write_lines(tmp_path / "in", rows(3))

    async def scenario() -> batch.Sample:
        async with router_of(world, models=PRICED) as router:
            return await batch.sample(router, source, 50)

    sample = clock.run(scenario())
    assert (sample.asked, sample.spent_usd, sample.output) == (3, sample.total_usd.value, "")  # type: ignore[union-attr]
    assert sample.total_usd.low == sample.total_usd.high == sample.spent_usd  # type: ignore[union-attr]


def test_a_sample_nobody_answers(clock: Clock, world: World, tmp_path: Path) -> None:
    """Keys that are turned down end a sample early, and nothing is told of time."""
    world.model("m", Act(why="key"))
    source = write_lines(tmp_path / "in", rows(100))

    async def scenario() -> batch.Sample:
        async with router_of(world, models=PRICED) as router:
            return await batch.sample(router, source, 50)

    sample = clock.run(scenario())
    assert (sample.answered, sample.seconds, sample.total_usd) == (0, None, None)
    assert sample.stopped == "no row can be answered: Unauthorized, NotSent"


def test_what_is_known_of_all_rows_shortens_the_interval() -> None:
    """Costs that follow the length of the prompt are told exactly by the mean length of all prompts."""
    known = [float(Random(1).randrange(100)) for _ in range(3)] + [5.0, 50.0, 95.0]
    values = [2.0 + 3.0 * x for x in known]

    by_length, plain = mean_by(values, known, 40.0, 1000), mean_of(values, 1000)

    assert by_length.value == pytest.approx(122.0)
    assert by_length.high - by_length.low < 1e-6 < plain.high - plain.low


def test_intervals_cover_the_mean_as_often_as_they_say() -> None:
    """Of 400 samples of 50 log-normal values nine in ten or more have the mean of all in their interval."""
    random = Random(7)
    population = [random.lognormvariate(0, 0.8) for _ in range(5000)]
    mean = sum(population) / len(population)

    found = [mean_of(random.sample(population, 50), 5000) for _ in range(400)]

    assert sum(each.low <= mean <= each.high for each in found) >= 360


def test_every_row_has_the_same_chance_to_be_drawn() -> None:
    """A reservoir draws from everywhere: the mean of what it has is that of all."""
    reservoir = Reservoir(2000)
    for number in range(20_000):
        reservoir.offer(SampledRow(number, {}, 1))

    mean = sum(row.line for row in reservoir.rows) / 2000
    assert (reservoir.offered, reservoir.tokens, abs(mean - 10_000) < 400) == (20_000, 20_000, True)


def test_two_values_tell_little() -> None:
    """With one value the interval has no end; with two it is wide."""
    assert mean_of([3.0], 10) == Interval(3.0, 0.0, float("inf"))
    assert mean_of([1.0, 2.0], 10).high > 5.0


def test_a_sample_on_the_command_line(shell: Shell) -> None:
    """`--dry-run --sample` prints cost and time of all with intervals, keeps the answers, leaves the output alone."""
    shell.write(CONFIG.replace("1000000.0", "10.0"))
    shell.world.model("m", Act(text="one two three"))
    write_lines(Path("in.jsonl"), rows(400))

    shown = shell.run("batch", "in.jsonl", "-o", "out.jsonl", "--dry-run", "--sample", "20")
    as_json = shell.run("batch", "in.jsonl", "-o", "out.jsonl", "--dry-run", "--sample", "20", "--json")

    assert (shown.status, as_json.status, len(shell.world.seen)) == (0, 0, 40)
    lines = shown.out.splitlines()
    assert lines[0].startswith("asked 20 of 400 rows, drawn at random: 20 answered, for $")
    assert lines[0].endswith("the answers are in out.sample.jsonl")
    assert lines[1].startswith("cost of all: about $0.02")
    assert lines[2].startswith("time of all: about ")
    assert json.loads(as_json.out)["total_usd"]["low"] <= json.loads(as_json.out)["total_usd"]["high"]
    assert (len(read_lines(Path("out.sample.jsonl"))), Path("out.jsonl").exists()) == (20, False)


def test_a_sample_goes_with_a_dry_run(shell: Shell) -> None:
    """`--sample` alone is wrong usage, and the message names the option that was perhaps meant."""
    shell.write(CONFIG)
    write_lines(Path("in.jsonl"), rows(4))

    done = shell.run("batch", "in.jsonl", "-o", "out.jsonl", "--sample", "2")

    assert (done.status, len(shell.world.seen)) == (2, 0)
    assert "--sample goes with --dry-run; a run of some rows only is --limit" in done.err
