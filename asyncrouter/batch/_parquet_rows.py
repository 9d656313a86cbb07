"""Parquet files, read in batches of rows: the rows of a batch do not depend on the file's row groups."""

from __future__ import annotations

import base64
from typing import IO, TYPE_CHECKING, Any

from asyncrouter.batch._errors import BatchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BATCH = 250
"""Rows that are read at a time: few, so that rows with long texts take little memory, and cheap each."""


def import_pyarrow(name: str) -> Any:
    """The module `pyarrow` with its `parquet`, which takes a tenth of a second. Raises `BatchError` without it."""
    try:
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise BatchError(f"{name}: a Parquet file needs a package: pip install 'asyncrouter[parquet]'") from None
    return pyarrow


class ParquetRows:
    """The rows of an open Parquet file; `columns` are its columns. Raises `BatchError` for any other file."""

    def __init__(self, name: str, file: IO[bytes]) -> None:
        self._pyarrow = import_pyarrow(name)
        self._name = name
        try:
            self._file = self._pyarrow.parquet.ParquetFile(file, pre_buffer=False)
        except self._pyarrow.ArrowException as error:
            raise BatchError(f"{name}: is no Parquet file that can be read: {error}") from None
        self.schema: Any = self._file.schema_arrow
        self.columns: list[str] = self.schema.names

    def batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """The file as `RecordBatch` objects of these columns. Raises `BatchError` for a file that is damaged."""
        try:
            yield from self._file.iter_batches(batch_size=BATCH, columns=list(columns), use_threads=False)
        except (self._pyarrow.ArrowException, OSError) as error:
            raise BatchError(f"{self._name}: {error}") from None


def rows_of(batch: Any) -> list[dict[str, object]]:
    """The rows of a batch as values that JSON can hold: times as text, binary values in base64."""
    plain = [_plain(batch.column(index)) for index in range(batch.num_columns)]
    names = batch.schema.names
    return [dict(zip(names, values, strict=True)) for values in zip(*plain, strict=True)]


def _plain(column: Any) -> list[object]:
    pa, kind = import_pyarrow("a table"), column.type
    if pa.types.is_temporal(kind) and not pa.types.is_duration(kind):
        column = column.cast(pa.string())  # `to_pylist` cannot say nanoseconds
    values: list[object] = column.to_pylist()
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return [base64.b64encode(value).decode() if isinstance(value, bytes) else value for value in values]
    return values
