"""A simulated day behind real sockets, in a process of its own: `with serving("outage", 20.0, 10.0, 0) as server`.

The child prints its address, begins its day at the word "go", and tells what it was asked when its stdin ends.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from asyncrouter.bench import SCENARIOS, Day, Scenario
from asyncrouter.bench.scenarios import prompt_of
from asyncrouter.sim import Act, lognormal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from asyncrouter.sim import Seen, World

SLOWER, SHARE = 20.0, 0.01


def _tail(world: World, day: Day) -> None:
    """Two models of which the first takes twenty times as long for one call in a hundred."""
    from collections import Counter
    from random import Random as Dice

    for name, law in (("primary", lognormal(0.06, 0.3, stragglers=SHARE, factor=SLOWER)),
                      ("secondary", lognormal(0.07, 0.3))):
        asked: Counter[str] = Counter()

        def act(seen: Seen, _: Random, name=name, law=law, asked=asked) -> Act:
            prompt = prompt_of(seen)
            asked[prompt] += 1
            return Act(first_token=law(Dice(f"{day.seed}:{name}:{asked[prompt]}:{prompt}")), gap=0.004, tokens=5)

        world.model(name, act)


DAYS = {**SCENARIOS, "tail": Scenario("tail", "1 % of the first model's answers take 20 times as long", _tail)}


class Begun(Day):
    """A day that begins when somebody says so, on a clock that began long ago."""

    zero = float("inf")

    def trouble(self, at: float) -> bool:
        return super().trouble(at - Begun.zero)


class Server:
    """The child, as its parent sees it."""

    def __init__(self, process: subprocess.Popen[str], base_url: str) -> None:
        self._process = process
        self.base_url = base_url
        self.told: dict[str, float] = {}

    def go(self) -> None:
        """The day begins."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """It tells what it was asked, and ends."""
        out, _ = self._process.communicate(timeout=60)
        self.told = json.loads(out) if out.strip() else {}


@contextmanager
def serving(scenario: str, seconds: float, rate: float, seed: int) -> Iterator[Server]:
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
    warm, paid = 0, 0.0
    world = DAYS[scenario].world(Begun(seconds, rate, seed))
    loop = asyncio.get_running_loop()
    async with world.server() as server:
        print(server.base_url, flush=True)
        if await loop.run_in_executor(None, sys.stdin.readline):
            Begun.zero, warm, paid = loop.time(), world.requests, world.usd
            await loop.run_in_executor(None, sys.stdin.read)
    print(json.dumps({"requests": world.requests - warm, "usd": world.usd - paid}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
