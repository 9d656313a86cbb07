"""An input file, compressed or not, read as the fields of its rows. The only module that knows formats of inputs.

The rows of JSON lines are their objects. Those of a table (CSV, Parquet), and of anything with a template, have a
prompt or messages, perhaps an id, and all other columns under `columns`: they are not read, and stand in the answer.
"""

from __future__ import annotations

import codecs
import gzip
import os
import sys
import zlib
from contextlib import closing
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, cast

import orjson

from asyncrouter.batch._csv_rows import CsvRows
from asyncrouter.batch._errors import BatchError
from asyncrouter.batch._parquet_rows import ParquetRows, rows_of
from asyncrouter.batch._rows import Fields
from asyncrouter.batch._storage import is_remote, open_to_read, state_of
from asyncrouter.batch._templates import filled, template_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

try:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
except ModuleNotFoundError:  # the extra `batch` is not installed
    zstd = None  # type: ignore[assignment]  # checked before it is used
_ZstdError: type[Exception] = EOFError if zstd is None else zstd.ZstdError
"""What zstd raises for damaged data; where it is not installed, an error that is caught anyway."""

COMPRESSED = (".gz", ".zst")
"""The suffixes of compressed files that can be read."""
DELIMITERS = {".csv": ",", ".tsv": "\t"}
"""The column separators of tables, by suffix."""
PARQUET = (".parquet", ".pq")
"""The suffixes of Parquet files; a file with any other suffix is JSON lines."""
ONE_A_LINE = "expected one JSON object a line"
"""The problem of a line that holds anything else."""
DIGEST_BLOCK = 1 << 20
"""Bytes of a Parquet file that are read at a time for its digest."""

Line = tuple[int, Fields | str]
"""One row: the number of its line, from 1, and its fields, or the text of what is wrong with it."""


class Digest(Protocol):
    """A hash function of `hashlib`, or anything else that is updated with bytes."""

    def update(self, data: bytes, /) -> None:
        """Add these bytes."""


class Rows(Protocol):
    """Rows that can be read any number of times, always in the same order; `name` stands for them in messages."""

    name: str

    def lines(self) -> Iterator[Line]:
        """Read them from the first one on."""
        ...


