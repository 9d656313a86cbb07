"""Compares an arm with the baseline of its run, call by call.

Prompts, instants and faults are the same for every arm, so both samples are resampled together, in circular blocks of
consecutive calls, and only the difference is estimated. Calls that just one of the two arms made are left out. The
pairing removes the variation between calls, which is most of it, from the interval of the difference. A difference of
shares has the interval of Agresti and Min (2005), which adds half a call to each of the four outcomes of a pair: where
few calls differ, the bootstrap's is too narrow.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from asyncrouter.bench import measures as m
from asyncrouter.bench.changes import APART, Change, change_to_infinite, with_p
from asyncrouter.bench.definitions import POINTS
from asyncrouter.bench.resampling import bootstrap, bootstrap_mean, row_quantiles
from asyncrouter.bench.significance import Z_95
from asyncrouter.bench.stats import Estimate, effective_n, finite, min_samples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter.bench.arm_run import ArmRun
    from asyncrouter.bench.measures import Measures
    from asyncrouter.bench.resampling import Floats
    from asyncrouter.bench.rows import Row

COMPARED = ("success", "p50_e2e", "p95_e2e", "p99_e2e", "mean_answered", "p50_ttft", "p95_ttft", "goodput_share",
            "usd_per_1000")
"""The measures in which the arms of a run are compared, in this order."""
_POINTS = {"e2e": ("p50", "p95", "p99"), "ttft": ("p50", "p95")}
"""The quantiles of each kind of seconds that are compared."""
_SAVED = {"saved_p50_e2e": "p50_e2e", "saved_p95_e2e": "p95_e2e", "saved_p99_e2e": "p99_e2e"}
"""The savings that are measures of their own, and what each is a difference of."""


def differences(arm: ArmRun, base: ArmRun, slo: Mapping[str, float], seed: int = 0) -> Measures:
    """Arm - baseline of every measure of `COMPARED` that both have, over the calls that both made."""
    ours, theirs = _pairs(arm.measured, base.measured)
    if not ours:
        return {}
    found = {"success": _share_difference([row.ok for row in ours], [row.ok for row in theirs])}
    for kind in _POINTS:
        found |= _quantile_differences(kind, m.times(kind, ours), m.times(kind, theirs), seed)
    if (answered := _answered_difference(m.times("e2e", ours), m.times("e2e", theirs), seed)) is not None:
        found["mean_answered"] = answered
    if slo:
        found["goodput_share"] = _share_difference(*([m.within(row, slo) for row in rows] for rows in (ours, theirs)))
    if all(row.cost_usd is not None for row in (*ours, *theirs)):
        mine, base_usd = (np.array([row.cost_usd for row in rows], dtype=np.float64) for rows in (ours, theirs))
        found["usd_per_1000"] = _mean_difference(1000.0 * (mine - base_usd), seed)
    return found


def changes(arm: str, base: Measures, measures: Measures, found: Measures) -> list[Change]:
    """The changes of an arm against the baseline, without verdicts; `found` are its `differences`."""
    made = [_change(arm, name, base.get(name), measures.get(name), found.get(name)) for name in COMPARED
            if name in found or (name in base and name in measures and name.endswith("_e2e"))]
    p_of_success = next((one.p for one in made if one.name == "success"), None)
    return [change_to_infinite(one, APART if p_of_success is None else p_of_success) if one.p is None else one
            for one in made]


def median_change(arm: ArmRun, base: ArmRun, before: Measures, after: Measures, seed: int = 0) -> Change:
    """The change of the median latency of two arms, without a verdict; `before` are the measures of `base`."""
    ours, theirs = _pairs(arm.measured, base.measured)
    found = _quantile_differences("e2e", m.times("e2e", ours), m.times("e2e", theirs), seed) if ours else {}
    change = _change(arm.name, "p50_e2e", before.get("p50_e2e"), after.get("p50_e2e"), found.get("p50_e2e"))
    return change_to_infinite(change) if change.p is None else change


def savings(found: Measures, base: Measures, measures: Measures) -> Measures:
    """The savings against the baseline that are measures of their own: the differences with their sign turned."""
    saved = {name: _turned(found[of]) for name, of in _SAVED.items() if of in found}
    if "mean_answered" in found:
        saved["saved_mean"] = _turned(found["mean_answered"])
    if "success" in found:
        saved["saved_success"] = found["success"]
    if "saved_p99_e2e" in saved:
        saved["usd_per_second_saved"] = _usd_per_second(saved["saved_p99_e2e"], base, measures)
    return saved


def _pairs(ours: Sequence[Row], theirs: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """The calls that both arms made, in the order of their numbers."""
    numbers = {row.number for row in ours} & {row.number for row in theirs}
    return [row for row in ours if row.number in numbers], [row for row in theirs if row.number in numbers]


def _change(
    arm: str, name: str, before: Estimate | None, after: Estimate | None, difference: Estimate | None
) -> Change:
    change = Change(arm, name, before, after, None, None, "unsure")
    if difference is None or not difference.enough:
        return change
    return with_p(change._replace(low=difference.low, high=difference.high), difference.n)


def _quantile_differences(kind: str, ours: Floats, theirs: Floats, seed: int) -> Measures:
    points = [POINTS[point] for point in _POINTS[kind]]

    def difference(mine: Floats, base: Floats) -> Floats:
        with np.errstate(invalid="ignore"):  # both infinite: inf - inf
            return np.nan_to_num(row_quantiles(mine, points) - row_quantiles(base, points), nan=0.0, posinf=np.inf,
                                 neginf=-np.inf)

    mine, n = row_quantiles(ours[None, :], points)[0], len(ours)
    if not np.isfinite(mine).any():  # where ours is infinite, there is no difference with a number
        return {}
    value, low, high = bootstrap([ours, theirs], difference, seed)
    return {
        f"{name}_{kind}": Estimate(finite(value[at]), finite(low[at]), finite(high[at]), n, n >= min_samples(q))
        for at, (name, q) in enumerate(zip(_POINTS[kind], points, strict=True)) if np.isfinite(mine[at])
    }


def _answered_difference(ours: Floats, theirs: Floats, seed: int) -> Estimate | None:
    """The difference of the means, each over the calls that its arm answered."""
    mine, base = (np.where(np.isfinite(sample), sample, np.nan) for sample in (ours, theirs))
    if np.isnan(mine).all() or np.isnan(base).all():
        return None

    def difference(first: Floats, second: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):  # a sample without an answer
            return np.nan_to_num(_known_means(first) - _known_means(second), nan=0.0)

    value, low, high = bootstrap([mine, base], difference, seed)
    return Estimate(float(value[0]), float(low[0]), float(high[0]), len(ours))


def _known_means(rows: Floats) -> Floats:
    """The mean of each row over the values that are numbers: shape (rows, 1)."""
    known = ~np.isnan(rows)
    means: Floats = np.where(known, rows, 0.0).sum(axis=1, keepdims=True) / known.sum(axis=1, keepdims=True)
    return means


def _mean_difference(sample: Floats, seed: int) -> Estimate:
    value, low, high = bootstrap_mean(sample, seed)
    return Estimate(value, low, high, len(sample))


def _share_difference(ours: Sequence[bool], theirs: Sequence[bool]) -> Estimate:
    """The difference of two shares of the same calls, by Agresti and Min, for the effective number of calls."""
    differing = np.array(ours, dtype=np.float64) - np.array(theirs, dtype=np.float64)
    n, gained, lost = len(differing), int((differing > 0).sum()), int((differing < 0).sum())
    middle = (gained - lost) / (n + 2.0)
    variance = (gained + lost + 1.0 - (gained - lost) ** 2 / (n + 2.0)) / (n + 2.0) ** 2
    half = Z_95 * math.sqrt(variance * n / effective_n(differing))
    value = (gained - lost) / n
    return Estimate(value, max(-1.0, min(value, middle - half)), min(1.0, max(value, middle + half)), n)


def _turned(difference: Estimate) -> Estimate:
    value, low, high = (None if bound is None else -bound for bound in
                        (difference.value, difference.high, difference.low))
    return Estimate(value, low, high, difference.n, difference.enough)


def _usd_per_second(saved: Estimate, base: Measures, ours: Measures) -> Estimate:
    """Extra dollars for 1,000 calls and second of p99; no value where nothing is saved or a price is unknown."""
    before, after = base["usd_per_1000"].value, ours["usd_per_1000"].value
    if before is None or after is None or saved.value is None or saved.value <= 0.0:
        return Estimate(None, n=saved.n)
    return Estimate((after - before) / saved.value, n=saved.n, enough=saved.enough)
