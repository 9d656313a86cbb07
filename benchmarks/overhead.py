"""What asyncrouter adds to a careful hand-written aiohttp call, each figure beside the goal that it has to keep.

    python benchmarks/overhead.py [--pairs 200] [--only chat,stream] [--json FILE]
    python benchmarks/overhead.py --only growth --calls 1000000        # ten minutes; not run unless it is named

Two arms take turns, waves of 64 calls each, in one process, against a server on the other core; a ratio is the median
of the pairs' ratios of CPU time (user and system), with its quartiles. Memory, imports and the loop's lag are measured
in processes of their own, which take turns as well. Whole processes one after the other spread by 20 %, pairs by a few.
How the peers fare is `peers.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import _handwritten
from _machine import HERE, circumstances, fresh, server
from _sips import MODEL, clocks, sips
from _waves import MESSAGES, Ask, Bench, paired, ticking

from asyncrouter import Router

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WAITING = 10_000
STREAMS, SECONDS = 2000, 15.0
DEPENDENCIES = "aiohttp, anyio, backoff, orjson"
BODY: dict[str, object] = {"model": "m", "messages": MESSAGES, "temperature": 0.2}
TOKENS = 500

Values = dict[str, list[float]]


class Goal(NamedTuple):
    """What is measured and the most it may be: `of` the values, one a pair."""

    what: str
    most: float
    of: Callable[[list[float]], float] = statistics.median


class Question(NamedTuple):
    """How to measure one or more goals, and how many of the pairs that are asked for it takes."""

    goals: dict[str, Goal]
    ask: Callable[[Bench, int], Awaitable[Values]]
    share: float = 1.0
    named: bool = False


async def chat(bench: Bench, pairs: int) -> Values:
    return {"chat": await _cpu(bench, pairs, lambda: bench.router.chat(MESSAGES, temperature=0.2))}


async def hedged(bench: Bench, pairs: int) -> Values:
    return {"hedged": await _cpu(bench, pairs, lambda: bench.router.chat(MESSAGES, task="hedged", temperature=0.2))}


async def _cpu(bench: Bench, pairs: int, ours: Ask) -> list[float]:
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
    grown = lambda arm: fresh(str(HERE / "_waiting.py"), arm, bench.url, str(WAITING))  # noqa: E731
    return {"memory": _in_turns(pairs, lambda: grown("asyncrouter"), lambda: grown("handwritten"), _ratio)}


async def imports(bench: Bench, pairs: int) -> Values:
    def spent(modules: str) -> float:
        clock = "time.process_time()"
        return fresh("-c", f"import time; began = {clock}; import {modules}; print({clock} - began)")

    ours = "asyncrouter._api"  # all that is public; the package by itself reads it when it is first asked for a name
    for modules in (ours, DEPENDENCIES):  # compiled, and in the page cache
        spent(modules)
    return {"import": _in_turns(pairs, lambda: spent(ours), lambda: spent(DEPENDENCIES), _ratio)}


async def lag(bench: Bench, pairs: int) -> Values:
    late = lambda arm: fresh(str(HERE / "_lag.py"), arm, bench.url, str(STREAMS), str(SECONDS))  # noqa: E731
    later = lambda ours, theirs: ours - theirs  # noqa: E731
    return {"lag": _in_turns(pairs, lambda: late("asyncrouter"), lambda: late("handwritten"), later)}


async def growth(bench: Bench, pairs: int) -> Values:
    grown = fresh(str(HERE / "_growth.py"), bench.url, str(pairs))
    return {"growth": [grown / pairs]}


def _in_turns(
    pairs: int, ours: Callable[[], float], theirs: Callable[[], float], told: Callable[[float, float], float]
) -> list[float]:
    found = []
    for pair in range(pairs):
        first, second = (ours, theirs) if pair % 2 else (theirs, ours)
        values = {first: first(), second: second()}
        found.append(told(values[ours], values[theirs]))
    return found


def _ratio(ours: float, theirs: float) -> float:
    return ours / theirs


QUESTIONS = {
    "chat": Question({"chat": Goal("chat(), one JSON body", 1.10)}, chat),
    "hedged": Question({"hedged": Goal("the same with a hedge that does not fire", 1.20)}, hedged),
    "stream": Question({"stream": Goal(f"stream() of {TOKENS} tokens", 1.10)}, stream, 0.2),
    "sips": Question({
        "cpu": Goal("chat() streamed on the wire, 100 at once: CPU", 0.40),
        "median": Goal("… its median reply", 1.05),
        "latest": Goal("… no reply later by more than (s)", 0.25, max),
    }, sips, 0.05),
    "clocks": Question({"clocks": Goal("… its clocks, right to (s)", 0.25, max)}, clocks, 0.02),
    "memory": Question({"memory": Goal(f"memory of a waiting call, {WAITING:,} at once", 1.25)}, memory, 0.02),
    "lag": Question({"lag": Goal(f"loop lag p99, {STREAMS:,} streams: later by (ms)", 5.0)}, lag, 0.015),
    "import": Question({"import": Goal(f"import, to that of {DEPENDENCIES}", 1.10)}, imports, 0.25),
    "growth": Question({"growth": Goal("growth of the process (bytes a call)", 1.0)}, growth, named=True),
}


async def measure(url: str, names: list[str], pairs: int, calls: int) -> dict[str, dict[str, object]]:
    config = {
        "default_provider": "local",
        "providers": {"local": {"base_url": f"{url}/v1"}},
        "defaults": {"retry": {"attempts": 1}},
        "tasks": {
            "default": {"models": ["m", "n"], "wire_stream": False},
            "hedged": {"models": ["m", "n"], "wire_stream": False, "hedge": {"after": 30.0}},
            "stream": {"models": [f"t{TOKENS}", "n"]},
            "sips": {"models": [MODEL, "n"]},
        },
    }
    told: dict[str, dict[str, object]] = {}
    async with Router(config) as router, _handwritten.open_session() as session:
        for name in names:
            question = QUESTIONS[name]
            count = calls if name == "growth" else max(3, round(pairs * question.share))
            for key, values in (await question.ask(Bench(url, router, session), count)).items():
                told[key] = _told(question.goals[key], values, count)
                _show(key, question.goals[key], told[key])
    return told


def _told(goal: Goal, values: list[float], count: int) -> dict[str, object]:
    low, median, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    measured = goal.of(values)
    return {
        "what": goal.what, "goal": goal.most, "measured": round(measured, 3), "median": round(median, 3),
        "quartiles": [round(low, 3), round(high, 3)], "pairs": count, "kept": measured <= goal.most,
    }


def _show(name: str, goal: Goal, told: dict[str, object]) -> None:
    kept = "kept" if told["kept"] else "MISSED"
    quartiles = "–".join(map(str, told["quartiles"]))  # type: ignore[call-overload]
    print(f"{name:<8} {goal.what:<52} {goal.most:5.2f} {told['measured']:9} {quartiles:>15}  {kept}", flush=True)


def _names(given: str) -> list[str]:
    names = given.split(",")
    if unknown := [name for name in names if name not in QUESTIONS]:
        raise argparse.ArgumentTypeError(f"no figure {unknown[0]!r}; there are {', '.join(QUESTIONS)}")
    return names


def _number(given: str) -> int:
    if not given.isdigit() or not int(given):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {given!r}")
    return int(given)


def main() -> None:
    usual = [name for name, question in QUESTIONS.items() if not question.named]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=_number, default=200, help="pairs of waves a figure (default: 200)")
    parser.add_argument("--calls", type=_number, default=1_000_000, help="of growth (default: 1000000)")
    parser.add_argument("--only", type=_names, default=usual, help=f"some of {','.join(QUESTIONS)}")
    parser.add_argument("--json", type=Path, help="where to keep the figures, beside those that are there")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        parser.error("two cores are needed: one for the server")
    print(f"{'figure':<8} {'':<52} {'goal':>5} {'measured':>9} {'quartiles':>15}")
    with server(cores[1]) as url:
        os.sched_setaffinity(0, {cores[0]})
        told = asyncio.run(measure(url, options.only, options.pairs, options.calls))
    if options.json is not None:
        kept = json.loads(options.json.read_text())["figures"] if options.json.exists() else {}
        known = kept | told
        figures = {key: known[key] for question in QUESTIONS.values() for key in question.goals if key in known}
        options.json.write_text(json.dumps({**circumstances(), "figures": figures}, indent=2) + "\n")
    sys.exit(not all(one["kept"] for one in told.values()))


if __name__ == "__main__":
    main()
