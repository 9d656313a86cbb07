"""An input file, compressed or not, read as the fields of its rows. The only module that knows formats of inputs."""

from __future__ import annotations

import codecs
import csv
import gzip
import os
import string
import sys
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, cast

import orjson

from asyncrouter.batch._errors import BatchError
from asyncrouter.batch._rows import Fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
"""The column separators of tables, by suffix; a file with any other suffix is JSON lines."""
MAX_CELL = min(sys.maxsize, 2**31 - 1)
"""The longest cell of a table, in characters: the most `csv` takes everywhere. A prompt may exceed its 128 KiB."""
ONE_A_LINE = "expected one JSON object a line"
"""The problem of a line that holds anything else."""

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
    """An input file. Its suffix says its format: `.csv` and `.tsv` are tables, anything else is JSON lines.

    A further suffix `.gz` or `.zst` says that it is compressed. `template` makes the prompt of a table's row from its
    columns, as in `"Translate: {text}"`; `None` takes the column `prompt`. `name` stands for the path in messages, and
    its suffixes for those of the path; "-" with a template is a CSV table. Raises `BatchError` for a template that is
    no template, or that comes with JSON lines.
    """

    def __init__(self, path: Path, template: str | None = None, name: str | None = None) -> None:
        self.path = path
        self.name: str = name or str(path)
        self.template = template
        suffixes = [suffix.lower() for suffix in Path(self.name).suffixes]
        self._compression = suffixes.pop() if suffixes and suffixes[-1] in COMPRESSED else None
        last = suffixes[-1] if suffixes else ""
        self._delimiter = DELIMITERS.get(last, "," if template and self.name == "-" else None)
        self._columns = ["prompt"] if template is None else template_columns(template)
        if template is not None and self._delimiter is None:
            raise BatchError(f"a prompt template goes with a CSV file; {self.name} is read as JSON lines")

    def __repr__(self) -> str:
        return f"<Source {self.name}>"

    def lines(self, digest: Digest | None = None) -> Iterator[Line]:
        """Read the file from its beginning, row by row; `digest` gets the bytes before they are parsed.

        Raises `BatchError` when the file as a whole cannot be read. What is wrong with one row stands in its place.
        """
        try:
            with _open(self.path, self._compression) as file:
                raw = cast("Iterator[bytes]", file)
                yield from self._rows(_digested(raw, digest) if digest is not None else raw)
        except EOFError:
            raise BatchError(f"{self.name}: ends in the middle of its packed data") from None
        except OSError as error:
            raise BatchError(f"{self.name}: {error.strerror or error}") from None
        except (zlib.error, _ZstdError) as error:
            raise BatchError(f"{self.name}: its packed data is damaged: {error}") from None

    def _rows(self, raw: Iterator[bytes]) -> Iterator[Line]:
        return _json_rows(raw) if self._delimiter is None else self._csv_rows(raw, self._delimiter)

    def _csv_rows(self, raw: Iterator[bytes], delimiter: str) -> Iterator[Line]:
        csv.field_size_limit(MAX_CELL)
        try:
            reader = csv.DictReader(_decoded(raw), delimiter=delimiter, strict=True)
            names = reader.fieldnames or ()
            if twice := [name for name in names if names.count(name) > 1]:
                raise BatchError(f"{self.name}: line 1: the column {twice[0]!r} stands twice")
            if names:
                self._check_columns(names)
            for cells in reader:
                if None in cells or None in cells.values():
                    yield reader.line_num, f"expected {len(names)} columns"
                else:
                    yield reader.line_num, self._fields(cells)
        except UnicodeDecodeError as error:
            raise BatchError(f"{self.name}: is not UTF-8: byte 0x{error.object[error.start]:02x}") from None
        except csv.Error as error:
            raise BatchError(f"{self.name}: line {reader.reader.line_num}: {error}") from None

    def _check_columns(self, names: Sequence[str]) -> None:
        missing = [column for column in self._columns if column not in names]
        if missing:
            wanted = 'expected a column "prompt", or a prompt template'
            problem = wanted if self.template is None else f"the template names {missing[0]!r}"
            raise BatchError(f"{self.name}: line 1: {problem}; the columns are {', '.join(map(repr, names)):.200}")

    def _fields(self, cells: dict[str, str]) -> Fields:
        prompt = cells["prompt"] if self.template is None else self.template.format_map(cells)
        return {"id": cells["id"], "prompt": prompt} if "id" in cells else {"prompt": prompt}


def source_of(given: object, template: str | None) -> Source:
    """A `Source` as it is, or the source of a path. Raises `BatchError`; `TypeError` for anything else."""
    if isinstance(given, Source):
        return given
    if not isinstance(given, str | os.PathLike):
        raise TypeError(f"source: expected a file's path, got {type(given).__name__}; batch.map takes any iterable")
    return Source(Path(given), template)


def template_columns(template: str) -> list[str]:
    """The names of the columns in a prompt template. Raises `BatchError` for what is no template."""
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(template) if field is not None]
    except ValueError as error:
        raise BatchError(f"prompt template: {error}; a brace that is one is written twice") from None
    # `str.format` can reach into an object ("{text.__class__}", "{0[1]}"); the name of a column cannot.
    if wrong := [field for field in fields if not field or any(sign in field for sign in ".[")]:
        raise BatchError(f"prompt template: expected the name of a column in braces, got {{{wrong[0]}}}")
    return fields


def _open(path: Path, compression: str | None) -> IO[bytes]:
    if compression == ".gz":
        return cast("IO[bytes]", gzip.open(path))
    if compression is None:
        return path.open("rb")
    if zstd is None:
        raise BatchError("a .zst file needs a package: pip install 'asyncrouter[batch]'")
    return cast("IO[bytes]", zstd.open(path))


def _digested(raw: Iterator[bytes], digest: Digest) -> Iterator[bytes]:
    for line in raw:
        digest.update(line)
        yield line


def _json_rows(raw: Iterator[bytes]) -> Iterator[Line]:
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


def _decoded(raw: Iterator[bytes]) -> Iterator[str]:
    for number, line in enumerate(raw):
        yield (line.removeprefix(codecs.BOM_UTF8) if number == 0 else line).decode()
