"""Resuming a batch: which rows are asked again, and which files are refused."""

from __future__ import annotations

import asyncio
import os
import shutil
from gzip import compress
from typing import TYPE_CHECKING

import pytest

from asyncrouter import batch
from asyncrouter.batch import BatchError, WriteFailed
from asyncrouter.sim import Act
from tests.helpers.batching import asked, ids, poisoned, read_lines, router_of, rows, run, write_lines

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from asyncrouter.sim import Clock, LoggedRequest, World


def test_a_finished_run_asks_only_for_its_failures_again(clock: Clock, world: World, tmp_path: Path) -> None:
    """With `retry_failed` a second run asks only the rows that failed, and the errors file is of that run."""
    world.model("m", poisoned)
    given = [*rows(20), {"id": "bad", "prompt": "broken"}]
    source = write_lines(tmp_path / "in", given)
    run(clock, world, source, tmp_path / "out.jsonl", retry={"attempts": 1})
    world.seen.clear()

    world.model("m", Act(text="better now"))
    report = run(clock, world, source, tmp_path / "out.jsonl", retry={"attempts": 1}, retry_failed=True)

    assert asked(world) == ["broken"]
    assert (report.skipped, report.done, report.failed, report.left) == (20, 1, 0, 0)
    assert len(set(ids(tmp_path / "out.jsonl"))) == 21
    assert not (tmp_path / "out.errors.jsonl").exists()


