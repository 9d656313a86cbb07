"""Compares two reports: which measures have become better or worse by more than chance.

The two runs are taken to be independent samples. The interval of a difference of two estimates is made of theirs by the
method of Newcombe (1998, method 10; for any estimates: Zou and Donner 2008): the distances from the two values to the
ends of their intervals that widen the difference, added in quadrature. It needs no raw data, and it keeps the asymmetry
of intervals near 0 and 1. A difference is called better or worse when its 95 % interval does not hold 0; the intervals
are not corrected for the number of comparisons, so about one in twenty without a real difference is called so.

Arms of one run are compared in its own report, call by call, which is more precise.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter.bench.report import ArmReport, Report
    from asyncrouter.bench.stats import Estimate

HIGHER_IS_BETTER = {"success", "goodput", "goodput_share", "achieved_rate", "hedges_won"}
"""Measures of which more is better; of all others less is."""
COMPARED = (
    "success", "p50_e2e", "p90_e2e", "p95_e2e", "p99_e2e", "p99.9_e2e", "p50_ttft", "p99_ttft", "attempts",
    "extra_load", "usd_per_1000", "wasted_usd_per_1000", "goodput_share",
)
"""The measures that are compared, in this order."""

Verdict = Literal["better", "worse", "same", "unsure"]


class Change(NamedTuple):
    """One measure of one arm, before and after. `low` and `high` are the 95 % interval of the difference.

    `before` and `after` are `None` where a report does not have the measure, `low` and `high` where there is no
    difference to state. The verdict is "same" where the interval holds 0, "unsure" where a figure or its interval is
    missing. A latency that was finite and is infinite now is "worse" unless their intervals meet.
    """

    arm: str
    name: str
    before: Estimate | None
    after: Estimate | None
    low: float | None
    high: float | None
    verdict: Verdict


def compare(before: Report, after: Report) -> list[Change]:
    """Every measure of `COMPARED`, of the arms that both reports have by name; if they share none, arm by arm in order.

    The two runs are taken to be independent.
    """
    return [_change(old, new, name) for old, new in _arms(before, after) for name in COMPARED]


def _arms(before: Report, after: Report) -> Iterator[tuple[ArmReport, ArmReport]]:
    by_name = {arm.name: arm for arm in after.arms}
    shared = [(arm, by_name[arm.name]) for arm in before.arms if arm.name in by_name]
    yield from shared or zip(before.arms, after.arms, strict=False)


def _change(old: ArmReport, new: ArmReport, name: str) -> Change:
    arm = old.name if old.name == new.name else f"{old.name} → {new.name}"
    before, after = old.measures.get(name), new.measures.get(name)
    distances = None if before is None or after is None else _distances(before, after)
    if distances is None or before is None or after is None or before.value is None or after.value is None:
        return Change(arm, name, before, after, None, None, _verdict_on_infinite(name, before, after))
    low, high = after.value - before.value - distances[0], after.value - before.value + distances[1]
    return Change(arm, name, before, after, low, high, _verdict(name, low, high))


def _verdict(name: str, low: float, high: float) -> Verdict:
    if low <= 0.0 <= high:
        return "same"
    return "better" if (low > 0.0) == (name in HIGHER_IS_BETTER) else "worse"


def _verdict_on_infinite(name: str, before: Estimate | None, after: Estimate | None) -> Verdict:
    """The verdict where there is no difference in seconds: a latency has become infinite, or was."""
    if before is None or after is None or not name.endswith(("_e2e", "_ttft")):
        return "unsure"
    if _infinite_unlike(after, before):
        return "worse"
    return "better" if _infinite_unlike(before, after) else "unsure"


def _infinite_unlike(infinite: Estimate, other: Estimate) -> bool:
    """Whether the first is infinite, the other is not, and their intervals do not meet."""
    if infinite.value is not None or other.value is None or other.high is None:
        return False
    if not (infinite.enough and other.enough):
        return False
    return infinite.n > 0 and (infinite.low is None or infinite.low > other.high)


def _distances(before: Estimate, after: Estimate) -> tuple[float, float] | None:
    """How far the ends of the difference's interval lie below and above its value; `None` where an end is missing."""
    if not (before.enough and after.enough) or None in {before.low, before.high, after.low, after.high}:
        return None
    assert before.value is not None and before.low is not None and before.high is not None  # noqa: PT018
    assert after.value is not None and after.low is not None and after.high is not None  # noqa: PT018
    below = math.hypot(after.value - after.low, before.high - before.value)
    above = math.hypot(after.high - after.value, before.value - before.low)
    return below, above
