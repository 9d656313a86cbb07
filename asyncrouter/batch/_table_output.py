"""An output that is a table: the answers of a batch beside the columns of its input, as CSV or Parquet.

Theory of operation. A table cannot be appended to safely: a Parquet file that was not closed cannot be read, and a cell
may hold line ends. So a run writes its answers to a journal of JSON lines, beside the table, and can be resumed from
that. At its end the table is made of the journal, in the order of the input, and takes the place of the one before in
one step. Memory is that of a row group: where each answer stands in the journal is kept in a table on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import orjson

from asyncrouter.batch._errors import BatchError, WriteFailed
from asyncrouter.batch._ids import RowIds
from asyncrouter.batch._input_columns import InputColumns
from asyncrouter.batch._order import Positions
from asyncrouter.batch._parquet_rows import BATCH, import_pyarrow
from asyncrouter.batch._source import DELIMITERS, PARQUET
from asyncrouter.batch._storage import check_url, is_remote, writing
from asyncrouter.batch._table_columns import answer_columns, input_names
from asyncrouter.batch._table_file import CsvFile, ParquetFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter.batch._order import Position
    from asyncrouter.batch._rows import Fields
    from asyncrouter.batch._source import Source
    from asyncrouter.batch._table_file import TableFile

TABLES = (*PARQUET, *DELIMITERS)
"""The suffixes of outputs that are tables."""

PIECE_BYTES = 8 << 20
"""Bytes of answers that are read at a time, so that long ones take no more memory."""


def is_table(location: str) -> bool:
    """Whether an output of this name is made of a journal: a table, or any file that is elsewhere."""
    return is_remote(location) or Path(location).suffix.lower() in TABLES


def journal_path(location: str) -> Path:
    """The journal of a table: beside it, or in the working directory if the table is elsewhere."""
    path = Path(location)
    return Path(f"{path.name}.jsonl") if is_remote(location) else path.with_name(f"{path.name}.jsonl")


def check_table(location: str) -> None:
    """Raise `BatchError` where such a table could not be written, before anything is asked."""
    if is_remote(location):
        check_url(location)
    if Path(location).suffix.lower() in PARQUET:
        import_pyarrow(location)


async def write_table(
    location: str, journal: Path, source: Source, response_format: object, *, raw: bool, embeds: bool
) -> None:
    """Make the table of the answers in a journal. Raises `WriteFailed`; `BatchError` if it could not even begin.

    Answers whose ids are not in the input go to the end.
    """
    try:
        with (
            contextlib.closing(Positions()) as positions, journal.open("rb") as answers, writing(location) as file
        ):
            await positions.read(answers, journal)
            if Path(location).suffix.lower() not in TABLES:
                await _copy(answers, file)
                return
            maker = _Maker(InputColumns(source), answers, positions, response_format, raw=raw, embeds=embeds)
            table = maker.begin(file, Path(location).suffix.lower())
            await maker.write(table)
            table.close()
    except OSError as error:
        raise WriteFailed(location, error) from None


class _Maker:
    """Joins the rows of an input with their answers."""

    def __init__(
        self, given: InputColumns, answers: IO[bytes], positions: Positions, response_format: object, *, raw: bool,
        embeds: bool,
    ) -> None:
        self._given = given
        self._answers = answers
        self._positions = positions
        self._columns = answer_columns({"id"}, response_format, raw=raw, embeds=embeds)
        names = input_names(list(given.types), [column.name for column in self._columns])
        self._names = dict(zip(given.types, names, strict=True))

    def begin(self, file: IO[bytes], suffix: str) -> TableFile:
        """The empty table."""
        passed = {self._names[name]: kind for name, kind in self._given.types.items()}
        schema = {"id": self._given.id_type, **passed, **{column.name: column.kind for column in self._columns}}
        return ParquetFile(file, schema) if suffix in PARQUET else CsvFile(file, list(schema), DELIMITERS[suffix])

    async def write(self, table: TableFile) -> None:
        """Write all rows that have an answer."""
        row_ids = RowIds()
        for chunk in self._given.chunks():
            await asyncio.sleep(0)
            ids = [row_ids.next_id(fields) for fields in chunk.rows]
            found = [(index, at) for index, each in enumerate(ids) if (at := self._positions.take(each)) is not None]
            for piece in _pieces(found):
                indices = [index for index, _ in piece]
                passed = {self._names[name]: _taken(values, indices) for name, values in chunk.columns.items()}
                taken_ids = [str(ids[index]) for index in indices] if chunk.ids is None else _taken(chunk.ids, indices)
                table.write({"id": taken_ids, **passed, **self._values([at for _, at in piece])})
        rest = self._positions.rest()
        while found_elsewhere := list(islice(rest, BATCH)):
            await asyncio.sleep(0)
            empty = {name: [None] * len(found_elsewhere) for name in self._names.values()}
            table.write({"id": self._other_ids(found_elsewhere), **empty, **self._values(found_elsewhere)})

    def _values(self, positions: list[Position]) -> dict[str, Any]:
        records = list(map(self._record, positions))
        return {column.name: [column.value(record) for record in records] for column in self._columns}

    def _other_ids(self, positions: list[Position]) -> list[Any]:
        ids: list[Any] = [self._record(position)["id"] for position in positions]
        if self._given.id_type == "text":
            return list(map(str, ids))
        return [given if isinstance(given, int) else None for given in ids]

    def _record(self, position: Position) -> Fields:
        self._answers.seek(position[0])
        record: Fields = orjson.loads(self._answers.read(position[1]))
        return record


def _pieces(found: list[tuple[int, Position]]) -> Iterator[list[tuple[int, Position]]]:
    """The rows in pieces whose answers take at most `PIECE_BYTES` together, or are one."""
    piece: list[tuple[int, Position]] = []
    size = 0
    for each in found:
        if piece and size + each[1][1] > PIECE_BYTES:
            yield piece
            piece, size = [], 0
        piece.append(each)
        size += each[1][1]
    if piece:
        yield piece


def _taken(values: Any, indices: list[int]) -> Any:
    if isinstance(values, list):
        return [values[index] for index in indices]
    return values if len(indices) == len(values) else values.take(import_pyarrow("a table").array(indices))


async def _copy(answers: IO[bytes], file: IO[bytes]) -> None:
    answers.seek(0)
    while block := answers.read(1 << 20):
        await asyncio.sleep(0)
        file.write(block)


def check_new(location: str, journal_size: int) -> None:
    """Raise `BatchError` if a table is there that no journal belongs to: a run would replace it."""
    if journal_size == 0 and not is_remote(location) and Path(location).exists():
        raise BatchError(
            f"{location}: exists, and {journal_path(location)} is not there to resume from: name another output, or "
            "use --restart to replace it"
        )
