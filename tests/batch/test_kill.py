"""SIGKILL at random instants: nothing finished is lost or asked again. 200 kills: `python tests/batch/kills.py`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from kills import torture

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("processes", [1, 2])
def test_ten_kills_cost_nothing_but_what_was_on_its_way(tmp_path: Path, processes: int) -> None:
    """20,000 rows (with two processes 8,000), resumed each time. Its seconds are real: only a process can be killed."""
    rows = 20_000 if processes == 1 else 8_000

    killed = torture(tmp_path, rows, 10 if processes == 1 else 4, 1, "--processes", str(processes))

    assert [] == killed.violations, (tmp_path / "log").read_text()
    assert killed.kills >= 4
    assert Counter(str(number) for number in range(rows)) == Counter(killed.lines)
