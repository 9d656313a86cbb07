"""A million rows of Parquet in and out, the command killed ten times: is every row there once, and is memory flat?

    python benchmarks/batch_parquet.py [--rows 1000000] [--kills 10] [--json FILE]

The command is started again after each kill, until it ends by itself. Then the output is read by pyarrow, pandas,
polars and duckdb: each must find every id once, the input's own columns as they were, and the answer to its own prompt.
Memory is the largest peak resident memory of any of the processes, beside that of a batch of a hundredth of the rows.
The server (`_server.py`) answers at once with one fixed body, so the answers say nothing of their prompts: that they
belong together is what `tests/batch/test_parquet.py` tests.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from _machine import environment, server

HERE = Path(__file__).parent
POLL = 0.05
"""Seconds between two looks at the journal."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    with server(max(os.sched_getaffinity(0))) as url, tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        small = measured(directory / "small", url, options.rows // 100, 0, options.seed)
        large = measured(directory / "large", url, options.rows, options.kills, options.seed)
    figures = {"rows": options.rows, "kills": options.kills, "small": small, "large": large}
    print(json.dumps(figures, indent=2))
    if options.json is not None:
        options.json.write_text(json.dumps({**environment(), "figures": figures}, indent=2) + "\n")


def measured(directory: Path, url: str, rows: int, kills: int, seed: int) -> dict[str, Any]:
    """The figures of one batch of so many rows, killed so many times."""
    directory.mkdir()
    make_input(directory / "in.parquet", rows)
    (directory / "asyncrouter.toml").write_text(
        f'default_provider = "local"\ntasks = {{ default = ["m"] }}\n[providers.local]\nbase_url = "{url}/v1"\n'
        '[defaults]\ntotal = "none"\ndeadline = "none"\n'
    )
    chosen = random.Random(seed)
    points = sorted(chosen.uniform(0.02, 0.98) for _ in range(kills))
    peaks, runs, began = list[float](), 0, time.monotonic()
    for share in [*points, None]:
        runs += 1
        peak, status = run(directory, None if share is None else int(share * rows))
        peaks.append(peak)
    assert status == 0, (directory / "log").read_text()[-2000:]
    return {
        "rows": rows, "runs": runs, "peak_mb": round(max(peaks), 1), "seconds": round(time.monotonic() - began),
        "output_mb": round((directory / "out.parquet").stat().st_size / 1e6, 1),
        "read_by": check(directory / "in.parquet", directory / "out.parquet", rows),
    }


def make_input(path: Path, rows: int) -> None:
    """Ids, prompts, and two columns that are passed through."""
    schema = pa.schema([("id", pa.int64()), ("prompt", pa.string()), ("label", pa.string()), ("weight", pa.float32())])
    with pq.ParquetWriter(path, schema) as writer:
        for at in range(0, rows, 100_000):
            ids = range(at, min(rows, at + 100_000))
            writer.write_table(pa.table({
                "id": ids, "prompt": [f"Say {n}." for n in ids], "label": [f"l{n % 7}" for n in ids],
                "weight": pa.array([n / 4 for n in ids], pa.float32()),
            }, schema=schema))


def run(directory: Path, kill_at: int | None) -> tuple[float, int | None]:
    """Run the command until it ends, or kill it when so many rows are answered; its peak memory in MB, its status."""
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "asyncrouter", "batch", "in.parquet", "-o", "out.parquet", "--progress", "none"],
            cwd=directory, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        )
    journal, line, peak = directory / "out.parquet.jsonl", 0.0, 0.0
    while process.poll() is None:
        peak = max(peak, peak_of(process.pid))
        if kill_at is not None and journal.exists() and journal.stat().st_size > 1000:
            if not line:
                with journal.open("rb") as lines:
                    line = float(len(lines.readline()))
            if journal.stat().st_size / line > kill_at:
                process.send_signal(signal.SIGKILL)
        time.sleep(POLL)
    return peak, process.returncode


def peak_of(pid: int) -> float:
    """The peak resident memory of a process in MB."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


def check(before: Path, after: Path, rows: int) -> list[str]:
    """The names of the readers, each of which has found every row once, in order, with its own columns."""
    given, found = pq.read_table(before), pq.read_table(after)
    for name in ("id", "label", "weight"):
        assert found.column(name).equals(given.column(name)), name
    assert found.column("text").null_count == 0
    ids = pd.read_parquet(after, columns=["id"])["id"]
    assert (len(ids), ids.nunique()) == (rows, rows)
    frame = pl.read_parquet(after, columns=["id"])
    assert (frame.height, frame["id"].n_unique()) == (rows, rows)
    query = f"select count(*), count(distinct id) from '{after}' where text is not null"
    assert duckdb.sql(query).fetchall() == [(rows, rows)]
    return ["pyarrow", "pandas", "polars", "duckdb"]


if __name__ == "__main__":
    main()
