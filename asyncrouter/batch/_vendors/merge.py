"""Results become answers: each line of a fetched file is matched to its row by id, decoded, and written once.

A row is answered by its result if that is an answer which the rules of its call accept. If not, it has failed of its
own (a refusal), or it is asked live: by the rest of the chain, or by the other models alone if the answer was the
fault. What was paid for such a result goes onto the row's line, whoever answers it. A result that comes after its row
was answered live is counted as waste; one that comes twice is not, as nobody bills it twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asyncrouter import CallError, Refused
from asyncrouter.batch._failure import kind_of
from asyncrouter.batch._rows import Row
from asyncrouter.batch._tally import Tally
from asyncrouter.batch._vendors.decide import pause
from asyncrouter.batch._vendors.registry import VENDORS
from asyncrouter.batch._vendors.rows import BY_BATCH, BY_LIVE, FAILED, OPEN
from asyncrouter.batch._vendors.spool import results_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from asyncrouter import Attempt, Config, Reply
    from asyncrouter.batch._vendors.api import Result
    from asyncrouter.batch._vendors.chains import Plans, RowPlan
    from asyncrouter.batch._vendors.chunk import Chunk
    from asyncrouter.batch._vendors.codec import Codec
    from asyncrouter.batch._vendors.journal import LaneJournal
    from asyncrouter.batch._vendors.rows import RowTable

ROWS_PER_MOMENT = 50
"""Results that are decoded before other tasks run: some milliseconds' work."""
FEWER_READS = 3
"""How often results that are fewer than their vendor counts are fetched, before the rest is asked live."""
TORN_READS = 12
"""The same for results that end in the middle of a line: most of such ends pass."""
REFUSABLE = frozenset({400, 403, 422})
"""Statuses of errors that may be about what a row asks: they are judged like those of a live call."""


@dataclass(slots=True)
class Merged:
    """What a merge has found."""

    lines: int = 0
    matched: int = 0
    torn: bool = False
    waste: Tally = field(default_factory=Tally)
    wasted: set[int] = field(default_factory=set)
    """The places of the rows whose results are waste."""


class Merger:
    """Merges the results of chunks. `answered`, `failed` and `wasted` hear what becomes of each.

    `paid` are the attempts of rows that a batch has answered in vain, by the number of the row: they belong on the line
    of whoever answers it. `own` are the numbers of the rows whose answer was not accepted.
    """

    def __init__(
        self, journal: LaneJournal, codec: Codec, plans: Plans, config: Config, options: dict[str, object],
        wall: Callable[[], float], *, answered: Callable[[Row, Reply], None],
        failed: Callable[[Row, Exception], None], wasted: Callable[[Tally], None],
    ) -> None:
        self.paid: dict[int, list[Attempt]] = {}
        self.own: set[int] = set()
        self._journal = journal
        self._codec = codec
        self._plans = plans
        self._config = config
        self._options = options
        self._wall = wall
        self._answered, self._failed, self._wasted = answered, failed, wasted

    async def merge(self, chunk: Chunk, table: RowTable) -> bool:
        """Merge the results of a chunk; whether that is all there is. Otherwise they are to be fetched again.

        Raises what `accept` raises.
        """
        found = await self._read(chunk, table)
        if chunk.adopted and found.lines and not found.matched:
            self._journal.write("not_done", chunk, foreign=True, why="the batch was somebody else's")
            return False
        fewer = found.lines < min(chunk.expected, chunk.rows) and chunk.outputs
        if (found.torn and chunk.reads < TORN_READS) or (fewer and chunk.reads < FEWER_READS):
            self._journal.write("refetch", chunk, until=self._wall() + pause(chunk.reads))
            return False
        answered = table.states.count(BY_BATCH)
        self._journal.write("merged", chunk, answered=answered, waste_usd=round(found.waste.wasted_usd, 9))
        self._wasted(found.waste)
        for slot in found.wasted:
            table.states[slot] = BY_BATCH
        return True

    async def recover(self, chunk: Chunk, table: RowTable) -> None:
        """Read again what was paid for rows that have no result yet, after a kill."""
        if table.states.count(OPEN):
            await self._read(chunk, table)

    def row(self, table: RowTable, slot: int) -> Row:
        """A row of a chunk."""
        number, id, fields = table.read(slot)  # noqa: A001  # as the field
        return Row.of(number, id, fields, self._options, self._config)

    async def _read(self, chunk: Chunk, table: RowTable) -> Merged:
        found, vendor = Merged(), VENDORS[chunk.vendor]
        for part in range(len(chunk.outputs)):
            path = results_path(self._journal.folder, chunk.number, part)
            for result in _whole_lines(vendor.results(path), found):
                found.lines += 1
                if found.lines % ROWS_PER_MOMENT == 0:
                    await asyncio.sleep(0)
                number = _number(result.id, chunk.mark)
                slot = None if number is None else table.slot_of(number)
                if slot is not None:
                    found.matched += 1
                    await self._take(chunk, table, slot, result, found)
        table.close()
        return found

    async def _take(self, chunk: Chunk, table: RowTable, slot: int, result: Result, found: Merged) -> None:
        state = table.states[slot]
        if state == BY_BATCH:
            return  # the same line again
        row = self.row(table, slot)
        plan = self._plans.of(row.options)
        if state in {BY_LIVE, FAILED}:
            if slot not in found.wasted:
                found.wasted.add(slot)
                await self._waste(chunk, plan, row, result, found)
            return
        if result.status != 200 and (result.status not in REFUSABLE or not isinstance(result.body, dict)):
            return  # asked live
        if row.number in self.paid:
            return  # the same line again
        try:
            reply = await self._codec.decode(row, plan.offline, result, self._seconds(chunk))
        except Refused as error:
            self._fail(table, slot, row, error)
        except CallError as error:
            self._in_vain(table, slot, row, plan, error)
        else:
            self._answered(row, reply)
            table.states[slot] = BY_BATCH

    def _fail(self, table: RowTable, slot: int, row: Row, error: Exception) -> None:
        self._failed(row, error)
        table.states[slot] = BY_BATCH

    def _in_vain(self, table: RowTable, slot: int, row: Row, plan: RowPlan, error: CallError) -> None:
        own = kind_of(error) == "own"
        if own and plan.others is None and table.states[slot] == OPEN:
            self._fail(table, slot, row, error)
            return
        self.paid[row.number] = error.trace.attempts
        if own:
            self.own.add(row.number)

    async def _waste(self, chunk: Chunk, plan: RowPlan, row: Row, result: Result, found: Merged) -> None:
        """Count what a result cost that is not needed any more."""
        if result.status != 200:
            return
        options = {name: value for name, value in plan.offline.items() if name not in {"accept", "response_format"}}
        try:
            attempts = (await self._codec.decode(row, options, result, self._seconds(chunk))).trace.attempts
        except CallError as error:
            attempts = error.trace.attempts
        found.waste.add_waste(attempts)

    def _seconds(self, chunk: Chunk) -> float:
        return max(0.0, round(self._wall() - (chunk.created or self._wall()), 3))


def _whole_lines(results: Iterator[Result], found: Merged) -> Iterator[Result]:
    """The results up to where their file is torn, if it is."""
    try:
        yield from results
    except (ValueError, OSError):
        found.torn = True


def _number(given: str, mark: str) -> int | None:
    """The number of a row in its id at the vendor, `None` for an id that is not of this batch."""
    run, _, number = given.strip().rpartition("-")
    return int(number) if number.isdecimal() and run == mark.split("-")[1] else None


