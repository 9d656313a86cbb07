"""Looks at the work from time to time, and tells whoever wants to know."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from asyncrouter.batch._report import Pace, Progress, Report, progress, report

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter.batch._job import Job
    from asyncrouter.batch._processes import Crowd

UPDATES = 0.25
"""Seconds between two looks at the progress."""
INTERRUPTED = "interrupted"


class Watch:
    """The clock, the counts and the listener of one batch."""

    def __init__(
        self, work: Job | Crowd, rows: int, skipped: int, tell: Callable[[Progress], None] | None
    ) -> None:
        self.wanted = tell is not None
        self._work = work
        self._rows = rows
        self._skipped = skipped
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._pace = Pace()

    async def tick(self) -> None:
        """Tell the progress, again and again."""
        while True:
            self.tell()
            await asyncio.sleep(UPDATES)

    def tell(self) -> None:
        """Tell the progress now."""
        if self._tell is None:
            return
        tally, seconds = self._work.tally, self._loop.time() - self._began
        rate = self._pace.rate(seconds, tally.ended)
        self._tell(progress(
            tally, rows=self._rows, skipped=self._skipped, in_flight=self._work.busy, seconds=seconds, rate=rate
        ))

    def report(self, output: str, errors_file: str) -> Report:
        """What came of it."""
        stopped = self._work.stopped
        return report(
            self._work.tally, rows=self._rows, skipped=self._skipped, stopped=stopped,
            interrupted=stopped == INTERRUPTED, seconds=self._loop.time() - self._began, output=output,
            errors_file=errors_file,
        )
