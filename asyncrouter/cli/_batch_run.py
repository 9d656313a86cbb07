"""Runs a batch with its progress on standard error, until it ends or is interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from asyncrouter import batch
from asyncrouter.batch import WriteFailed
from asyncrouter.cli._batch_output import RESUMES, progress_display, sample_text, summary
from asyncrouter.cli._exit import INTERRUPTED
from asyncrouter.cli._json import json_line
from asyncrouter.cli._output import print_error, print_warning, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter import Router
    from asyncrouter.batch import Progress, Report, Source

STOPPED_EARLY = 3
"""Exit status of a run that a rule of its own, or the disk, has ended."""


async def run(
    router: Router, source: Source, output: str | None, progress: str, as_json: bool, options: dict[str, object]
) -> int:
    """Run the batch and print its summary; the exit status. `output` is `None` for standard output."""
    stop, sending = asyncio.Event(), asyncio.Event()
    status = STOPPED_EARLY
    with progress_display(progress) as display, _signals(stop, sending):

        def on_progress(progress: Progress) -> None:
            sending.set()
            if display is not None:
                with contextlib.suppress(OSError):  # a log on a full disk is no reason to stop
                    display(progress)

        async with router:
            try:
                report = await batch.run(
                    router, source, output, progress=on_progress, stop=stop, **options  # type: ignore[arg-type]  # click's
                )
                status = report.exit_status
            except WriteFailed as failed:
                if failed.report is None:  # the answers are written, but not in order
                    print_error(str(failed))
                    return status
                report = failed.report  # which has the reason
            except asyncio.CancelledError:
                print_error("stopped" if output is None else f"stopped; {RESUMES} with the rows that have no answer")
                return INTERRUPTED
    _print_report(report, as_json)
    return status


async def run_sample(
    router: Router, source: Source, rows: int, output: str, progress: str, as_json: bool, options: dict[str, object]
) -> int:
    """Ask a sample of the rows and print what it tells; the exit status."""
    stop, sending = asyncio.Event(), asyncio.Event()
    kept = None if output == "-" else _sample_path(output)
    with progress_display(progress) as display, _signals(stop, sending):

        def on_progress(progress: Progress) -> None:
            sending.set()
            if display is not None:
                with contextlib.suppress(OSError):
                    display(progress)

        async with router:
            try:
                sample = await batch.sample(
                    router, source, rows, output=kept, progress=on_progress, stop=stop, **options  # type: ignore[arg-type]  # click's
                )
            except asyncio.CancelledError:
                print_error("stopped")
                return INTERRUPTED
    write(json_line(asdict(sample)) if as_json else sample_text(sample))
    return INTERRUPTED if stop.is_set() else STOPPED_EARLY if sample.stopped else int(sample.answered < sample.asked)


def _sample_path(output: str) -> str:
    """Where the answers of a sample go: beside the output, or in the working directory if that is elsewhere."""
    local = output.rpartition("/")[2] if "://" in output else output
    return f"{local.removesuffix('.jsonl')}.sample.jsonl"


def _print_report(report: Report, as_json: bool) -> None:
    with contextlib.suppress(OSError):
        click.echo(summary(report), err=True, nl=False)
    if as_json:
        write(json_line({**asdict(report), "left": report.left}))


@contextlib.contextmanager
def _signals(stop: asyncio.Event, sending: asyncio.Event) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM sets `stop`; the second, or one before anything is sent, cancels this task.

    Further ones do nothing: what is left is to write what has come, and to close.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    cancelled = False

    def interrupt() -> None:
        nonlocal cancelled
        if cancelled:
            return
        if stop.is_set() or not sending.is_set():
            cancelled = True
            task.cancel()
        else:
            stop.set()
            print_warning("letting the rows in flight finish; Ctrl-C again cancels them")

    handled = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows; not the main thread
            loop.add_signal_handler(number, interrupt)
            handled.append(number)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
            if cancelled:
                signal.signal(number, signal.SIG_IGN)  # the loop is still closing
