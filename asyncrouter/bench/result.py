"""The result of a run: its calls, the report made of them, and the files written from both."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from asyncrouter.bench.answers import answer_lines
from asyncrouter.bench.arm_run import ArmRun, RunData
from asyncrouter.files import json_bytes, replacing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.bench.load import Load
    from asyncrouter.bench.report import Report
    from asyncrouter.bench.settings import Settings

__all__ = ["ArmRun", "Run"]

LATE_SECONDS = 0.01
"""Seconds of the harness's own delay (loop lag at p99, start of calls at p95) from which a run carries a warning."""
CAPPED_SHARE = 0.01
"""Share of an arm's calls that waited for the load's cap from which a run carries a warning."""


@dataclass(slots=True)
class Run(RunData):
    """A finished run: `report()` gives its figures, `write()` its files. The fields are those of `RunData`."""

    _report: Report | None = field(default=None, init=False, repr=False)

    @classmethod
    def of(
        cls, load: Load, settings: Settings, arms: list[ArmRun], *, scenario: str | None = None,
        lag: float | None = None, stopped: str | None = None,
    ) -> Self:
        """The result of arms that were run with these settings, with its warnings."""
        described = {
            "load": load.described(), "seed": settings.seed, "warmup": settings.warmup, "scenario": scenario,
            "virtual_time": scenario is not None, "budget_usd": settings.stop.budget_usd, "slo": dict(settings.slo),
            "prompts": len(settings.prompts), "good_enough": settings.good_enough,
            "scorers": {one.name: one.described for one in settings.scorers},
        }
        warnings = _warnings(load, arms, lag, stopped)
        if scenario is None and (repeated := settings.repeated(max((len(arm.rows) for arm in arms), default=0))):
            warnings.append(repeated)
        samples = settings.samples() if settings.keeping else []
        return cls(arms, described, dict(settings.slo), settings.seed, lag, stopped, warnings, samples)

    def report(self) -> Report:
        """The measures of all arms, computed once. Needs numpy (extra `bench`); raises `ModuleNotFoundError`."""
        from asyncrouter.bench.report import Report  # numpy is optional: a run can be made without it

        if self._report is None:
            self._report = Report.of(self)
        return self._report

    def write(self, directory: str | Path) -> Path:
        """Write report.html, report.json, report.csv, requests.jsonl and requests.csv into a directory, and return it.

        Where answers are kept, answers.jsonl has each of them beside its prompt, what was expected, and its scores. The
        directory is made if need be. Needs numpy and plotly (extra `bench`); raises `ModuleNotFoundError`, `OSError`.
        """
        from asyncrouter.bench.csv_files import report_csv, requests_csv
        from asyncrouter.bench.html import page  # plotly is optional: figures can be had without it

        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        report = self.report()
        texts = {
            "report.json": report.json(),
            "requests.jsonl": b"".join(json_bytes(row, line=True) for row in self.rows()),
            "report.csv": report_csv(report).encode("utf-8", "replace"),
            "requests.csv": requests_csv(self.rows()).encode("utf-8", "replace"),
            "report.html": page(report, self).encode("utf-8", "replace"),
        }
        if self.samples:
            texts["answers.jsonl"] = answer_lines(self)
        for name, text in texts.items():
            with replacing(folder / name) as file:
                file.write(text)
        return folder


def _warnings(load: Load, arms: Sequence[ArmRun], lag: float | None, stopped: str | None) -> list[str]:
    warnings = [f"the run was stopped early: {stopped}"] if stopped is not None else []
    if lag is not None and lag > LATE_SECONDS:
        warnings.append(f"the harness itself lagged: its event loop was {lag * 1000:.0f} ms late at p99")
    if not load.open:
        warnings.append("closed loop: the time that calls wait for a free worker is not in the latencies")
    for arm in arms:
        warnings += arm.warnings + _arm_warnings(load, arm)
    return warnings


def _arm_warnings(load: Load, arm: ArmRun) -> list[str]:
    rows, warnings = arm.measured, []
    late = sorted(row.started - row.scheduled for row in rows if not row.capped)
    if late and (p95 := late[int(0.95 * (len(late) - 1))]) > LATE_SECONDS:
        warnings.append(f"{arm.name}: the harness started calls {p95 * 1000:.0f} ms late at p95, "
                        f"{late[-1] * 1000:.0f} ms at worst")
    capped = sum(row.capped for row in rows)
    if rows and capped / len(rows) > CAPPED_SHARE:
        warnings.append(f"{arm.name}: {capped / len(rows):.1%} of the calls waited for the cap of {load.cap}")
    if any(row.cost_usd is None for row in rows):
        warnings.append(f"{arm.name}: some attempts have no known price; money figures are left out")
    return warnings
