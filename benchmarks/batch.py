"""What does a batch cost? CPU a row beside a hand-written loop, memory up to a million rows, speed-up by processes.

    python benchmarks/batch.py [--only cpu,memory,processes,limit] [--rows 20000] [--million 1000000] [--json FILE]

A figure is the median over pairs of runs of their ratio. For CPU two arms alternate in one process, both with buffered
replies; otherwise each arm is a process of its own. The server (`_server.py`) answers at once with one fixed body.
Memory is the peak resident memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import _handwritten
import orjson
from _machine import environment, server

from asyncrouter import Router, batch
from asyncrouter.sim import Act, Clock, World

HERE = Path(__file__).parent
CONCURRENCY = 64
"""Rows in flight at once, in every arm."""
TIMEOUT = 3600.0
"""Seconds after which a process of an arm counts as hung: a million rows take twenty minutes."""
Result = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(FIGURES), metavar="NAMES",
                        help=f"some of {','.join(FIGURES)} (default: all)")
    parser.add_argument("--rows", type=int, default=20_000, help="rows of a run (default: 20000)")
    parser.add_argument("--million", type=int, default=1_000_000, help="rows of the longest run (default: 1000000)")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of runs a figure (default: 5)")
    parser.add_argument("--json", type=Path, help="file to write the figures to; others that it holds are kept")
    parser.add_argument("--arm", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.arm is not None:
        print(json.dumps(ARMS[options.arm[0]](*options.arm[1:])))
        return
    figures: dict[str, object] = {}
    for name in options.only.split(","):
        figures[name] = FIGURES[name](options)
        print(name, json.dumps(figures[name]), flush=True)
    if options.json is not None:
        before = json.loads(options.json.read_text())["figures"] if options.json.exists() else {}
        document = {**environment(), "figures": before | figures}
        options.json.write_text(json.dumps(document, indent=2) + "\n")


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def cpu(options: argparse.Namespace) -> dict[str, object]:
    """CPU a row, to that of a hand-written loop that reads, sends and appends; both alternate in one process."""
    cores = sorted(os.sched_getaffinity(0))
    with server(cores[1]) as url, tempfile.TemporaryDirectory() as directory:
        source, warm = rows(Path(directory), options.rows), rows(Path(directory), 500)
        spent = run_arm("alternating", url, source, warm, str(options.pairs), core=cores[0])
    ours, theirs = spent["ours"], spent["handwritten"]
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    micro = 1e6 / options.rows
    return {
        "goal": 1.1, "median": round(statistics.median(ratios), 3), "ratios": [round(each, 3) for each in ratios],
        "us_a_row": round(statistics.median(ours) * micro),
        "us_a_row_handwritten": round(statistics.median(theirs) * micro), "rows": options.rows,
    }


def memory(options: argparse.Namespace) -> dict[str, object]:
    """Peak memory at 50,000 rows and at a million, and the bytes of each row between them."""
    cores = sorted(os.sched_getaffinity(0))
    few, many = min(50_000, options.million // 2), options.million
    with server(cores[1]) as url, tempfile.TemporaryDirectory() as directory:
        small = run_arm("unlimited", url, rows(Path(directory), few), f"{directory}/few", core=cores[0])
        large = run_arm("unlimited", url, rows(Path(directory), many), f"{directory}/many", core=cores[0])
    return {
        "rows": [few, many], "peak_mb": [round(small["peak"] / 1e6, 1), round(large["peak"] / 1e6, 1)], "goal_mb": 200,
        "bytes_a_row": round((large["peak"] - small["peak"]) / (many - few), 1), "goal_bytes_a_row": 20,
        "seconds": round(large["seconds"], 1), "rows_a_second": round(many / large["seconds"]),
    }


def processes(options: argparse.Namespace) -> dict[str, object]:
    """How many times as fast two processes are as one: with simulated models, and over sockets."""
    cores = sorted(os.sched_getaffinity(0))
    figures: dict[str, object] = {"rows": options.rows}
    with server(cores[1]) as url, tempfile.TemporaryDirectory() as directory:
        source = rows(Path(directory), options.rows)
        for arm, goal in (("simulated", 1.7), ("sockets", 1.4)):
            ratios = []
            for pair in range(max(1, options.pairs - 2)):
                one, two = (
                    run_arm(arm, url, source, f"{directory}/{arm}-{pair}-{count}", str(count))["seconds"]
                    for count in (1, 2)
                )
                ratios.append(one / two)
            median, ratios = round(statistics.median(ratios), 2), [round(each, 2) for each in ratios]
            figures[arm] = {"goal": goal, "median": median, "ratios": ratios}
    return figures


def limit(options: argparse.Namespace) -> dict[str, object]:
    """A limit of 50 requests a second that is only known from its 429s, in virtual time."""
    world = World(keep=0)
    model = world.model("m", Act(first_token=0.1)).limit(50)

    async def main(source: str, output: str) -> batch.Report:
        async with Router(world.config(tasks={"default": ["m"]}), transport=world.transport(), seed=0) as router:
            return await batch.run(router, source, output, deadline=None)

    with tempfile.TemporaryDirectory() as directory:
        report = Clock().run(main(rows(Path(directory), options.rows), f"{directory}/out"))
    return {
        "rows": options.rows, "seconds": report.seconds, "share_of_limit": round(report.done / report.seconds / 50, 4),
        "goal_share": 0.95, "rejected": round(model.bill.statuses.get(429, 0) / model.bill.requests, 4),
        "goal_rejected": 0.03, "answered": report.done,
    }


FIGURES = {"cpu": cpu, "memory": memory, "processes": processes, "limit": limit}


# ── arms, each in a process of its own ───────────────────────────────────────────────────────────────────────────────


def alternating(url: str, source: str, warm: str, pairs: str) -> Result:
    """CPU seconds of each run of both arms."""
    arms = {"ours": partial(_ours, lambda: Router(config(url))), "handwritten": partial(_by_hand, url)}
    for name, arm in arms.items():
        measure(arm(warm, f"{warm}.{name}"))
    spent: dict[str, list[float]] = {"ours": [], "handwritten": []}
    for pair in range(int(pairs)):
        for name in spent if pair % 2 else reversed(spent):
            spent[name].append(measure(arms[name](source, f"{source}.{name}-{pair}"))["cpu"])
    return spent


def unlimited(url: str, source: str, output: str) -> Result:
    """Without timeouts: the run takes minutes, and a busy machine may pause it."""
    return measure(_ours(lambda: Router(config(url, total="none", deadline="none")), source, output))


def simulated(url: str, source: str, output: str, count: str) -> Result:
    return measure(_ours(lambda: simulation(0, 1), source, output, processes=int(count), make_router=simulation))


def sockets(url: str, source: str, output: str, count: str) -> Result:
    return measure(_ours(lambda: Router(config(url)), source, output, processes=int(count)))


ARMS = {"alternating": alternating, "unlimited": unlimited, "simulated": simulated, "sockets": sockets}


async def _ours(make: object, source: str, output: str, **options: object) -> None:
    assert callable(make)
    async with make() as router:
        report = await batch.run(router, source, output, concurrency=CONCURRENCY, **options)
    assert report.done == report.rows, report


async def _by_hand(url: str, source: str, output: str) -> None:
    """What a careful engineer writes: workers that share the lines, and append each answer at once."""
    endpoint = f"{url}/v1/chat/completions"
    with Path(source).open("rb") as lines, Path(output).open("wb", buffering=0) as out:  # noqa: ASYNC230  # as in ours
        async with _handwritten.open_session() as session:

            async def work() -> None:
                for line in lines:
                    row = orjson.loads(line)
                    body = {"model": "m", "messages": [{"role": "user", "content": row["prompt"]}]}
                    text = await _handwritten.chat(session, endpoint, body)
                    out.write(orjson.dumps({"id": row["id"], "text": text}) + b"\n")

            await asyncio.gather(*(work() for _ in range(CONCURRENCY)))


def simulation(number: int, count: int) -> Router:
    """A router whose model is simulated in its process, and answers at once."""
    world = World(keep=0)
    world.model("m", Act(text="Hello there, how can I help you today?"))
    settings = world.config(tasks={"default": ["m"]}, defaults={"wire_stream": False})
    return Router(settings, transport=world.transport())


def config(url: str, **defaults: object) -> dict[str, object]:
    return {
        "default_provider": "local",
        "providers": {"local": {"base_url": f"{url}/v1"}},
        "defaults": {"wire_stream": False, **defaults},
        "tasks": {"default": {"models": ["m"]}},
    }


def measure(work: object) -> Result:
    began, spent = time.monotonic(), time.process_time()
    asyncio.run(work)  # type: ignore[arg-type]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"cpu": time.process_time() - spent, "seconds": time.monotonic() - began, "peak": peak}


def run_arm(arm: str, *arguments: str, core: int | None = None) -> Result:
    """The result of an arm, run in a new process, pinned to a core if one is given."""
    pinned = None if core is None else lambda: os.sched_setaffinity(0, {core})
    done = subprocess.run(
        [sys.executable, __file__, "--arm", arm, *arguments], check=True, stdout=subprocess.PIPE, text=True,
        timeout=TIMEOUT, preexec_fn=pinned,
    )
    result: Result = json.loads(done.stdout)
    return result


def rows(directory: Path, count: int) -> str:
    """A file of `count` short prompts; its path."""
    path = directory / f"{count}.jsonl"
    if not path.exists():
        with path.open("wb") as file:
            for number in range(count):
                file.write(b'{"id":"row-%d","prompt":"Say %d."}\n' % (number, number))
    return str(path)


if __name__ == "__main__":
    main()
