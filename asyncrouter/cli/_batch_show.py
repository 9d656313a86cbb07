"""How a batch is shown: a picture on a terminal, lines elsewhere, JSON on request; and its summary."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import orjson

from asyncrouter.cli._words import count, dollars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import RenderableType

    from asyncrouter.batch import Estimate, Progress, Report

    Show = Callable[[Progress], None]

PLAIN_EVERY = 5.0
"""Seconds between two lines where there is no terminal."""
GOES_ON = "the same command goes on"


@contextlib.contextmanager
def show(how: str) -> Iterator[Show | None]:
    """Something to be given each progress, on standard error; `None` when nobody looks."""
    if how == "none":
        yield None
    elif how == "json":
        yield lambda progress: _line(orjson.dumps(asdict(progress)).decode())
    elif how == "plain" or (how == "auto" and not sys.stderr.isatty()):
        yield _plainly()
    else:
        from rich.live import Live

        from asyncrouter.cli._screen import screen

        with Live("checking the input …", console=screen(stderr=True), auto_refresh=False, transient=True) as live:
            yield lambda progress: live.update(picture(progress), refresh=True)


def picture(progress: Progress) -> RenderableType:
    """The progress for a terminal."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    ended = progress.skipped + progress.done + progress.failed
    shares = sorted(progress.models.items(), key=lambda item: -item[1])[:5]
    models = "  ".join(f"{name} {share:.0%}" for name, share in shares)
    lines = [line(progress), f"{_tokens(progress.input_tokens)} tokens in, {_tokens(progress.output_tokens)} out"]
    if models:
        lines.append(models + (f"  {count(progress.hedges, 'hedge')}" if progress.hedges else ""))
    drawn = Table.grid(expand=True)
    drawn.add_row(ProgressBar(total=max(1, progress.rows), completed=ended))
    for each in lines:
        drawn.add_row(Text(each))
    return drawn


def line(progress: Progress) -> str:
    """The progress on one line."""
    parts = [f"{progress.skipped + progress.done:,} of {progress.rows:,} done"]
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    parts.append(f"{progress.in_flight:,} on their way")
    if progress.rate is not None:
        parts.append(f"{progress.rate:,.1f}/s")
    parts.append(_cost(progress))
    if progress.seconds_left is not None:
        parts.append(f"{_duration(progress.seconds_left)} left")
    return ", ".join(parts)


def summary(report: Report) -> str:
    """The report as people read it."""
    parts = [f"{report.done:,} answered", f"{report.failed:,} failed"]
    if report.skipped:
        parts.append(f"{report.skipped:,} done before")
    if report.left:
        parts.append(f"{report.left:,} left")
    told = [f"{', '.join(parts)}, of {count(report.rows, 'row')}, in {_duration(report.seconds)}"]
    if report.stopped is not None:
        told.append(f"stopped: {report.stopped}" + ("" if report.output == "-" else f"; {GOES_ON}"))
    told.append(
        f"{dollars(report.cost_usd, estimated=report.cost_estimated)}, {_tokens(report.input_tokens)} tokens in, "
        f"{_tokens(report.output_tokens)} out, {count(report.attempts, 'attempt')}, {count(report.hedges, 'hedge')}"
    )
    if report.latency:
        told.append("latency " + ", ".join(f"{name} {value:.2f} s" for name, value in report.latency.items()))
    for name, model in report.models.items():
        told.append(f"{name}: {model['answered']:,.0f} answered in {count(int(model['attempts']), 'attempt')}")
    if report.errors:
        errors = ", ".join(f"{number:,} {name}" for name, number in report.errors.items())
        told.append(f"failures: {errors}; their rows are in {report.errors_file}")
    return "".join(f"{each}\n" for each in told)


def told_estimate(estimate: Estimate) -> str:
    """The estimate as people read it."""
    told = [
        f"{count(estimate.rows, 'row')}: about {_tokens(estimate.input_tokens)} tokens in, "
        f"{_tokens(estimate.output_tokens)} out"
    ]
    if estimate.most_usd or not estimate.unpriced:
        first, dearest = dollars(estimate.cost_usd), dollars(estimate.most_usd)
        told.append(f"about {first} if the first models answer, {dearest} if the dearest")
    if estimate.unpriced:
        told.append(f"not counted, because their price is not known: {', '.join(estimate.unpriced)}")
    return "".join(f"{each}\n" for each in told)


def _plainly() -> Show:
    due = 0.0

    def show(progress: Progress) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + PLAIN_EVERY
            _line(line(progress))

    return show


def _line(text: str) -> None:
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
