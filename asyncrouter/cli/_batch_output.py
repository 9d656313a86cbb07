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

    from asyncrouter.batch import Estimate, Progress, Report, Sample

    Display = Callable[[Progress], None]

LINE_INTERVAL = 5.0
"""Seconds between two lines of progress where there is no terminal: a log of an hour stays readable."""
MAX_MODELS = 5
"""Models whose share of the answers the live display shows: what fits on one line."""
INTERRUPTED = "interrupted"
"""What stops a run whose `stop` was set."""
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
    """Progress for a terminal: a bar, lines of numbers, who answers, what failed, and what it waits for."""
    from rich.progress_bar import ProgressBar  # as above
    from rich.table import Table
    from rich.text import Text

    ended = progress.skipped + progress.failed_before + progress.done + progress.failed
    tokens = f"{_tokens(progress.input_tokens)} tokens in, {_tokens(progress.output_tokens)} out"
    rendered = Table.grid(expand=True)
    rendered.add_row(ProgressBar(total=max(1, progress.rows), completed=ended))
    for line in (_numbers(progress), tokens, _models(progress)):
        if line:
            rendered.add_row(Text(line))
    if progress.errors:
        rendered.add_row(Text(f"failed rows: {_errors(progress)}", style="red"))
    if (notice := _notice(progress)) is not None:
        rendered.add_row(Text(visible(notice), style="yellow"))
    return rendered


def progress_line(progress: Progress) -> str:
    """Progress on one line."""
    parts = [_numbers(progress)]
    if progress.errors:
        parts.append(f"failed rows: {_errors(progress)}")
    if (notice := _notice(progress)) is not None:
        parts.append(notice)
    return visible("; ".join(parts))


def _numbers(progress: Progress) -> str:
    parts = [f"{progress.skipped + progress.done:,} of {progress.rows:,} done"]
    if failed := progress.failed + progress.failed_before:
        parts.append(f"{failed:,} failed")
    parts.append(f"{progress.in_flight:,} in flight")
    if progress.rate is not None:
        parts.append(f"{progress.rate:,.1f}/s")
    parts.append(_cost(progress))
    if progress.seconds_left is not None:
        parts.append(f"{duration(progress.seconds_left)} left")
    return ", ".join(parts)


def _models(progress: Progress) -> str:
    shares = sorted(progress.models.items(), key=lambda item: -item[1])[:MAX_MODELS]
    parts = [f"{visible(name)} {share:.0%}" for name, share in shares]
    if progress.hedges:
        parts.append(count(progress.hedges, "hedge"))
    if progress.retries:
        parts.append(f"{count(progress.retries, 'call')} made again")
    return "  ".join(parts)


def _errors(progress: Progress) -> str:
    most = sorted(progress.errors.items(), key=lambda item: -item[1])[:MAX_MODELS]
    return ", ".join(f"{number:,} {name}" for name, number in most)


def _notice(progress: Progress) -> str | None:
    """What whoever looks should know first: that it stops, or what it waits for."""
    if progress.stopping is not None and progress.in_flight:
        what = "Ctrl-C again cancels them" if progress.stopping == INTERRUPTED else progress.stopping
        return f"STOPPING: {count(progress.in_flight, 'row')} in flight are finished; {what}"
    return None if progress.waiting_for is None else f"WAITING: {progress.waiting_for}"


def summary(report: Report) -> str:
    """The summary of a run, in lines."""
    parts = [f"{report.done:,} answered", f"{report.failed:,} failed"]
    if report.skipped:
        parts.append(f"{report.skipped:,} answered before")
    if report.failed_before:
        parts.append(f"{report.failed_before:,} failed before (--retry-failed asks them again)")
    if report.copied:
        parts.append(f"{report.copied:,} of these the same as others")
    if report.left:
        parts.append(f"{report.left:,} left")
    lines = [f"{', '.join(parts)}, of {count(report.rows, 'row')}, in {duration(report.seconds)}"]
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
    for name, vendor in report.vendors.items():
        left = f"; not ended yet: {vendor['left']:,.0f}" if vendor["left"] else ""
        lines.append(
            f"batch API of {name}: {vendor['answered']:,.0f} of {count(int(vendor['rows']), 'row')} answered; "
            f"batches: {vendor['batches']:,.0f}{left}"
        )
    if report.wasted_usd:
        lines.append(f"of the cost {dollars(report.wasted_usd)} went for answers that came too late")
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
    if estimate.copies:
        lines.append(f"of these, {count(estimate.copies, 'row')} ask the same as others, and cost nothing")
    if estimate.most_usd or not estimate.unpriced:
        first, dearest = dollars(estimate.cost_usd), dollars(estimate.most_usd)
        lines.append(f"about {first} if the first model of each chain answers, {dearest} if the dearest one does")
    if estimate.unpriced:
        lines.append(f"not included, because their price is unknown: {', '.join(estimate.unpriced)}")
    return "".join(f"{visible(line)}\n" for line in lines)


def sample_text(sample: Sample) -> str:
    """What a sample tells about the whole batch, in lines."""
    failed = f", failed: {', '.join(f'{n:,} {name}' for name, n in sample.errors.items())}" if sample.errors else ""
    kept = f"; the answers are in {sample.output}" if sample.output and sample.answered else ""
    lines = [f"asked {sample.asked:,} of {count(sample.rows, 'row')}, drawn at random: {sample.answered:,} answered"
             f"{failed}, for {dollars(sample.spent_usd)}{kept}"]
    if sample.total_usd is not None:
        low, high = _cents(sample.total_usd.low), _cents(sample.total_usd.high)
        lines.append(f"cost of all: about {_cents(sample.total_usd.value)} (95 %: {low} to {high})")
    elif sample.asked:
        lines.append("cost of all: unknown, as a model has no known price")
    if sample.seconds is not None and sample.fastest_seconds is not None:
        value, low, high = (duration(each) for each in (sample.seconds.value, sample.seconds.low, sample.seconds.high))
        lines.append(f"time of all: about {value} (95 %: {low} to {high}) with {sample.concurrency} at once, as here; "
                     f"{duration(sample.fastest_seconds)} with --max-concurrency, if the server keeps up")
    if sample.output_tokens is not None:
        lines.append(f"an answer has {sample.output_tokens:,.0f} tokens on the average")
    if sample.estimate.copies:
        lines.append(f"{count(sample.estimate.copies, 'row')} more ask the same as others")
    if sample.stopped is not None:
        lines.append(f"stopped: {sample.stopped}")
    return "".join(f"{visible(line)}\n" for line in lines)


def _cents(value: float) -> str:
    """Dollars with three digits that count: what is estimated has no more."""
    return "unknown" if value == float("inf") else f"${value:,.2f}" if value >= 100 else f"${value:.3g}"


def _line_display() -> Display:
    """Shows a line every few seconds, and at once when it begins or ends to wait, or to stop."""
    due, state = 0.0, (False, False)

    def display(progress: Progress) -> None:
        nonlocal due, state
        now = progress.waiting_for is not None, progress.stopping is not None
        if time.monotonic() >= due or now != state:
            due, state = time.monotonic() + LINE_INTERVAL, now
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


def duration(seconds: float) -> str:
    """Seconds as "59.9 s", "1:00" or "1:00:00"."""
    if seconds == float("inf"):
        return "unknown"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
