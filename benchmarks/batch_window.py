"""How much of a server's best throughput does a batch's window find? Simulated servers.

    python -m benchmarks.batch_window [--json results/batch_window.json]

A server runs so many calls at once, and each of them makes a token in so many seconds, which grow with the number that
runs. Lengths of answers are log-normal with a mean of 400 tokens and a coefficient of variation of 0.8. The best is
that of ten fixed windows; `after` counts from 150 s on, `all` with the ramp, `recovered` the seconds after a minute of
tenfold latency until throughput is at 90 % of what it was.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import deque
from heapq import heapify, heappop, heappush
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter.batch._window import Window
from benchmarks._machine import environment

if TYPE_CHECKING:
    from collections.abc import Callable

MEAN, VARIATION = 400.0, 0.8
FIXED = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
TIMEOUT = 600.0
SECONDS = 600.0


class Server(NamedTuple):
    """So many calls at once, the seconds for a token by how many run, and from when to when it is ten times as slow."""

    slots: int
    seconds_a_token: Callable[[int], float]
    slow: tuple[float, float] = (math.inf, math.inf)


SERVERS = {
    "1 slot": Server(1, lambda _: 0.01),
    "4 slots": Server(4, lambda _: 0.01),
    "32 slots": Server(32, lambda _: 0.01),
    "batching 64": Server(64, lambda running: 0.01 + 0.0002 * running),
    "batching 256": Server(256, lambda running: 0.01 + 0.0001 * running),
    "thrashes from 128": Server(10**6, lambda running: 0.01 + 0.0001 * running + 0.0008 * max(0, running - 128)),
    "grows with each call": Server(10**6, lambda running: 0.002 * (1 + running)),
}


class Run:
    """The answers of a run: when each ended, and how many tokens it had; and how many calls timed out."""

    def __init__(self) -> None:
        self.answers: list[tuple[float, int]] = []
        self.timeouts = 0

    def between(self, begin: float, end: float) -> float:
        """Tokens a second."""
        return sum(tokens for at, tokens in self.answers if begin <= at < end) / (end - begin)


class Call(NamedTuple):
    """A call: its number, the tokens of its answer, when it began, and the window's epoch then."""

    number: int
    tokens: int
    began: float
    epoch: int


def simulate(server: Server, window: Window | int, seconds: float, seed: int = 1, timeout: float = TIMEOUT) -> Run:
    """Keep a server busy for so many seconds."""
    random, run = Random(seed), Run()
    now = served = 0.0  # `served`: tokens that a call has got that has run all the time
    running: list[tuple[float, Call]] = []
    queue: deque[Call] = deque()
    alive: set[int] = set()
    expiries: list[tuple[float, Call]] = []
    number = 0
    while now < seconds:
        size = window.size if isinstance(window, Window) else window
        while len(alive) < size:
            number += 1
            call = Call(number, _length(random), now, window.epoch if isinstance(window, Window) else 0)
            alive.add(number)
            queue.append(call)
            heappush(expiries, (now + timeout, call))
        while queue and len(running) < server.slots:
            if (call := queue.popleft()).number in alive:
                heappush(running, (served + call.tokens, call))
        slow = 10.0 if server.slow[0] <= now < server.slow[1] else 1.0
        pace = 1.0 / (server.seconds_a_token(len(running)) * slow)
        while expiries[0][1].number not in alive:
            heappop(expiries)
        ends = now + (running[0][0] - served) / pace
        at = min([ends, expiries[0][0], *(change for change in server.slow if change > now)])
        served += (at - now) * pace
        now = at
        if at == ends:
            call = heappop(running)[1]
            run.answers.append((now, call.tokens))
            if isinstance(window, Window):
                window.answered(call.epoch, now - call.began, call.tokens, full=len(alive) >= window.size)
            alive.discard(call.number)
        elif at == expiries[0][0]:
            call = heappop(expiries)[1]
            run.timeouts += 1
            alive.discard(call.number)
            running = [each for each in running if each[1] is not call]
            heapify(running)
            if isinstance(window, Window):
                window.timed_out(call.epoch, now, now - call.began)
    return run


def _length(random: Random) -> int:
    sigma = math.sqrt(math.log(1.0 + VARIATION * VARIATION))
    return max(1, int(random.lognormvariate(math.log(MEAN) - sigma * sigma / 2.0, sigma)))


def throughput(run: Run, seconds: float) -> float:
    """Tokens a second in the last two thirds of a run."""
    return run.between(seconds / 3.0, seconds)


def main() -> None:
    """Print the table, and keep it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "batch_window.json")
    path: Path = parser.parse_args().json
    table: dict[str, dict[str, float]] = {}
    print(f"{'server':22} best  after    all  recovered")
    for name, server in SERVERS.items():
        best, at = max((simulate(server, size, SECONDS).between(150.0, SECONDS), size) for size in FIXED)
        runs = [simulate(server, Window(1024, TIMEOUT), SECONDS, seed) for seed in (1, 2, 3)]
        after = min(run.between(150.0, SECONDS) for run in runs) / best
        whole = min(run.between(0.0, SECONDS) for run in runs) / best
        recovered = _recovered(server)
        table[name] = {"best": at, "after": round(after, 3), "all": round(whole, 3), "recovered": recovered}
        print(f"{name:22} {at:4}  {after:5.3f}  {whole:5.3f}  {recovered:9.0f}", flush=True)
    path.write_text(json.dumps({**environment(), "servers": table}, indent=1) + "\n")


def _recovered(server: Server) -> float:
    run = simulate(server._replace(slow=(200.0, 260.0)), Window(1024, TIMEOUT), 400.0)
    before = run.between(150.0, 200.0)
    return next(after for after in range(140) if run.between(260.0 + after, 268.0 + after) >= 0.9 * before)


if __name__ == "__main__":
    main()
