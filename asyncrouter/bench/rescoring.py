"""Scores a finished run again from its files, without asking again: other scorers, another least quality."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import orjson

from asyncrouter.bench.arm_run import ArmRun
from asyncrouter.bench.report import Report
from asyncrouter.bench.result import Run
from asyncrouter.bench.rows import row_from
from asyncrouter.bench.sample import Sample
from asyncrouter.bench.scorers import check_scorers
from asyncrouter.bench.scoring import score_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from asyncrouter.bench.rows import Row
    from asyncrouter.bench.scorers import Scorer


def rescore(directory: str | Path, scorers: Sequence[Scorer], *, good_enough: float | None = None) -> Run:
    """The run that was written to a directory, with its answers judged by these scorers instead; `write` replaces it.

    Raises `ValueError` where the directory holds no run whose answers were kept, or a sample has no expected answer
    that a scorer needs; `RuntimeError` inside a running event loop.
    """
    run = read_run(directory)
    check_scorers(scorers, run.samples)
    for row in run.rows():
        row.scores = {}
    run.settings |= {"scorers": {one.name: one.described for one in scorers}, "good_enough": good_enough}
    anyio.run(score_run, run, scorers)
    return run


def read_run(directory: str | Path) -> Run:
    """The run that was written to a directory, with its answers. Raises `ValueError` for anything else."""
    folder = Path(directory)
    report = Report.read(folder)
    rows = [row_from(given) for given in _lines(folder / "requests.jsonl")]
    arms = [_arm_run(arm.name, report, [row for row in rows if row.arm == arm.name]) for arm in report.arms]
    kept = [one for one in report.warnings if not one.startswith("scorer ")]
    slo, seed = report.settings.get("slo"), report.settings.get("seed")
    return Run(arms, dict(report.settings), dict(slo) if isinstance(slo, dict) else {},
               seed if isinstance(seed, int) else 0, report.loop_lag_p99, warnings=kept,
               samples=_samples(folder / "answers.jsonl", rows), environment=report.environment)


def _arm_run(name: str, report: Report, rows: list[Row]) -> ArmRun:
    """The calls of an arm; what was measured of the run itself stands in its report."""
    arm = next(one for one in report.arms if one.name == name)
    peak, cpu = (arm.measures[measure].value or 0.0 for measure in ("peak_in_flight", "cpu_ms"))
    return ArmRun(name, arm.described, rows, max((row.ended for row in rows), default=0.0), round(peak),
                  cpu / 1000.0 * len(rows))


def _samples(file: Path, rows: Sequence[Row]) -> list[Sample]:
    """What was asked, by `Row.prompt`."""
    places = {(row.arm, row.number): row.prompt or 0 for row in rows}
    found: dict[int, Sample] = {}
    for given in _lines(file):
        found[places[given["arm"], given["number"]]] = Sample(
            prompt=given["prompt"], expected=given["expected"], id=given["id"], row=given["row"])
    missing = Sample(prompt="")  # only of calls that were not measured
    return [found.get(place, missing) for place in range(1 + max(found, default=-1))]


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    if not file.is_file():
        raise ValueError(f"{file}: there is no such file: only a run with --score or --keep-answers can be "
                         "judged again")
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield dict(orjson.loads(line))
            except ValueError as wrong:
                raise ValueError(f"{file} line {number}: expected a JSON object: {wrong}") from None