class Source:
    """An input file. Its suffix says its format: `.csv`, `.tsv` and `.parquet` are tables, anything else JSON lines.

    `location` is a path, or a URL that fsspec can open. A further suffix `.gz` or `.zst` says that it is compressed.
    `template` makes the prompt from a table's columns, or from the fields of JSON objects, as in `"Translate: {text}"`;
    `None` takes the column `prompt`, of a Parquet file also `messages`. `name` stands for the location in messages, and
    its suffixes for those of the location; "-" with a template is a CSV table. Without `with_columns` the other columns
    are left out. Raises `BatchError` for a template that is none.
    """

    def __init__(
        self, location: str | os.PathLike[str], template: str | None = None, name: str | None = None, *,
        with_columns: bool = True,
    ) -> None:
        self.location: str = os.fspath(location)
        self.name: str = name or self.location
        self.template = template
        self.with_columns = with_columns
        suffixes = [suffix.lower() for suffix in Path(self.name).suffixes]
        self._compression = suffixes.pop() if suffixes and suffixes[-1] in COMPRESSED else None
        last = suffixes[-1] if suffixes else ""
        self._delimiter = DELIMITERS.get(last, "," if template and self.name == "-" else None)
        self.is_parquet: bool = last in PARQUET and self._compression is None
        self._wanted = ["prompt"] if template is None else template_columns(template)

    def __repr__(self) -> str:
        return f"<Source {self.name}>"

    @property
    def is_table(self) -> bool:
        """Whether its rows have columns."""
        return self.is_parquet or self._delimiter is not None

    @property
    def path(self) -> Path | None:
        """The path of a file on this machine."""
        return None if is_remote(self.location) else Path(self.location)

    def state(self) -> tuple[str, ...] | None:
        """What tells whether the file is as it was; `None` if there is none."""
        return state_of(self.location)

    def lines(self, digest: Digest | None = None) -> Iterator[Line]:
        """Read the file from its beginning, row by row; `digest` gets its content.

        Raises `BatchError` when the file as a whole cannot be read. What is wrong with one row stands in its place.
        """
        try:
            if self.is_parquet:
                if digest is not None:
                    self._digest_parquet(digest)
                yield from self._parquet_lines()
                return
            with _open(self.location, self._compression) as file:
                raw = cast("Iterator[bytes]", file)
                yield from self._rows(_digested(raw, digest) if digest is not None else raw)
        except EOFError:
            raise BatchError(f"{self.name}: ends in the middle of its packed data") from None
        except OSError as error:
            raise BatchError(f"{self.name}: {error.strerror or error}") from None
        except (zlib.error, _ZstdError) as error:
            raise BatchError(f"{self.name}: its packed data is damaged: {error}") from None

    def csv_rest(self) -> list[str]:
        """Of a table with a separator, the columns that stand under `columns`."""
        with _open(self.location, self._compression) as file:
            columns = CsvRows(self.name, cast("Iterator[bytes]", file), self._delimiter or ",").columns
        return self.read_columns(columns)[1] if columns else []

    def rows_of(self, batch: object, rest: Sequence[str]) -> Iterator[Fields | str]:
        """The fields of the rows of a Parquet file's batch, whose columns `rest` stand under `columns`."""
        for values in rows_of(batch):
            yield self._fields(values, rest)

    def read_columns(self, columns: Sequence[str]) -> tuple[list[str], list[str]]:
        """Of a table's columns, those that make up its rows, and all that stand beside them.

        A column that the template names is one of both. Raises `BatchError` if one is missing.
        """
        ours = [name for name in ("id", *self._wanted) if name in columns]
        if self.template is None and self.is_parquet and "prompt" not in columns and "messages" in columns:
            ours.append("messages")
        elif missing := [name for name in self._wanted if name not in columns]:
            wanted = 'expected a column "prompt", or a prompt template'
            problem = wanted if self.template is None else f"the template names {missing[0]!r}"
            shown = ", ".join(map(repr, columns))
            raise BatchError(f"{self.name}: line 1: {problem}; the columns are {shown:.200}")
        taken = {"id"} if self.template is not None else {"id", "prompt", "messages"} & set(ours)
        return ours, [name for name in columns if name not in taken]

    def _rows(self, raw: Iterator[bytes]) -> Iterator[Line]:
        if self._delimiter is not None:
            return self._csv_lines(CsvRows(self.name, raw, self._delimiter))
        return _json_lines(raw) if self.template is None else self._filled_lines(_json_lines(raw))

    def _csv_lines(self, table: CsvRows) -> Iterator[Line]:
        _, rest = self.read_columns(table.columns) if table.columns else ([], [])
        for line, cells in table:
            yield line, cells if isinstance(cells, str) else self._fields(cells, rest)

    def _filled_lines(self, lines: Iterator[Line]) -> Iterator[Line]:
        """Rows of JSON objects with a template."""
        for line, fields in lines:
            if isinstance(fields, str):
                yield line, fields
            else:
                yield line, self._fields(fields, [name for name in fields if name != "id"])

    def _parquet_lines(self) -> Iterator[Line]:
        with closing(open_to_read(self.location)) as file:
            table = ParquetRows(self.name, file)
            ours, rest = self.read_columns(table.columns)
            wanted = list(dict.fromkeys([*ours, *rest])) if self.with_columns else ours
            yield from enumerate(
                (fields for batch in table.batches(wanted) for fields in self.rows_of(batch, rest)), 1
            )

    def _fields(self, values: Mapping[str, object], rest: Sequence[str]) -> Fields | str:
        """The fields of a row with these values; a text that says what is wrong with it."""
        fields: Fields = {}
        if values.get("id") is not None:
            fields["id"] = values["id"]
        if self.template is None and "prompt" not in values:
            fields["messages"] = _messages(values["messages"])
        elif self.template is None:
            fields["prompt"] = values["prompt"]
        else:
            try:
                fields["prompt"] = filled(self.template, values)
            except KeyError as missing:
                return f"the template names {missing.args[0]!r:.60}, which this row does not have"
            except (ValueError, TypeError) as error:
                return f"the template does not suit this row: {error}"
        if self.with_columns and rest:
            fields["columns"] = {name: values[name] for name in rest}
        return fields

    def _digest_parquet(self, digest: Digest) -> None:
        """A file here by its content; one elsewhere by what its file system says of it, as it is read twice anyway."""
        if is_remote(self.location):
            digest.update(repr(self.state()).encode())
            return
        with open_to_read(self.location) as file:
            while block := file.read(DIGEST_BLOCK):
                digest.update(block)


def source_of(given: object, template: str | None) -> Source:
    """A `Source` as it is, or the source of a path. Raises `BatchError`; `TypeError` for anything else."""
    if isinstance(given, Source):
        return given
    if not isinstance(given, str | os.PathLike):
        raise TypeError(f"source: expected a file's path, got {type(given).__name__}; batch.map takes any iterable")
    return Source(given, template)


def _open(location: str, compression: str | None) -> IO[bytes]:
    if compression is None:
        return open_to_read(location)
    if compression == ".gz":
        return cast("IO[bytes]", gzip.open(open_to_read(location) if is_remote(location) else location))
    if zstd is None:
        raise BatchError("a .zst file needs a package: pip install 'asyncrouter[batch]'")
    return cast("IO[bytes]", zstd.open(open_to_read(location) if is_remote(location) else location))


def _digested(raw: Iterator[bytes], digest: Digest) -> Iterator[bytes]:
    for line in raw:
        digest.update(line)
        yield line


def _json_lines(raw: Iterator[bytes]) -> Iterator[Line]:
    for number, line in enumerate(raw, 1):
        text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if not text.strip():
            continue
        try:
            fields: object = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            yield number, _json_problem(text, error)
        else:
            yield number, fields if isinstance(fields, dict) else ONE_A_LINE


def _json_problem(text: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        text.decode()
    except UnicodeDecodeError as wrong:
        return f"is not UTF-8: byte 0x{text[wrong.start]:02x} at column {wrong.start + 1}"
    return f"is not JSON: {error.msg} at column {error.colno}" + (f"; {ONE_A_LINE}" if text.startswith(b"[") else "")


def _messages(given: object) -> object:
    """A column of messages: JSON text, or a list of structs, in which a field that a message does not have is null."""
    if isinstance(given, str):
        try:
            return cast("object", orjson.loads(given))
        except orjson.JSONDecodeError:
            return given  # which the check of the row says
    if not isinstance(given, list):
        return given
    return [
        {name: value for name, value in message.items() if value is not None or name == "content"}
        if isinstance(message, dict) else message for message in given
    ]
