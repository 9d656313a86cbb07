"""The rows of an input in chunks, each with the columns that are passed through, in the types of the input."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from asyncrouter.batch._parquet_rows import BATCH, ParquetRows, import_pyarrow
from asyncrouter.batch._storage import open_to_read
from asyncrouter.files import json_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from asyncrouter.batch._rows import Fields
    from asyncrouter.batch._source import Source


class Chunk(NamedTuple):
    """Some rows in their order: the fields of each, and each column that is passed through: a list, or an array of
    pyarrow; `ids` is one, too, where it is a column of whole numbers.
    """

    rows: list[Fields]
    columns: Mapping[str, Any]
    ids: Any = None


class InputColumns:
    """The columns of an input that stand in the output, and their types, known before the first row is read.

    `types` has a type for each: "text", "json", or one of pyarrow. `id_type` is that of the ids. Raises `BatchError`.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.types: dict[str, object] = {}
        self.id_type: object = "text"
        if source.is_parquet:
            with closing(open_to_read(source.location)) as file:
                table = ParquetRows(source.name, file)
            _, rest = source.read_columns(table.columns)
            self.types = {name: table.schema.field(name).type for name in rest}
            if "id" in table.columns and import_pyarrow(source.name).types.is_integer(table.schema.field("id").type):
                self.id_type = table.schema.field("id").type
        elif source.is_table:
            self.types = dict.fromkeys(source.csv_rest(), "text")
        else:
            self.types = {"metadata" if source.template is None else "columns": "json"}

    def __repr__(self) -> str:
        return f"<InputColumns of {self._source.name}: {', '.join(self.types)}>"

    def chunks(self) -> Iterator[Chunk]:
        """Read the input from its first row on. Raises `BatchError`."""
        return self._parquet_chunks() if self._source.is_parquet else self._line_chunks()

    def _parquet_chunks(self) -> Iterator[Chunk]:
        source = self._source
        with closing(open_to_read(source.location)) as file:
            table = ParquetRows(source.name, file)
            ours, rest = source.read_columns(table.columns)
            for batch in table.batches(list(dict.fromkeys([*ours, *rest]))):
                rows = [fields for fields in source.rows_of(batch.select(ours), ()) if isinstance(fields, dict)]
                ids = None if self.id_type == "text" else batch.column("id")
                yield Chunk(rows, {name: batch.column(name) for name in rest}, ids)

    def _line_chunks(self) -> Iterator[Chunk]:
        rows = (fields for _, fields in self._source.lines() if isinstance(fields, dict))
        while chunk := list(islice(rows, BATCH)):
            if self._source.is_table:
                given: list[Any] = [fields.get("columns", {}) for fields in chunk]
                yield Chunk(chunk, {name: [columns[name] for columns in given] for name in self.types})
            else:
                yield Chunk(chunk, {name: [_json(fields.get(name)) for fields in chunk] for name in self.types})


def _json(value: object) -> str | None:
    return None if value is None else json_bytes(value).decode()
