"""The report of a run: the measures of each arm, and how each arm compares with the first one, the baseline."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from asyncrouter.bench import measures as m
from asyncrouter.bench import paired
from asyncrouter.bench.changes import Change, judged, read_change
from asyncrouter.bench.choice import Choice, choose
from asyncrouter.bench.definitions import DEFINITIONS
from asyncrouter.bench.environment import environment
from asyncrouter.bench.quality import quality_change, quality_measures, scorer_names
from asyncrouter.bench.stats import Estimate

if TYPE_CHECKING:
    from asyncrouter.bench.arm_run import ArmRun, RunData

SCHEMA = 1
"""The version of report.json. Raise it when an older asyncrouter must not read what this one writes."""


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

    `changes` compare each further arm with it. `loop_lag_p99` is seconds by which the harness's own event loop was
    late, `None` in virtual time. `choice` compares all arms in quality, cost and latency where answers were judged.
    """

    settings: dict[str, object]
    arms: list[ArmReport]
    warnings: list[str]
    environment: dict[str, object]
    loop_lag_p99: float | None = None
    changes: list[Change] = field(default_factory=list)
    choice: Choice | None = None

    @classmethod
    def of(cls, run: RunData) -> Report:
        """The report of a run."""
        arms = [_arm(arm, run) for arm in run.arms]
        base, changes = arms[0].measures, []
        for arm, made in zip(run.arms[1:], arms[1:], strict=True):
            found = paired.differences(arm, run.arms[0], run.slo, run.seed)
            changes += paired.changes(arm.name, base, made.measures, found)
            if "quality" in base:
                changes.append(quality_change(arm, run.arms[0], scorer_names(run), base, made.measures))
            made.measures |= paired.savings(found, base, made.measures)
        choice = choose(run, {arm.name: arm.measures for arm in arms}, changes)
        changes = judged(changes, () if choice is None else choice.changes)
        where = run.environment or environment()
        return cls(run.settings, arms, list(run.warnings), where, run.lag, changes, choice)

    @property
    def compared(self) -> list[Change]:
        """All comparisons that are printed together, and whose verdicts hold together."""
        return [*self.changes, *([] if self.choice is None else self.choice.changes)]

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
        changes = [read_change(one) for one in given.get("changes", ())]
        choice = None if given.get("choice") is None else Choice.read(given["choice"])
        return cls(given["settings"], arms, given["warnings"], given["environment"], given["loop_lag_p99"], changes,
                   choice)

    def json(self) -> bytes:
        """The text of report.json, with the definition of every measure."""
        document = {"schema_version": SCHEMA, **asdict(self), "definitions": DEFINITIONS,
                    "changes": [one._asdict() for one in self.changes],
                    "choice": None if self.choice is None else self.choice.plain()}
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)


def _arm(arm: ArmRun, run: RunData) -> ArmReport:
    rows = arm.measured
    quality = quality_measures(rows, scorer_names(run))
    return ArmReport(
        arm.name, arm.described, m.measure(arm, run.slo, run.seed) | quality, m.answered_by(rows), m.depths(rows),
        m.call_errors(rows), m.attempt_errors(rows),
    )
