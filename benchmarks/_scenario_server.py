"""A scenario behind real sockets, in a process of its own: `with serving("outage", 20.0, 10.0, 0) as server`.

The child prints its URL, begins its day when it reads a line, and prints what it was asked when its stdin ends.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from _own_scenarios import ALL_SCENARIOS, FIRST, stayed

from asyncrouter.bench import Day

if TYPE_CHECKING:
    from collections.abc import Iterator

class StartedDay(Day):
    """A day that begins at a given instant of the loop's clock, not at 0."""

    start = float("inf")

    def trouble(self, at: float) -> bool:
        return super().trouble(at - StartedDay.start)


class Server:
    """The child process, as its parent sees it. `counts` are its requests, USD and calls that stayed, at its end."""

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
    print(json.dumps({"requests": world.requests - before, "usd": world.usd - usd, "stayed": stayed[FIRST]}),
          flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
