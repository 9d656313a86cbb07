"""How fast does a batch find a limit that nobody announces, and find it again after a slow quarter of a minute?

    python -m benchmarks.batch_limits [--json results/batch_limits.json]

Virtual time. A server serves at most 40 requests at once, or 300 a second, or 50,000 tokens a minute (with a minute's
tokens to begin with, as token buckets have); what it turns down gets a 503 or a 429, with a Retry-After or without.
Answers take 0.5 s, and for 15 s ten times as long. Throughput is that of the answers, in windows of 5 s.

`found` is the second from which on a window has 95 % of the capacity, `share` that of the 30 s after the tenth second,
`back` the seconds after the slow time until a window has 90 % again, `rejected` the share of all requests.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from bisect import bisect_left
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter import Router, batch
from asyncrouter.sim import Act, Clock, World
from benchmarks._machine import environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from asyncrouter.sim import LoggedRequest, SimModel

LATENCY = 0.5
SLOW = (45.0, 60.0)
SECONDS = 100.0
"""How long a run lasts at least."""
WINDOW = 5.0
TOKENS = 100
"""Tokens of each prompt, of one word each."""
A_MINUTE = 50_000


class Case(NamedTuple):
    """A limit, and the answers a second that it allows."""

    set: Callable[[SimModel], object]
    capacity: float


CASES = {
    "40 at once, 503": Case(lambda model: model.capacity(40), 40 / LATENCY),
    "40 at once, 429": Case(lambda model: model.capacity(40, Act(why="rate_limit")), 40 / LATENCY),
    "300 a second, Retry-After": Case(lambda model: model.limit(300), 300.0),
    "300 a second": Case(lambda model: model.limit(300, retry_after=False), 300.0),
    "50,000 tokens a minute": Case(lambda model: model.limit(tps=A_MINUTE / 60), A_MINUTE / 60 / TOKENS),
}


def main() -> None:
    """Print the table, and keep it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "batch_limits.json")
    path: Path = parser.parse_args().json
    table: dict[str, dict[str, float]] = {}
    print(f"{'limit':26} found  share  back  rejected")
    for name, case in CASES.items():
        table[name] = row = measured(case)
        figures = f"{row['found']:5.1f}  {row['share']:5.3f}  {row['back']:4.1f}  {row['rejected']:8.4f}"
        print(f"{name:26} {figures}", flush=True)
    path.write_text(json.dumps({**environment(), "limits": table}, indent=1) + "\n")


def measured(case: Case, seed: int = 1) -> dict[str, float]:
    """The figures of one limit."""
    clock, world = Clock(), World(seed, keep=0)
    ends: list[float] = []

    def answer(seen: LoggedRequest, _: Random) -> Act:
        latency = 10 * LATENCY if SLOW[0] <= seen.at < SLOW[1] else LATENCY
        ends.append(seen.at + latency)
        return Act(text="fine", first_token=latency)

    model = world.model("m", answer)
    case.set(model)
    with tempfile.TemporaryDirectory() as directory:
        source, prompt = Path(directory) / "in.jsonl", " ".join(["word"] * TOKENS)
        count = int(case.capacity * SECONDS) + A_MINUTE // TOKENS
        source.write_text("".join(f'{{"id":{n},"prompt":"{prompt}"}}\n' for n in range(count)))

        async def run() -> None:
            async with Router(world.config(tasks={"default": ["m"]}), transport=world.transport(), seed=seed) as router:
                await batch.run(router, source, Path(directory) / "out.jsonl", deadline=None)

        clock.run(run())
    ends.sort()

    def share(begin: float, seconds: float) -> float:
        return (bisect_left(ends, begin + seconds) - bisect_left(ends, begin)) / seconds / case.capacity

    steps = [0.5 * step for step in range(int(2 * SECONDS))]
    bill = model.bill
    rejected = bill.requests - bill.statuses[200]
    return {
        "found": next(at for at in steps if share(at, WINDOW) >= 0.95),
        "share": round(share(10.0, 30.0), 3),
        "back": next((at for at in steps if share(SLOW[1] + at, WINDOW) >= 0.9), SECONDS - SLOW[1]),
        "rejected": round(rejected / bill.requests, 4),
    }


if __name__ == "__main__":
    main()
