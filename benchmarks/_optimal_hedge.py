"""The best that one hedge under a budget can do: latency distributions, and the optimal delay and probability.

Let the latencies of the first request and of the hedge be independent, with the same survival function S and
distribution function F = 1 - S. A hedge sent after d with probability q gives the survival function S(t) for t < d, and
S(t) · (1 - q · F(t - d)) from there on; it costs q · S(d) extra requests a call. Of all policies with one hedge, one of
this form is optimal for a percentile (Kaler, He, Elnikety, "Optimal reissue policies for reducing tail latency", SPAA
2017). `optimum` searches d, with q = min(1, budget / S(d)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

GRID = 400
"""Delays that are tried between 0 and the one that spends the budget: the optimum is flat, so 400 are plenty."""

STRAGGLER_FACTOR = 20.0
"""How many times as long a straggler takes."""


@dataclass(frozen=True, slots=True)
class LatencyDistribution:
    """Seconds of a request: lognormal with median 1.

    A share of `stragglers` takes twenty times as long, and a share of `hangs` never ends.
    """

    sigma: float
    stragglers: float = 0.0
    hangs: float = 0.0

    def __call__(self, random: Random) -> float:
        """Draw the seconds of a request, `inf` if it hangs."""
        seconds = math.exp(random.gauss(0.0, self.sigma))
        drawn = random.random()
        if drawn < self.hangs:
            return inf
        return seconds * STRAGGLER_FACTOR if drawn < self.hangs + self.stragglers else seconds

    def survival(self, seconds: float) -> float:
        """The share of requests that take longer."""
        if seconds <= 0.0:
            return 1.0
        body = 1.0 - self.stragglers - self.hangs
        return self.hangs + body * self._above(seconds) + self.stragglers * self._above(seconds / STRAGGLER_FACTOR)

    def quantile(self, q: float) -> float:
        """The seconds within which a share `q` of the requests ends; `inf` when fewer ever do."""
        return _first(lambda seconds: self.survival(seconds) <= 1.0 - q)

    def _above(self, seconds: float) -> float:
        return 0.5 * math.erfc(math.log(seconds) / self.sigma / math.sqrt(2.0))


DISTRIBUTIONS = {
    "A": LatencyDistribution(0.5, stragglers=0.02),
    "B": LatencyDistribution(0.5, stragglers=0.01),
    "C": LatencyDistribution(0.25, stragglers=0.015),
    "D": LatencyDistribution(1.0),
    "E": LatencyDistribution(0.5, stragglers=0.01, hangs=0.003),
}
"""The distributions of the simulations: more and fewer stragglers, a narrow body, a wide one, requests that hang."""


def hedged(distribution: LatencyDistribution, q: float, delay: float, probability: float = 1.0) -> float:
    """The `q` quantile of the faster of two requests, when the second is sent after `delay` with this probability."""

    def reached(seconds: float) -> bool:
        survival = distribution.survival(seconds)
        if seconds > delay:
            survival *= 1.0 - probability * (1.0 - distribution.survival(seconds - delay))
        return survival <= 1.0 - q

    return _first(reached)


def optimum(distribution: LatencyDistribution, q: float, budget: float) -> float:
    """The smallest `q` quantile that one hedge for at most a share `budget` of the calls can give."""
    latest = distribution.quantile(1.0 - budget)
    delays = [latest * step / GRID for step in range(GRID + 1)]
    return min(
        hedged(distribution, q, delay, min(1.0, budget / distribution.survival(delay))) for delay in delays
    )


def _first(reached: Callable[[float], bool], most: float = 1e4) -> float:
    """The smallest seconds for which this is true, by bisection to a millionth; `inf` beyond `most`."""
    low, high = 0.0, most
    if not reached(high):
        return inf
    while high - low > 1e-6 * high:
        middle = (low + high) / 2.0
        if reached(middle):
            high = middle
        else:
            low = middle
    return high
