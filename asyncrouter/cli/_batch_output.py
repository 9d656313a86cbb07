"""Progress, summary and estimate of a batch as text: a live display on a terminal, lines elsewhere, JSON on request."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from asyncrouter import visible
from asyncrouter.cli._format import count, dollars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType

    from asyncrouter.batch import Estimate, Progress, Report

    Display = Callable[[Progress], None]

LINE_INTERVAL = 5.0
"""Seconds between two lines of progress where there is no terminal: a log of an hour stays readable."""
MAX_MODELS = 5
"""Models whose share of the answers the live display shows: what fits on one line."""
RESUMES = "the same command resumes it"


@contextlib.contextmanager
def progress_display(how: str) -> Iterator[Display | None]:
    """A function that shows progress on standard error; `None` for "none".

    `how` is "auto", "rich", "plain", "json" or "none"; "auto" is "rich" on a terminal, else "plain".
    """
    if how == "none":
        yield None
    elif how == "json":
        yield lambda progress: _write_line(json.dumps(asdict(progress)))  # in ASCII: nothing hidden
    elif how == "plain" or (how == "auto" and not sys.stderr.isatty()):
        yield _line_display()
    else:
        from rich.live import Live  # rich takes a tenth of a second; a pipe does not need it

        from asyncrouter.cli._console import make_console

        console = make_console(stderr=True)
        with Live("checking the input …", console=console, auto_refresh=False, transient=True) as live:
            yield lambda progress: live.update(render(progress), refresh=True)


def render(progress: Progress) -> RenderableType:
    """Progress for a terminal: a bar, two lines of numbers, and who answers."""
    from rich.progress_bar import ProgressBar  # as above
    from rich.table import Table
    from rich.text import Text

    ended = progress.skipped + progress.done + progress.failed
    shares = sorted(progress.models.items(), key=lambda item: -item[1])[:MAX_MODELS]
    models = "  ".join(f"{visible(name)} {share:.0%}" for name, share in shares)
    lines = [progress_line(progress),
             f"{_tokens(progress.input_tokens)} tokens in, {_tokens(progress.output_tokens)} out"]
    if models:
        lines.append(models + (f"  {count(progress.hedges, 'hedge')}" if progress.hedges else ""))
    rendered = Table.grid(expand=True)
    rendered.add_row(ProgressBar(total=max(1, progress.rows), completed=ended))
    for line in lines:
        rendered.add_row(Text(line))
    return rendered


def progress_line(progress: Progress) -> str:
    """Progress on one line."""
    parts = [f"{progress.skipped + progress.done:,} of {progress.rows:,} done"]
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    parts.append(f"{progress.in_flight:,} in flight")
    if progress.rate is not None:
        parts.append(f"{progress.rate:,.1f}/s")
    parts.append(_cost(progress))
    if progress.seconds_left is not None:
        parts.append(f"{_duration(progress.seconds_left)} left")
    return ", ".join(parts)


def summary(report: Report) -> str:
    """The summary of a run, in lines."""
    parts = [f"{report.done:,} answered", f"{report.failed:,} failed"]
    if report.skipped:
        parts.append(f"{report.skipped:,} answered before")
    if report.failed_before:
        parts.append(f"{report.failed_before:,} failed before (--retry-failed asks them again)")
    if report.left:
        parts.append(f"{report.left:,} left")
    lines = [f"{', '.join(parts)}, of {count(report.rows, 'row')}, in {_duration(report.seconds)}"]
    if report.stopped is not None:
        lines.append(f"stopped: {report.stopped}" + ("" if report.output == "-" else f"; {RESUMES}"))
    lines.append(
        f"{dollars(report.cost_usd, estimated=report.cost_estimated)}, {_tokens(report.input_tokens)} tokens in, "
        f"{_tokens(report.output_tokens)} out, {count(report.attempts, 'attempt')}, {count(report.hedges, 'hedge')}"
    )
    if report.latency:
        lines.append("latency " + ", ".join(f"{name} {value:.2f} s" for name, value in report.latency.items()))
    for name, model in report.models.items():
        cost = f", {dollars(model['cost_usd'])}" if len(report.models) > 1 and model["cost_usd"] else ""
        lines.append(f"{name}: {model['answered']:,.0f} answered in {count(int(model['attempts']), 'attempt')}{cost}")
    if unusual := {end: number for end, number in report.ends.items() if end != "stop"}:
        ends = ", ".join(f"{number:,} {end}" for end, number in unusual.items())
        lines.append(f"ended otherwise than by stop: {ends}")
    if report.retries:
        lines.append(f"{count(report.retries, 'call')} made again after limits, outages, timeouts or failing servers")
    if report.errors:
        errors = ", ".join(f"{number:,} {name}" for name, number in report.errors.items())
        lines.append(f"failed rows: {errors}; they are in {report.errors_file}")
    return "".join(f"{visible(line)}\n" for line in lines)


def estimate_text(estimate: Estimate) -> str:
    """The estimate of a run, in lines."""
    lines = [
        f"{count(estimate.rows, 'row')}: about {_tokens(estimate.input_tokens)} tokens in, "
        f"{_tokens(estimate.output_tokens)} out"
    ]
    if estimate.most_usd or not estimate.unpriced:
        first, dearest = dollars(estimate.cost_usd), dollars(estimate.most_usd)
        lines.append(f"about {first} if the first model of each chain answers, {dearest} if the dearest one does")
    if estimate.unpriced:
        lines.append(f"not included, because their price is unknown: {', '.join(estimate.unpriced)}")
    return "".join(f"{visible(line)}\n" for line in lines)


def _line_display() -> Display:
    due = 0.0

    def display(progress: Progress) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + LINE_INTERVAL
            _write_line(progress_line(progress))

    return display


def _write_line(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _cost(progress: Progress) -> str:
    if not progress.cost_known:
        return f"over ${progress.cost_usd:.4f}"
    projected = f" of about ${progress.projected_usd:.4f}" if progress.projected_usd else ""
    return f"${progress.cost_usd:.4f}{projected}"


def _tokens(number: int) -> str:
    return f"{number:,}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
