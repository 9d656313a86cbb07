"""The live rest: rows whose batch did not answer them, asked through the router by the rest of their chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter import AttemptError, CallError
from asyncrouter.batch._job import Job
from asyncrouter.batch._rows import ROWS_PER_YIELD
from asyncrouter.batch._tally import provider_seconds
from asyncrouter.batch._vendors.rows import ASKED, BY_BATCH, BY_LIVE, FAILED, OPEN

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from asyncrouter import Attempt, Embeddings, Reply, Router
    from asyncrouter.batch._identical import Copies
    from asyncrouter.batch._job import Write
    from asyncrouter.batch._job_options import JobOptions
    from asyncrouter.batch._rows import Row
    from asyncrouter.batch._source import Rows
    from asyncrouter.batch._tally import Tally
    from asyncrouter.batch._vendors.chains import Plans
    from asyncrouter.batch._vendors.merge import Merger
    from asyncrouter.batch._vendors.rows import RowTable


class LiveRows:
    """The rows that are to be asked live, out of the tables of the chunks that were released, in their order."""

    def __init__(self, merger: Merger, plans: Plans) -> None:
        self._tables: list[RowTable] = []
        self._places: dict[int, tuple[RowTable, int, Row]] = {}  # of the rows that are being asked, as they stand
        self._merger = merger
        self._plans = plans

    def add(self, table: RowTable) -> None:
        """Release the rows of a chunk that have no result."""
        if table not in self._tables:
            self._tables.append(table)

    @property
    def waiting(self) -> int:
        """How many rows wait to be asked."""
        return sum(table.states.count(OPEN) for table in self._tables)

    def rows(self) -> Generator[Row | None]:
        """The rows, each marked as asked; every 500 `None`, for the caller to let other tasks run."""
        taken = 0
        for table in self._tables:
            slot: int | None = 0
            while slot is not None and (slot := table.take(slot)) is not None:
                taken += 1
                if taken % ROWS_PER_YIELD == 0:
                    yield None
                row = self._merger.row(table, slot)
                self._places[row.number] = table, slot, row
                yield self._with_rest(row)
            table.close()

    def end(self, row: Row, state: int) -> Row | None:
        """Note the result of a row; the row as it stands, `None` if its batch has answered it meanwhile."""
        table, slot, given = self._places.pop(row.number)
        if table.states[slot] != ASKED:
            return None
        table.states[slot] = state
        return given

    def give_back(self) -> None:
        """The rows that were being asked wait again: the job has ended without a result for them."""
        for table, slot, _ in self._places.values():
            if table.states[slot] == ASKED:
                table.states[slot] = OPEN
        self._places.clear()

    def _with_rest(self, row: Row) -> Row:
        plan = self._plans.of(row.options)
        if plan.vendor is None or row.embeds:
            return row
        if row.number in self._merger.own and plan.others is not None:
            return row._replace(options=plan.others)
        return row._replace(options=plan.rest)


class LiveJob(Job):
    """Asks the rows that are released now. `elsewhere` says how many rows are at the vendors."""

    def __init__(
        self, router: Router, source: Rows, options: JobOptions, answers: Write, failures: Write, tally: Tally,
        live: LiveRows, merger: Merger, elsewhere: Callable[[], int], copies: Copies | None,
    ) -> None:
        super().__init__(router, source, options, None, answers, failures, rows=live.rows(), tally=tally)
        self._copies = copies
        self._live = live
        self._merger = merger
        self._at_vendors = elsewhere

    async def run(self) -> None:
        """Ask them all. Raises what `Job.run` does."""
        try:
            await self._run()
        finally:
            self._rows.close()
            self._live.give_back()

    def _elsewhere(self) -> int:
        return self._at_vendors()

    def _write(self, row: Row, reply: Reply | Embeddings, seconds: float) -> None:
        paid = self._merger.paid.pop(row.number, None)
        given = self._live.end(row, BY_LIVE if paid is None else BY_BATCH)
        if given is None:
            self.tally.add_waste(reply.trace.attempts)
            return
        if paid is not None:
            _put_before(paid, reply.trace.attempts)
        super()._write(given, reply, provider_seconds(reply.trace) if paid is not None else seconds)

    def _fail(self, row: Row, error: Exception) -> None:
        paid = self._merger.paid.pop(row.number, None)
        trace = error.trace if isinstance(error, CallError | AttemptError) else None
        given = self._live.end(row, FAILED if paid is None else BY_BATCH)
        if given is None:
            self.tally.add_waste([] if trace is None else trace.attempts)
            return
        if paid is not None:
            if trace is None:
                self.tally.add_waste(paid)
            else:
                _put_before(paid, trace.attempts)
        super()._fail(given, error)


def _put_before(paid: list[Attempt], attempts: list[Attempt]) -> None:
    """Put the attempts of a batch before those of the live call that followed."""
    attempts[:0] = paid
    for number, attempt in enumerate(attempts, 1):
        attempt.number = number
