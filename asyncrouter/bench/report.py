"""The report of a run: the measures of each arm, and what each arm saves against the first one, the baseline.

Savings are paired: prompts, instants and faults are the same for every arm, so both samples are resampled together,
call by call, and only the difference is estimated. Calls that just one of the two arms made are left out. The pairing
removes the variation between calls, which is most of it, from the interval of the difference.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from asyncrouter.bench import measures as m
from asyncrouter.bench.definitions import DEFINITIONS
from asyncrouter.bench.environment import environment
from asyncrouter.bench.stats import Estimate, bootstrap, finite, min_samples, row_means, row_quantiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.bench.arm_run import ArmRun, RunData
    from asyncrouter.bench.measures import Measures
    from asyncrouter.bench.rows import Row
    from asyncrouter.bench.stats import Floats

SCHEMA = 1
"""The version of report.json. Raise it when an older asyncrouter must not read what this one writes."""
_SAVED = {"saved_p50_e2e": 0.5, "saved_p95_e2e": 0.95, "saved_p99_e2e": 0.99}
"""The quantiles of which savings are estimated."""


@dataclass(slots=True)
class ArmReport:
    """The figures of one arm.

    `measures` are by their name in `DEFINITIONS`; `served_by` is the share of the answers by model, `depths` the number
    of calls by the number of models asked, `errors` the failed calls and `attempt_errors` the failed attempts by class.
    """

    name: str
    described: dict[str, object]
    measures: dict[str, Estimate]
    served_by: dict[str, float] = field(default_factory=dict)
    depths: dict[int, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    attempt_errors: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """What report.json holds. The first arm is the baseline that savings are measured against.

    `loop_lag_p99` is seconds by which the harness's own event loop was late, `None` in virtual time.
    """

    settings: dict[str, object]
    arms: list[ArmReport]
    warnings: list[str]
    environment: dict[str, object]
    loop_lag_p99: float | None = None

    @classmethod
    def of(cls, run: RunData) -> Report:
        """The report of a run."""
        arms = [_arm(arm, run) for arm in run.arms]
        for arm, made in zip(run.arms[1:], arms[1:], strict=True):
            made.measures |= _savings(arm, run.arms[0], arms[0].measures, made.measures, run.seed)
        return cls(run.settings, arms, list(run.warnings), environment(), run.lag)

    @classmethod
    def read(cls, path: str | Path) -> Report:
        """A written report: the file, or the directory it is in. Raises `ValueError` for anything else."""
        file = Path(path)
        file = file / "report.json" if file.is_dir() else file
        try:
            given = orjson.loads(file.read_bytes())
            if (version := given["schema_version"]) <= SCHEMA:
                return cls._of(given)
        except (KeyError, TypeError, AttributeError, ValueError) as wrong:
            raise ValueError(f"{file}: no report of schema {SCHEMA} ({type(wrong).__name__}: {wrong})") from None
        raise ValueError(
            f"{file}: was written in version {version} by a newer asyncrouter, and this one reads versions up to "
            f"{SCHEMA}: upgrade asyncrouter"
        )

    @classmethod
    def _of(cls, given: dict[str, Any]) -> Report:
        if given["schema_version"] != SCHEMA:
            raise ValueError(f"schema_version is {given['schema_version']!r}")
        arms = [
            ArmReport(
                arm["name"], arm["described"],
                {name: Estimate(**values) for name, values in arm["measures"].items()},
                arm["served_by"], {int(depth): count for depth, count in arm["depths"].items()},
                arm["errors"], arm["attempt_errors"],
            )
            for arm in given["arms"]
        ]
        return cls(given["settings"], arms, given["warnings"], given["environment"], given["loop_lag_p99"])

    def json(self) -> bytes:
        """The text of report.json, with the definition of every measure."""
        document = {"schema_version": SCHEMA, **asdict(self), "definitions": DEFINITIONS}
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)


def _arm(arm: ArmRun, run: RunData) -> ArmReport:
    rows = arm.measured
    return ArmReport(
        arm.name, arm.described, m.measure(arm, run.slo, run.seed), m.answered_by(rows), m.depths(rows),
        m.call_errors(rows), m.attempt_errors(rows),
    )


def _savings(arm: ArmRun, base: ArmRun, base_measures: Measures, measures: Measures, seed: int) -> Measures:
    ours, theirs = _pairs(arm.measured, base.measured)
    if len(ours) == 0:
        return {}
    found = _saved_quantiles(ours, theirs, seed)
    both = np.isfinite(ours) & np.isfinite(theirs)
    if both.any():
        value, low, high = bootstrap([theirs[both] - ours[both]], row_means, seed)
        found["saved_mean"] = Estimate(float(value[0]), float(low[0]), float(high[0]), int(both.sum()))
    value, low, high = bootstrap([np.isfinite(ours) * 1.0 - np.isfinite(theirs)], row_means, seed)
    found["saved_success"] = Estimate(float(value[0]), float(low[0]), float(high[0]), len(ours))
    if "saved_p99_e2e" in found:
        found["usd_per_second_saved"] = _usd_per_second(found["saved_p99_e2e"], base_measures, measures)
    return found


def _pairs(ours: Sequence[Row], theirs: Sequence[Row]) -> tuple[Floats, Floats]:
    """Seconds of the calls that both arms made, in the order of their numbers."""
    numbers = {row.number for row in ours} & {row.number for row in theirs}
    first, second = ([row for row in rows if row.number in numbers] for rows in (ours, theirs))
    return m.times("e2e", first), m.times("e2e", second)


def _saved_quantiles(ours: Floats, theirs: Floats, seed: int) -> Measures:
    points = list(_SAVED.values())

    def difference(mine: Floats, base: Floats) -> Floats:
        with np.errstate(invalid="ignore"):  # both infinite: inf - inf
            return np.nan_to_num(row_quantiles(base, points) - row_quantiles(mine, points), nan=0.0, posinf=np.inf,
                                 neginf=-np.inf)

    value, low, high = bootstrap([ours, theirs], difference, seed)
    mine = row_quantiles(ours[None, :], points)[0]  # where ours is infinite, nothing is saved that has a number
    return {
        name: Estimate(finite(value[at]), finite(low[at]), finite(high[at]), len(ours), len(ours) >= min_samples(q))
        for at, (name, q) in enumerate(_SAVED.items()) if np.isfinite(mine[at])
    }


def _usd_per_second(saved: Estimate, base: Measures, ours: Measures) -> Estimate:
    """Extra dollars for 1,000 calls and second of p99; no value where nothing is saved or a price is unknown."""
    before, after = base["usd_per_1000"].value, ours["usd_per_1000"].value
    if before is None or after is None or saved.value is None or saved.value <= 0.0:
        return Estimate(None, n=saved.n)
    return Estimate((after - before) / saved.value, n=saved.n, enough=saved.enough)
