"""Compares two reports: which measures have become better or worse by more than chance.

The two runs are taken to be independent samples. The interval of a difference of two estimates is made of theirs by the
method of Newcombe (1998, method 10; for any estimates: Zou and Donner 2008): the distances from the two values to the
ends of their intervals that widen the difference, added in quadrature. It needs no raw data, and it keeps the asymmetry
of intervals near 0 and 1.

Arms of one run are compared in its own report, call by call (`paired`), which is more precise.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from asyncrouter.bench.changes import Change, change_to_infinite, judged, with_p
from asyncrouter.bench.comparability import check_alike

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter.bench.report import ArmReport, Report

COMPARED = (
    "success", "quality", "p50_e2e", "p90_e2e", "p95_e2e", "p99_e2e", "p99.9_e2e", "p50_ttft", "p99_ttft", "attempts",
    "extra_load", "usd_per_1000", "wasted_usd_per_1000", "goodput_share",
)
"""The measures of two reports that are compared, in this order."""


def compare(before: Report, after: Report, *, anyway: bool = False) -> list[Change]:
    """Every measure of `COMPARED`, of the arms that both reports have by name; if they share none, arm by arm in order.

    The two runs are taken to be independent. Raises `ValueError` where they were made under other conditions (load,
    scenario, SLO), unless they shall be compared `anyway`.
    """
    if not anyway:
        check_alike(before, after)
    asked = {"goodput_share": "slo", "quality": "scorers"}
    names = [name for name in COMPARED if name not in asked or after.settings.get(asked[name])]
    return judged([_change(old, new, name) for old, new in _arms(before, after) for name in names])


def _arms(before: Report, after: Report) -> Iterator[tuple[ArmReport, ArmReport]]:
    by_name = {arm.name: arm for arm in after.arms}
    shared = [(arm, by_name[arm.name]) for arm in before.arms if arm.name in by_name]
    yield from shared or zip(before.arms, after.arms, strict=False)


def _change(old: ArmReport, new: ArmReport, name: str) -> Change:
    arm = old.name if old.name == new.name else f"{old.name} → {new.name}"
    before, after = old.measures.get(name), new.measures.get(name)
    change = Change(arm, name, before, after, None, None, "unsure")
    if before is None or after is None or before.value is None or after.value is None:
        return change_to_infinite(change)
    if not (before.enough and after.enough):
        return change
    value = after.value - before.value
    below = _distance(before.high, before.value, after.low, after.value)
    above = _distance(before.low, before.value, after.high, after.value)
    change = change._replace(low=None if below is None else value - below,
                             high=None if above is None else value + above)
    return with_p(change, min(before.n, after.n))


def _distance(old_end: float | None, old: float, new_end: float | None, new: float) -> float | None:
    """How far one end of the difference's interval lies from its value; `None` where an end of a figure is infinite."""
    if old_end is None or new_end is None:
        return None
    return math.hypot(new_end - new, old_end - old)
