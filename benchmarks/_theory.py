"""What hedging can reach at best: latency laws, and the optimum of a single reissue under a budget.

With X the latency of the first request, Y of the second, both from the same law with survival S, a hedge sent after d
with probability q gives S_Z(t) = S(t) for t < d, and S(t) · (1 - q · F(t - d)) from there on; it costs q · S(d) more
requests. Of all policies with one hedge this one is the best for a percentile (Kaler, He, Elnikety, "Optimal reissue
policies for reducing tail latency", SPAA 2017). `optimum` finds d and q = min(1, budget / S(d)).
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
"""Delays tried."""


@dataclass(frozen=True, slots=True)
class Law:
    """Seconds: lognormal about 1, a share of `stragglers` twenty times as long, a share of `hangs` without an end."""

    sigma: float
    stragglers: float = 0.0
    hangs: float = 0.0

    def __call__(self, random: Random) -> float:
        """Draw."""
        seconds = math.exp(random.gauss(0.0, self.sigma))
        luck = random.random()
        if luck < self.hangs:
            return inf
        return seconds * 20.0 if luck < self.hangs + self.stragglers else seconds

    def survival(self, seconds: float) -> float:
        """The share that takes longer."""
        if seconds <= 0.0:
            return 1.0
        body = 1.0 - self.stragglers - self.hangs
        return self.hangs + body * self._above(seconds) + self.stragglers * self._above(seconds / 20.0)

    def quantile(self, q: float) -> float:
        """The seconds within which a share `q` ends; `inf` when no more than that ever does."""
        return _first(lambda seconds: self.survival(seconds) <= 1.0 - q)

    def _above(self, seconds: float) -> float:
        return 0.5 * math.erfc(math.log(seconds) / self.sigma / math.sqrt(2.0))


SCENARIOS = {
    "A": Law(0.5, stragglers=0.02),
    "B": Law(0.5, stragglers=0.01),
    "C": Law(0.25, stragglers=0.015),
    "D": Law(1.0),
    "E": Law(0.5, stragglers=0.01, hangs=0.003),
}


def hedged(law: Law, q: float, delay: float, chance: float = 1.0) -> float:
    """The `q` quantile of the faster one of two, when the second is sent after `delay` with probability `chance`."""

    def done(seconds: float) -> bool:
        late = law.survival(seconds)
        if seconds > delay:
            late *= 1.0 - chance * (1.0 - law.survival(seconds - delay))
        return late <= 1.0 - q

    return _first(done)


def optimum(law: Law, q: float, budget: float) -> float:
    """The least `q` quantile that one hedge for a share `budget` of the requests can give."""
    latest = law.quantile(1.0 - budget)
    delays = [latest * step / GRID for step in range(GRID + 1)]
    return min(hedged(law, q, delay, min(1.0, budget / law.survival(delay))) for delay in delays)


def _first(done: Callable[[float], bool], most: float = 1e4) -> float:
    """The first instant at which this is so; bisection to a millionth."""
    low, high = 0.0, most
    if not done(high):
        return inf
    while high - low > 1e-6 * high:
        middle = (low + high) / 2.0
        if done(middle):
            high = middle
        else:
            low = middle
    return high
