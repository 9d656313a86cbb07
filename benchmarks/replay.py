"""Are the estimates of `asyncrouter bench replay` right? Its 95 % intervals against what the router really does.

    python benchmarks/replay.py [--seeds 200] [--calls 1000] [--json FILE]

Each seed records calls of a router with one hedge (as `JsonlTrace` does), and estimates what other hedges, other
timeouts and the other order of models would have done. The true values are those of 20,000 simulated calls under each
policy. The first model has a heavy tail, 3 % at ten times the time, and 2 % failures. Only stated intervals are
counted: where a recording has too few observations, none is stated. In virtual time 200 seeds take eight minutes of
CPU.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from random import Random

import numpy as np
from _machine import environment

from asyncrouter import CallError, Router, Step
from asyncrouter.bench import Policy, replay
from asyncrouter.bench.resampling import row_quantiles
from asyncrouter.bench.rows import attempt_row
from asyncrouter.bench.trace import CallRow
from asyncrouter.sim import Act, Clock, Seen, World, lognormal

FIRST, SECOND = lognormal(0.6, 0.5, stragglers=0.03, factor=10.0), lognormal(0.8, 0.4)
PRICES = {"a": {"input": 3.0, "output": 15.0}, "b": {"input": 1.0, "output": 5.0}}
CHAIN = {"chain": ["a", "b"]}
RECORDED = {**CHAIN, "hedge": {"after": 2.0, "budget": 0.3}}
POLICIES: dict[str, tuple[dict[str, object], Policy]] = {
    "hedge 1.2 s": ({**CHAIN, "hedge": {"after": 1.2, "budget": 0.2}}, Policy(hedge=1.2, budget=0.2)),
    "no hedge": (CHAIN, Policy()),
    "no hedge, total 2 s": ({"chain": [Step(model=name, total=2.0) for name in "ab"]}, Policy(total=2.0)),
    "no hedge, deadline 4 s": ({**CHAIN, "deadline": 4.0}, Policy(deadline=4.0)),
    "b → a, no hedge": ({"chain": ["b", "a"]}, Policy(order=("b", "a"))),
}
POINTS = {"p50_e2e": 0.5, "p90_e2e": 0.9, "p95_e2e": 0.95, "p99_e2e": 0.99}


def main(seeds: int, calls: int, kept: Path | None) -> None:
    truths = {name: true_values(call) for name, (call, _) in POLICIES.items()}
    stated = {name: dict.fromkeys(true, 0) for name, true in truths.items()}
    hits = {name: dict.fromkeys(true, 0) for name, true in truths.items()}
    for seed in range(seeds):
        recording = record_calls(seed, calls, RECORDED)
        estimates = replay(recording, [policy for _, policy in POLICIES.values()])
        for (name, true), found in zip(truths.items(), estimates, strict=True):
            for measure, value in true.items():
                one = found.measures[measure]
                if not one.enough:
                    continue
                stated[name][measure] += 1
                hits[name][measure] += (one.low or 0.0) <= value <= (float("inf") if one.high is None else one.high)
    for name, true in truths.items():
        print(name)
        for measure, value in true.items():
            count = stated[name][measure]
            held = f"in the interval {hits[name][measure] / count:6.1%} of {count}" if count else "n too small"
            print(f"  {measure:14} true {value:9.4f}   {held}")
    if kept is not None:
        found = {"seeds": seeds, "calls": calls, "truth": truths, "stated": stated, "hits": hits}
        kept.write_text(json.dumps({**environment(), **found}, indent=1))


def true_values(call: dict[str, object]) -> dict[str, float]:
    """The measures of 20,000 calls of a router with these arguments."""
    rows = record_calls(10**6, 20_000, call)
    seconds = np.array([row.seconds if row.error is None else np.inf for row in rows])
    found = dict(zip(POINTS, map(float, row_quantiles(seconds[None, :], list(POINTS.values()))[0]), strict=True))
    money = [sum(attempt.cost_usd or 0.0 for attempt in row.attempts) for row in rows]
    return {
        **found, "success": float(np.isfinite(seconds).mean()), "usd_per_1000": float(np.mean(money)) * 1000.0,
        "attempts": float(np.mean([len(row.attempts) for row in rows])),
    }


def record_calls(seed: int, count: int, call: dict[str, object]) -> list[CallRow]:
    """`count` calls of a router with these arguments, as they are recorded."""
    clock, world = Clock(), World(seed, keep=0)

    def first(_: Seen, random: Random) -> Act:
        return Act(status=500, first_token=0.1) if random.random() < 0.02 else Act(first_token=FIRST(random), tail=0.2)

    def second(_: Seen, random: Random) -> Act:
        return Act(status=500) if random.random() < 0.01 else Act(first_token=SECOND(random), tail=0.2)

    world.model("a", first)
    world.model("b", second)
    models = {name: {"provider": "sim", "id": name, "usd_per_mtok": price} for name, price in PRICES.items()}
    config = world.config(models=models, defaults={"breaker": "off", "retry": {"attempts": 1}})
    found: list[CallRow] = []

    async def make_calls() -> None:
        async with Router(config, transport=world.transport(), seed=seed) as router:
            async def one() -> None:
                began, wrong = clock.now, None
                try:
                    trace = (await router.chat("Name a city.", **call)).trace
                except CallError as error:
                    trace, wrong = error.trace, type(error).__name__
                found.append(CallRow(began, trace.seconds, None, wrong, [attempt_row(each) for each in trace.attempts]))

            random, tasks = Random(seed), []
            for _ in range(count):
                await asyncio.sleep(random.expovariate(10.0))
                tasks.append(asyncio.ensure_future(one()))
            await asyncio.gather(*tasks)

    clock.run(make_calls())
    return sorted(found, key=lambda row: row.started)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200, help="recordings (default: 200)")
    parser.add_argument("--calls", type=int, default=1000, help="calls of a recording (default: 1000)")
    parser.add_argument("--json", type=Path, dest="kept", help="file to write the figures to")
    main(**vars(parser.parse_args()))
