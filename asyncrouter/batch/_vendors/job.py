"""A job through the vendors' batch APIs: rows to chunks, chunks through their vendors, the rest live.

Theory of operation. First all rows without a result are written into chunks on the disk, so that every row is known to
be encodable, and what goes live at once is said, before anything is sent. Then each chunk goes through its vendor in a
task of its own (`lane.py`), and rows that are released (without a batch API, failed, expired, not back by the deadline)
are asked live (`live.py`), in one job after the other as they come.

A later run reads the journal and finds each chunk where it was. Rows of a chunk are never put into another one. What
stands in the output or the errors file has ended; of the rest, rows of released chunks are asked live.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

import orjson

from asyncrouter.batch._accept import AcceptFailed, guarded
from asyncrouter.batch._errors import BatchError
from asyncrouter.batch._identical import Copies
from asyncrouter.batch._ids import IdSet
from asyncrouter.batch._lines import answer_line, failure_line
from asyncrouter.batch._pending_rows import pending_rows
from asyncrouter.batch._tally import Tally, provider_seconds
from asyncrouter.batch._vendors.caller import Caller
from asyncrouter.batch._vendors.chains import Plans
from asyncrouter.batch._vendors.codec import Codec
from asyncrouter.batch._vendors.decide import LINGER, Times
from asyncrouter.batch._vendors.journal import VERSION, LaneJournal, folder_of
from asyncrouter.batch._vendors.lane import Lane
from asyncrouter.batch._vendors.live import LiveJob, LiveRows
from asyncrouter.batch._vendors.merge import Merger
from asyncrouter.batch._vendors.rows import ASKED, BY_BATCH, BY_LIVE, OPEN, RowTable
from asyncrouter.batch._vendors.spool import NO_VENDOR, Spool, rows_path

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from asyncrouter import Reply, Router
    from asyncrouter.batch._job import Write
    from asyncrouter.batch._job_options import JobOptions
    from asyncrouter.batch._rows import Row
    from asyncrouter.batch._source import Rows
    from asyncrouter.batch._vendors.chunk import Chunk
    from asyncrouter.batch._vendors.options import LaneOptions

logger = logging.getLogger("asyncrouter")


class VendorJob:
    """Asks the rows of an input through the vendors' batch APIs; see `Job`, whose place it takes.

    `digest` is that of the input. `ended` are the ids of rows with a result, in `results`: files and their sizes.
    """

    def __init__(
        self, router: Router, source: Rows, options: JobOptions, lane: LaneOptions, output: Path, digest: str,
        ended: IdSet | None, results: tuple[tuple[Path, int], ...], answers: Write, failures: Write,
    ) -> None:
        if (accept := options.chat.get("accept")) is not None:
            options.chat["accept"] = guarded(accept)  # type: ignore[arg-type]  # checked before
        self.tally = Tally()
        self.stopped: str | None = None
        self.vendors: dict[str, dict[str, float]] = {}
        self._router = router
        self._source = source
        self._options = options
        self._lane_options = lane
        self._ended = IdSet() if ended is None else ended
        self._results = results
        self._answers, self._failures = answers, failures
        self._journal = LaneJournal(folder_of(output), router.wall)
        try:
            self._check_input(digest)
        except BaseException:
            self._journal.close()
            raise
        self._codec = Codec(router)
        self._plans = Plans(router)
        self._tables: dict[int, RowTable] = {}
        self._merger = Merger(
            self._journal, self._codec, self._plans, router.config, options.chat, router.wall,
            answered=self._write, failed=self._fail, wasted=self.tally.merge,
        )
        self._live = LiveRows(self._merger, self._plans)
        self._live_job: LiveJob | None = None
        self._lane: Lane | None = None
        self._released = asyncio.Event()
        self._from_batch: IdSet | None = None
        self._copies: Copies | None = None

    def __repr__(self) -> str:
        return f"<VendorJob {self.tally.done} done, {self.tally.failed} failed, {self._journal!r}>"

    @property
    def in_flight(self) -> int:
        """Rows that are at the vendors, or are asked live."""
        return self._at_vendors() + (0 if self._live_job is None else self._live_job.in_flight)

    @property
    def waiting_for(self) -> str | None:
        """What the rows wait for: a live one's limit or outage, else the vendors."""
        if self._live_job is not None and (reason := self._live_job.waiting_for) is not None:
            return reason
        there = self._at_vendors()
        return f"{there:,} rows are at the vendors" if there else None

    async def run(self) -> None:
        """Run until every row has its result, or until stopped. Raises what `Job.run` does."""
        try:
            if self._options.dedupe:
                config = self._router.config
                self._copies = await Copies.find(self._source, self._options, config, self._ended)
            for number, chunk in self._journal.chunks.items():
                if not chunk.splits:
                    await self._resume(number, chunk)
            await self._write_chunks()
            await self._carry_out()
        finally:
            await self._close()

    def stop(self, reason: str) -> None:
        """Begin nothing more. What is at the vendors goes on there, for the next run to fetch."""
        self.stopped = self.stopped or reason
        if self._lane is not None:
            self._lane.stop()
        if self._live_job is not None:
            self._live_job.stop(reason)
        self._released.set()

    def abort(self, reason: str) -> None:
        """Begin nothing more, and cancel what is asked live."""
        self.stop(reason)
        if self._live_job is not None:
            self._live_job.abort(reason)

    # The beginning.

    def _check_input(self, digest: str) -> None:
        head = self._journal.head
        if head and head.get("input") != digest and any(chunk.at_vendor for chunk in self._journal.chunks.values()):
            raise BatchError(
                f"{self._journal.folder}: has batches of another input at the vendors: end them with that input first "
                "(cancel does it at once)"
            )
        if not head:
            self._journal.write(
                "begin", version=VERSION, run=os.urandom(5).hex(), input=digest, began=self._router.wall()
            )

    async def _resume(self, number: int, chunk: Chunk) -> None:
        """Find the rows of a chunk that have ended; what was paid for the others is read again."""
        table = RowTable(rows_path(self._journal.folder, number))
        for slot in range(len(table)):
            if slot % 500 == 0:
                await asyncio.sleep(0)
            id = table.read(slot)[1]  # noqa: A001  # as the field
            if id in self._ended:
                table.states[slot] = BY_BATCH if not chunk.released or id in self._batch_ids() else BY_LIVE
            else:
                self._ended.add(id)  # it is in a chunk, and in no other one
        table.close()
        self._tables[number] = table
        if chunk.step in {"merged", "cleaned", "closed"} and chunk.outputs:
            await self._merger.recover(chunk, table)
        if chunk.released:
            self._release(chunk)

    def _batch_ids(self) -> IdSet:
        """The ids of the results that have what a batch cost on their line."""
        if self._from_batch is None:
            self._from_batch = ids = IdSet()
            for path, size in self._results:
                with path.open("rb") as file:
                    for line in file:
                        if (size := size - len(line)) < 0:
                            break
                        if b'"cause":"batch"' in line:
                            ids.add(_id_in(line))
        return self._from_batch

    async def _write_chunks(self) -> None:
        if self._lane_options.cancel:
            return
        spool = Spool(self._journal, self._plans, self._codec, str(self._journal.head["run"]))
        try:
            await self._fill(spool)
        finally:
            spool.abandon()
        if spool.live_models:
            names = ", ".join(f"{name} ({rows:,})" for name, rows in sorted(spool.live_models.items()))
            logger.warning("no batch API, so these rows are asked live at once, at full price: %s", names)

    async def _fill(self, spool: Spool) -> None:
        config, copies = self._router.config, self._copies
        for row in pending_rows(self._source, self._options, config, self._ended, () if copies is None else copies):
            if self.stopped is not None:
                return
            if row is None:
                await asyncio.sleep(0)
            else:
                await spool.add(row)
        spool.end()

    # The middle.

    async def _carry_out(self) -> None:
        options, wall = self._lane_options, self._router.wall
        now, began = wall(), float(str(self._journal.head["began"]))
        times = Times.of(began, options.deadline)
        times = times._replace(leave=max(times.leave, now + LINGER))
        if options.cancel:
            times = Times(now, float("inf"), now + LINGER)
        self._lane = Lane(
            self._router, self._journal, Caller(self._router.transport), self._codec, times,
            str(self._journal.head["run"]), keep=options.keep, merge=self._merge, released=self._release,
            affords=self._affords, stop=self.stop,
        )
        for chunk in list(self._journal.chunks.values()):
            if chunk.vendor == NO_VENDOR and chunk.open:
                self._journal.write("failed", chunk, why="no batch API")
                self._journal.write("closed", chunk)
                self._release(chunk)
            elif chunk.open:
                self._lane.begin(chunk)
        if self.stopped is not None:
            self._lane.stop()
        lane = asyncio.create_task(self._lane.wait())
        lane.add_done_callback(lambda _: self._released.set())
        try:
            await self._ask_live(lane)
            await lane
        finally:
            lane.cancel()
            await asyncio.wait([lane])
        self._count()

    async def _ask_live(self, lane: asyncio.Task[None]) -> None:
        """Ask what is released, until nothing more can come."""
        while self.stopped is None:
            if self._live.waiting and not self._lane_options.cancel:
                self._live_job = job = LiveJob(
                    self._router, self._source, self._options, self._answers, self._failures, self.tally, self._live,
                    self._merger, self._at_vendors, self._copies,
                )
                await job.run()
                if job.stopped is not None:
                    self.stop(job.stopped)
            elif lane.done():
                return
            else:
                self._released.clear()
                await self._released.wait()

    async def _merge(self, chunk: Chunk) -> bool:
        try:
            done = await self._merger.merge(chunk, self._table(chunk))
        except AcceptFailed as error:
            self.stop(str(error))
            return False
        if (reason := self._options.rules.stop_reason(self.tally)) is not None:
            self.stop(reason)
        return done

    def _release(self, chunk: Chunk) -> None:
        self._live.add(self._table(chunk))
        self._released.set()

    def _affords(self, chunk: Chunk) -> int | None:
        """How many rows of a chunk the budget covers beside all that is in flight; `None`: all of them."""
        rules, tally = self._options.rules, self.tally
        if rules.budget_usd is None:
            return None
        mean = tally.usd_a_row
        mean = rules.usd_a_row if mean is None else mean
        left = rules.budget_usd - tally.cost_usd - self.in_flight * mean
        if mean <= 0 or left >= chunk.rows * mean:
            return None
        rows = max(0, int(left / mean))
        if rows == 0 and self.in_flight == 0:
            self.stop(rules.out_of_budget(tally))
        return rows

    def _at_vendors(self) -> int:
        return sum(
            each.rows for each in self._journal.chunks.values()
            if each.step in {"uploading", "uploaded", "creating", "created", "ended", "fetched"} and not each.released
        )

    def _table(self, chunk: Chunk) -> RowTable:
        table = self._tables.get(chunk.number)
        if table is None:
            table = self._tables[chunk.number] = RowTable(rows_path(self._journal.folder, chunk.number))
        return table

    # The end.

    def _write(self, row: Row, reply: Reply) -> None:
        options, seconds = self._options, provider_seconds(reply.trace)
        self._answers(answer_line(row, reply, options.format, seconds, raw=options.raw))
        self.tally.add_answer(reply, seconds)
        for copy in [] if self._copies is None else self._copies.of(row):
            self._answers(answer_line(copy, reply, options.format, seconds, raw=options.raw, same_as=row.id))
            self.tally.add_copied_answer(reply)

    def _fail(self, row: Row, error: Exception) -> None:
        self._failures(failure_line(row, error, self._options.format))
        self.tally.add_failure(error)
        for copy in [] if self._copies is None else self._copies.of(row):
            self._failures(failure_line(copy, error, self._options.format, same_as=row.id))
            self.tally.add_copied_failure(error)

    def _count(self) -> None:
        """Count what went through each provider."""
        for chunk in _sent(self._journal.chunks.values()):
            count = self.vendors.setdefault(chunk.provider, {"batches": 0, "rows": 0, "answered": 0, "left": 0})
            count["batches"] += 1
            count["rows"] += chunk.rows
            count["answered"] += chunk.answered
            count["left"] += chunk.open
        for chunk in [] if self._lane is None else self._lane.left:
            logger.warning(
                "batch %s at %s is still %s: nothing waits for it, and the same command looks again",
                chunk.batch, chunk.provider, chunk.word or chunk.step,
            )

    async def _close(self) -> None:
        await self._codec.aclose()
        if self._copies is not None:
            self._copies.close()
        for table in self._tables.values():
            table.close()
        done = self.stopped is None and not any(chunk.open for chunk in self._journal.chunks.values())
        pending = any(OPEN in table.states or ASKED in table.states for table in self._tables.values())
        self._journal.close(remove=done and (self._lane_options.cancel or not pending))


def _sent(chunks: Iterable[Chunk]) -> list[Chunk]:
    return [chunk for chunk in chunks if chunk.creates]


def _id_in(line: bytes) -> str | int:
    """The id in the line of a result."""
    record = orjson.loads(line)
    given: str | int = record.get("custom_id", record.get("id"))
    return given
