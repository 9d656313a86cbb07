"""What asyncrouter adds to a careful hand-written aiohttp call: ratios, the smaller the better.

    python benchmarks/overhead.py [--pairs 200] [--only chat,stream] [--json FILE]

Two arms take turns, waves of 64 calls each, in one process, against a server on the other core; a figure is the median
of the pairs' ratios of CPU time (user and system), with its quartiles. Memory and imports are measured in processes of
their own, which take turns as well. Whole processes one after the other spread by 20 %, pairs by a few.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import _handwritten

from asyncrouter import Router

if TYPE_CHECKING:
    import aiohttp

HERE = Path(__file__).parent
WAVE = 64
CALLS = 5000
LIMIT = 120.0
"""Seconds after which a wave or a process has hung."""
DEPENDENCIES = "aiohttp, anyio, backoff, orjson"

MESSAGES: list[dict[str, object]] = [{"role": "user", "content": "hello"}]
BODY: dict[str, object] = {"model": "m", "messages": MESSAGES, "temperature": 0.2}

Ask = Callable[[], Awaitable[object]]


class Bench(NamedTuple):
    """Where the server is, and both arms, open."""

    url: str
    router: Router
    session: aiohttp.ClientSession


class Figure(NamedTuple):
    """What is measured, the most it may be, how, and how many of the pairs asked for it needs."""

    what: str
    goal: float
    ratios: Callable[[Bench, int], Awaitable[list[float]]]
    share: float = 1.0


async def chat(bench: Bench, pairs: int) -> list[float]:
    return await _waves(bench, pairs, lambda: bench.router.chat(MESSAGES, temperature=0.2), _by_hand(bench))


async def hedged(bench: Bench, pairs: int) -> list[float]:
    ask = lambda: bench.router.chat(MESSAGES, task="hedged", temperature=0.2)  # noqa: E731
    return await _waves(bench, pairs, ask, _by_hand(bench))


async def stream(bench: Bench, pairs: int) -> list[float]:
    async def ours() -> str:
        words: list[str] = []
        async with bench.router.stream(MESSAGES, temperature=0.2) as reply:
            async for chunk in reply:
                words.append(chunk.text)  # noqa: PERF401  # the hand-written arm does the same
        return "".join(words)

    url = f"{bench.url}/v1/chat/completions"
    body = {**BODY, "stream": True, "stream_options": {"include_usage": True}}
    ticking = asyncio.ensure_future(_tick(bench.url))
    try:
        return await _waves(bench, pairs, ours, lambda: _handwritten.stream(bench.session, url, body))
    finally:
        ticking.cancel()


async def _tick(url: str) -> None:
    """Let the server write the next event of every stream whenever the last ones are here."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        while True:
            writer.write(b"GET /tick HTTP/1.1\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()


def _by_hand(bench: Bench) -> Ask:
    url = f"{bench.url}/v1/chat/completions"
    return lambda: _handwritten.chat(bench.session, url, BODY)


async def _waves(bench: Bench, pairs: int, ours: Ask, theirs: Ask) -> list[float]:
    """The ratio of each pair of waves; who goes first takes turns, too."""
    for ask in (ours, theirs, ours, theirs):  # connections open, caches warm
        await _wave(ask)
    ratios = []
    for pair in range(pairs):
        first, second = (ours, theirs) if pair % 2 else (theirs, ours)
        spent = {first: await _wave(first), second: await _wave(second)}
        ratios.append(spent[ours] / spent[theirs])
    return ratios


async def _wave(ask: Ask) -> float:
    """CPU seconds of this process for a wave of calls."""
    async with asyncio.timeout(LIMIT):
        began = time.process_time()
        await asyncio.gather(*(ask() for _ in range(WAVE)))
        return time.process_time() - began


async def memory(bench: Bench, pairs: int) -> list[float]:
    def grown(arm: str) -> float:
        return _fresh(str(HERE / "_waiting.py"), arm, bench.url, str(CALLS))

    return _in_turns(pairs, lambda: grown("asyncrouter"), lambda: grown("handwritten"))


async def imports(bench: Bench, pairs: int) -> list[float]:
    def spent(modules: str) -> float:
        clock = "time.process_time()"
        return _fresh("-c", f"import time; began = {clock}; import {modules}; print({clock} - began)")

    for modules in ("asyncrouter", DEPENDENCIES):  # compiled, and in the page cache
        spent(modules)
    return _in_turns(pairs, lambda: spent("asyncrouter"), lambda: spent(DEPENDENCIES))


def _in_turns(pairs: int, ours: Callable[[], float], theirs: Callable[[], float]) -> list[float]:
    ratios = []
    for pair in range(pairs):
        first, second = (ours, theirs) if pair % 2 else (theirs, ours)
        told = {first: first(), second: second()}
        ratios.append(told[ours] / told[theirs])
    return ratios


def _fresh(*arguments: str) -> float:
    """The number that a new Python process prints."""
    command = [sys.executable, *arguments]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=LIMIT).stdout)


