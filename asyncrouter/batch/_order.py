"""The answers in the order of their questions, once all are there: two passes and a temporary table, no more memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from typing import IO, TYPE_CHECKING

from asyncrouter.batch._errors import WriteFailed
from asyncrouter.batch._ids import Names
from asyncrouter.batch._resume import id_in
from asyncrouter.batch._rows import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from asyncrouter.batch._source import Source


async def put_in_order(output: Path, source: Source) -> None:
    """Sort an output by its input; the file is replaced at once or not at all. Raises `WriteFailed`."""
    half = output.with_name(f"{output.name}.ordered.tmp")
    try:
        # "" is a table on the disk that goes when it is closed; SQLite keeps 2 MB of it in memory.
        with contextlib.closing(sqlite3.connect("")) as table, output.open("rb") as answers, half.open("wb") as ordered:
            await _list(table, answers, output)
            for count, (at, length) in enumerate(_places(table, source)):
                if count % AT_ONCE == 0:
                    await asyncio.sleep(0)
                answers.seek(at)
                ordered.write(answers.read(length))
            ordered.flush()
            os.fsync(ordered.fileno())
        os.replace(half, output)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise WriteFailed(str(half), error) from None
    except BaseException:
        half.unlink(missing_ok=True)
        raise


async def _list(table: sqlite3.Connection, answers: IO[bytes], output: Path) -> None:
    """Note where each id's answer stands."""
    table.execute("CREATE TABLE answers (id TEXT PRIMARY KEY, at INTEGER, length INTEGER, taken INTEGER) WITHOUT ROWID")
    at = 0
    rows: list[tuple[str, int, int]] = []
    for number, line in enumerate(answers, 1):
        rows.append((str(id_in(line, output, number)), at, len(line)))
        at += len(line)
        if len(rows) == AT_ONCE:
            _insert(table, rows)
            await asyncio.sleep(0)
    _insert(table, rows)


def _insert(table: sqlite3.Connection, rows: list[tuple[str, int, int]]) -> None:
    table.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, 0)", rows)
    rows.clear()


def _places(table: sqlite3.Connection, source: Source) -> Iterator[tuple[int, int]]:
    """Where the answers stand, in the order of the input; then those of ids that are not in it."""
    names = Names()
    for _, fields in source.lines():
        if isinstance(fields, dict):
            name = str(names.name(fields))
            found = table.execute("SELECT at, length FROM answers WHERE id = ?", (name,)).fetchone()
            if found is not None:
                table.execute("UPDATE answers SET taken = 1 WHERE id = ?", (name,))
                yield found
    yield from table.execute("SELECT at, length FROM answers WHERE taken = 0 ORDER BY at")
