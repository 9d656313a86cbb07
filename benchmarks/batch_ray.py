"""Ray Data on a cluster of two nodes of which one is killed: is every row answered once, and are limits kept?

    python -m benchmarks.batch_ray [--rows 3000] [--json results/batch_ray.json]

Needs the extras `ray` and `redis`, and redis-server. Both nodes are processes of this machine (`ray.cluster_utils`);
an actor runs on each. A third of the rows after the beginning, the second node is killed: Ray starts its actor anew on
the first one. The configuration says `rpm`, which both actors keep together in Redis: `worst_second` is the most
requests that the server has seen within a second, beside what the limit allows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from ray.cluster_utils import Cluster

from asyncrouter.integrations.ray import answer
from asyncrouter.integrations.redis import RedisState
from asyncrouter.sim import Act, World
from benchmarks._machine import environment
from tests.helpers.commandline import serving

if TYPE_CHECKING:
    from random import Random

    from asyncrouter.sim import LoggedRequest

RESULT = Path(__file__).parent / "results" / "batch_ray.json"
PER_SECOND = 60
FILE_ROWS = 50
"""Rows of a file of the input, which one actor takes at a time."""
PORT = 18944


def main() -> None:
    """Print the figures, and keep them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3000, help="a multiple of 50")
    parser.add_argument("--json", type=Path, default=RESULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        command = ["redis-server", "--port", f"{PORT}", "--save", "", "--dir", directory]
        redis = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            figures = measured(Path(directory), options.rows)
        finally:
            redis.terminate()
            redis.wait()
    print(json.dumps(figures))
    options.json.write_text(json.dumps({**environment(), **figures}, indent=1) + "\n")


def measured(directory: Path, rows: int) -> dict[str, object]:
    """The figures of one job."""
    at: list[float] = []

    def behaviour(seen: LoggedRequest, random: Random) -> Act:
        at.append(time.monotonic())
        return Act(first_token=0.2)

    world = World()
    world.model("m", behaviour)
    source, output = directory / "in", directory / "out"
    source.mkdir()
    ids = [f"row-{number}" for number in range(rows)]
    for begin in range(0, rows, FILE_ROWS):
        part = ids[begin : begin + FILE_ROWS]
        pq.write_table(pa.table({"id": part, "prompt": [f"say {each}" for each in part]}), source / f"{begin}.parquet")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    second = cluster.add_node(num_cpus=2)
    ray.init(address=cluster.address, log_to_driver=False)
    killed_at: list[int] = []

    def kill() -> None:
        while len(at) < rows // 3:
            time.sleep(0.05)
        killed_at.append(len(at))
        print(f"{len(at)} asked: the second node is killed", flush=True)
        cluster.remove_node(second, allow_graceful=False)

    try:
        with serving(world) as base_url:
            config = {
                "providers": {"sim": {"base_url": base_url}}, "tasks": {"default": ["m"]},
                "models": {"m": {"provider": "sim", "id": "m", "rpm": 60 * PER_SECOND}},
            }
            nodes = len([node for node in ray.nodes() if node["Alive"]])
            killer = threading.Thread(target=kill, daemon=True)
            killer.start()
            began = time.monotonic()
            answer(
                ray.data.read_parquet(str(source)).repartition(rows // FILE_ROWS), config, actors=2,
                batch_size=FILE_ROWS, concurrency=64, shared=RedisState(f"redis://127.0.0.1:{PORT}"),
            ).write_parquet(str(output))
            seconds = time.monotonic() - began
            killer.join()
            left = len([node for node in ray.nodes() if node["Alive"]])
    finally:
        ray.shutdown()
        cluster.shutdown()
    answered = Counter(row["id"] for row in pq.read_table(output).to_pylist() if row["error"] is None)
    assert answered == Counter(ids), f"{len(answered)} of {rows} answered, {answered.total()} lines"
    at.sort()
    worst = max(sum(1 for other in at[index : index + 10 * PER_SECOND] if other < begin + 1.0)
                for index, begin in enumerate(at))
    return {
        "rows": rows, "answered_once": len(answered), "nodes": [nodes, left], "asked_before_the_kill": killed_at[0],
        "asked": len(at), "seconds": round(seconds, 1), "limit_a_second": PER_SECOND, "worst_second": worst,
        "mean_a_second": round(len(at) / (at[-1] - at[0]), 1), "ray": ray.__version__,
        "python": sys.version.split()[0],
    }


if __name__ == "__main__":
    main()
