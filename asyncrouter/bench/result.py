"""What a run brought: every call of every arm, and how the run itself went."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.bench.load import Load
    from asyncrouter.bench.report import Report
    from asyncrouter.bench.rows import Row
    from asyncrouter.bench.settings import Settings

LATE = 0.01
"""Seconds of the harness's own delay that are worth a warning."""
QUEUED = 0.01
"""Share of calls that waited for the load's cap which is worth one."""


@dataclass(slots=True)
class ArmRun:
    """One arm's calls, by number. `seconds` is the length of its run, `peak` the most calls open at once.

    `cpu` is processor seconds: the arm's own in virtual time, its equal share of the process's in real time.
    """

    name: str
    described: dict[str, object]
    rows: list[Row]
    seconds: float
    peak: int
    cpu: float
    warnings: list[str] = field(default_factory=list)

    @property
    def measured(self) -> list[Row]:
        """The calls after the warm-up."""
        return [row for row in self.rows if not row.warmup]


@dataclass(slots=True)
class Run:
    """All arms of a run. `warnings` say where the harness, not the arms, made a figure."""

    arms: list[ArmRun]
    settings: dict[str, object]
    slo: dict[str, float]
    seed: int
    lag: float | None = None
    stopped: str | None = None
    warnings: list[str] = field(default_factory=list)
    _report: Report | None = field(default=None, init=False, repr=False)

    @classmethod
    def of(
        cls, load: Load, settings: Settings, arms: list[ArmRun], *, scenario: str | None = None,
        lag: float | None = None, stopped: str | None = None,
    ) -> Run:
        """A run that has ended."""
        told = {
            "load": load.described(), "seed": settings.seed, "warmup": settings.warmup, "scenario": scenario,
            "virtual_time": scenario is not None, "budget_usd": settings.stop.budget_usd, "slo": dict(settings.slo),
        }
        return cls(arms, told, dict(settings.slo), settings.seed, lag, stopped, _warnings(load, arms, lag, stopped))

    def report(self) -> Report:
        """The measures of all arms. Needs the extra `bench`."""
        from asyncrouter.bench.report import Report  # numpy: only for those who ask

        if self._report is None:
            self._report = Report.of(self)
        return self._report

    def write(self, directory: str | Path) -> Path:
        """Write report.json, requests.jsonl and report.html into a directory, and return it."""
        from asyncrouter.bench.html import page  # plotly, likewise

        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        report = self.report()
        (folder / "report.json").write_bytes(report.json())
        (folder / "requests.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in self.rows()))
        (folder / "report.html").write_text(page(report, self), encoding="utf-8")
        return folder

    def rows(self) -> list[Row]:
        """Every call of every arm, the warm-up included."""
        return [row for arm in self.arms for row in arm.rows]


def environment() -> dict[str, object]:
    """What the figures were measured with."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": os.cpu_count(),
        **{name: _version(name) for name in ("asyncrouter", "aiohttp", "numpy", "plotly")},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _warnings(load: Load, arms: Sequence[ArmRun], lag: float | None, stopped: str | None) -> list[str]:
    warnings = [f"the run was stopped early: {stopped}"] if stopped is not None else []
    if lag is not None and lag > LATE:
        warnings.append(f"the harness itself lagged: its event loop was {lag * 1000:.0f} ms late at p99")
    if not load.open:
        warnings.append("closed loop: calls that a slow answer held back are missing from the latencies")
    for arm in arms:
        warnings += arm.warnings
        rows = arm.measured
        late = sorted(row.started - row.scheduled for row in rows if not row.capped)
        if late and (p95 := late[int(0.95 * (len(late) - 1))]) > LATE:
            warnings.append(f"{arm.name}: the harness started calls {p95 * 1000:.0f} ms late at p95")
        capped = sum(row.capped for row in rows)
        if rows and capped / len(rows) > QUEUED:
            warnings.append(f"{arm.name}: {capped / len(rows):.1%} of the calls waited for the cap of {load.cap}")
        if any(row.cost_usd is None for row in rows):
            warnings.append(f"{arm.name}: some attempts have no known price; money figures are left out")
    return warnings
