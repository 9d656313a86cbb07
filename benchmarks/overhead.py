"""What does asyncrouter add to a careful hand-written aiohttp call? Each figure stands beside its goal.

    python benchmarks/overhead.py [--pairs 200] [--only chat,stream] [--json FILE]
    python benchmarks/overhead.py --only growth --calls 1000000        # ten minutes; runs only when it is named

Two arms alternate in one process, in rounds of 64 concurrent calls, against a server on the other core. A ratio is the
median over all pairs of rounds of the ratio of CPU time (user and system), with its quartiles. Memory, imports and
event-loop lag are measured in processes of their own, which alternate as well. Processes that run one after the other
differ by 20 %, pairs of rounds by a few percent. `peers.py` compares with other libraries.

asyncio allocates 256 KiB for each read of a socket. In a small program glibc gets such a block from the kernel and
gives it back each time, which is half of what a hand-written client costs per token; asyncrouter reads 64 KiB at a
time. Once a program has freed a larger block (mallopt(3), M_MMAP_THRESHOLD), or has a hole of that size in its heap,
glibc keeps these blocks. `--malloc grown` is that state. With `--malloc fresh` blocks come from the kernel unless there
is such a hole, which is chance: then the ratios are those of "grown".
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import _handwritten
from _batched_reads import MODEL, TASK, batched_reads, timeouts
from _machine import HERE, environment, in_new_process, server
from _paired_rounds import MESSAGES, Ask, Bench, paired, ticking

from asyncrouter import Router

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WAITING = 10_000
"""Concurrent calls whose memory is measured while they wait."""
STREAMS, SECONDS = 2000, 15.0
"""Concurrent streams while the event-loop lag is measured, and for how many seconds."""
MALLOC = {
    "fresh": {"MALLOC_MMAP_THRESHOLD_": str(128 << 10)},
    "grown": {"MALLOC_MMAP_THRESHOLD_": str(64 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)},
}
"""The variables that fix how glibc allocates large blocks; "fresh" is its own setting at the beginning."""
DEPENDENCIES = "aiohttp, anyio, backoff, orjson"
"""The imports that the import of asyncrouter is compared with."""
BODY: dict[str, object] = {"model": "m", "messages": MESSAGES, "temperature": 0.2}
MEMBERS, WARM_POOL = 10, 160
"""Members of a pool, and rounds before it is measured: a thousand answers of each member. While a model is not well
known, what is usual for it is worked out again after a few dozen answers, whether or not it stands in a pool."""
TOKENS = 500
"""Tokens of a streamed reply."""

Values = dict[str, list[float]]
"""Measured values, one for each pair, by the name of their figure."""


class Goal(NamedTuple):
    """What is measured, and the most that `of` the values may be."""

    what: str
    most: float
    of: Callable[[list[float]], float] = statistics.median


class Measurement(NamedTuple):
    """How to measure one or more figures.

    `share` is the share of --pairs that is run; with `named_only` it runs only when --only names it.
    """

    goals: dict[str, Goal]
    measure: Callable[[Bench, int], Awaitable[Values]]
    share: float = 1.0
    named_only: bool = False


async def chat(bench: Bench, pairs: int) -> Values:
    return {"chat": await _cpu_ratios(bench, pairs, lambda: bench.router.chat(MESSAGES, temperature=0.2))}


async def hedged(bench: Bench, pairs: int) -> Values:
    ours = lambda: bench.router.chat(MESSAGES, task="hedged", temperature=0.2)  # noqa: E731
    return {"hedged": await _cpu_ratios(bench, pairs, ours)}


async def pool(bench: Bench, pairs: int) -> Values:
    """A pool beside a single model, and beside a chain of two: such a late attempt can be raced, too. And what ten
    places cost by themselves: a single model at each of them in turn, beside a single model.
    """
    ask = lambda task: bench.router.chat(MESSAGES, task=task, temperature=0.2)  # noqa: E731
    in_turn = cycle(f"place{number}" for number in range(MEMBERS))
    arms = {
        "pool": (lambda: ask("pool"), lambda: ask("single")),
        "pool_chain": (lambda: ask("pool"), lambda: ask("default")),
        "places": (lambda: ask(next(in_turn)), lambda: ask("single")),
    }
    ratios: Values = {}
    for name, (ours, other) in arms.items():
        found = await paired(pairs, ours, other, warm=WARM_POOL)
        ratios[name] = [one.cpu / two.cpu for one, two in found]
    return ratios


async def _cpu_ratios(bench: Bench, pairs: int, ours: Ask) -> list[float]:
    found = await paired(pairs, ours, lambda: _handwritten.chat(bench.session, bench.completions, BODY))
    return [one.cpu / other.cpu for one, other in found]


async def stream(bench: Bench, pairs: int) -> Values:
    async def ours() -> str:
        words: list[str] = []
        async with bench.router.stream(MESSAGES, task="stream", temperature=0.2) as reply:
            async for chunk in reply:
                words.append(chunk.text)  # noqa: PERF401  # the hand-written arm does the same
        return "".join(words)

    body = {**BODY, "model": f"t{TOKENS}", "stream": True, "stream_options": {"include_usage": True}}
    async with ticking(bench.url):
        found = await paired(pairs, ours, lambda: _handwritten.stream(bench.session, bench.completions, body), warm=1)
    return {"stream": [one.cpu / other.cpu for one, other in found]}


async def memory(bench: Bench, pairs: int) -> Values:
    def bytes_of(arm: str) -> float:
        return in_new_process(str(HERE / "_waiting_memory.py"), arm, bench.url, str(WAITING))

    return {"memory": _alternate(pairs, lambda: bytes_of("asyncrouter"), lambda: bytes_of("handwritten"), _ratio)}


async def imports(bench: Bench, pairs: int) -> Values:
    def cpu_of(modules: str) -> float:
        clock = "time.process_time()"
        return in_new_process("-c", f"import time; began = {clock}; import {modules}; print({clock} - began)")

    ours = "asyncrouter._api"  # all public names; the package itself imports it when the first name is used
    for modules in (ours, DEPENDENCIES):  # compiled, and in the page cache
        cpu_of(modules)
    return {"import": _alternate(pairs, lambda: cpu_of(ours), lambda: cpu_of(DEPENDENCIES), _ratio)}


async def lag(bench: Bench, pairs: int) -> Values:
    def lag_of(arm: str) -> float:
        return in_new_process(str(HERE / "_loop_lag.py"), arm, bench.url, str(STREAMS), str(SECONDS))

    difference = lambda ours, theirs: ours - theirs  # noqa: E731
    return {"lag": _alternate(pairs, lambda: lag_of("asyncrouter"), lambda: lag_of("handwritten"), difference)}


async def listeners(bench: Bench, pairs: int) -> Values:
    def cost_of(name: str) -> float:
        return in_new_process(str(HERE / "_listeners.py"), name, "5000")

    return {name: [cost_of(name) for _ in range(pairs)] for name in ("prometheus", "otel", "status")}


async def growth(bench: Bench, calls: int) -> Values:
    grown = in_new_process(str(HERE / "_memory_growth.py"), bench.url, str(calls))
    return {"growth": [grown / calls]}


def _alternate(
    pairs: int, ours: Callable[[], float], theirs: Callable[[], float], compare: Callable[[float, float], float]
) -> list[float]:
    found = []
    for pair in range(pairs):
        first, second = (ours, theirs) if pair % 2 else (theirs, ours)
        values = {first: first(), second: second()}
        found.append(compare(values[ours], values[theirs]))
    return found


def _ratio(ours: float, theirs: float) -> float:
    return ours / theirs


MEASUREMENTS = {
    "chat": Measurement({"chat": Goal("chat(), one JSON body: CPU", 1.05)}, chat),
    "hedged": Measurement({"hedged": Goal("the same with a hedge that does not fire: CPU", 1.15)}, hedged),
    "pool": Measurement({
        "pool": Goal(f"chat() at a pool of {MEMBERS}: CPU, to a single model", 1.05),
        "pool_chain": Goal("… to a chain of two", 1.05),
        "places": Goal(f"{MEMBERS} models without a pool in turn: CPU, to one", 1.05),
    }, pool),
    "stream": Measurement({"stream": Goal(f"stream() of {TOKENS} tokens: CPU", 0.60)}, stream, 0.2),
    "batched": Measurement({
        "cpu": Goal("chat() streamed on the wire, 100 at once: CPU", 0.40),
        "median": Goal("… seconds of the median reply", 1.05),
        "latest": Goal("… seconds by which a reply is later, at most", 0.25, max),
    }, batched_reads, 0.05),
    "clocks": Measurement({"clocks": Goal("… seconds by which a timeout is off, at most", 0.25, max)}, timeouts, 0.02),
    "memory": Measurement({"memory": Goal(f"memory per waiting call, {WAITING:,} at once", 0.90)}, memory, 0.02),
    "lag": Measurement({"lag": Goal(f"event-loop lag p99, {STREAMS:,} streams: ms later", 5.0)}, lag, 0.015),
    "import": Measurement({"import": Goal(f"import: CPU, to {DEPENDENCIES}", 1.10)}, imports, 0.25),
    "listeners": Measurement({
        "prometheus": Goal("Prometheus listener: µs of CPU a call", 40.0),
        "otel": Goal("OpenTelemetry listener: µs of CPU a call", 120.0),
        "status": Goal("the listener of the status page: µs of CPU a call", 10.0),
    }, listeners, 0.02, named_only=True),
    "growth": Measurement({"growth": Goal("growth of the process, bytes a call", 1.0)}, growth, named_only=True),
}


async def measure(url: str, names: list[str], pairs: int, calls: int) -> dict[str, dict[str, object]]:
    """Run these measurements, and print each figure as it comes."""
    places = [f"place{number}" for number in range(MEMBERS)]
    config = {
        "default_provider": "local",
        "providers": {name: {"base_url": f"{url}/v1"} for name in ("local", *places)},
        "models": {"pool": {"any": [f"{place}:m" for place in places]}},
        "defaults": {"retry": {"attempts": 1}},
        "tasks": {
            "default": {"models": ["m", "n"], "wire_stream": False},
            "single": {"models": ["m"], "wire_stream": False},
            "pool": {"models": ["pool"], "wire_stream": False},
            **{place: {"models": [f"{place}:n"], "wire_stream": False} for place in places},
            "hedged": {"models": ["m", "n"], "wire_stream": False, "hedge": {"after": 30.0}},
            "stream": {"models": [f"t{TOKENS}", "n"]},
            TASK: {"models": [MODEL, "n"]},
        },
    }
    figures: dict[str, dict[str, object]] = {}
    async with Router(config) as router, _handwritten.open_session() as session:
        for name in names:
            one = MEASUREMENTS[name]
            count = calls if name == "growth" else max(3, round(pairs * one.share))
            for key, values in (await one.measure(Bench(url, router, session), count)).items():
                figures[key] = _figure(one.goals[key], values, count)
                _show(key, one.goals[key], figures[key])
    return figures


def _figure(goal: Goal, values: list[float], count: int) -> dict[str, object]:
    low, median, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    measured = goal.of(values)
    return {
        "what": goal.what, "goal": goal.most, "measured": round(measured, 3), "median": round(median, 3),
        "quartiles": [round(low, 3), round(high, 3)], "pairs": count, "kept": measured <= goal.most,
        "date": environment()["date"],
    }


def _show(name: str, goal: Goal, figure: dict[str, object]) -> None:
    verdict = "met" if figure["kept"] else "MISSED"
    quartiles = "–".join(map(str, figure["quartiles"]))  # type: ignore[call-overload]
    print(f"{name:<8} {goal.what:<52} {goal.most:5.2f} {figure['measured']:9} {quartiles:>15}  {verdict}", flush=True)


def _names(given: str) -> list[str]:
    names = given.split(",")
    if unknown := [name for name in names if name not in MEASUREMENTS]:
        raise argparse.ArgumentTypeError(f"no measurement {unknown[0]!r}; there are {', '.join(MEASUREMENTS)}")
    return names


def _positive(given: str) -> int:
    if not given.isdigit() or not int(given):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {given!r}")
    return int(given)


def main() -> None:
    usual = [name for name, one in MEASUREMENTS.items() if not one.named_only]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=_positive, default=200, help="pairs of rounds a figure (default: 200)")
    parser.add_argument("--calls", type=_positive, default=1_000_000, help="calls of growth (default: 1000000)")
    parser.add_argument("--only", type=_names, default=usual, metavar="NAMES",
                        help=f"some of {','.join(MEASUREMENTS)} (default: all but listeners and growth)")
    parser.add_argument("--json", type=Path, help="file to write the figures to; others that it holds are kept")
    parser.add_argument("--malloc", choices=MALLOC, default="fresh", help="how large blocks are allocated, see above")
    options = parser.parse_args()
    if not MALLOC[options.malloc].items() <= os.environ.items():  # malloc reads them when a process begins
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MALLOC[options.malloc]})
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        parser.error("two cores are needed: one for the server")
    print(f"{'figure':<8} {'':<52} {'goal':>5} {'measured':>9} {'quartiles':>15}")
    with server(cores[1]) as url:
        os.sched_setaffinity(0, {cores[0]})
        measured = asyncio.run(measure(url, options.only, options.pairs, options.calls))
    if options.json is not None:
        before = json.loads(options.json.read_text())["figures"] if options.json.exists() else {}
        known = before | measured
        figures = {key: known[key] for one in MEASUREMENTS.values() for key in one.goals if key in known}
        found = {**environment(), "malloc": options.malloc, "figures": figures}
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    sys.exit(not all(figure["kept"] for figure in measured.values()))


if __name__ == "__main__":
    main()
