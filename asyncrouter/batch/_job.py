"""A job: the rows of an input asked through one router, counted, and handed over as lines to be written.

What becomes of a row. It is answered, and its line goes to the output. Or its call fails of what is the row's or the
models' own fault, and its line goes to the errors file. Or its call fails of nothing but rate limits: then the row
keeps its worker task, waits and is asked again, as often as it takes, and only the job as a whole gives up. A row that
waits when the job stops gets no line at all: the next run asks it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from asyncrouter import RouterClosed
from asyncrouter.batch._accept import guarded
from asyncrouter.batch._failure import limit_met
from asyncrouter.batch._lines import answer_line, failure_line
from asyncrouter.batch._pending_rows import pending_rows
from asyncrouter.batch._tally import Tally
from asyncrouter.batch._worker_pool import WorkerPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter import NotSent, RateLimited, Router
    from asyncrouter.batch._ids import IdSet
    from asyncrouter.batch._job_options import JobOptions
    from asyncrouter.batch._rows import Row
    from asyncrouter.batch._source import Source

    Write = Callable[[bytes], None]

logger = logging.getLogger("asyncrouter")

RETRY_PAUSES = (2.0, 4.0, 8.0, 16.0)
"""Seconds that a row waits at most after its first, second, third and each later call that met a limit. The pause is
drawn between 0 and that, so that rows do not come back together; a longer Retry-After is waited out.
"""
MAX_RETRY_AFTER = 600.0
"""The longest Retry-After, in seconds, that a row waits for before it asks again, as in the router's own holds."""
WARN_AFTER = 10.0
"""Seconds without any answer after which a warning says which limit the rows wait for."""
STALLED_AFTER = 1800.0
"""Seconds without any answer after which rate limits stop the job: half an hour is no pause but a quota for the day."""


class Job:
    """Asks the rows of an input through one router. `answers` and `failures` are called with each line to write.

    `answered` are the ids of rows that earlier runs have answered; `None` for none. `stopped` is the reason why no more
    rows were taken, `None` when all were. `tally` counts the rows that have ended.
    """

    def __init__(
        self, router: Router, source: Source, options: JobOptions, answered: IdSet | None, answers: Write,
        failures: Write,
    ) -> None:
        self.tally = Tally()
        self.stopped: str | None = None
        self._router = router
        if (accept := options.chat.get("accept")) is not None:
            options = replace(options, chat={**options.chat, "accept": guarded(accept)})  # type: ignore[arg-type]  # checked before
        self._options = options
        self._rows = pending_rows(source, options, router.config, answered)
        self._answers = answers
        self._failures = failures
        self._pool: WorkerPool[Row] | None = None
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._answered_at = self._loop.time()
        self._warned = False

    def __repr__(self) -> str:
        return f"<Job {self.tally.done} done, {self.tally.failed} failed, {self._pool!r}>"

    @property
    def in_flight(self) -> int:
        """Rows that are being asked, or wait to be asked again."""
        return 0 if self._pool is None else self._pool.in_flight

    @property
    def within_budget(self) -> bool:
        """Whether the budget covers another row when none is in flight."""
        return self._options.rules.affords_another(self.tally, 0)

    async def run(self) -> None:
        """Run until every row has its result, or until stopped.

        Raises `BatchError` when the input has changed since it was checked, and `RouterClosed`.
        """
        self._pool = WorkerPool(self._options.concurrency, self._next_row, self._answer_row)
        if self.stopped is not None:
            self._pool.stop()
        try:
            await self._pool.wait()
        finally:
            await self._pool.aclose()
            self._rows.close()

    def stop(self, reason: str) -> None:
        """Begin no more rows; those in flight are finished, those that wait are left to the next run."""
        self.stopped = self.stopped or reason
        self._stopping.set()
        if self._pool is not None:
            self._pool.stop()

    def abort(self, reason: str) -> None:
        """Begin no more rows, and cancel those in flight."""
        self.stop(reason)
        if self._pool is not None:
            self._pool.abort()

    async def _next_row(self) -> Row | None:
        rules, pool = self._options.rules, self._pool
        assert pool is not None
        if (reason := rules.stop_reason(self.tally)) is not None:
            self.stop(reason)
            return None
        if not rules.affords_another(self.tally, pool.in_flight):
            if pool.in_flight == 0:
                self.stop(rules.out_of_budget(self.tally))
            return None  # this worker ends; if the rows in flight turn out cheap, their workers add new ones
        for row in self._rows:
            if row is not None:
                return row
            await asyncio.sleep(0)
            if self.stopped is not None:
                break
        return None

    async def _answer_row(self, row: Row) -> bool:
        """Ask until the row has its result; whether that is an answer."""
        tries = 0
        while True:
            try:
                reply = await self._router.chat(row.prompt, **row.options)  # type: ignore[arg-type]  # checked before
                line = answer_line(row, reply, self._options.format, raw=self._options.raw)
            except RouterClosed:
                raise
            except Exception as error:  # one bad row is no reason to lose the others
                limit = limit_met(error)
                if limit is None:
                    self._failures(failure_line(row, error))
                    self.tally.add_failure(error)
                    return False
                self.tally.add_failed_call(error)
                self._check_stalled(limit)
                pause = _pause_after(tries, limit)
                tries += 1
            else:
                self._answers(line)
                self.tally.add_answer(reply)
                self._answered_at = self._loop.time()
                return True
            if await self._stopped_within(pause):
                return False  # without a result: the next run asks it

    def _check_stalled(self, limit: RateLimited | NotSent) -> None:
        """Warn, and later stop, when limits are all that has been met for long."""
        seconds = self._loop.time() - self._answered_at
        if seconds > WARN_AFTER and not self._warned:
            self._warned = True
            logger.warning("no answer for %.0f s: the rows wait for a limit: %s", seconds, limit)
        if seconds > STALLED_AFTER:
            self.stop(f"rate-limited continuously for {STALLED_AFTER / 60:.0f} minutes: {limit}")

    async def _stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        return self._stopping.is_set()


def _pause_after(tries: int, limit: RateLimited | NotSent) -> float:
    """Seconds until a row is asked again that has met a limit, after so many earlier tries."""
    longest = RETRY_PAUSES[min(tries, len(RETRY_PAUSES) - 1)]
    return max(longest * random.random(), min(limit.retry_after or 0.0, MAX_RETRY_AFTER))
