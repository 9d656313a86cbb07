"""Hostile responses, some of them: `python -m tests.hostile --responses 1000000` is the long way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.hostile.attacks import ATTACKS
from tests.hostile.responses import WIRES, response_of, run

if TYPE_CHECKING:
    from asyncrouter.sim import Clock

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("seed", [1, 2])
def test_hostile_responses_end_in_replies_or_errors(clock: Clock, seed: int) -> None:
    """Nothing outside the tree of errors, nothing hidden in a text, and no turn of 50 ms. It takes a second."""
    outcomes, longest = clock.run(run(seed, range(1000)))

    assert longest < 0.05
    assert {outcome.partition(":")[0] for outcome in outcomes} == set(WIRES)
    assert {outcome.partition(": ")[2] for outcome in outcomes} > {"reply", "stream", "BadReply", "Rejected"}
    assert outcomes.total() == 1000


def test_a_number_gives_the_same_response_everywhere() -> None:
    """What fails can be had again."""
    assert response_of(Random("7:3")) == response_of(Random("7:3"))


def test_every_attack_has_tests() -> None:
    """Each file or folder that is named is there."""
    named = [test for attack in ATTACKS.values() for test in attack.tests]

    assert [test for test in named if not (ROOT / test).exists()] == []


def test_the_command_lists_its_attacks() -> None:
    """One line for each kind."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile", "--list"], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=False,
    )

    assert [line.split()[0] for line in done.stdout.splitlines()] == [*ATTACKS, "responses"]
