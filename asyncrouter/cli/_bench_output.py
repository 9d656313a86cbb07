"""Progress and results of a run on the terminal: a bar or lines, a table, warnings, failures."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

from asyncrouter import bench, visible
from asyncrouter.bench.choice_text import choice_sentences
from asyncrouter.bench.formatting import columns
from asyncrouter.bench.verdicts import method, verdicts
from asyncrouter.cli._console import make_console, write_table
from asyncrouter.cli._output import print_warning, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Display = Callable[[bench.Progress], None]

LINE_INTERVAL = 5.0
"""Seconds between two lines of progress where there is no terminal: a log of an hour stays readable."""
REFRESH_INTERVAL = 0.1
"""Seconds between two updates of the bar on a terminal: ten a second look smooth and cost little."""
UNITS = "times in seconds from the scheduled start, money in US dollars; `asyncrouter bench measures` defines each"
"""The line below the short table: its units."""


@contextlib.contextmanager
def progress_display() -> Iterator[Display]:
    """A function that shows progress on standard error: a bar on a terminal, else a line every few seconds."""
    if not sys.stderr.isatty():
        write_line = lambda now: sys.stderr.write(f"{_progress_line(now)}\n")  # noqa: E731
        yield _at_most_every(LINE_INTERVAL, write_line, first=LINE_INTERVAL)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # slow to import: terminals only

    columns = (BarColumn(), TextColumn("{task.description}", markup=False), TimeRemainingColumn())
    with Progress(*columns, console=make_console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("", total=None)
        yield _at_most_every(REFRESH_INTERVAL, lambda now: bar.update(
            task, total=now.total, completed=now.ended, refresh=True,
            description=f"{visible(now.arm)}: {_progress_line(now)}",
        ))


def print_report(report: bench.Report) -> None:
    """Print the short table, a column for each arm and a line for each measure that one has; its units; warnings."""
    lines = [[label, *(bench.figure(name, arm.measures.get(name)) for arm in report.arms)]
             for name, label in columns(report.arms).items()]
    shown = [line for line in lines if any(cell != "–" for cell in line[1:])]
    write_table(["", *(arm.name for arm in report.arms)], shown)
    write(f"\n{UNITS}\n")
    if report.choice is not None:
        write("\n" + "".join(f"{visible(text)}\n" for text in choice_sentences(report.choice, report.arms)))
    if report.changes:
        write("\n")
        for text in (*verdicts(report.changes, report.arms[0].name), method(report.compared, paired=True)):
            write(f"{visible(text)}\n" if text else "")
    for warning in report.warnings:
        print_warning(warning)


def print_failures(report: bench.Report) -> None:
    """Print a line for each arm with failed calls: how many, and the errors of its calls and attempts."""
    for arm in report.arms:
        if arm.errors:
            calls = arm.measures["calls"].value or 0.0
            attempts = f"; attempts: {_counts(arm.attempt_errors)}" if arm.attempt_errors else ""
            failed = f"{sum(arm.errors.values()):,} of {calls:,.0f} calls failed"
            write(f"{visible(arm.name)}: {failed}: {_counts(arm.errors)}{attempts}\n")


def _counts(errors: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in errors.items())


def _at_most_every(seconds: float, show: Callable[[bench.Progress], object], *, first: float = 0.0) -> Display:
    """A display that passes progress on to `show` at most so often, and not before `first` seconds."""
    due = time.monotonic() + first

    def display(now: bench.Progress) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + seconds
            show(now)

    return display


def _progress_line(now: bench.Progress) -> str:
    calls = f"{now.ended:,} calls" if now.total is None else f"{now.ended:,} of {now.total:,} calls"
    failed = f", {now.failed:,} failed" if now.failed else ""
    return f"{calls}{failed}, ${now.usd:.4f}"
