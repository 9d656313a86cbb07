"""Runs and searches that were killed go on with the same command; other settings are refused with their names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter import bench
from asyncrouter.bench import Load, Settings
from asyncrouter.bench.journal import Journal
from asyncrouter.bench.resuming import open_journal
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from tests.helpers.commandline import Shell

RUN = ("bench", "run", "--arm", "a: model=a", "--arm", "b: model=b stream", "--rate", "200", "--calls", "10",
       "--out", "out")
SEARCH = ("bench", "sweep", "--scenario", "one-server", "--concurrency", "1,2,4", "--calls", "80", "--out", "out")
PARTIAL = Path("out/calls.partial.jsonl")


def journal_of_a_run(shell: Shell) -> bytes:
    """The journal of a run just before its end."""
    for name in "ab":
        shell.world.model(name, Act(first_token=0.01))
    shell.run(*RUN)
    rows = [orjson.loads(line) for line in Path("out/requests.jsonl").read_bytes().splitlines()]
    arms = [bench.parse_arm(text) for text in (RUN[3], RUN[5])]
    described = {arm.name: {**arm.described(), "config": True} for arm in arms}
    with open_journal(PARTIAL, [bench.Arm(arm.name, arm.call, {}, arm.stream) for arm in arms],
                      Load.poisson(200, calls=10), Settings()) as journal:
        for row in rows:
            journal.add(row)
    assert orjson.loads(PARTIAL.read_bytes().splitlines()[0])["settings"]["arms"] == described
    return PARTIAL.read_bytes()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.77, 1.0])
def test_a_run_that_was_killed_goes_on(shell: Shell, share: float) -> None:
    """Cut anywhere, also in the middle of a line: calls that had ended are not made again, and the report has all."""
    data = journal_of_a_run(shell)
    asked = [len(shell.world.asked(name)) for name in "ab"]
    kept = data[: int(len(data) * share)]
    ended = [orjson.loads(line)["arm"] for line in kept[: kept.rfind(b"\n") + 1].splitlines()[1:]]
    PARTIAL.write_bytes(kept)
    done = shell.run(*RUN)

    assert done.status == 0
    assert [len(shell.world.asked(name)) - before for name, before in zip("ab", asked, strict=True)] == [
        10 - ended.count("a"), 10 - ended.count("b")]
    report = bench.Report.read("out")
    assert [arm.measures["calls"].value for arm in report.arms] == [10.0, 10.0]
    assert any("resumed after" in warning for warning in report.warnings) == (ended != [])
    assert not PARTIAL.exists()


def test_a_run_with_other_settings_is_refused(shell: Shell) -> None:
    """The message names the setting with both values; nothing is asked."""
    journal_of_a_run(shell)
    asked = len(shell.world.asked("a"))
    done = shell.run(*RUN, "--warmup", "3")

    assert (done.status, len(shell.world.asked("a"))) == (2, asked)
    assert "a run with other settings was begun here (warmup: 0 → 3)" in done.err


def test_a_search_goes_on_with_the_levels_that_are_left(shell: Shell) -> None:
    """After a kill in the middle of the second level, the first one is not measured again."""
    whole = shell.run(*SEARCH)
    arm = bench.Arm("first model", {"chain": ["primary"], "retry": {"attempts": 1}}, stream=True)
    journal = Path("out/capacity.partial.jsonl")
    probes = bench.sweep(arm, [1, 2, 4], probe_calls=80, scenario="one-server", journal=journal).probes
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]) + lines[2][:40])
    again = shell.run(*SEARCH)

    assert len(probes) == 3
    assert (again.status, again.out) == (whole.status, whole.out)
    assert [line.split(" ")[0] for line in again.err.splitlines()] == ["2", "4"]


def test_a_search_with_other_settings_is_refused(shell: Shell) -> None:
    """Another number of calls would mix two searches."""
    shell.run(*SEARCH, "--max-seconds", "50")
    done = shell.run(*SEARCH, "--calls", "90", "--max-seconds", "50")

    assert (done.status, "probe_calls: 80 → 90" in done.err) == (2, True)


def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    """It is named, and keeps its text."""
    file = tmp_path / "calls.partial.jsonl"
    file.write_text("dear diary\n", encoding="utf-8")
    with pytest.raises(ValueError, match="is no journal of a run"):
        Journal(file, {"seed": 0})

    assert file.read_text(encoding="utf-8") == "dear diary\n"
