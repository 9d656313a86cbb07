"""How a run is shown: its progress, and its figures as a table."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

from asyncrouter import bench
from asyncrouter.cli._say import tell, write
from asyncrouter.cli._screen import screen, write_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Show = Callable[[bench.Progress], None]

EVERY = 5.0
"""Seconds between two lines where there is no terminal."""
FRAME = 0.1
"""Seconds between two pictures on one."""


@contextlib.contextmanager
def progress() -> Iterator[Show]:
    """Something to be given each progress, on standard error."""
    if not sys.stderr.isatty():
        yield _seldom(EVERY, EVERY, lambda now: sys.stderr.write(f"{_line(now)}\n"))
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=screen(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("", total=None)
        yield _seldom(0.0, FRAME, lambda now: bar.update(
            task, total=now.total, completed=now.ended, description=f"{now.arm}: {_line(now)}", refresh=True
        ))


def table(report: bench.Report) -> None:
    """The short table, a line for each measure that has something to say, and the warnings."""
    told = [[label, *(bench.figure(name, arm.measures.get(name)) for arm in report.arms)]
            for name, label in bench.COLUMNS.items()]
    shown = [line for line in told if any(cell != "–" for cell in line[1:])]
    write_table(["", *(arm.name for arm in report.arms)], shown)
    for warning in report.warnings:
        tell(warning, style="yellow")


def failures(report: bench.Report) -> None:
    """A line for each arm with calls that failed: how many, of what, and what their attempts failed of."""
    for arm in report.arms:
        if arm.errors:
            calls = arm.measures["calls"].value or 0.0
            attempts = f"; attempts: {_counts(arm.attempt_errors)}" if arm.attempt_errors else ""
            write(f"{arm.name}: {sum(arm.errors.values()):,} of {calls:,.0f} calls failed: {_counts(arm.errors)}"
                  f"{attempts}\n")


def _counts(errors: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in errors.items())


def _seldom(first: float, every: float, show: Callable[[bench.Progress], object]) -> Show:
    due = time.monotonic() + first

    def shown(now: bench.Progress) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + every
            show(now)

    return shown


def _line(now: bench.Progress) -> str:
    told = f"{now.ended:,} calls" if now.total is None else f"{now.ended:,} of {now.total:,} calls"
    failed = f", {now.failed:,} failed" if now.failed else ""
    return f"{told}{failed}, ${now.usd:.4f}"
