"""A job: the rows of an input asked through one router, counted, and handed over as lines to be written.

What becomes of a row. It is answered, and its line goes to the output. Or it fails of its own fault, or too often while
others are answered, and its line goes to the errors file: that is final. Everything else may pass: the row is asked
again, as often as it takes (`_availability.py`), and only the job as a whole gives up. A row that waits when the job
stops gets no line at all: the next run asks it.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from asyncrouter.batch._accept import guarded
from asyncrouter.batch._asker import Asker
from asyncrouter.batch._failure import error_class
from asyncrouter.batch._identical import Copies
from asyncrouter.batch._lines import answer_line, failure_line
from asyncrouter.batch._patience import Patience
from asyncrouter.batch._pending_rows import pending_rows
from asyncrouter.batch._stop_rules import UNANSWERABLE_IN_A_ROW
from asyncrouter.batch._tally import Tally
from asyncrouter.batch._waiting_for import waiting_for

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from asyncrouter import Embeddings, Reply, Router
    from asyncrouter.batch._ids import IdSet
    from asyncrouter.batch._job_options import JobOptions
    from asyncrouter.batch._rows import Row
    from asyncrouter.batch._source import Rows

    Write = Callable[[bytes], None]


class Job:
    """Asks the rows of an input through one router. `answers` and `failures` are called with each line to write.

    `ended` are the ids of rows that earlier runs have answered, or that have failed for good; `None` for none.
    `stopped` is the reason why no more rows were taken, `None` when all were. `tally` counts the rows that have ended.
    `rows` are the rows to ask, where they are not all of the input without a result; so is `tally` its own otherwise.
    """

    def __init__(
        self, router: Router, source: Rows, options: JobOptions, ended: IdSet | None, answers: Write,
        failures: Write, *, rows: Generator[Row | None] | None = None, tally: Tally | None = None,
    ) -> None:
        self.tally = tally or Tally()
        self.stopped: str | None = None
        self._router = router
        if (accept := options.chat.get("accept")) is not None:
            options = replace(options, chat={**options.chat, "accept": guarded(accept)})  # type: ignore[arg-type]  # checked before
        self._options = options
        self._has_rules = options.rules.budget_usd is not None or options.rules.max_error_rate is not None
        self._source, self._ended = source, ended
        self._rows: Generator[Row | None] = rows or pending_rows(source, options, router.config, ended)
        self._copies: Copies | None = None
        self._answers = answers
        self._failures = failures
        self._asker: Asker | None = None

    def __repr__(self) -> str:
        return f"<Job {self.tally.done} done, {self.tally.failed} failed, {self._asker!r}>"

    @property
    def in_flight(self) -> int:
        """Rows that are being asked, or wait to be asked again."""
        return 0 if self._asker is None else self._asker.in_flight

    @property
    def waiting_for(self) -> str | None:
        """What the rows wait for, while no answers come."""
        if self._asker is None:
            return None
        now = asyncio.get_running_loop().time()
        return waiting_for(self._asker, self._router, now, self._options.patience)

    @property
    def within_budget(self) -> bool:
        """Whether the budget covers another row when none is in flight."""
        return self._options.rules.affords_another(self.tally, 0)

    async def run(self) -> None:
        """Run until every row has its result, or until stopped.

        Raises `BatchError` when the input has changed since it was checked, and `RouterClosed`.
        """
        try:
            if self._options.dedupe:
                await self._find_copies()
            await self._run()
        finally:
            self._rows.close()
            if self._copies is not None:
                self._copies.close()

    async def _find_copies(self) -> None:
        options, config = self._options, self._router.config
        self._copies = await Copies.find(self._source, options, config, self._ended)
        self._rows = pending_rows(self._source, options, config, self._ended, self._copies)

    async def _run(self) -> None:
        options = self._options
        self._asker = asker = Asker(
            self._router, options.chat, options.concurrency, random.Random(), take=self._take, answered=self._write,
            failed=self._fail, again=self.tally.add_retry, may_begin=self._may_begin, keep_unusable=True,
        )
        patience = Patience(asker, self._router, options.patience, self.stop)
        if self.stopped is not None:
            asker.stop()
        try:
            await asker.run()
        finally:
            patience.close()
        if asker.kept_back and self.tally.done and self.stopped is None:
            asker.fail_kept_back()
        elif asker.kept_back:
            for _, error in asker.kept_back:
                self.tally.add_failed_call(error)
            self.stopped = self.stopped or self._nobody_can(asker)

    def stop(self, reason: str) -> None:
        """Begin no more rows. Those on the wire are finished, those that wait are left to the next run."""
        self.stopped = self.stopped or reason
        if self._asker is not None:
            self._asker.stop()

    def abort(self, reason: str) -> None:
        """Begin no more rows, and cancel those in flight."""
        self.stop(reason)
        if self._asker is not None:
            self._asker.pool.abort()

    def _elsewhere(self) -> int:
        """Rows that are in flight otherwise, whose cost is still to come."""
        return 0

    def _may_begin(self) -> bool:
        """Whether another row may be begun now; stops the job where none ever may."""
        rules, asker = self._options.rules, self._asker
        assert asker is not None
        if not self._has_rules and asker.unusable_in_a_row < UNANSWERABLE_IN_A_ROW:
            return True
        reason = rules.stop_reason(self.tally)
        if asker.unusable_in_a_row >= UNANSWERABLE_IN_A_ROW:
            reason = self._nobody_can(asker)
        if reason is not None:
            self.stop(reason)
            return False
        if rules.budget_usd is None or rules.affords_another(self.tally, asker.pool.in_flight + self._elsewhere()):
            return True
        if asker.pool.in_flight == 0:
            self.stop(rules.out_of_budget(self.tally))
        return False  # this worker ends; if the rows in flight turn out cheap, their workers add new ones

    async def _take(self) -> Row | None:
        for row in self._rows:
            if row is not None:
                return row
            await asyncio.sleep(0)
            if self.stopped is not None:
                return None
        assert self._asker is not None
        self._asker.no_more()
        return None

    def _write(self, row: Row, reply: Reply | Embeddings, seconds: float) -> None:
        options = self._options
        self._answers(answer_line(row, reply, options.format, seconds, raw=options.raw))
        self.tally.add_answer(reply, seconds)
        if self._copies is not None:
            for copy in self._copies.of(row):
                self._answers(answer_line(copy, reply, options.format, seconds, raw=options.raw, same_as=row.id))
                self.tally.add_copied_answer(reply)

    def _fail(self, row: Row, error: Exception) -> None:
        self._failures(failure_line(row, error, self._options.format))
        self.tally.add_failure(error)
        if self._copies is not None:
            for copy in self._copies.of(row):
                self._failures(failure_line(copy, error, self._options.format, same_as=row.id))
                self.tally.add_copied_failure(error)

    def _nobody_can(self, asker: Asker) -> str:
        names = self.tally.errors or {error_class(error): 1 for _, error in asker.kept_back}
        return f"no row can be answered: {', '.join(sorted(names, key=lambda name: -names[name]))}"
