"""Divides the rows of an input into chunks on the disk: one for each batch, and one for rows that go live at once.

A chunk is two files: `.lines`, in its vendor's form, which is uploaded as it is, and `.rows`, which has the rows
themselves. It is in the journal once both are whole, so a kill in the middle of writing costs nothing but the time.
"""

from __future__ import annotations

import asyncio
import os
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from asyncrouter import RouterError
from asyncrouter.batch._errors import BatchError
from asyncrouter.batch._rows import ROWS_PER_YIELD, Row
from asyncrouter.batch._vendors.api import Form, Group
from asyncrouter.batch._vendors.rows import RowsFile, RowTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from asyncrouter.batch._vendors.api import Encoded, Limits, Vendor
    from asyncrouter.batch._vendors.chains import Plans, RowPlan
    from asyncrouter.batch._vendors.chunk import Chunk
    from asyncrouter.batch._vendors.codec import Codec
    from asyncrouter.batch._vendors.journal import LaneJournal

OPEN_WRITERS = 64
"""Chunks that are written at once; when a further group of rows comes, the oldest chunk is ended."""
BYTES_PER_TOKEN = 4
"""Bytes of a line that count as one token of its prompt."""
NO_VENDOR = ""
"""The vendor of a chunk whose rows go live at once."""


class Spool:
    """Writes chunks. `run` is a few letters that stand in every id and mark of this batch."""

    def __init__(self, journal: LaneJournal, plans: Plans, codec: Codec, run: str) -> None:
        self.live_models: dict[str, int] = {}
        """Rows that go live at once, by the name of their first model."""
        self._journal = journal
        self._plans = plans
        self._codec = codec
        self._run = run
        self._writers: dict[tuple[str, str, Group], _Writer] = {}
        self._number = journal.next_number

    async def add(self, row: Row) -> None:
        """Add a row to the chunk it belongs to. Raises `BatchError` for one that its first model cannot be sent."""
        plan = self._plans.of(row.options)
        encoded = None if plan.vendor is None or row.embeds else await self._encode(row, plan)
        if encoded is None or plan.vendor is None:
            name = plan.model.name or plan.model.id
            self.live_models[name] = self.live_models.get(name, 0) + 1
            self._put((NO_VENDOR, "", Group("", "")), row, plan, None, None)
        else:
            self._put((plan.provider.name, plan.model.name, encoded.group), row, plan, plan.vendor, encoded)

    def end(self) -> None:
        """End all chunks."""
        for key in list(self._writers):
            self._close(key)

    def abandon(self) -> None:
        """Close all files; what is in chunks that were not ended is written again by the next run."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    async def _encode(self, row: Row, plan: RowPlan) -> Encoded | None:
        assert plan.vendor is not None
        try:
            request = await self._codec.encode(row.prompt, plan.offline)
        except (RouterError, TypeError, ValueError) as error:
            if isinstance(error, BatchError):
                raise
            return None  # asked live it says what is wrong with it, or another model takes it
        return plan.vendor.encode(f"{self._run}-{row.number}", urlsplit(request.url).path, request.body)

    def _put(
        self, key: tuple[str, str, Group], row: Row, plan: RowPlan, vendor: Vendor | None, encoded: Encoded | None
    ) -> None:
        writer, line = self._writers.get(key), b"" if encoded is None else encoded.line
        if writer is not None and vendor is not None and not writer.has_room(vendor.limits, len(line)):
            self._close(key)
            writer = None
        if writer is None:
            if len(self._writers) >= OPEN_WRITERS:
                self._close(next(iter(self._writers)))
            form = Form() if vendor is None else vendor.form(key[2])
            writer = self._writers[key] = _Writer(self._journal.folder, self._number, form)
            writer.plan, writer.vendor = plan, vendor
            self._number += 1
        writer.add(row, line)

    def _close(self, key: tuple[str, str, Group]) -> None:
        writer = self._writers.pop(key)
        digest = writer.close()
        vendor, plan = writer.vendor, writer.plan
        assert plan is not None
        self._journal.write("plan", plan=_plan(
            writer, digest, self._run, vendor=NO_VENDOR if vendor is None else vendor.name, provider=key[0],
            name=key[1], group=key[2],
        ))


class _Writer:
    """Writes one chunk."""

    def __init__(self, folder: Path, number: int, form: Form) -> None:
        self.number = number
        self.rows = 0
        self.plan: RowPlan | None = None
        self.vendor: Vendor | None = None
        self._form = form
        self._digest = sha256()
        self._lines = lines_path(folder, number).open("wb")
        self._rows = RowsFile(rows_path(folder, number))
        self.bytes = len(form.before) + len(form.after)
        self._write(form.before)

    def has_room(self, limits: Limits, size: int) -> bool:
        """Whether a line of so many bytes fits in."""
        return self.rows < limits.rows and self.bytes + size + len(self._form.between) <= limits.bytes

    def add(self, row: Row, line: bytes) -> None:
        """Add a row and its line."""
        if self.rows:
            self._write(self._form.between)
            self.bytes += len(self._form.between)
        self._write(line)
        self._rows.add(row.number, row.id, row.fields)
        self.rows += 1
        self.bytes += len(line)

    def close(self) -> str:
        """End both files, on the disk; the SHA-256 of the lines in hexadecimal."""
        self._write(self._form.after)
        self._lines.flush()
        os.fsync(self._lines.fileno())
        self._lines.close()
        self._rows.close()
        return self._digest.hexdigest()

    def _write(self, data: bytes) -> None:
        self._lines.write(data)
        self._digest.update(data)


def _plan(
    writer: _Writer, digest: str, run: str, *, vendor: str, provider: str, name: str, group: Group
) -> dict[str, object]:
    """What the journal says of a new chunk."""
    return {
        "number": writer.number, "vendor": vendor, "provider": provider, "name": name, "group": list(group),
        "rows": writer.rows, "bytes": writer.bytes, "tokens": writer.bytes // BYTES_PER_TOKEN,
        "mark": f"asyncrouter-{run}-{writer.number}", "sha256": digest,
    }


def lines_path(folder: Path, number: int) -> Path:
    """The file of a chunk in its vendor's form."""
    return folder / f"{number:05}.lines"