FIGURES = {
    "chat": Figure("chat(), one JSON body", 1.10, chat),
    "hedged": Figure("the same with a hedge that does not fire", 1.20, hedged),
    "stream": Figure("stream() of 200 tokens", 1.15, stream),
    "memory": Figure(f"memory of a waiting call, {CALLS} at once", 1.25, memory, 0.03),
    "import": Figure(f"import, to that of {DEPENDENCIES}", 1.10, imports, 0.25),
}


@contextmanager
def _server(core: int) -> Iterator[str]:
    """A server's URL; it ends with its stdin, so it cannot be left behind."""
    command = [sys.executable, str(HERE / "_server.py"), str(core)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


async def measure(url: str, names: list[str], pairs: int) -> dict[str, dict[str, object]]:
    config = {
        "default_provider": "local",
        "providers": {"local": {"base_url": f"{url}/v1"}},
        "defaults": {"wire_stream": False},
        "tasks": {"default": {"models": ["m", "n"]}, "hedged": {"models": ["m", "n"], "hedge": {"after": 30.0}}},
    }
    told: dict[str, dict[str, object]] = {}
    async with Router(config) as router, _handwritten.open_session() as session:
        for name in names:
            figure = FIGURES[name]
            count = max(3, round(pairs * figure.share))
            ratios = await figure.ratios(Bench(url, router, session), count)
            low, median, high = (round(cut, 3) for cut in statistics.quantiles(ratios, n=4))
            told[name] = {"goal": figure.goal, "median": median, "quartiles": [low, high], "pairs": count}
            kept = "kept" if median <= figure.goal else "MISSED"
            print(f"{name:<8} {figure.what:<48} {figure.goal:5.2f} {median:7.3f}  {low:.3f}–{high:.3f}  {kept}")
    return told


def _circumstances() -> dict[str, object]:
    names = ("aiohttp", "anyio", "backoff", "orjson")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {name: version(name) for name in names},
        "machine": {"system": platform.system(), "cpu": _cpu(), "cores": os.cpu_count()},
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _names(given: str) -> list[str]:
    names = given.split(",")
    if unknown := [name for name in names if name not in FIGURES]:
        raise argparse.ArgumentTypeError(f"no figure {unknown[0]!r}; there are {', '.join(FIGURES)}")
    return names


def _pairs(given: str) -> int:
    if not given.isdigit() or not int(given):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {given!r}")
    return int(given)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=_pairs, default=200, help="pairs of waves a figure (default: 200)")
    parser.add_argument("--only", type=_names, default=list(FIGURES), help=f"some of {','.join(FIGURES)}")
    parser.add_argument("--json", type=Path, help="where to keep the figures")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        parser.error("two cores are needed: one for the server")
    print(f"{'figure':<8} {'':<48} {'goal':>5} {'median':>7}  quartiles")
    with _server(cores[1]) as url:
        os.sched_setaffinity(0, {cores[0]})
        told = asyncio.run(measure(url, options.only, options.pairs))
    if options.json is not None:
        options.json.write_text(json.dumps({**_circumstances(), "figures": told}, indent=2) + "\n")


if __name__ == "__main__":
    main()
