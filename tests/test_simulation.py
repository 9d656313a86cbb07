"""The deterministic simulation: a thousand seeds keep every invariant, and every mutant is noticed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.__main__ import COMMAND, PATIENCE, caught, main
from tests.simulation.mutants import MUTANTS
from tests.simulation.run import run_seed

ROOT = Path(__file__).parent.parent
SEEDS = 1000
FIRST = 1_000_000
"""The first seed for the mutants: not one of the thousand that have shown to be clean."""


def simulate(*arguments: str, hashseed: str = "random") -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": hashseed}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=900
    )


@pytest.fixture(scope="module")
def thousand() -> subprocess.CompletedProcess[str]:
    """The output of a thousand seeds, run once for all tests that ask."""
    return simulate("--seeds", str(SEEDS), "--processes", str(min(2, os.cpu_count() or 1)))


def test_a_thousand_seeds_are_clean(thousand: subprocess.CompletedProcess[str]) -> None:
    """A thousand seeds of about 200 calls each keep every invariant.

    This is the long one, about a minute and a half on two cores: what it looks for are interleavings that happen once
    in a hundred thousand calls, and fewer calls do not find them.
    """
    assert thousand.returncode == 0, thousand.stdout[-4000:] + thousand.stderr[-4000:]
    calls = re.search(rf"^{SEEDS} seeds, (\d+) calls", thousand.stdout, re.MULTILINE)
    assert calls is not None
    assert int(calls[1]) > 150 * SEEDS


def test_nearly_all_faults_are_met_on_all_wires(thousand: subprocess.CompletedProcess[str]) -> None:
    """The thousand seeds meet nearly every kind of fault on every wire; those that disable a key are rare."""
    met = re.search(r"^(\d+) of (\d+) kinds of trouble met", thousand.stdout, re.MULTILINE)

    assert met is not None
    assert int(met[1]) > 0.95 * int(met[2])


@pytest.mark.parametrize("seed", [3, 17, 42])
def test_a_seed_is_one_history(seed: int) -> None:
    """The same seed twice in one process writes the same log, line for line."""
    assert run_seed(seed, keep_log=True).lines == run_seed(seed, keep_log=True).lines


def test_a_history_does_not_depend_on_the_hashes_of_strings() -> None:
    """Twenty seeds have the same digest in three processes with different hash seeds (three starts: seconds)."""
    digests = {re.search(r"digest (\w+)", simulate("--seeds", "20", hashseed=how).stdout)[1]  # type: ignore[index]
               for how in ("0", "1", "random")}

    assert len(digests) == 1


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_broken_router_is_noticed(name: str) -> None:
    """Each mutant breaks an invariant within 300 seeds; most do within ten.

    Some take seconds: what they break shows only when a rare event meets another.
    """
    result = caught(name, FIRST)

    assert result is not None, f"{name} has survived {PATIENCE} seeds"


def test_a_seed_that_fails_says_how_to_replay_it(capsys: pytest.CaptureFixture[str]) -> None:
    """A seed that fails prints what did not hold, the timeline of the call, and one line to replay it."""
    result = caught("retry_after_ignored", FIRST)
    assert result is not None
    with MUTANTS["retry_after_ignored"]():
        code = main(["--from", str(result.seed), "--seeds", "1"])

    told = capsys.readouterr().out
    call = re.search(rf"^seed {result.seed}: gate: .* for call (\d+) at ", told, re.MULTILINE)
    assert code == 1
    assert call is not None
    assert f"  | call {call[1]} at " in told
    assert re.search(r"^  \|   attempt 1 at m\d \(first\): queued \+", told, re.MULTILINE)
    assert f"  replay: {COMMAND} {result.seed}\n" in told


def test_a_replay_prints_all_that_happened(capsys: pytest.CaptureFixture[str]) -> None:
    """A replay prints every event with its instant, and the digest of them all."""
    code = main(["--seed", "7"])

    told = capsys.readouterr().out.splitlines()
    assert code == 0
    assert told == [*run_seed(7, keep_log=True).lines, f"digest {run_seed(7).digest}"]
