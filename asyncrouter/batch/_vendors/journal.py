"""The lane's journal: what is at the vendors, one record a line, on the disk before anything else happens.

It lies in a folder beside the output, `<output>.vendors`, with the rows and lines of each chunk. Every record is
synced: there are a few for each batch, and a lost one could cost a batch.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING

import orjson

from asyncrouter.batch._errors import BatchError
from asyncrouter.batch._vendors.chunk import Chunk
from asyncrouter.files import json_bytes, open_to_append

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from asyncrouter.batch._vendors.chunk import Record

VERSION = 1
"""The version of a journal. Raise it when an older asyncrouter must not go on with what this one writes."""
NAME = "journal.jsonl"
"""The name of the journal in its folder."""


def folder_of(output: Path) -> Path:
    """The folder of an output's journal and chunks."""
    return output.with_name(f"{output.name}.vendors")


class LaneJournal:
    """The journal of one batch, read when it is opened; `chunks` by number, `head` the record it begins with.

    `wall` gives the time. Raises `BatchError` when the folder cannot be written or holds something else.
    """

    def __init__(self, folder: Path, wall: Callable[[], float]) -> None:
        self.folder = folder
        self.chunks: dict[int, Chunk] = {}
        self.head: Record = {}
        self._wall = wall
        try:
            folder.mkdir(exist_ok=True)
            self._path = folder / NAME
            for record in read_records(self._path):
                self._take(record)
            self._file = open_to_append(self._path)
            os.ftruncate(self._file, whole_lines(self._path))
        except OSError as error:
            raise BatchError(f"{folder}: cannot be written: {error.strerror}") from None

    def __repr__(self) -> str:
        return f"<LaneJournal {self.folder.name}, {len(self.chunks)} chunks>"

    @property
    def next_number(self) -> int:
        """The number of the next chunk."""
        return max(self.chunks, default=0) + 1

    def write(self, do: str, chunk: Chunk | int | None = None, **fields: object) -> Record:
        """Write a record, and take it in. Raises `OSError` when it cannot be written: nothing may be done then."""
        record: Record = {"do": do, "at": round(self._wall(), 3), **fields}
        if chunk is not None:
            record["chunk"] = chunk.number if isinstance(chunk, Chunk) else chunk
        os.write(self._file, json_bytes(record, line=True))
        os.fsync(self._file)
        self._take(record)
        return record

    def close(self, *, remove: bool = False) -> None:
        """Close the file; `remove` deletes the folder with all that is in it. Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if remove:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _take(self, record: Record) -> None:
        fold(record, self.chunks, self.head)


def fold(record: Record, chunks: dict[int, Chunk], head: Record) -> None:
    """Take a record into the chunks it tells of. Raises `BatchError` for one of a newer version."""
    do = record.get("do")
    if do == "begin":
        version = record.get("version")
        if isinstance(version, int) and version > VERSION:
            raise BatchError(f"the journal of the vendors was written by a newer asyncrouter (version {version})")
        head |= record
    elif do == "plan":
        _add(record.get("plan"), chunks)
    elif (number := record.get("chunk")) in chunks:
        chunks[number].apply(record)
        into = record.get("into")
        for plan in into if isinstance(into, list) else ():
            _add(plan, chunks)


def _add(plan: object, chunks: dict[int, Chunk]) -> None:
    if isinstance(plan, dict):
        chunk = Chunk.of(plan)
        chunks[chunk.number] = chunk


def read_records(path: Path) -> list[Record]:
    """The records of a journal, without a last line that is not whole; `[]` where there is none."""
    records: list[Record] = []
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_bytes().splitlines(keepends=True):
            with contextlib.suppress(ValueError):
                record: object = orjson.loads(line) if line.endswith(b"\n") else None
                if isinstance(record, dict):
                    records.append(record)
    return records


def whole_lines(path: Path) -> int:
    """The length of a file up to its last line end."""
    return path.read_bytes().rfind(b"\n") + 1


def check_folder(output: Path | None, *, via_provider: bool, restart: bool) -> None:
    """Raise `BatchError` if a run would lose sight of what an earlier one has left at the vendors.

    The folder of an earlier run that has left nothing there is deleted for a `restart`.
    """
    if output is None:
        if via_provider:
            raise BatchError('via="provider" takes hours: give it an output that can be resumed')
        return
    folder = folder_of(output)
    if not folder.is_dir() or (via_provider and not restart):
        return
    left = [chunk for chunk in read_chunks(folder).values() if chunk.open and chunk.creates]
    if left:
        raise BatchError(
            f"{output}: {len(left)} of its batches {'is' if len(left) == 1 else 'are'} at the vendors: go on with "
            '--via provider (via="provider"), or end them with --cancel (cancel=True) first'
        )
    if restart:
        shutil.rmtree(folder, ignore_errors=True)


def read_chunks(folder: Path) -> dict[int, Chunk]:
    """The chunks of a journal, by number, without opening it for writing."""
    chunks: dict[int, Chunk] = {}
    for record in read_records(folder / NAME):
        fold(record, chunks, {})
    return chunks
