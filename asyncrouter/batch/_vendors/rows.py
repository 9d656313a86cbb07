"""The rows of a chunk on the disk, and what has become of each: in memory a byte a row, and an index while it is read.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

import orjson

from asyncrouter.files import json_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import BufferedReader
    from pathlib import Path

    from asyncrouter.batch._rows import Fields, Id

OPEN, ASKED, BY_BATCH, BY_LIVE, FAILED = range(5)
"""States of a row: without a result; asked live now; answered from the batch; answered live; failed for good."""
TABBED: Final = b"\t"


class RowsFile:
    """Writes the rows of a chunk, in the order of their numbers."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def add(self, number: int, id: Id, fields: Mapping[str, object]) -> None:  # noqa: A002  # as the field
        """Add a row."""
        self._file.write(b"%d\t%b\n" % (number, json_bytes([id, dict(fields)])))

    def close(self) -> None:
        """Write what is buffered, and close."""
        self._file.close()


class RowTable:
    """The rows of a chunk, found by the number that stands in their ids at the vendor."""

    def __init__(self, path: Path) -> None:
        self.states = bytearray()
        self._path = path
        self._numbers = array("I")
        self._offsets = array("Q")
        offset = 0
        with path.open("rb") as file:
            for line in file:
                self._numbers.append(int(line.partition(TABBED)[0]))
                self._offsets.append(offset)
                offset += len(line)
        self.states = bytearray(len(self._numbers))
        self._file: BufferedReader | None = None  # open while it is read: there may be hundreds of chunks

    def __repr__(self) -> str:
        return f"<RowTable {self._path.name}, {len(self.states)} rows>"

    def __len__(self) -> int:
        return len(self.states)

    def slot_of(self, number: int) -> int | None:
        """The place of a row among those of the chunk; `None` if it is none of them."""
        slot = bisect_left(self._numbers, number)
        return slot if slot < len(self._numbers) and self._numbers[slot] == number else None

    def read(self, slot: int) -> tuple[int, Id, Fields]:
        """Number, id and fields of a row."""
        if self._file is None:
            self._file = self._path.open("rb")
        self._file.seek(self._offsets[slot])
        id, fields = orjson.loads(self._file.readline().partition(TABBED)[2])  # noqa: A001  # as the field
        return self._numbers[slot], id, fields

    def take(self, since: int) -> int | None:
        """The next row from this place on that has no result and is not being asked, marked as asked."""
        slot = self.states.find(OPEN, since)
        if slot < 0:
            return None
        self.states[slot] = ASKED
        return slot

    def close(self) -> None:
        """Close the file, until the next row is read; the states stay."""
        if self._file is not None:
            self._file.close()
            self._file = None