def rows_path(folder: Path, number: int) -> Path:
    """The file of a chunk's rows."""
    return folder / f"{number:05}.rows"


def results_path(folder: Path, number: int, part: int) -> Path:
    """A file of a chunk's results."""
    return folder / f"{number:05}.results.{part}"


def split(journal: LaneJournal, chunk: Chunk, vendor: Vendor, first: int, run: str) -> tuple[int, int]:
    """Divide a chunk that has not been sent into two, the first with so many rows; their numbers.

    Ids stay: they are the rows' numbers. One record replaces the one chunk by the two.
    """
    folder, form = journal.folder, vendor.form(chunk.group)
    numbers = (journal.next_number, journal.next_number + 1)
    made = [_Writer(folder, number, form) for number in numbers]
    for index, (line, row) in enumerate(zip(_lines(folder, chunk, form), _rows(folder, chunk), strict=True)):
        writer = made[0] if index < first else made[1]
        writer.add(row, line)
    journal.write("split", chunk, into=[
        _plan(
            writer, writer.close(), run, vendor=chunk.vendor, provider=chunk.provider, name=chunk.name,
            group=chunk.group,
        )
        for writer in made
    ])
    return numbers


def _lines(folder: Path, chunk: Chunk, form: Form) -> Iterator[bytes]:
    """The lines of a chunk, without what frames them. In each form every row ends its line of the file."""
    separator = form.between.rstrip(b"\n")
    with lines_path(folder, chunk.number).open("rb") as file:
        for number, raw in enumerate(file):
            line = raw.rstrip(b"\n")
            if number == 0:
                line = line.removeprefix(form.before)
            if number == chunk.rows - 1:
                line = line.removesuffix(form.after.rstrip(b"\n"))
            else:
                line = line.removesuffix(separator)
            yield line


def _rows(folder: Path, chunk: Chunk) -> Iterable[Row]:
    table = RowTable(rows_path(folder, chunk.number))
    for slot in range(len(table)):
        number, id, fields = table.read(slot)  # noqa: A001  # as the field
        yield Row(number, id, "", {}, fields)
    table.close()


async def rest_of_the_loop(count: int) -> None:
    """Let other tasks run, every few rows."""
    if count % ROWS_PER_YIELD == 0:
        await asyncio.sleep(0)
