"""Damaged answers, a minute of them, held against what the vendors' own clients read in the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_damage_is_never_an_answer() -> None:
    """Every damaged input that is taken for an answer is read as the same answer by the vendor's own client.

    It takes a minute on one core: what one damaged input in ten thousand does shows after tens of thousands.
    """
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", "55", "--processes", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
