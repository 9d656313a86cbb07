"""Progress and report of a running batch, computed from its tally."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING

from asyncrouter.batch._report import Progress, Report

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from asyncrouter.batch._executor import Executor
    from asyncrouter.batch._tally import Tally

UPDATE_INTERVAL = 0.25
"""Seconds between two calls of the caller's `progress`: often enough to look alive, too rare to cost anything."""
RATE_WINDOW = 15.0
"""Seconds over which `Progress.rate` is measured: long enough to be steady, short enough to follow a change."""
QUANTILES = (0.5, 0.9, 0.95, 0.99)
"""The latency quantiles of a report."""
INTERRUPTED = "interrupted"
"""The reason of a run that the caller's `stop` has ended."""


class ProgressReporter:
    """Calls the caller's `progress`, and makes the report at the end. The run begins when this is made."""

    def __init__(
        self, work: Executor, rows: int, skipped: int, failed_before: int,
        callback: Callable[[Progress], None] | None,
    ) -> None:
        self.wanted = callback is not None
        self._work = work
        self._rows = rows
        self._skipped = skipped
        self._failed_before = failed_before
        self._callback = callback
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._rate_meter = RateMeter()

    @contextlib.asynccontextmanager
    async def watching(self, stop: asyncio.Event | None) -> AsyncIterator[None]:
        """Report the progress while the block runs and once after it, and stop the work when `stop` is set."""
        helpers = [asyncio.create_task(self._report_regularly())] if self.wanted else []
        if stop is not None:
            helpers.append(asyncio.create_task(self._stop_when_set(stop)))
        try:
            yield
        finally:
            for helper in helpers:
                helper.cancel()
            if helpers:
                await asyncio.wait(helpers)
        self.report_now()

    async def _report_regularly(self) -> None:
        while True:
            self.report_now()
            await asyncio.sleep(UPDATE_INTERVAL)

    async def _stop_when_set(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._work.stop(INTERRUPTED)

    def report_now(self) -> None:
        """Report the progress once."""
        if self._callback is None:
            return
        tally, seconds = self._work.tally, self._loop.time() - self._began
        rate = self._rate_meter.rate(seconds, tally.ended)
        progress = progress_of(
            tally, rows=self._rows, skipped=self._skipped, failed_before=self._failed_before,
            in_flight=self._work.in_flight, seconds=seconds, rate=rate,
        )
        progress.waiting_for, progress.stopping = self._work.waiting_for, self._work.stopped
        self._callback(progress)

    def final_report(self, output: str, errors_file: str) -> Report:
        """The report of the run until now."""
        stopped = self._work.stopped
        return report_of(
            self._work.tally, rows=self._rows, skipped=self._skipped, failed_before=self._failed_before,
            stopped=stopped, interrupted=stopped == INTERRUPTED, seconds=self._loop.time() - self._began,
            output=output, errors_file=errors_file,
        )


class RateMeter:
    """The rate at which rows have ended over the last `RATE_WINDOW` seconds."""

    __slots__ = ("_samples",)

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def rate(self, now: float, ended: int) -> float | None:
        """Take in how many rows have ended by now; rows a second, `None` at the first call."""
        samples = self._samples
        samples.append((now, ended))
        while len(samples) > 2 and samples[0][0] < now - RATE_WINDOW:
            samples.popleft()
        seconds = now - samples[0][0]
        return (ended - samples[0][1]) / seconds if seconds > 0 else None


def progress_of(
    tally: Tally, *, rows: int, skipped: int, in_flight: int, seconds: float, rate: float | None, failed_before: int = 0
) -> Progress:
    """The progress of a run with this tally."""
    left = max(0, rows - skipped - failed_before - tally.ended)
    return Progress(
        rows=rows, skipped=skipped, done=tally.done, failed=tally.failed, in_flight=in_flight, seconds=seconds,
        rate=rate, seconds_left=left / rate if rate else None,
        input_tokens=tally.input_tokens, output_tokens=tally.output_tokens,
        cost_usd=tally.cost_usd, cost_known=not tally.unpriced,
        projected_usd=tally.cost_usd * (1 + left / tally.ended) if tally.ended else None,
        hedges=tally.hedges,
        models={name: model.answered / tally.done for name, model in tally.models.items() if model.answered},
        errors=dict(tally.errors), retries=tally.retries, copied=tally.copied, failed_before=failed_before,
    )


def report_of(
    tally: Tally, *, rows: int, skipped: int, stopped: str | None, interrupted: bool, seconds: float, output: str,
    errors_file: str, failed_before: int = 0,
) -> Report:
    """The report of a run with this tally."""
    quantiles = {f"p{100 * q:g}": tally.quantile(q) for q in QUANTILES}
    return Report(
        rows=rows, skipped=skipped, done=tally.done, failed=tally.failed, stopped=stopped, interrupted=interrupted,
        seconds=round(seconds, 3), input_tokens=tally.input_tokens, output_tokens=tally.output_tokens,
        cost_usd=None if tally.unpriced else tally.cost_usd, cost_estimated=tally.estimated > 0,
        attempts=tally.attempts, hedges=tally.hedges,
        errors=dict(sorted(tally.errors.items(), key=lambda item: -item[1])),
        models={
            name: {"answered": model.answered, "attempts": model.attempts, "cost_usd": model.cost_usd}
            for name, model in sorted(tally.models.items(), key=lambda item: -item[1].answered)
        },
        latency={name: round(value, 4) for name, value in quantiles.items() if value is not None},
        output=output, errors_file=errors_file, failed_before=failed_before,
        retries=tally.retries, copied=tally.copied, ends=dict(sorted(tally.ends.items(), key=lambda item: -item[1])),
        wasted_usd=tally.wasted_usd,
    )
