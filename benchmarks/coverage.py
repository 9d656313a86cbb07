"""How often does a printed interval of a quantile hold the truth? Samples of known distribution, calls in a row alike.

    python -m benchmarks.coverage [--runs 1000]

Latencies are log-normal (sigma 0.5); neighbours are correlated by 0 or 0.5 (an autoregression of their logarithms). A
95 % interval should hold the truth in 95 % of the runs.
"""

from __future__ import annotations

import argparse
import math
from statistics import NormalDist

import numpy as np

from asyncrouter.bench.stats import Floats, estimate_quantiles

SIGMA = 0.5
QUANTILES = (0.5, 0.9, 0.95, 0.99)


def latencies(generator: np.random.Generator, n: int, correlation: float) -> Floats:
    """A sample in which each logarithm is correlated with the one before."""
    drawn = generator.normal(size=n)
    for at in range(1, n):
        drawn[at] = correlation * drawn[at - 1] + math.sqrt(1.0 - correlation**2) * drawn[at]
    found: Floats = np.exp(SIGMA * drawn)
    return found


def coverage(n: int, correlation: float, runs: int, seed: int = 1) -> dict[float, float]:
    """The share of the runs whose interval held the true quantile, by quantile."""
    generator, held = np.random.default_rng(seed), dict.fromkeys(QUANTILES, 0)
    for _ in range(runs):
        sample = latencies(generator, n, correlation)
        for q, found in zip(QUANTILES, estimate_quantiles(sample, QUANTILES), strict=True):
            truth = math.exp(SIGMA * NormalDist().inv_cdf(q))
            held[q] += (found.low or 0.0) <= truth <= (math.inf if found.high is None else found.high)
    return {q: count / runs for q, count in held.items()}


def main() -> None:
    """Print a line for each size and correlation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    given = parser.parse_args()
    for n in (300, 1000):
        for correlation in (0.0, 0.5):
            print(n, correlation, coverage(n, correlation, given.runs), flush=True)


if __name__ == "__main__":
    main()
