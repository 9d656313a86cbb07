"""Tables with a separator (.csv, .tsv), read row by row."""

from __future__ import annotations

import codecs
import csv
import sys
from typing import TYPE_CHECKING

from asyncrouter.batch._errors import BatchError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CELL = min(sys.maxsize, 2**31 - 1)
"""The longest cell of a table, in characters: the most `csv` takes everywhere. A prompt may exceed its 128 KiB."""


class CsvRows:
    """The rows of a table in these bytes; `columns` are the names in its first line, none if it is empty.

    Raises `BatchError` for what is no such table.
    """

    def __init__(self, name: str, raw: Iterator[bytes], delimiter: str) -> None:
        csv.field_size_limit(MAX_CELL)
        self._name = name
        self._reader = csv.DictReader(_decoded(raw), delimiter=delimiter, strict=True)
        self.columns = self._names()
        if twice := [name for name in self.columns if self.columns.count(name) > 1]:
            raise BatchError(f"{self._name}: line 1: the column {twice[0]!r} stands twice")

    def __iter__(self) -> Iterator[tuple[int, dict[str, object] | str]]:
        """Each row: the number of its line, and its cells by column, or what is wrong with it."""
        reader = self._reader
        try:
            for cells in reader:
                if None in cells or None in cells.values():
                    yield reader.line_num, f"expected {len(self.columns)} columns"
                else:
                    yield reader.line_num, cells
        except (UnicodeDecodeError, csv.Error) as error:
            raise self._error(error) from None

    def _names(self) -> list[str]:
        try:
            return list(self._reader.fieldnames or ())
        except (UnicodeDecodeError, csv.Error) as error:
            raise self._error(error) from None

    def _error(self, error: UnicodeDecodeError | csv.Error) -> BatchError:
        if isinstance(error, UnicodeDecodeError):
            return BatchError(f"{self._name}: is not UTF-8: byte 0x{error.object[error.start]:02x}")
        return BatchError(f"{self._name}: line {self._reader.reader.line_num}: {error}")


def _decoded(raw: Iterator[bytes]) -> Iterator[str]:
    for number, line in enumerate(raw):
        yield (line.removeprefix(codecs.BOM_UTF8) if number == 0 else line).decode()
