"""From a file, packed or not, to the fields of its rows. The only module that knows file formats of inputs."""

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
except ModuleNotFoundError:  # the extra `batch`
    zstd = None  # type: ignore[assignment]  # asked before it is used
_ZstdError: type[Exception] = EOFError if zstd is None else zstd.ZstdError

PACKED = (".gz", ".zst")
ONE_A_LINE = "expected one JSON object a line"


Line = tuple[int, Fields | str]
"""A row as it stands: the number of its line, and its fields or what is wrong with it."""


class Digest(Protocol):
    """What takes in the bytes that are read."""

    def update(self, data: bytes, /) -> None:
        """Take in more."""


class Source:
    """A file of rows: `.jsonl` (or anything else), `.csv`, `.tsv`; each also packed as `.gz` or `.zst`.

    `name` is what people call it, if it is not the path. `template` makes a prompt of a CSV's columns:
    `"Translate: {text}"`. Raises `BatchError` for a template that cannot be used.
    """

    def __init__(self, path: Path, template: str | None = None, name: str | None = None) -> None:
        self.path = path
        self.name = name or str(path)
        self.template = template
        suffixes = [suffix.lower() for suffix in Path(self.name).suffixes]
        self._packed = suffixes.pop() if suffixes and suffixes[-1] in PACKED else None
        last = suffixes[-1] if suffixes else ""
        self._delimiter = {".csv": ",", ".tsv": "\t"}.get(last, "," if template and self.name == "-" else None)
        self._columns = ["prompt"] if template is None else columns(template)
        if template is not None and self._delimiter is None:
            raise BatchError(f"a prompt template goes with a CSV file; {self.name} is read as JSON lines")

    def __repr__(self) -> str:
        return f"<Source {self.name}>"

    def lines(self, digest: Digest | None = None) -> Iterator[Line]:
        """Every row. Raises `BatchError` when the file cannot be read."""
        try:
            with _opened(self.path, self._packed) as file:
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
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a prompt may be longer than the 128 KiB of the default
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
                    yield reader.line_num, self._of_cells(cells)
        except UnicodeDecodeError as error:
            raise BatchError(f"{self.name}: is not UTF-8: byte 0x{error.object[error.start]:02x}") from None
        except csv.Error as error:
            raise BatchError(f"{self.name}: line {reader.reader.line_num}: {error}") from None

    def _check_columns(self, names: Sequence[str]) -> None:
        missing = [column for column in self._columns if column not in names]
        if missing:
            wanted = 'expected a column "prompt", or a prompt template'
            told = wanted if self.template is None else f"the template names {missing[0]!r}"
            raise BatchError(f"{self.name}: line 1: {told}; the columns are {', '.join(map(repr, names)):.200}")

    def _of_cells(self, cells: dict[str, str]) -> Fields:
        prompt = cells["prompt"] if self.template is None else self.template.format_map(cells)
        return {"id": cells["id"], "prompt": prompt} if "id" in cells else {"prompt": prompt}


def source_of(given: object, template: str | None) -> Source:
    """A source, or that of a file. Raises `BatchError`, `TypeError`."""
    if isinstance(given, Source):
        return given
    if not isinstance(given, str | os.PathLike):
        raise TypeError(f"source: expected a file's path, got {type(given).__name__}; batch.map takes any iterable")
    return Source(Path(given), template)


def columns(template: str) -> list[str]:
    """The columns a template names. Raises `BatchError`."""
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(template) if field is not None]
    except ValueError as error:
        raise BatchError(f"prompt template: {error}; a brace that is one is written twice") from None
    # A field may reach into what it names ("{text.__class__}", "{0[1]}"): a column's name does not.
    if wrong := [field for field in fields if not field or any(sign in field for sign in ".[")]:
        raise BatchError(f"prompt template: expected the name of a column in braces, got {{{wrong[0]}}}")
    return fields


def _opened(path: Path, packed: str | None) -> IO[bytes]:
    if packed == ".gz":
        return cast("IO[bytes]", gzip.open(path))
    if packed is None:
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
            yield number, _wrong(text, error)
        else:
            yield number, fields if isinstance(fields, dict) else ONE_A_LINE


def _wrong(text: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        text.decode()
    except UnicodeDecodeError as wrong:
        return f"is not UTF-8: byte 0x{text[wrong.start]:02x} at column {wrong.start + 1}"
    return f"is not JSON: {error.msg} at column {error.colno}" + (f"; {ONE_A_LINE}" if text.startswith(b"[") else "")


def _decoded(raw: Iterator[bytes]) -> Iterator[str]:
    for number, line in enumerate(raw):
        yield (line.removeprefix(codecs.BOM_UTF8) if number == 0 else line).decode()