def test_half_a_last_line_is_cut_and_its_row_asked_again(clock: Clock, world: World, tmp_path: Path) -> None:
    """Wherever in its last line a file was cut, that row is asked again and every id is written once."""
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
    """A copy in another directory, with a compressed copy of the input, is resumed: only content counts."""
    world.model("m", poisoned)
    (tmp_path / "here").mkdir()
    source = write_lines(tmp_path / "here" / "in.jsonl", rows(3))
    run(clock, world, source, tmp_path / "here" / "out.jsonl")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    (tmp_path / "there" / "in.jsonl.gz").write_bytes(compress(source.read_bytes()))

    report = run(clock, world, tmp_path / "there" / "in.jsonl.gz", tmp_path / "there" / "out.jsonl")

    assert (report.skipped, report.done) == (3, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"task": "other"}, 'task was null and is "other"'), ({"params": {"temperature": 1}}, "params was {} and is"),
     ({"format": "openai"}, 'format was "native" and is "openai"')],
)
def test_another_batch_does_not_write_into_an_output(
    clock: Clock, world: World, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    """An output of other options is refused with what differs; nothing is sent and nothing changed."""
    world.model("m", poisoned)
    source, output = write_lines(tmp_path / "in", rows(3)), tmp_path / "out.jsonl"
    tasks = {"default": ["m"], "other": ["m"]}
    run(clock, world, source, output, config={"tasks": tasks})
    before = output.read_bytes()

    with pytest.raises(BatchError, match="belongs to another batch") as caught:
        run(clock, world, source, output, config={"tasks": tasks}, **change)

    assert message in str(caught.value)
    assert world.requests == 3
    assert output.read_bytes() == before


def test_answers_of_other_rows_are_not_counted_as_done(clock: Clock, world: World, tmp_path: Path) -> None:
    """Answers whose ids are not in the input do not count as skipped rows."""
    world.model("m")
    source, out = write_lines(tmp_path / "in", rows(3)), tmp_path / "out.jsonl"
    run(clock, world, source, out)
    write_lines(out, [*read_lines(out), *({"id": f"other {n}"} for n in range(4))])

    again = run(clock, world, source, out)

    assert (again.done, again.skipped, again.left) == (0, 3, 0)


def test_another_input_needs_force_and_then_ids_decide(clock: Clock, world: World, tmp_path: Path) -> None:
    """Another input is refused; `force` asks the rows whose ids have no answer, `restart` asks all."""
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
    """A file that is not empty and no output is refused and stays as it is."""
    world.model("m")
    (tmp_path / "thesis").write_bytes(b"ten years of work")

    with pytest.raises(BatchError, match="is not empty"):
        run(clock, world, write_lines(tmp_path / "in", rows(1)), tmp_path / "thesis")

    assert (tmp_path / "thesis").read_bytes() == b"ten years of work"


def test_an_errors_file_that_holds_something_else_is_left_alone(
    clock: Clock, world: World, tmp_path: Path
) -> None:
    """An errors file that holds anything but failures is refused and stays as it is."""
    world.model("m")
    source, notes = write_lines(tmp_path / "in", rows(1)), write_lines(tmp_path / "notes", rows(1))

    with pytest.raises(BatchError, match="not the failures of an earlier run"):
        run(clock, world, source, tmp_path / "out.jsonl", errors=notes)

    assert read_lines(notes) == rows(1)
    assert world.requests == 0


def test_nothing_is_thrown_away_when_the_errors_file_cannot_be_used(
    clock: Clock, world: World, tmp_path: Path
) -> None:
    """`restart` empties no output when the errors file is refused."""
    world.model("m")
    source, out = write_lines(tmp_path / "in", rows(1)), tmp_path / "out.jsonl"
    run(clock, world, source, out)

    with pytest.raises(BatchError, match="not the failures of an earlier run"):
        run(clock, world, source, out, errors=write_lines(tmp_path / "notes", rows(1)), restart=True)

    assert ids(out) == ["r0"]


def test_half_a_line_of_failures_is_begun_anew(clock: Clock, world: World, tmp_path: Path) -> None:
    """An errors file with half a line, as a kill leaves it, is accepted and begun anew."""
    world.model("m", poisoned)
    source = write_lines(tmp_path / "in", [{"id": "bad", "prompt": "malformed"}])
    (tmp_path / "out.errors.jsonl").write_bytes(b'{"id":"bad","pro')

    run(clock, world, source, tmp_path / "out.jsonl")

    assert ids(tmp_path / "out.errors.jsonl") == ["bad"]


def test_two_runs_do_not_write_into_one_output(clock: Clock, world: World, tmp_path: Path) -> None:
    """A second run on the same output is refused before it sends anything."""
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


# Failures that are final.


def test_final_failures_are_not_asked_again(clock: Clock, world: World, tmp_path: Path) -> None:
    """A row that has failed for good is left alone by the next run, which counts it and keeps its line."""
    world.model("m", poisoned)
    source = write_lines(tmp_path / "in", [*rows(3), {"id": "bad", "prompt": "malformed"}])
    run(clock, world, source, tmp_path / "out.jsonl", limit=3)
    run(clock, world, source, tmp_path / "out.jsonl")
    sent = world.requests

    report = run(clock, world, source, tmp_path / "out.jsonl")

    assert world.requests == sent
    assert (report.skipped, report.failed_before, report.failed, report.left) == (3, 1, 0, 0)
    assert report.exit_status == 1
    assert ids(tmp_path / "out.errors.jsonl") == ["bad"]


def test_retry_failed_asks_them_again(clock: Clock, world: World, tmp_path: Path) -> None:
    """With `retry_failed` rows that have failed for good are asked again, and no answered one is."""
    world.model("m", poisoned)
    source = write_lines(tmp_path / "in", [*rows(3), {"id": "bad", "prompt": "malformed"}])
    run(clock, world, source, tmp_path / "out.jsonl")
    world.model("m", Act())
    sent = world.requests

    report = run(clock, world, source, tmp_path / "out.jsonl", retry_failed=True)

    assert world.requests == sent + 1
    assert (report.skipped, report.failed_before, report.done, report.exit_status) == (3, 0, 1, 0)
    assert not (tmp_path / "out.errors.jsonl").exists()


def test_a_batch_with_nothing_but_failures_is_resumed(clock: Clock, world: World, tmp_path: Path) -> None:
    """Where every row has failed for good the same call asks nothing, and a changed input is asked anew."""
    world.model("m", poisoned)
    source = write_lines(tmp_path / "in", [{"id": "bad", "prompt": "malformed"}])
    run(clock, world, source, tmp_path / "out.jsonl")
    assert run(clock, world, source, tmp_path / "out.jsonl").failed_before == 1
    sent = world.requests

    report = run(clock, world, write_lines(source, [{"id": "bad", "prompt": "fine"}]), tmp_path / "out.jsonl")

    assert (world.requests, report.done, report.failed_before) == (sent + 1, 1, 0)


def test_failures_in_openais_form_are_the_batch_apis_error_lines(
    clock: Clock, world: World, tmp_path: Path
) -> None:
    """In OpenAI's form a failure has its status and the provider's error, and the next run leaves it alone."""
    world.model("m", poisoned)
    body = {"model": "m", "messages": [{"role": "user", "content": "malformed"}]}
    source = write_lines(tmp_path / "in", [{"custom_id": "a", "body": body}])

    run(clock, world, source, tmp_path / "out.jsonl", format="openai")
    again = run(clock, world, source, tmp_path / "out.jsonl", format="openai")

    [line] = read_lines(tmp_path / "out.errors.jsonl")
    error = {"message": "Invalid value: 'x'.", "type": "Rejected", "param": None, "code": "invalid_request_error"}
    assert again.failed_before == 1
    assert line["custom_id"] == "a"
    assert line["error"] is None  # which is for failures without a response
    assert line["response"] == {
        "status_code": 400, "request_id": line["response"]["request_id"], "body": {"error": error}  # type: ignore[index]
    }


@pytest.mark.parametrize(
    ("config", "options", "says"),
    [
        ({"models": {"m": {"provider": "sim", "id": "other"}}}, {}, 'endpoints was [["m","m","http://sim.test/v1"]]'),
        ({"providers": {"sim": {"base_url": "http://other.test/v1"}}}, {}, "endpoints was"),
        ({"tasks": {"default": {"models": ["m"], "params": {"temperature": 1}}}}, {}, "task_params was"),
        ({}, {"include_raw": True}, "include_raw was false and is true"),
    ],
    ids=["model id", "base_url", "task params", "include_raw"],
)
def test_a_resume_says_what_differs(
    clock: Clock, world: World, tmp_path: Path, config: dict[str, object], options: dict[str, object], says: str
) -> None:
    """Another model behind a name, another address, another parameter of the task: the resume is refused."""
    world.model("m")
    source = write_lines(tmp_path / "in", rows(3))
    run(clock, world, source, tmp_path / "out.jsonl", limit=1)

    with pytest.raises(BatchError) as caught:
        run(clock, world, source, tmp_path / "out.jsonl", config=config, **options)

    assert says in str(caught.value)


def test_a_limit_leaves_rows_and_says_so(clock: Clock, world: World, tmp_path: Path) -> None:
    """A run that has asked as many rows as `limit` says, with others left, has the exit status 3."""
    world.model("m")

    report = run(clock, world, write_lines(tmp_path / "in", rows(3)), tmp_path / "out.jsonl", limit=2)

    assert (report.done, report.left, report.exit_status) == (2, 1, 3)


# Files that change under a run.


def test_an_input_that_grows_is_noticed(clock: Clock, world: World, tmp_path: Path) -> None:
    """Rows that are added while a run goes on are not asked, and the run says that the input has changed."""
    source = write_lines(tmp_path / "in", rows(40))

    def behaviour(seen: LoggedRequest, random: Random) -> Act:
        write_lines(source, rows(60))
        return Act(first_token=1.0)

    world.model("m", behaviour)
    report = run(clock, world, source, tmp_path / "out.jsonl")

    assert (report.done, report.left, report.exit_status) == (40, 0, 3)
    assert report.stopped is not None
    assert "has changed since it was checked" in report.stopped


@pytest.mark.parametrize("how", ["deleted", "cut"])
def test_an_output_that_is_taken_away_is_noticed(clock: Clock, world: World, tmp_path: Path, how: str) -> None:
    """An output that is deleted or cut short while a run writes to it ends the run with the exit status 3."""
    output = tmp_path / "out.jsonl"

    def behaviour(seen: LoggedRequest, random: Random) -> Act:
        if seen.at > 2.0 and output.exists():
            output.unlink() if how == "deleted" else os.truncate(output, 10)
        return Act(first_token=1.0)

    world.model("m", behaviour)
    with pytest.raises(WriteFailed) as caught:
        run(clock, world, write_lines(tmp_path / "in", rows(200)), output, concurrency=16)

    assert ("was deleted" if how == "deleted" else "was changed by somebody else") in str(caught.value)
    assert caught.value.report is not None
    assert caught.value.report.exit_status == 3
