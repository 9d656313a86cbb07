"""Two reports beside each other: what has become better or worse by more than chance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter.bench.report import ArmReport, Report
    from asyncrouter.bench.stats import Estimate

BETTER_HIGH = {"success", "goodput", "goodput_share", "achieved_rate", "hedges_won"}
COMPARED = (
    "success", "p50_e2e", "p90_e2e", "p95_e2e", "p99_e2e", "p99.9_e2e", "p50_ttft", "p99_ttft", "attempts",
    "extra_load", "usd_per_1000", "wasted_usd_per_1000", "goodput_share",
)

Verdict = Literal["better", "worse", "same", "unsure"]


class Change(NamedTuple):
    """One measure of one arm, before and after. `low` and `high` are the 95 % interval of the difference.

    The verdict is "same" where the interval holds 0, "unsure" where a figure or its interval is missing. A latency that
    was finite and is "never" now is "worse" unless their intervals meet.
    """

    arm: str
    name: str
    before: Estimate | None
    after: Estimate | None
    low: float | None
    high: float | None
    verdict: Verdict


def compare(before: Report, after: Report) -> list[Change]:
    """Every measure worth comparing, of the arms that both reports have; if they share none, arm by arm in order.

    The two runs are taken to be independent; arms of one run are compared by its own report, pair by pair.
    """
    return [_change(old, new, name) for old, new in _arms(before, after) for name in COMPARED]


def _arms(before: Report, after: Report) -> Iterator[tuple[ArmReport, ArmReport]]:
    news = {arm.name: arm for arm in after.arms}
    shared = [(arm, news[arm.name]) for arm in before.arms if arm.name in news]
    yield from shared or zip(before.arms, after.arms, strict=False)


def _change(old: ArmReport, new: ArmReport, name: str) -> Change:
    arm = old.name if old.name == new.name else f"{old.name} → {new.name}"
    before, after = old.measures.get(name), new.measures.get(name)
    spread = None if before is None or after is None else _spread(before, after)
    if spread is None or before is None or after is None or before.value is None or after.value is None:
        return Change(arm, name, before, after, None, None, _endless(name, before, after))
    low, high = after.value - before.value - spread[0], after.value - before.value + spread[1]
    return Change(arm, name, before, after, low, high, _verdict(name, low, high))


def _verdict(name: str, low: float, high: float) -> Verdict:
    if low <= 0.0 <= high:
        return "same"
    return "better" if (low > 0.0) == (name in BETTER_HIGH) else "worse"


def _endless(name: str, before: Estimate | None, after: Estimate | None) -> Verdict:
    """The verdict where there is no difference in seconds: a latency that has become "never", or was it."""
    if before is None or after is None or not name.endswith(("_e2e", "_ttft")):
        return "unsure"
    if _beyond(after, before):
        return "worse"
    return "better" if _beyond(before, after) else "unsure"


def _beyond(never: Estimate, other: Estimate) -> bool:
    """Whether the first is "never", the other is not, and not by chance."""
    if never.value is not None or other.value is None or other.high is None or not (never.enough and other.enough):
        return False
    return never.n > 0 and (never.low is None or never.low > other.high)


def _spread(before: Estimate, after: Estimate) -> tuple[float, float] | None:
    """How far the difference may lie below and above what was seen (Newcombe 1998: the intervals' arms, squared)."""
    if not (before.enough and after.enough) or None in {before.low, before.high, after.low, after.high}:
        return None
    assert before.value is not None and before.low is not None and before.high is not None  # noqa: PT018
    assert after.value is not None and after.low is not None and after.high is not None  # noqa: PT018
    below = math.hypot(after.value - after.low, before.high - before.value)
    above = math.hypot(after.high - after.value, before.value - before.low)
    return below, above
