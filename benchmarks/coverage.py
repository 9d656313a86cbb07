"""Are intervals and verdicts of `bench` as honest as they say? Samples of known distribution, calls in a row alike.

    python -m benchmarks.coverage [--only same coverage power] [--runs 1000] [--json results/coverage.json]

Latencies are log-normal (sigma 0.5), 3 % of the calls fail, answers cost unlike amounts; neighbours are correlated by 0
or 0.5 (an autoregression), and the two arms of a comparison call by call by 0.7.

- coverage: how often a printed 95 % interval holds the truth. One figure of an arm, and differences of two arms.
- same: comparisons of two arms, or of two reports, that are alike; how many claim anything at all. Also reports of a
  router in simulated scenarios, made with two seeds.
- power: how often a true difference of 10 % is claimed, among all comparisons of a report.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from asyncrouter import bench
from asyncrouter.bench import Arm, ArmRun, AttemptRow, Load, Report, Row, Run
from asyncrouter.bench.changes import judged
from asyncrouter.bench.measures import times
from asyncrouter.bench.paired import changes, differences
from asyncrouter.bench.stats import Estimate, estimate_mean, estimate_quantiles, estimate_share, min_samples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter.bench.resampling import Floats

SIGMA, FAILED, PAIRED = 0.5, 0.03, 0.7
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
SIZES, CORRELATIONS = (300, 1000), (0.0, 0.5)
SCENARIOS = ("healthy", "heavy-tail", "flaky", "rate-limited")
NORMAL = NormalDist()
PARTS = ["same", "coverage", "power"]


def series(generator: np.random.Generator, n: int, correlation: float) -> Floats:
    """Standard normal values, each correlated with the one before."""
    drawn = generator.normal(size=n)
    for at in range(1, n):
        drawn[at] = correlation * drawn[at - 1] + math.sqrt(1.0 - correlation**2) * drawn[at]
    return drawn


def arm(name: str, slow: Floats, fails: Floats, usd: Floats, factor: float = 1.0) -> ArmRun:
    """An arm with a call a second, of these normal scores for latency, failure and cost."""
    seconds, failed, cost = factor * np.exp(SIGMA * slow), NORMAL.inv_cdf(FAILED), 0.001 * np.exp(SIGMA * usd)
    rows = []
    for at in range(len(slow)):
        attempt = AttemptRow("m", "first", "won", sent=0.0, cost_usd=float(cost[at]))
        rows.append(Row(name, at, at, at, None, at + float(seconds[at]),
                        "ServerFailed" if fails[at] < failed else "ok", "m", cost_usd=float(cost[at]),
                        attempts=[attempt]))
    return ArmRun(name, {}, rows, float(len(rows)), 1, 0.0)


def arms(generator: np.random.Generator, n: int, correlation: float, factor: float = 1.0) -> list[ArmRun]:
    """Two arms whose calls are alike pair by pair; the second one takes `factor` times as long."""
    shared = [series(generator, n, correlation) for _ in range(3)]
    own = [[series(generator, n, correlation) for _ in range(3)] for _ in range(2)]
    mixed = [[math.sqrt(PAIRED) * both + math.sqrt(1.0 - PAIRED) * one for both, one in zip(shared, mine, strict=True)]
             for mine in own]
    return [arm("a", *mixed[0]), arm("b", *mixed[1], factor=factor)]


def coverage(n: int, correlation: float, runs: int, seed: int = 1) -> dict[str, float]:
    """The share of the runs whose interval held the truth, by what is estimated."""
    generator, held = np.random.default_rng(seed), dict[str, int]()
    points = {name: q for name, q in QUANTILES.items() if n >= min_samples(q)}
    for _ in range(runs):
        slow, fails = series(generator, n, correlation), series(generator, n, correlation)
        sample = np.exp(SIGMA * slow)
        found = {**dict(zip(points, estimate_quantiles(sample, list(points.values())), strict=True)),
                 "mean": estimate_mean(sample), "success": estimate_share(fails > NORMAL.inv_cdf(FAILED))}
        truth = {name: math.exp(SIGMA * NORMAL.inv_cdf(q)) for name, q in points.items()}
        truth |= {"mean": math.exp(SIGMA**2 / 2.0), "success": 1.0 - FAILED}
        for name, one in differences(*reversed(arms(generator, n, correlation)), {}).items():
            if one.enough and name != "p99_e2e":  # with 3 % failures it is infinite in nearly every run
                found[f"difference {name}"], truth[f"difference {name}"] = one, 0.0
        for name, one in found.items():
            held[name] = held.get(name, 0) + _holds(one, truth[name])
    return {name: round(count / runs, 4) for name, count in held.items()}


def _holds(one: Estimate, truth: float) -> bool:
    return (-math.inf if one.low is None else one.low) <= truth <= (math.inf if one.high is None else one.high)


def claims_of_same(runs: int, n: int = 1000) -> dict[str, object]:
    """How many comparisons of arms, and of reports, that are alike claim anything; the neighbours correlated by 0.5."""
    claimed = {"arms of one run": 0, "two reports": 0}
    for seed in range(runs):
        generator = np.random.default_rng(seed)
        claimed["arms of one run"] += _claims(Run(arms(generator, n, 0.5), {}, {}, 0).report().changes)
        before, after = (Run([arms(generator, n, 0.5)[0]], {}, {}, 0).report() for _ in range(2))
        claimed["two reports"] += _claims(bench.compare(before, after))
    return {"comparisons": runs, "calls": n, "claim": claimed}


def claims_in_scenarios(runs: int, n: int = 1000) -> dict[str, object]:
    """How many of so many comparisons of two runs, alike but for their seeds, claim anything."""
    claimed = dict.fromkeys(SCENARIOS, 0)
    chosen = [Arm("hedged", {"chain": ["primary", "secondary"], "hedge": {"after": "p95"}})]

    def report(scenario: str, seed: int) -> Report:
        return bench.run(chosen, Load.poisson(10, calls=n), scenario=scenario, seed=seed).report()

    for scenario, seed in product(SCENARIOS, range(runs // len(SCENARIOS))):
        claimed[scenario] += _claims(bench.compare(report(scenario, 2 * seed), report(scenario, 2 * seed + 1)))
    return {"comparisons": runs // len(SCENARIOS) * len(SCENARIOS), "calls": n, "claim": claimed}


def _claims(found: list[bench.Change]) -> bool:
    return any(one.verdict in {"better", "worse"} for one in found)


def power(n: int, correlation: float, runs: int) -> dict[str, float]:
    """The share of the runs that claim a difference of 10 % at p50, p95 and the mean, among all comparisons."""
    claimed = dict.fromkeys(("p50_e2e", "p95_e2e", "mean_answered"), 0)
    for seed in range(runs):
        base, slower = arms(np.random.default_rng(seed), n, correlation, 1.1)
        found = changes("b", _measures(base), _measures(slower), differences(slower, base, {}))
        for one in judged(found):
            if one.name in claimed:
                claimed[one.name] += one.verdict == "worse"
    return {name: round(count / runs, 3) for name, count in claimed.items()}


def _measures(one: ArmRun) -> dict[str, Estimate]:
    """The measures that are compared; all of them would take most of the time."""
    seconds = times("e2e", one.rows)
    points = estimate_quantiles(seconds, [0.5, 0.95, 0.99])
    return {**dict(zip(("p50_e2e", "p95_e2e", "p99_e2e"), points, strict=True)),
            "success": estimate_share([row.ok for row in one.rows]),
            "mean_answered": estimate_mean(seconds[np.isfinite(seconds)]),
            "usd_per_1000": estimate_mean(np.array([1000.0 * (row.cost_usd or 0.0) for row in one.rows]))}


def main() -> None:
    """Print a line for each size and correlation; each part is written when it is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="samples for each coverage (default: 1000)")
    parser.add_argument("--comparisons", type=int, default=200, help="comparisons of same and power (default: 200)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found: dict[str, object] = {"at": datetime.now(UTC).isoformat(timespec="seconds"),
                                "python": platform.python_version(), "numpy": np.__version__, "runs": given.runs}
    settings = [(f"n {n}, correlation {one}", n, one) for n, one in product(SIZES, CORRELATIONS)]
    more = [*settings, *((f"n 2000, correlation {one}", 2000, one) for one in CORRELATIONS)]
    jobs = {
        "same": lambda: [_printed("same", claims_of_same(given.comparisons)),
                         _printed("same, scenarios", claims_in_scenarios(given.comparisons))],
        "coverage": lambda: {name: _printed(name, coverage(n, one, given.runs)) for name, n, one in settings},
        "power": lambda: {name: _printed(name, power(n, one, given.comparisons)) for name, n, one in more},
    }
    for part in given.only:
        found[part] = jobs[part]()
        if given.json is not None:
            given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _printed(name: str, figures: Mapping[str, object]) -> dict[str, object]:
    print(name, figures, flush=True)
    return dict(figures)


if __name__ == "__main__":
    main()
