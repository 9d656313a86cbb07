"""Rows that ask the same, for `dedupe`: the first of them is asked, the others get its result.

Theory of operation. Before the first request the rows without a result are read once more. Of each request a digest is
kept, 16 bytes; a row whose digest is known is a *copy* of the first row with it. Copies go into a temporary table on
the disk, and a byte for each row of the input says which they are. When the first row has its result, its copies are
written with it, in one piece.

A kill may cut that piece. Then the copies that have no line are asked by the next run, once.
"""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from asyncrouter.batch._ids import IdSet, request_digest
from asyncrouter.batch._pending_rows import pending_rows
from asyncrouter.batch._rows import Row
from asyncrouter.files import json_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter import Config
    from asyncrouter.batch._job_options import JobOptions
    from asyncrouter.batch._source import Rows

_INSERT = "INSERT INTO copies VALUES (?, ?, ?)"
_SELECT = "SELECT number, row FROM copies WHERE digest = ? ORDER BY number"


class Copies:
    """The rows of an input that ask what an earlier one asks; `close` deletes the temporary table."""

    def __init__(self, options: JobOptions, config: Config) -> None:
        self.count = 0
        self._options = options
        self._config = config
        self._is_copy = bytearray()  # by number of the row
        self._table = sqlite3.connect("")  # a table on the disk, of which SQLite caches 2 MB
        self._table.execute("CREATE TABLE copies (digest BLOB, number INTEGER, row BLOB, PRIMARY KEY (digest, number))")

    def __repr__(self) -> str:
        return f"<Copies: {self.count}>"

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and number < len(self._is_copy) and self._is_copy[number] == 1

    @classmethod
    async def find(cls, source: Rows, options: JobOptions, config: Config, ended: IdSet | None) -> Copies:
        """The copies among the rows that have not `ended`. Raises `BatchError` if the input has changed."""
        copies = cls(options, config)
        known = IdSet()
        try:
            for row in pending_rows(source, replace(options, limit=None, share=(0, 1)), config, ended):
                if row is None:
                    await asyncio.sleep(0)
                elif not known.add((digest := request_digest(row, options.chat)).hex()):
                    copies._add(digest, row)
        except BaseException:
            copies.close()
            raise
        return copies

    def of(self, row: Row) -> Iterator[Row]:
        """The copies of a row, in the order of the input."""
        if not self.count:
            return
        digest = request_digest(row, self._options.chat)
        for number, written in self._table.execute(_SELECT, (digest,)):
            id, fields = orjson.loads(written)  # noqa: A001  # as the field
            yield Row.of(number, id, fields, self._options.chat, self._config)

    def close(self) -> None:
        """Delete the table; idempotent."""
        self._table.close()

    def _add(self, digest: bytes, row: Row) -> None:
        self.count += 1
        self._is_copy.extend(bytes(row.number + 1 - len(self._is_copy)))
        self._is_copy[row.number] = 1
        self._table.execute(_INSERT, (digest, row.number, json_bytes([row.id, row.fields])))
