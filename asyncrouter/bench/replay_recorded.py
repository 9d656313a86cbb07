"""What recorded calls came to as they were, for the row beside which estimates stand; the calls of each task apart."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import numpy as np

from asyncrouter.bench.definitions import POINTS
from asyncrouter.bench.stats import Estimate, estimate_mean, estimate_quantiles, estimate_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.bench.trace import CallRow

def by_task(calls: Sequence[CallRow]) -> dict[str | None, list[CallRow]]:
    """The calls of each task, the one with the most calls first. A chain is a task's: together they would be none."""
    found: dict[str | None, list[CallRow]] = {}
    for call in calls:
        found.setdefault(call.task, []).append(call)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def recorded_measures(calls: Sequence[CallRow]) -> dict[str, Estimate]:
    """The measures of these calls, as they happened, by their names in `DEFINITIONS`; nothing is imputed."""
    seconds = np.array([inf if call.error is not None else call.seconds for call in calls], dtype=np.float64)
    sent = [sum(attempt.sent is not None for attempt in call.attempts) for call in calls]
    hedged = [any(attempt.cause == "hedge" for attempt in call.attempts) for call in calls]
    costs = [None if None in (each := [attempt.cost_usd for attempt in call.attempts]) else sum(filter(None, each))
             for call in calls]
    known = [1000.0 * cost for cost in costs if cost is not None]
    points = estimate_quantiles(seconds, list(POINTS.values()))
    return {
        **dict(zip((f"{point}_e2e" for point in POINTS), points, strict=True)),
        "success": estimate_share([call.error is None for call in calls]),
        "hedges_fired": estimate_share(hedged), "hedges_denied": Estimate(None),
        "attempts": estimate_mean(np.array(sent, dtype=np.float64)),
        "usd_per_1000": estimate_mean(np.array(known)) if len(known) == len(calls) else Estimate(None),
    }
