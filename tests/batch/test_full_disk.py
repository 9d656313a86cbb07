"""Files of a batch that cannot be written: a full disk, a missing directory."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from asyncrouter.batch import BatchError, WriteFailed
from asyncrouter.sim import Act
from tests.helpers.batching import ids, poisoned, rows, run, write_lines

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter.sim import Clock, World


def test_a_full_disk_stops_the_run_at_once(clock: Clock, world: World, tmp_path: Path) -> None:
    """A full disk raises `WriteFailed` with the report so far, and no row is sent after those in flight."""
    world.model("m", Act(first_token=1.0))
    source = write_lines(tmp_path / "in", rows(100))

    with pytest.raises(WriteFailed, match="/dev/full: No space left on device") as caught:
        run(clock, world, source, "/dev/full", errors=tmp_path / "errors")

    report = caught.value.report
    assert report is not None
    assert (report.done, report.left, report.exit_status) == (0, 100, 3)
    assert world.requests <= 32


def test_a_disk_that_is_full_in_the_middle_of_a_line(clock: Clock, world: World, tmp_path: Path) -> None:
    """A line that was only partly written is cut off, and the next run asks its row again."""
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
    missing = 100 - len(ids(output))
    assert run(clock, world, source, output).done == missing
    assert len(set(ids(output))) == len(ids(output)) == 100


def test_an_errors_file_on_a_full_disk_loses_no_answer(clock: Clock, world: World, tmp_path: Path) -> None:
    """With only the errors file on a full disk, rows in flight are still answered, and the next run resumes."""
    world.model("m", poisoned)
    source, output = write_lines(tmp_path / "in", [{"id": "bad", "prompt": "malformed"}, *rows(100)]), tmp_path / "out"

    with pytest.raises(WriteFailed, match="/dev/full: No space left") as caught:
        run(clock, world, source, output, errors="/dev/full")

    assert caught.value.report is not None
    assert world.requests - 1 == caught.value.report.done == len(ids(output)) > 0
    assert run(clock, world, source, output).failed == 1
    assert (world.requests, len(set(ids(output)))) == (102, 100)


def test_an_errors_file_that_cannot_be_written_is_an_error_before_anything_is_sent(
    clock: Clock, world: World, tmp_path: Path
) -> None:
    """An errors file in a directory that does not exist is an error before anything is sent."""
    with pytest.raises(BatchError, match="cannot be written"):
        run(clock, world, write_lines(tmp_path / "in", rows(3)), tmp_path / "out", errors=tmp_path / "no" / "errors")

    assert world.requests == 0
