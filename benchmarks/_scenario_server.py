"""A scenario behind real sockets, in a process of its own: `with serving("outage", 20.0, 10.0, 0) as server`.

The child prints its URL, begins its day when it reads a line, and prints what it was asked when its stdin ends.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING

from asyncrouter.bench import SCENARIOS, Day, Scenario
from asyncrouter.bench.scenarios import prompt_of
from asyncrouter.sim import Act, lognormal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter.sim import Seen, World

SLOWER, SHARE = 20.0, 0.01
"""The factor of a straggler, and the share of stragglers, in the scenario "tail"."""


def _tail(world: World, day: Day) -> None:
    """Two models of which the first takes twenty times as long for one call in a hundred."""
    for name, seconds in (("primary", lognormal(0.06, 0.3, stragglers=SHARE, factor=SLOWER)),
                          ("secondary", lognormal(0.07, 0.3))):
        asked: Counter[str] = Counter()

        def act(seen: Seen, _: Random, name=name, seconds=seconds, asked=asked) -> Act:
            prompt = prompt_of(seen)
            asked[prompt] += 1
            drawn = seconds(Random(f"{day.seed}:{name}:{asked[prompt]}:{prompt}"))
            return Act(first_token=drawn, gap=0.004, tokens=5)

        world.model(name, act)


ALL_SCENARIOS = {
    **SCENARIOS, "tail": Scenario("tail", "1 % of the first model's answers take 20 times as long", _tail),
}


class StartedDay(Day):
    """A day that begins at a given instant of the loop's clock, not at 0."""

    start = float("inf")

    def trouble(self, at: float) -> bool:
        return super().trouble(at - StartedDay.start)


class Server:
    """The child process, as its parent sees it. `counts` are its requests and USD, once it has ended."""

    def __init__(self, process: subprocess.Popen[str], base_url: str) -> None:
        self._process = process
        self.base_url = base_url
        self.counts: dict[str, float] = {}

    def begin(self) -> None:
        """Begin the day."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """End the process, and read its counts."""
        out, _ = self._process.communicate(timeout=60)
        self.counts = json.loads(out) if out.strip() else {}


@contextmanager
def serving(scenario: str, seconds: float, rate: float, seed: int) -> Iterator[Server]:
    """Run a scenario's server in a child process."""
    arguments = [sys.executable, __file__, scenario, str(seconds), str(rate), str(seed)]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        server = Server(process, process.stdout.readline().strip())
        yield server
        server.end()
    finally:
        process.kill()
        process.wait()


async def main(scenario: str, seconds: float, rate: float, seed: int) -> None:
    before, usd = 0, 0.0
    world = ALL_SCENARIOS[scenario].world(StartedDay(seconds, rate, seed))
    loop = asyncio.get_running_loop()
    async with world.server() as server:
        print(server.base_url, flush=True)
        if await loop.run_in_executor(None, sys.stdin.readline):
            StartedDay.start, before, usd = loop.time(), world.requests, world.usd
            await loop.run_in_executor(None, sys.stdin.read)
    print(json.dumps({"requests": world.requests - before, "usd": world.usd - usd}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
