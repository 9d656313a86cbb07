"""Writers of tables, column by column: CSV, TSV, Parquet."""

from __future__ import annotations

import csv
import io
from typing import IO, TYPE_CHECKING, Any, Protocol

from asyncrouter.batch._parquet_rows import import_pyarrow
from asyncrouter.batch._table_columns import whole
from asyncrouter.files import json_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter.batch._table_columns import Kind

GROUP_ROWS = 20_000
"""Rows of a row group of Parquet: with few, a file is several times as large."""
GROUP_BYTES = 64 << 20
"""Bytes after which a row group is closed all the same, so that rows with long texts take no more memory."""


class TableFile(Protocol):
    """A table that is being written."""

    def write(self, columns: Mapping[str, Any]) -> None:
        """Append rows: the values of each column, a list or an array of pyarrow, all of the same length."""
        ...

    def close(self) -> None:
        """Write what is left; the file itself stays open."""
        ...


class CsvFile:
    """A table with a separator. `None` is an empty cell; lists and objects are JSON."""

    def __init__(self, file: IO[bytes], names: Sequence[str], delimiter: str) -> None:
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        self._names = list(names)
        self._writer = csv.writer(self._text, delimiter=delimiter, lineterminator="\n")
        self._writer.writerow(self._names)

    def write(self, columns: Mapping[str, Any]) -> None:
        """Append rows."""
        values = [columns[name] for name in self._names]
        lists = [each if isinstance(each, list) else each.to_pylist() for each in values]
        self._writer.writerows([_cell(value) for value in row] for row in zip(*lists, strict=True))

    def close(self) -> None:
        """Write what is left."""
        self._text.detach()


class ParquetFile:
    """A Parquet file of this schema: each column's kind, or a type of pyarrow."""

    def __init__(self, file: IO[bytes], schema: Mapping[str, Kind | object]) -> None:
        self._pyarrow = pyarrow = import_pyarrow("a table")
        self._schema = pyarrow.schema([(name, arrow_type(kind)) for name, kind in schema.items()])
        self._writer = pyarrow.parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._batches: list[Any] = []
        self._rows = self._bytes = 0

    def write(self, columns: Mapping[str, Any]) -> None:
        """Append rows."""
        arrays = [
            self._pyarrow.array(columns[field.name], field.type) if isinstance(columns[field.name], list)
            else columns[field.name] for field in self._schema
        ]
        batch = self._pyarrow.RecordBatch.from_arrays(arrays, schema=self._schema)
        self._batches.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._write_group()

    def close(self) -> None:
        """Write what is left, and the footer."""
        if self._batches:
            self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        self._writer.write_table(self._pyarrow.Table.from_batches(self._batches), row_group_size=self._rows)
        self._batches = []
        self._rows = self._bytes = 0


def arrow_type(kind: object) -> Any:
    """The type of pyarrow of a column of this kind; one of its types as it is."""
    pa = import_pyarrow("a table")
    types = {
        "text": pa.string(), "json": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(),
        "vectors": pa.list_(pa.list_(pa.float64())),
    }
    return types[kind] if isinstance(kind, str) else kind


def _cell(value: object) -> object:
    if isinstance(value, dict | list):
        return json_bytes(value).decode()
    return whole(value) if isinstance(value, str) else value
