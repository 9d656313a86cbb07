"""What does `asyncrouter serve` cost beside a hand-written aiohttp proxy that reads the same JSON?

    python benchmarks/serve.py [--pairs 20] [--cpu] [--litellm DIR] [--json FILE]

Each server runs in a process of its own, on one core, the models and the load on the other. Rounds alternate; a ratio
is the median over all pairs of rounds of the ratio of CPU time a request, with its quartiles. `asyncrouter serve` has
its defaults. The latencies are of an open loop: requests come at fixed instants, at 30 % of what the hand-written
proxy's core can do, whether or not earlier ones have been answered.

With `--litellm DIR` LiteLLM's proxy is measured, too, in absolute figures alone: it is installed into an environment in
that directory, if it is not there yet, and its open loop runs at 30 % of what its own core can do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from _machine import environment, server
from _paired_rounds import MESSAGES, ticking
from _proxies import KEY
from _proxy_processes import Proxy, handwritten, litellm, litellm_version, ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TOKENS = 200
"""Tokens of a streamed answer."""
AT_ONCE = 64
REQUESTS = {"whole": 1024, "streamed": 64}
"""Requests at once, and in a round."""
SECONDS, SHARE = 4.0, 0.3
"""How long an open loop lasts, and its share of a core."""
GOALS = {"whole: CPU": 1.3, "streamed: CPU": 1.3, "whole: p50": 1.25, "whole: p99": 1.25}
PUBLISHED = "published p99 added: LiteLLM 9.8 ms alone and 251 ms with 16 at once, Bifrost 0.75 and 0.89 ms"
"""What others say of themselves, measured on other machines."""
BODIES: dict[str, dict[str, object]] = {
    "whole": {"model": "m", "messages": MESSAGES, "temperature": 0.2},
    "streamed": {"model": f"t{TOKENS}", "messages": MESSAGES, "stream": True,
                 "stream_options": {"include_usage": True}},
}

Figures = dict[str, list[float]]
"""Values of each figure, one for each round or pair of rounds."""


class Load:
    """Requests to one server."""

    def __init__(self, session: aiohttp.ClientSession, proxy: Proxy, share: float) -> None:
        """`share` is the share of the usual requests of a round that is sent: less where each takes long."""
        self._session = session
        self._proxy = proxy
        self._share = share

    async def ask(self, kind: str, began: float | None = None) -> float:
        """One request; the seconds from its scheduled instant (`None`: now) to the end of its answer."""
        loop = asyncio.get_running_loop()
        began = loop.time() if began is None else began
        async with self._session.post(f"{self._proxy.url}/v1/chat/completions", json=BODIES[kind]) as response:
            data = await response.read()
            assert response.status == 200, data
            assert kind == "whole" or data.rstrip().endswith(b"[DONE]"), data[-200:]
        return loop.time() - began

    async def closed(self, kind: str) -> float:
        """Seconds of CPU time a request, with `AT_ONCE` of them at once."""
        count = int(REQUESTS[kind] * self._share)
        before, left = self._proxy.cpu(), iter(range(count))

        async def work() -> None:
            for _ in left:
                await self.ask(kind)

        await asyncio.gather(*[work() for _ in range(AT_ONCE)])
        return (self._proxy.cpu() - before) / count

    async def open(self, rate: float) -> dict[str, float]:
        """The p50 and the p99 of latencies at a fixed rate of whole answers, in seconds."""
        loop, tasks = asyncio.get_running_loop(), []
        first = loop.time()
        for number in range(int(rate * SECONDS)):
            due = first + number / rate
            await asyncio.sleep(max(0.0, due - loop.time()))
            tasks.append(loop.create_task(self.ask("whole", due)))
        took = sorted(await asyncio.gather(*tasks))
        return {"p50": took[len(took) // 2], "p99": took[int(len(took) * 0.99)]}


async def measure(proxies: dict[str, Proxy], model_url: str, pairs: int, *, latency: bool) -> Figures:
    """The ratios of each figure, one for each pair of rounds, and the absolutes of every arm."""
    found: Figures = {name: [] for name in GOALS if latency or name.endswith("CPU")}
    headers = {"Authorization": f"Bearer {KEY}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session, ticking(model_url):
        loads = {arm: Load(session, proxy, 0.125 if arm == "litellm" else 1.0) for arm, proxy in proxies.items()}
        for kind in BODIES:
            for load in loads.values():
                await load.closed(kind)
        for pair in range(pairs):
            order = list(loads)[:: 1 if pair % 2 else -1]
            for kind in BODIES:
                cpu = {arm: await loads[arm].closed(kind) for arm in order}
                _note(found, f"{kind}: CPU", f"{kind}: µs of CPU", cpu, 1e6)
                if kind == "whole" and latency:
                    rates = {arm: SHARE / cpu[arm if arm == "litellm" else "handwritten"] for arm in order}
                    took = {arm: await loads[arm].open(rates[arm]) for arm in order}
                    for name in ("p50", "p99"):
                        at = {arm: took[arm][name] for arm in order}
                        _note(found, f"whole: {name}", f"whole: ms of {name}", at, 1e3)
    return found


def _note(found: Figures, ratio: str, absolute: str, values: dict[str, float], scale: float) -> None:
    found[ratio].append(values["asyncrouter"] / values["handwritten"])
    for arm, value in values.items():
        found.setdefault(f"{absolute}, {arm}", []).append(value * scale)


def summary(found: Figures) -> dict[str, dict[str, object]]:
    """Median, quartiles and goal of each figure."""
    figures: dict[str, dict[str, object]] = {}
    for name, values in found.items():
        low, median, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
        figures[name] = {
            "median": round(median, 3), "quartiles": [round(low, 3), round(high, 3)], "goal": GOALS.get(name)
        }
    return figures


def lines(figures: dict[str, dict[str, object]]) -> Iterable[str]:
    """A line for each figure."""
    for name, figure in figures.items():
        median, goal = figure["median"], figure["goal"]
        low, high = figure["quartiles"]  # type: ignore[misc]
        verdict = "" if goal is None else "met" if median <= goal else "MISSED"  # type: ignore[operator]
        yield f"{name:<34} {median:10.3f}  {low:.3f}–{high:.3f}  {goal or '':>5} {verdict}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20, help="pairs of rounds (default: 20)")
    parser.add_argument("--cpu", action="store_true", help="CPU alone: latencies say nothing on a busy machine")
    parser.add_argument("--litellm", type=Path, metavar="DIR", help="measure LiteLLM's proxy, in the environment DIR")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        parser.error("two cores are needed: one for the servers that are measured")
    starts: dict[str, Callable[[str, int], Proxy]] = {"asyncrouter": ours, "handwritten": handwritten}
    if options.litellm is not None:
        starts["litellm"] = lambda url, core: litellm(options.litellm, url, core, [f"t{TOKENS}", "m"])
    with ExitStack() as stack:
        url = stack.enter_context(server(cores[1]))
        proxies = {arm: stack.enter_context(start(url, cores[0])) for arm, start in starts.items()}
        os.sched_setaffinity(0, {cores[1]})
        found = asyncio.run(measure(proxies, url, options.pairs, latency=not options.cpu))
    figures = summary(found)
    print(*lines(figures), PUBLISHED, sep="\n")
    if options.json is not None:
        document = {**environment(), "pairs": options.pairs, "published": PUBLISHED, "figures": figures}
        if options.litellm is not None:
            document["litellm"] = litellm_version(options.litellm)
        options.json.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
