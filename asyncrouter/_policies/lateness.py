"""When an attempt counts as late: the delay after which it is hedged, and the silence that marks its model as slow."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncrouter._config.config import Hedge
    from asyncrouter._policies.hedge_budget import HedgeBudget
    from asyncrouter._policies.latency import Latency

LATEST = 1.25
"""A hedge comes at most so many times later than the quantile that its budget stands for, however empty the bucket is:
where the aim falls below the share of stragglers, the quantile would jump to where they end."""
SLOW_QUANTILE = 0.75
"""The quantile of its first contents that an attempt is compared with when the budget denies the race that would show
how slow its model is."""
SLOW_TIMES = 3.0
"""Times that quantile from which on such an attempt is slow. So a model that has always had two modes is not slow, nor
one that takes a little longer than it did."""
LOSER_SLOW_TIMES = 2.0
"""Times its median that a model must have been silent for a lost race to count as being slow."""


def hedge_delay(hedge: Hedge, budget: HedgeBudget, latency: Latency, size: int) -> float:
    """Seconds after sending from which on an attempt of `size` bytes is late; `inf` while there are too few samples.

    That is the quantile it names (p95: Dean and Barroso, "The Tail at Scale", 2013), or a higher one if otherwise more
    attempts would be late than the budget can pay for; never later than `hedge.cap`. How many samples are
    enough, `latency.py` says.
    """
    earliest = hedge.quantile
    if earliest is None:
        return float(hedge.after)
    delay = inf if hedge.cap is None else hedge.cap
    if (usual := latency.quantile(max(earliest, 1.0 - budget.rate), size)) is None:
        return delay
    aimed = latency.quantile(max(earliest, 1.0 - budget.aim), size) or inf
    return min(delay, LATEST * usual, aimed)


def slow_delay(latency: Latency, size: int) -> float:
    """Seconds after sending from which on an attempt that may not be raced is slow; `inf` while that is not known."""
    usual = latency.quantile(SLOW_QUANTILE, size)
    return inf if usual is None else SLOW_TIMES * usual
