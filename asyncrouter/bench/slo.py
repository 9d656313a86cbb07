"""Service-level objectives of a capacity search: conditions that can be counted call by call.

`p95_ttft<0.5` holds at a load where at most 5 % of the calls take longer, `success>0.999` where at most 0.1 % fail. So
every objective is a share of missed calls with a limit, whose error is known whatever the latencies look like.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter.bench.conditions import parse_conditions
from asyncrouter.bench.definitions import POINTS
from asyncrouter.bench.measures import seconds_of

if TYPE_CHECKING:
    from asyncrouter.bench.rows import Row

SECONDS = ("ttft", "e2e", "tpot", "service")
"""The kinds of seconds that an objective may limit."""
SAMPLES_BEYOND = 10.0
"""Calls expected beyond a limited quantile before it is judged, as for a stated quantile."""
CLEAN_CALLS = 3.0
"""Calls without a failure, times the allowed share, from which a share is shown: if more failed, 95 % of such samples
would hold a failure ("rule of three", Hanley and Lippman-Hand 1983)."""


class Objective(NamedTuple):
    """One condition: at most `allowed` (a share) of the calls fail or, with `seconds`, take longer than `limit`."""

    text: str
    allowed: float
    seconds: str | None = None
    limit: float = math.inf

    def missed(self, row: Row) -> bool:
        """Whether a call missed it. A failed call misses every objective."""
        if not row.ok or self.seconds is None:
            return not row.ok
        value = seconds_of(self.seconds, row)
        return value is not None and value > self.limit

    @property
    def calls(self) -> int:
        """The calls of one load from which the objective can be judged."""
        beyond = CLEAN_CALLS if self.seconds is None else SAMPLES_BEYOND
        return math.ceil(round(beyond / self.allowed, 6))


def parse_slo(text: str) -> list[Objective]:
    """Objectives joined by `and`: `p95_ttft<0.5 and success>0.999`.

    Raises `ValueError` for a condition that is not a limit on a quantile of seconds or on the share of answered calls.
    """
    found = []
    for condition in parse_conditions(text):
        point, _, seconds = condition.name.partition("_")
        if condition.arm is not None:
            raise ValueError(f"slo: {condition}: a search has one arm, leave its name out")
        if condition.name == "success" and condition.sign[0] == ">" and 0.0 < condition.limit < 1.0:
            found.append(Objective(str(condition), 1.0 - condition.limit))
        elif point in POINTS and seconds in SECONDS and condition.sign[0] == "<" and condition.limit > 0.0:
            found.append(Objective(str(condition), round(1.0 - POINTS[point], 9), seconds, condition.limit))
        else:
            raise ValueError(
                f"slo: {condition}: expected a limit on a quantile of {', '.join(SECONDS)} such as p95_ttft<0.5, or "
                "a share of answered calls such as success>0.999"
            )
    return found
