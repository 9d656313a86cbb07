"""Sorting a finished output by its input, with a temporary table on the disk instead of memory.

The first pass over the output notes where the line of each id stands; the second, over the input, copies these lines
into a new file, which then replaces the output in one step.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from typing import IO, TYPE_CHECKING

from asyncrouter.batch._errors import WriteFailed
from asyncrouter.batch._ids import RowIds
from asyncrouter.batch._resume import answer_id
from asyncrouter.batch._rows import ROWS_PER_YIELD
from asyncrouter.files import replacing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from asyncrouter.batch._rows import Id
    from asyncrouter.batch._source import Source

Position = tuple[int, int]
"""Where a line stands in a file, and its length, in bytes."""


class Positions:
    """Where the line of each id stands in an output; `close` deletes the table."""

    def __init__(self) -> None:
        # "" is a table on the disk that is deleted when it is closed; SQLite caches 2 MB of it in memory.
        self._table = sqlite3.connect("")
        self._table.execute(
            "CREATE TABLE answers (id TEXT PRIMARY KEY, at INTEGER, length INTEGER, taken INTEGER) WITHOUT ROWID"
        )

    async def read(self, answers: IO[bytes], output: Path) -> None:
        """Note the line of each id; of several of one id the last."""
        at = 0
        rows: list[tuple[str, int, int]] = []
        for number, line in enumerate(answers, 1):
            rows.append((str(answer_id(line, output, number)), at, len(line)))
            at += len(line)
            if len(rows) == ROWS_PER_YIELD:
                self._insert(rows)
                await asyncio.sleep(0)
        self._insert(rows)

    def take(self, id: Id) -> Position | None:  # noqa: A002  # as the field
        """The position of an id's line, `None` if there is none."""
        found: Position | None = self._table.execute(
            "SELECT at, length FROM answers WHERE id = ?", (str(id),)
        ).fetchone()
        if found is not None:
            self._table.execute("UPDATE answers SET taken = 1 WHERE id = ?", (str(id),))
        return found

    def rest(self) -> Iterator[Position]:
        """The positions that have not been taken, in the order of the file."""
        yield from self._table.execute("SELECT at, length FROM answers WHERE taken = 0 ORDER BY at")

    def close(self) -> None:
        """Delete the table."""
        self._table.close()

    def _insert(self, rows: list[tuple[str, int, int]]) -> None:
        self._table.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, 0)", rows)
        rows.clear()


async def put_in_order(output: Path, source: Source) -> None:
    """Sort an output by its input; lines whose ids are not in the input go to the end.

    The file is replaced in one step or not at all. Raises `WriteFailed` when the new file cannot be written.
    """
    try:
        with (
            contextlib.closing(Positions()) as positions, output.open("rb") as answers, replacing(output) as ordered
        ):
            await positions.read(answers, output)
            for count, (at, length) in enumerate(_in_order(positions, source)):
                if count % ROWS_PER_YIELD == 0:
                    await asyncio.sleep(0)
                answers.seek(at)
                ordered.write(answers.read(length))
            ordered.flush()
            os.fsync(ordered.fileno())
    except OSError as error:
        raise WriteFailed(f"{output}, sorted", error) from None


def _in_order(positions: Positions, source: Source) -> Iterator[Position]:
    """The position of each line: those of the input's ids in its order, then those of other ids."""
    row_ids = RowIds()
    for _, fields in source.lines():
        if isinstance(fields, dict):
            found = positions.take(row_ids.next_id(fields))
            if found is not None:
                yield found
    yield from positions.rest()
