"""What does a call cost with other libraries? CPU, calls a second, memory per waiting call, and import.

    python benchmarks/peers.py [--only handwritten,litellm_router] [--load buffered,50,500] [--calls 64,1000,10000]
                               [--repeat 3] [--python PEERS_PYTHON] [--json FILE]

Each contender (one file each in contenders/) is a process of its own on one core, against a server on the other. It
makes rounds of so many concurrent calls, buffered or streamed (tokens come one at a time), for at least two seconds
after a warm-up in which all connections are opened. All take turns, three times: a ratio is the median over these of
the CPU time of a call to that of the hand-written client in the same turn. Single processes differ by 20 %, so these
figures show factors; overhead.py shows percents. README.md says what the contenders are, and how to install them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from select import select
from statistics import median
from typing import Any

from _machine import environment, raise_file_limit, server

HERE = Path(__file__).parent / "contenders"
PACKAGES = ("aiohttp", "httpx", "openai", "haystack-ai", "langchain-core", "langchain-openai", "litellm",
            "pydantic-ai-slim", "tensorzero")
TIMEOUT = 600.0
"""Seconds that a contender is given for a call: it must not end one here."""
WAITING = 1000
"""Calls whose memory is measured while they wait."""
SETTLE_SECONDS = 30.0
"""Seconds within which all waiting calls should have reached the server."""


Cell = dict[str, Any]
"""What was measured of a contender under a load, or `why` it was not."""


class Slow(Exception):
    """A contender takes longer than it may."""


class Process:
    """A running contender."""

    def __init__(self, python: str, name: str, limit: float, **job: object) -> None:
        self._until = time.monotonic() + limit
        self._process = subprocess.Popen([python, str(HERE / f"{name}.py")], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.send(json.dumps({"timeout": TIMEOUT, "call_timeout": TIMEOUT, **job}))
        if self.receive() != "ready":
            self.end()
            raise Slow("did not start")
        self.send("go")

    def send(self, line: str) -> None:
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def receive(self) -> str:
        """Its next line. Raises `Slow`."""
        out = self._process.stdout
        if not select([out], [], [], max(0.0, self._until - time.monotonic()))[0]:
            self.end()
            raise Slow("too slow")
        return out.readline().decode().strip()

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


def main(
    only: list[str], loads: list[str], calls: list[int], repeat: int, limit: float, python: str, kept: Path | None
) -> None:
    raise_file_limit()
    cores = sorted(os.sched_getaffinity(0))
    names = [name for name in contenders() if (name in only if only else name != "asyncrouter_hedged")]
    found: dict[str, dict[str, Cell]] = {name: {} for name in names}
    with server(cores[-1]) as url:
        os.sched_setaffinity(0, {cores[0]})
        for name in names:
            found[name]["wait"] = cell = measure_waiting(name, url, python, limit)
            print(f"{name:22} {_waiting_line(cell)}", flush=True)
        for load, count in product(loads, calls):
            print(f"\n{_title(load)}, {count:,} at once")
            turns: list[dict[str, Cell]] = [{} for _ in range(repeat)]
            for turn, name in product(turns, names):
                before = turns[0].get(name, {})
                turn[name] = before if "why" in before else measure_load(name, url, load, count, python, limit)
            for name in names:
                found[name][f"{load}/{count}"] = cell = summary(name, turns)
                print(f"  {name:22} {_load_line(cell)}", flush=True)
            _write(kept, found, python)


def contenders() -> list[str]:
    """The names of all contenders, the hand-written one first: the others are compared with it."""
    return sorted((path.stem for path in HERE.glob("[a-z]*.py")), key=lambda name: (name != "handwritten", name))


def summary(name: str, turns: list[dict[str, Cell]]) -> Cell:
    """A contender's turns as one cell: medians, and the extremes of its ratios to the hand-written client."""
    cells = [turn[name] for turn in turns]
    if bad := next((cell for cell in cells if "why" in cell), None):
        return bad
    found: Cell = {"date": datetime.now(UTC).date().isoformat(), "turns": len(cells), "calls": sum_of(cells, "calls"),
                   "failed": sum_of(cells, "failed")}
    found |= {key: round(median(cell[key] for cell in cells), 3) for key in ("cpu_us", "calls_s")}
    bases = [turn.get("handwritten", {}).get("cpu_us") for turn in turns]
    if all(bases):
        ratios = [cell["cpu_us"] / base for cell, base in zip(cells, bases, strict=True)]
        found |= {"ratio": round(median(ratios), 3), "ratios": [round(min(ratios), 3), round(max(ratios), 3)]}
    return found


