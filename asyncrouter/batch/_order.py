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

    from asyncrouter.batch._source import Source


async def put_in_order(output: Path, source: Source) -> None:
    """Sort an output by its input; lines whose ids are not in the input go to the end.

    The file is replaced in one step or not at all. Raises `WriteFailed` when the new file cannot be written.
    """
    try:
        # "" is a table on the disk that is deleted when it is closed; SQLite caches 2 MB of it in memory.
        table = sqlite3.connect("")
        with contextlib.closing(table), output.open("rb") as answers, replacing(output) as ordered:
            await _note_positions(table, answers, output)
            for count, (at, length) in enumerate(_positions_in_order(table, source)):
                if count % ROWS_PER_YIELD == 0:
                    await asyncio.sleep(0)
                answers.seek(at)
                ordered.write(answers.read(length))
            ordered.flush()
            os.fsync(ordered.fileno())
    except OSError as error:
        raise WriteFailed(f"{output}, sorted", error) from None


async def _note_positions(table: sqlite3.Connection, answers: IO[bytes], output: Path) -> None:
    """Note offset and length of each id's line."""
    table.execute(
        "CREATE TABLE answers (id TEXT PRIMARY KEY, at INTEGER, length INTEGER, copied INTEGER) WITHOUT ROWID"
    )
    at = 0
    rows: list[tuple[str, int, int]] = []
    for number, line in enumerate(answers, 1):
        rows.append((str(answer_id(line, output, number)), at, len(line)))
        at += len(line)
        if len(rows) == ROWS_PER_YIELD:
            _insert(table, rows)
            await asyncio.sleep(0)
    _insert(table, rows)


def _insert(table: sqlite3.Connection, rows: list[tuple[str, int, int]]) -> None:
    table.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, 0)", rows)
    rows.clear()


def _positions_in_order(table: sqlite3.Connection, source: Source) -> Iterator[tuple[int, int]]:
    """Offset and length of each line: those of the input's ids in its order, then those of other ids."""
    row_ids = RowIds()
    for _, fields in source.lines():
        if isinstance(fields, dict):
            id = str(row_ids.next_id(fields))  # noqa: A001  # as the field
            found = table.execute("SELECT at, length FROM answers WHERE id = ?", (id,)).fetchone()
            if found is not None:
                table.execute("UPDATE answers SET copied = 1 WHERE id = ?", (id,))
                yield found
    yield from table.execute("SELECT at, length FROM answers WHERE copied = 0 ORDER BY at")
