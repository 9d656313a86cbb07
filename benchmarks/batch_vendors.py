"""The vendors' batch APIs as a lane of `batch`, under all faults and kills: `python -m benchmarks.batch_vendors`.

Four simulated vendors, each fault of `asyncrouter.sim.BATCH_FAULTS` at the rates of `tests/helpers/vendors.py`, virtual
time. A run is killed as SIGKILL does it: from one instant on nothing is written any more. It is then run again until
nothing is left, and checked: every id written once, what the lines and the journals say equals what the vendors have
billed, no file and no batch left behind.

- `steps`: a kill before and after each record of the journal.
- `instants`: a kill at random instants, each in a run with another seed.
- `large`: one large run with some kills.
- `memory`: the peak memory of runs of growing length over real sockets, to a world in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from asyncrouter import Router, __version__, batch
from asyncrouter.batch._vendors import decide
from asyncrouter.sim import World
from tests.helpers.vendors import ALL_FAULTS, HOUR, MODELS, Killed, VendorWorld, answer

RESULT = Path(__file__).parent / "results" / "batch_vendors.json"
PORT = 18931


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000, help="rows of the large run")
    parser.add_argument("--kills", type=int, default=10, help="kills of the large run")
    parser.add_argument("--instants", type=int, default=200, help="kills at random instants")
    parser.add_argument("--memory", type=int, nargs="*", default=[50_000, 200_000, 1_000_000], help="rows of each run")
    parser.add_argument("--only", nargs="*", default=["steps", "instants", "large", "memory"])
    parser.add_argument("--json", type=Path, default=RESULT, help="the file of the results, which are added to it")
    parser.add_argument("--client", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--server", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    if arguments.server is not None:
        asyncio.run(serve())
        return
    if arguments.client is not None:
        print(json.dumps(client(arguments.client)))
        return
    found = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
    found |= {
        "date": datetime.now(UTC).date().isoformat(), "python": platform.python_version(), "asyncrouter": __version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    measures = {
        "steps": steps, "instants": lambda: instants(arguments.instants),
        "large": lambda: large(arguments.rows, arguments.kills), "memory": lambda: memory(arguments.memory),
    }
    for name in arguments.only:
        found[name] = measures[name]()
        print(name, json.dumps(found[name]), flush=True)
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


def steps(rows: int = 60, seed: int = 6) -> dict[str, object]:
    """Kill before and after each record."""
    count, kills, wrong = 0, 0, []
    for after in (False, True):
        record = 0
        while True:
            with tempfile.TemporaryDirectory() as folder:
                vendors = faulty(Path(folder), seed, rows)
                if not killed(vendors, record=record, after=after):
                    break
                kills += 1
                vendors.settle()
                count += 1
                wrong += vendors.violations(rows)
            record += 1
    return {"rows": rows, "kills": kills, "runs_checked": count, "violations": wrong}


def instants(number: int, rows: int = 60) -> dict[str, object]:
    """Kill at random instants, most of them early, where most happens."""
    wrong, kills = [], 0
    for seed in range(number):
        with tempfile.TemporaryDirectory() as folder:
            vendors, draw = faulty(Path(folder), seed, rows), random.Random(seed)
            longest = draw.choice([10.0, 600.0, 3600.0, 6 * HOUR])
            kills += killed(vendors, at=draw.uniform(0.0, longest))
            vendors.settle()
            wrong += vendors.violations(rows)
    return {"rows": rows, "runs": number, "kills": kills, "violations": wrong}


def large(rows: int, kills: int) -> dict[str, object]:
    """One large run, killed at random instants of its life."""
    with tempfile.TemporaryDirectory() as folder:
        vendors, draw, began = faulty(Path(folder), 1, rows), random.Random(1), time.perf_counter()
        died = 0
        for _ in range(kills):
            died += killed(vendors, at=vendors.clock.now + draw.choice([5.0, 60.0, 1200.0]) * draw.random())
        report = vendors.settle()
        lines, bill = vendors.lines(), vendors.bill()
        live = sum(line["model"] == "live" for line in lines)
        return {
            "rows": rows, "kills": died, "violations": vendors.violations(rows), "answered_live": live,
            "batches": len(vendors.batches.jobs), "billed_usd": bill.billed, "told_usd": bill.told,
            "wasted_usd": vendors.wasted, "virtual_hours": round(vendors.clock.now / HOUR, 2),
            "real_seconds": round(time.perf_counter() - began, 1), "failed": report.failed,
        }


def memory(lengths: list[int]) -> list[dict[str, object]]:
    """The peak memory of a client for each length."""
    found = []
    for rows in lengths:
        server = subprocess.Popen([sys.executable, "-m", "benchmarks.batch_vendors", "--server", "1"])
        try:
            time.sleep(3.0)
            command = [sys.executable, "-m", "benchmarks.batch_vendors", "--client", str(rows)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
            print("memory", found[-1], flush=True)
        finally:
            server.kill()
            server.wait()
    return found


async def serve() -> None:
    """A world without faults, whose batches take a second."""
    world = World(keep=10)
    for name in (*MODELS.values(), "live"):
        world.model(name, answer)
    world.batches(takes=1.0)
    async with world.server(port=PORT):
        await asyncio.sleep(7200)


def client(rows: int) -> dict[str, object]:
    """A run over sockets, and its peak memory."""
    decide.FIRST_LOOKS = 2.0
    with tempfile.TemporaryDirectory() as folder:
        vendors = VendorWorld(Path(folder))
        path = vendors.rows(rows)
        config = json.loads(json.dumps(vendors.config()).replace("http://sim.test", f"http://127.0.0.1:{PORT}"))

        async def scenario() -> batch.Report:
            async with Router(config) as router:
                return await batch.run(router, path, vendors.output, via="provider", deadline=6 * HOUR)

        began = time.perf_counter()
        report = asyncio.run(scenario())
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": rows, "done": report.done, "peak_mb": round(peak), "seconds": round(seconds, 1)}


def faulty(folder: Path, seed: int, rows: int) -> VendorWorld:
    """A world with every fault, and an input."""
    vendors = VendorWorld(folder, seed)
    vendors.world.batches(**ALL_FAULTS)
    vendors.rows(rows)
    return vendors


def killed(vendors: VendorWorld, *, record: int | None = None, after: bool = False, at: float | None = None) -> bool:
    """Run until a kill; whether it came before the end."""
    try:
        with vendors.watched(record, after=after):
            vendors.run(kill_at=at)
    except Killed:
        return True
    return vendors.dead


if __name__ == "__main__":
    main()
