"""What does `asyncrouter serve` cost beside a hand-written aiohttp proxy that reads the same JSON?

    python benchmarks/serve.py [--pairs 20] [--cpu] [--json FILE]

Both servers run in processes of their own, on one core, the models and the load on the other. Rounds alternate; a
ratio is the median over all pairs of rounds of the ratio of CPU time a request, with its quartiles. The latencies are
of an open loop: requests come at fixed instants, at 30 % of what the hand-written proxy's core can do, whether or not
earlier ones have been answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from _machine import HERE, environment, server
from _paired_rounds import MESSAGES, ticking
from _proxies import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

ARMS = ("asyncrouter", "handwritten")
TOKENS = 200
"""Tokens of a streamed answer."""
AT_ONCE, REQUESTS, STREAMS = 64, 1024, 64
"""Requests at once, and in a round, whole and streamed."""
SECONDS, SHARE = 4.0, 0.3
"""How long an open loop lasts, and its share of a core."""
GOALS = {"whole: CPU": 1.3, "streamed: CPU": 1.3, "whole: p50": 1.25, "whole: p99": 1.25}
Bodies = dict[str, dict[str, object]]
BODIES: Bodies = {
    "whole": {"model": "m", "messages": MESSAGES, "temperature": 0.2},
    "streamed": {"model": f"t{TOKENS}", "messages": MESSAGES, "stream": True,
                 "stream_options": {"include_usage": True}},
}


@contextmanager
def proxy(arm: str, url: str, core: int) -> Iterator[str]:
    """The server of an arm; its address."""
    command = [sys.executable, str(HERE / "_proxies.py"), arm, url, str(core)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate()


class Load:
    """Requests to one server."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def cpu(self) -> float:
        """Seconds of CPU time of the server until now."""
        async with self._session.get(f"{self._url}/cpu") as response:
            return float(await response.text())

    async def ask(self, kind: str) -> float:
        """One request; the seconds until its whole answer."""
        began = time.perf_counter()
        async with self._session.post(f"{self._url}/v1/chat/completions", json=BODIES[kind]) as response:
            data = await response.read()
            assert response.status == 200, data
            assert kind == "whole" or data.endswith(b"[DONE]\n\n"), data[-200:]
        return time.perf_counter() - began

    async def closed(self, kind: str, count: int) -> float:
        """CPU time a request, `AT_ONCE` at once."""
        before, left = await self.cpu(), iter(range(count))

        async def work() -> None:
            for _ in left:
                await self.ask(kind)

        await asyncio.gather(*[work() for _ in range(AT_ONCE)])
        return (await self.cpu() - before) / count

    async def open(self, kind: str, rate: float) -> list[float]:
        """The latencies at a fixed rate, in seconds."""
        loop, tasks = asyncio.get_running_loop(), []
        began = loop.time()
        for number in range(int(rate * SECONDS)):
            await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
            tasks.append(loop.create_task(self.ask(kind)))
        return await asyncio.gather(*tasks)


async def measure(urls: dict[str, str], model_url: str, pairs: int, *, latency: bool) -> dict[str, list[float]]:
    """The ratios of each figure, one for each pair of rounds; and milliseconds of both arms."""
    found: dict[str, list[float]] = {name: [] for name in GOALS if latency or name.endswith("CPU")}
    headers = {"Authorization": f"Bearer {KEY}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session, ticking(model_url):
        loads = {arm: Load(session, urls[arm]) for arm in ARMS}
        for kind, count in (("whole", REQUESTS), ("streamed", STREAMS)):
            for load in loads.values():
                await load.closed(kind, count)
        for pair in range(pairs):
            order = ARMS if pair % 2 else ARMS[::-1]
            for kind, count in (("whole", REQUESTS), ("streamed", STREAMS)):
                cpu = {arm: await loads[arm].closed(kind, count) for arm in order}
                found[f"{kind}: CPU"].append(cpu["asyncrouter"] / cpu["handwritten"])
                for arm in ARMS:
                    found.setdefault(f"{kind}: µs of CPU, {arm}", []).append(cpu[arm] * 1e6)
                if kind == "whole" and latency:
                    rate = SHARE / cpu["handwritten"]
                    took = {arm: sorted(await loads[arm].open(kind, rate)) for arm in order}
                    for name, share in (("p50", 0.5), ("p99", 0.99)):
                        at = {arm: took[arm][int(len(took[arm]) * share)] for arm in ARMS}
                        found[f"whole: {name}"].append(at["asyncrouter"] / at["handwritten"])
                        for arm in ARMS:
                            found.setdefault(f"whole: ms of {name}, {arm}", []).append(at[arm] * 1e3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20, help="pairs of rounds (default: 20)")
    parser.add_argument("--cpu", action="store_true", help="CPU alone: latencies say nothing on a busy machine")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        parser.error("two cores are needed: one for the servers that are measured")
    with server(cores[1]) as url, proxy(ARMS[0], url, cores[0]) as ours, proxy(ARMS[1], url, cores[0]) as theirs:
        os.sched_setaffinity(0, {cores[1]})
        found = asyncio.run(measure({ARMS[0]: ours, ARMS[1]: theirs}, url, options.pairs, latency=not options.cpu))
    figures = {}
    for name, values in found.items():
        low, median, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
        goal = GOALS.get(name)
        figures[name] = {"median": round(median, 3), "quartiles": [round(low, 3), round(high, 3)], "goal": goal}
        verdict = "" if goal is None else "met" if median <= goal else "MISSED"
        print(f"{name:<36} {median:10.3f}  {low:.3f}–{high:.3f}  {goal or '':>5} {verdict}")
    if options.json is not None:
        document = {**environment(), "pairs": options.pairs, "figures": figures}
        options.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