def sum_of(cells: list[Cell], key: str) -> int:
    return sum(cell[key] for cell in cells)


def measure_load(name: str, url: str, load: str, calls: int, python: str, limit: float) -> Cell:
    """What a call costs under this load, or why there is no figure."""
    streamed = load != "buffered"
    job = {"kind": "load", "base_url": f"{url}/v1", "models": [f"t{load}" if streamed else "m"], "calls": calls,
           "stream": streamed, "words": int(load) if streamed else 8}
    try:
        process = Process(python, name, limit, **job)
        cell: Cell = json.loads(process.receive() or '{"why": "it broke"}')
    except Slow as why:
        return {"why": str(why)}
    process.end()
    return cell


def measure_waiting(name: str, url: str, python: str, limit: float) -> Cell:
    """Bytes of a waiting call, how many reached the server at once, and the CPU seconds of the import."""
    held = lambda: int(urllib.request.urlopen(f"{url}/held").read())  # noqa: E731
    try:
        process = Process(python, name, limit, kind="wait", base_url=f"{url}/hold/v1", models=["m"], calls=WAITING)
        until = time.monotonic() + SETTLE_SECONDS
        while (reached := held()) < WAITING and time.monotonic() < until:
            time.sleep(0.1)
        process.send("measure")
        cell = json.loads(process.receive())
        process.send("end")
        cell |= json.loads(process.receive())
    except Slow as why:
        return {"why": str(why)}
    process.end()
    while held():
        time.sleep(0.1)
    return {"date": datetime.now(UTC).date().isoformat(), "bytes": round(cell["bytes"]), "reached": reached,
            "import": round(cell["import"], 3)}


def _waiting_line(cell: Cell) -> str:
    if "why" in cell:
        return str(cell["why"])
    return (f"start and import {cell['import']:5.2f} s   waiting call {cell['bytes'] / 1024:7.1f} KB   "
            f"{cell['reached']:,} of {WAITING:,} at once")


def _load_line(cell: Cell) -> str:
    if "why" in cell:
        return str(cell["why"])
    low, high = cell.get("ratios", (0.0, 0.0))
    ratio = f"{cell['ratio']:6.2f} × ({low:.2f} to {high:.2f})" if "ratio" in cell else ""
    failed = f"   {cell['failed']:,} of {cell['calls']:,} failed" if cell["failed"] else ""
    return f"{cell['cpu_us']:10,.0f} µs a call {ratio} {cell['calls_s']:9,.1f} calls/s{failed}"


def _title(load: str) -> str:
    return load if load == "buffered" else f"streamed, {load} tokens"


def _write(kept: Path | None, found: dict[str, dict[str, Cell]], python: str) -> None:
    if kept is None:
        return
    before = json.loads(kept.read_text())["contenders"] if kept.exists() else {}
    merged = {name: before.get(name, {}) | found.get(name, {}) for name in {**before, **found}}
    kept.write_text(json.dumps({**environment(), "peers": peers(python), "contenders": merged}, indent=1) + "\n")


def peers(python: str) -> dict[str, object]:
    """The versions of the other libraries, read by their own interpreter."""
    code = f"from importlib.metadata import distributions as d; t = {{x.name.lower(): x.version for x in d()}}; " \
           f"import json, platform; print(json.dumps({{'python': platform.python_version()}} | " \
           f"{{n: t.get(n) for n in {PACKAGES!r}}}))"
    versions: dict[str, object] = json.loads(
        subprocess.run([python, "-c", code], check=True, capture_output=True).stdout
    )
    return versions


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: [part for part in text.split(",") if part]  # noqa: E731
    parser.add_argument("--only", type=names, default=[], metavar="NAMES", help="some of the contenders (default: all)")
    parser.add_argument("--load", dest="loads", type=names, default=["buffered", "50", "500"], metavar="LOADS",
                        help="buffered, or the tokens of a stream (default: buffered,50,500)")
    parser.add_argument("--calls", type=lambda text: [int(one) for one in names(text)], default=[64],
                        metavar="COUNTS", help="concurrent calls (default: 64; up to 10000)")
    parser.add_argument("--repeat", type=int, default=3, help="turns of each contender (default: 3)")
    parser.add_argument("--limit", type=float, default=90.0, help="seconds for one contender and load (default: 90)")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the contenders (default: this one)")
    parser.add_argument("--json", type=Path, dest="kept", help="file to write the figures to; others are kept")
    main(**vars(parser.parse_args()))
