"""A run in figures: each arm's measures, and what it saves against the first arm on the calls that both had."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from asyncrouter.bench import measures as m
from asyncrouter.bench.result import environment
from asyncrouter.bench.stats import Estimate, bootstrap, finite, mean, needs, quantiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.bench.measures import Measures
    from asyncrouter.bench.result import ArmRun, Run
    from asyncrouter.bench.rows import Row
    from asyncrouter.bench.stats import Floats

SCHEMA = 1
"""The version of report.json. Raise it when an older asyncrouter must not read what this one writes."""
_SAVED = {"saved_p50_e2e": 0.5, "saved_p95_e2e": 0.95, "saved_p99_e2e": 0.99}


@dataclass(slots=True)
class ArmReport:
    """One arm in figures."""

    name: str
    described: dict[str, object]
    measures: dict[str, Estimate]
    served_by: dict[str, float] = field(default_factory=dict)
    depths: dict[int, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    attempt_errors: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """What report.json holds. The first arm is the baseline of what is saved."""

    settings: dict[str, object]
    arms: list[ArmReport]
    warnings: list[str]
    environment: dict[str, object]
    loop_lag_p99: float | None = None

    @classmethod
    def of(cls, run: Run) -> Report:
        """The figures of a run."""
        arms = [_arm(arm, run) for arm in run.arms]
        for arm, made in zip(run.arms[1:], arms[1:], strict=True):
            made.measures |= _against(arm, run.arms[0], arms[0].measures, made.measures, run.seed)
        return cls(run.settings, arms, list(run.warnings), environment(), run.lag)

    @classmethod
    def read(cls, path: str | Path) -> Report:
        """A report that was written: the file, or the directory it is in. Raises `ValueError` for anything else."""
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
        """report.json."""
        told = {"schema_version": SCHEMA, **asdict(self), "definitions": m.DEFINITIONS}
        return orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)


def _arm(arm: ArmRun, run: Run) -> ArmReport:
    rows = arm.measured
    return ArmReport(
        arm.name, arm.described, m.measure(arm, run.slo, run.seed), m.served(rows), m.depths(rows), m.errors(rows),
        m.attempt_errors(rows),
    )


def _against(arm: ArmRun, base: ArmRun, base_figures: Measures, figures: Measures, seed: int) -> Measures:
    ours, theirs = _pairs(arm.measured, base.measured)
    if len(ours) == 0:
        return {}
    found = _saved(ours, theirs, seed)
    both = np.isfinite(ours) & np.isfinite(theirs)
    if both.any():
        value, low, high = bootstrap([theirs[both] - ours[both]], mean, seed)
        found["saved_mean"] = Estimate(float(value[0]), float(low[0]), float(high[0]), int(both.sum()))
    value, low, high = bootstrap([np.isfinite(ours) * 1.0 - np.isfinite(theirs)], mean, seed)
    found["saved_success"] = Estimate(float(value[0]), float(low[0]), float(high[0]), len(ours))
    if "saved_p99_e2e" in found:
        found["usd_per_second_saved"] = _price_of_a_second(found["saved_p99_e2e"], base_figures, figures)
    return found


def _pairs(ours: Sequence[Row], theirs: Sequence[Row]) -> tuple[Floats, Floats]:
    """Seconds of the calls that both arms had, by number; what only one of them had is dropped."""
    numbers = {row.number for row in ours} & {row.number for row in theirs}
    first, second = ([row for row in rows if row.number in numbers] for rows in (ours, theirs))
    return m.times("e2e", first), m.times("e2e", second)


def _saved(ours: Floats, theirs: Floats, seed: int) -> Measures:
    points = list(_SAVED.values())

    def difference(mine: Floats, base: Floats) -> Floats:
        with np.errstate(invalid="ignore"):  # both never: inf - inf
            return np.nan_to_num(quantiles(base, points) - quantiles(mine, points), nan=0.0, posinf=np.inf,
                                 neginf=-np.inf)

    value, low, high = bootstrap([ours, theirs], difference, seed)
    mine = quantiles(ours[None, :], points)[0]  # one that never answers saves nothing that could be told in seconds
    return {
        name: Estimate(finite(value[at]), finite(low[at]), finite(high[at]), len(ours), len(ours) >= needs(q))
        for at, (name, q) in enumerate(_SAVED.items()) if np.isfinite(mine[at])
    }


def _price_of_a_second(saved: Estimate, base: Measures, ours: Measures) -> Estimate:
    """Dollars for 1,000 calls and second of p99; `None` where nothing is saved or a price is unknown."""
    before, after = base["usd_per_1000"].value, ours["usd_per_1000"].value
    if before is None or after is None or saved.value is None or saved.value <= 0.0:
        return Estimate(None, n=saved.n)
    return Estimate((after - before) / saved.value, n=saved.n, enough=saved.enough)
