"""Is what `bench max-rate` finds right? Beside simulated servers whose capacity is known, over many seeds.

    python -m benchmarks.capacity [--seeds 20] [--json results/capacity.json]

A server has so many slots, a queue, and answers of 0.5 s on average (log-normal, coefficient of variation 0.5). The
objective is that 95 % of the calls wait at most 0.5 s. The truth by streams is the server's throughput, slots / 0.5 s,
as waits of closed loops reach 0.5 s only when all slots are busy; by Poisson rate it is bisected over runs of 400,000
calls. The queue is computed directly, without a router, so that 20 seeds take a minute; search, intervals and verdicts
are those of the command.
"""

from __future__ import annotations

import argparse
import json
import math
from heapq import heapify, heappop, heappush, heapreplace
from pathlib import Path
from random import Random

from asyncrouter.bench.arms import Arm
from asyncrouter.bench.capacity import MaxRate, search
from asyncrouter.bench.probes import By, Prober
from asyncrouter.bench.rows import Row
from asyncrouter.bench.slo import parse_slo
from benchmarks._machine import environment

SLO, WAIT, ALLOWED = "p95_ttft<0.5", 0.5, 0.05
SIGMA = math.sqrt(math.log(1.25))
MU = math.log(0.5) - SIGMA * SIGMA / 2.0
SLOTS = (1, 8, 32)


class Queue(Prober):
    """A prober whose server is a queue before slots; `random` draws arrivals and answers."""

    def __init__(self, slots: int, by: By, seed: int) -> None:
        super().__init__(Arm("queue"), by, parse_slo(SLO))
        self.slots, self.random = slots, Random(f"{slots}:{by}:{seed}")

    def run(self, level: float, calls: int, warmup: int, left: float | None) -> tuple[list[Row], float, str | None]:
        """The calls of one run, in the order of their starts."""
        free, rows, at = [0.0] * self.slots, [], 0.0
        workers = [0.0] * round(level)
        for number in range(calls):
            at = heappop(workers) if self.by == "streams" else at + self.random.expovariate(level)
            begun = max(at, free[0])
            ended = begun + self.random.lognormvariate(MU, SIGMA)
            heapreplace(free, ended)
            heappush(workers, ended)
            rows.append(Row("queue", number, at, at, begun, ended, warmup=number < warmup))
        return rows, max(row.ended for row in rows), None


def true_rate(slots: int, calls: int = 400_000) -> float:
    """The Poisson rate at which 5 % of the calls wait longer than 0.5 s."""
    low, high = 0.1 * slots, 2.0 * slots
    for step in range(9):
        rate, random = (low + high) / 2.0, Random(f"truth:{slots}:{step}")
        free, at, missed = [0.0] * slots, 0.0, 0
        heapify(free)
        for number in range(calls):
            at += random.expovariate(rate)
            begun = max(at, free[0])
            heapreplace(free, begun + random.lognormvariate(MU, SIGMA))
            missed += number > calls // 8 and begun - at > WAIT
        low, high = (low, rate) if missed > ALLOWED * (calls - calls // 8) else (rate, high)
    return (low + high) / 2.0


def judge(found: list[MaxRate], truth: float) -> dict[str, float]:
    """Errors and intervals of searches against the truth."""
    stated = [one.rate for one in found if one.rate.value is not None]
    if not stated:
        return {"truth": round(truth, 3), "seeds": len(found), "stated": 0}
    errors = [(one.value or 0.0) / truth - 1.0 for one in stated]
    halves = [((one.high or 0.0) - (one.low or 0.0)) / 2.0 / truth for one in stated]
    return {
        "truth": round(truth, 3), "seeds": len(found), "stated": len(stated),
        "within_5_percent": sum(abs(error) <= 0.05 for error in errors),
        "largest_error": round(max(map(abs, errors)), 4),
        "covered": sum((one.low or 0.0) <= truth <= (one.high or 0.0) for one in stated),
        "mean_half_width": round(sum(halves) / len(halves), 4), "largest_half_width": round(max(halves), 4),
        "mean_calls": round(sum(sum(probe.calls for probe in one.probes) for one in found) / 0.75 / len(found)),
    }


def main() -> None:
    """Search on every server by both measures, print a line for each, and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--calls", type=int, default=30_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    lines = []
    for slots in SLOTS:
        truths: dict[By, float] = {"streams": slots / 0.5, "poisson": true_rate(slots)}
        for by, truth in truths.items():
            found = [search(Queue(slots, by, seed), max_calls=given.calls, seed=seed) for seed in range(given.seeds)]
            lines.append({"slots": slots, "by": by, **judge(found, truth)})
            print(lines[-1], flush=True)
    if given.json is not None:
        head = {**environment(), "calls": given.calls, "slo": SLO}
        given.json.write_text(json.dumps({**head, "servers": lines}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
