"""SIGKILL at random instants: nothing finished is lost or asked again. 200 kills: `python tests/batch/kills.py`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.batch.kills import kill_and_resume

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("processes", "rows", "kills"), [(1, 20_000, 10), (2, 5_000, 2)])
def test_kills_cost_nothing_but_rows_in_flight(tmp_path: Path, processes: int, rows: int, kills: int) -> None:
    """After kills no finished row is asked again, and each id is written once. (Only real processes can be killed.)"""
    killed = kill_and_resume(tmp_path, rows, kills, 1, "--processes", str(processes))

    assert killed.violations == [], (tmp_path / "log").read_text()
    assert killed.kills == kills
    assert Counter(killed.lines) == Counter(str(number) for number in range(rows))
