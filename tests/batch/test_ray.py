"""A Ray Data stage on a real local cluster: `pip install '.[ray]' && pytest tests/batch/test_ray.py` (a minute)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from asyncrouter.sim import Act, World
from tests.helpers.commandline import ROOT, serving

if TYPE_CHECKING:
    from random import Random

    from asyncrouter.sim import LoggedRequest

pytest.importorskip("ray", reason="the extra `ray` is not installed")
ROWS = 2000


def job(base_url: str, directory: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    script = Path(__file__).with_name("ray_job.py")
    with (directory / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, str(script), base_url, str(directory / "in"), str(directory / "out")],
            env=environment, stdout=log, stderr=log,
        )


def written(output: Path) -> list[dict[str, object]]:
    """The rows of the whole files; one that a kill cut short is not."""
    import pyarrow
    import pyarrow.parquet as pq

    rows: list[dict[str, object]] = []
    for path in output.rglob("*.parquet"):
        try:
            rows += pq.read_table(path).to_pylist()
        except pyarrow.ArrowInvalid:
            continue
    return rows


def test_a_killed_ray_job_goes_on_with_the_rows_that_have_no_answer(tmp_path: Path) -> None:
    """A killed job, started again, asks only the rows without an answer, and each has one result. (A minute.)"""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def behaviour(seen: LoggedRequest, random: Random) -> Act:
        return Act(why="context") if "poison" in json.dumps(seen.body["messages"]) else Act(first_token=0.02)

    world = World()
    world.model("m", behaviour)
    (tmp_path / "in").mkdir()
    prompts = [f"{'poison' if number % 100 == 0 else 'prompt'} {number}" for number in range(ROWS)]
    rows = pa.table({"id": [f"row-{number}" for number in range(ROWS)], "prompt": prompts, "kept": list(range(ROWS))})
    pq.write_table(rows, tmp_path / "in" / "rows.parquet")

    with serving(world) as base_url:
        first = job(base_url, tmp_path)
        deadline = time.monotonic() + 120
        while len(written(tmp_path / "out")) < ROWS // 4 and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        first.send_signal(signal.SIGKILL)
        first.wait(10)
        before = {row["id"] for row in written(tmp_path / "out") if row["error"] is None}
        asked_before = world.requests
        assert 0 < len(before) < ROWS, (tmp_path / "log").read_text()

        assert job(base_url, tmp_path).wait(120) == 0, (tmp_path / "log").read_text()

    everything = written(tmp_path / "out")
    answered = Counter(row["id"] for row in everything if row["error"] is None)
    failed = {row["id"] for row in everything if row["error"] is not None}
    assert failed == {f"row-{number}" for number in range(0, ROWS, 100)}
    assert set(answered) == {f"row-{number}" for number in range(ROWS)} - failed
    assert set(answered.values()) == {1}
    assert {json.loads(str(row["error"]))["class"] for row in everything if row["error"]} == {"ContextTooLong"}
    assert world.requests - asked_before == ROWS - len(before)
    assert all(row["kept"] == int(str(row["id"]).removeprefix("row-")) for row in everything)
