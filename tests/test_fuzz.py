"""Damaged answers and errors, half a minute of them: `python -m tests.fuzz --inputs 1000000` is the long way.

What the vendors' clients read in the same bytes is compared in `tests/contracts`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_damage_never_breaks_a_decoder() -> None:
    """No damaged input raises an exception, contradicts its own chunks, or takes time that grows faster than its size.

    It takes half a minute on one core: what one damaged input in ten thousand does shows after tens of thousands.
    """
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", "25", "--processes", "1", "--no-clients"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
