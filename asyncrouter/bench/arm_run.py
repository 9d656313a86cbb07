"""The data of a finished run: every call of every arm, and how the run itself went. Plain data, without figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncrouter.bench.rows import Row
    from asyncrouter.bench.sample import Sample


@dataclass(slots=True)
class ArmRun:
    """The calls of one arm, by number. `seconds` is the length of its run, `peak` the most calls in flight at once.

    `cpu` is CPU seconds: the arm's own in virtual time, its equal share of the process's in real time.
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
class RunData:
    """All arms of a run. `warnings` say where the harness, not the arms, determined a figure.

    `settings` are those of the run, for the report; `slo` are limits in seconds. `lag` is the p99 of the harness's own
    event-loop lag in seconds (`None` in virtual time). `stopped` says why the run ended early (`None`: it did not).
    `samples` are what was asked, by `Row.prompt`, where answers are kept. `environment` is where and when
    it ran (`None`: here and now).
    """

    arms: list[ArmRun]
    settings: dict[str, object]
    slo: dict[str, float]
    seed: int
    lag: float | None = None
    stopped: str | None = None
    warnings: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    environment: dict[str, object] | None = None

    def rows(self) -> list[Row]:
        """Every call of every arm, the warm-up included."""
        return [row for arm in self.arms for row in arm.rows]
