"""What is done for a chunk at its vendor, step by step, each with a record before it and one after it.

At each await. A step is one `await` on the vendor between two records. Cancelled or killed there, the first record
stands: the next run finds a chunk that is being uploaded or created, and looks for it at the vendor. Everything else
(a look, a cancellation, a download, a deletion) may be done twice without harm.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from asyncrouter.batch._vendors.answer import VendorError
from asyncrouter.batch._vendors.api import Fault, Sent
from asyncrouter.batch._vendors.decide import FIRST_LOOKS, GONE_AFTER, UPLOADS, pause, searches_of
from asyncrouter.batch._vendors.room import Room, is_lost_file, is_no_room
from asyncrouter.batch._vendors.spool import lines_path, results_path, split

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter.batch._vendors.api import Vendor
    from asyncrouter.batch._vendors.caller import Caller
    from asyncrouter.batch._vendors.chunk import Chunk
    from asyncrouter.batch._vendors.journal import LaneJournal
    from asyncrouter.batch._vendors.place import Place

logger = logging.getLogger("asyncrouter")

HEAVY = 2
"""Uploads, downloads and merges at once: they are what takes memory and bandwidth."""
WAIT = 30.0
"""Seconds between two looks whether there is room at a vendor, or in the budget."""
CONFLICT, TOO_LARGE = 409, 413
"""The HTTP statuses of a request that does not fit the state of what it is about, and of one that is too large."""


class VendorSteps:
    """The steps at a vendor. `wall` gives the time, `run` are the letters in this batch's ids.

    `begin` takes a new chunk on, `released` hears of a chunk whose rows are to be asked live, and `affords` says how
    many rows of a chunk that has not been sent the budget covers now (`None`: all of them).
    """

    def __init__(
        self, journal: LaneJournal, caller: Caller, wall: Callable[[], float], run: str, *,
        begin: Callable[[Chunk], None], released: Callable[[Chunk], None], affords: Callable[[Chunk], int | None],
    ) -> None:
        self.heavy = asyncio.Semaphore(HEAVY)
        self.stopping = asyncio.Event()
        self._journal = journal
        self._caller = caller
        self._wall = wall
        self._run = run
        self._begin, self._released, self._affords = begin, released, affords
        self._room = Room()

    async def upload(self, chunk: Chunk, vendor: Vendor, place: Place) -> None:
        """Upload its lines."""
        if not await self._is_affordable(chunk, vendor):
            return
        async with self.heavy:
            self._journal.write("uploading", chunk, key=place.key_digest)
            try:
                file = await self._caller.run(vendor.upload(place, self._sent(chunk)))
            except VendorError as error:
                self._not_taken(chunk, vendor, error)
            else:
                self._journal.write("uploaded", chunk, file=file)

    async def find_file(self, chunk: Chunk, vendor: Vendor, place: Place) -> None:
        """Look whether an upload without an answer was stored."""
        try:
            file = await self._caller.run(vendor.find_file(place, self._sent(chunk)))
        except VendorError as error:
            self._trouble(chunk, error)
            return
        if file is not None and file not in chunk.old_files:
            self._journal.write("uploaded", chunk, file=file, found=True)
        else:
            self._absent(chunk)

    async def create(self, chunk: Chunk, vendor: Vendor, place: Place) -> None:
        """Begin its batch, if there is room for it."""
        if not vendor.by_file and not await self._is_affordable(chunk, vendor):
            return
        verdict = self._room.ask(chunk, vendor.limits, self._journal.chunks.values())
        if verdict == "split":
            self._split(chunk, vendor, chunk.rows // 2)
        elif verdict == "wait":
            await self.sleep(WAIT)
        else:
            self._journal.write("creating", chunk, key=place.key_digest)
            try:
                batch = await self._caller.run(vendor.create(place, self._sent(chunk)))
            except VendorError as error:
                self._not_taken(chunk, vendor, error)
            else:
                self._journal.write("created", chunk, batch=batch)

    async def find_batch(self, chunk: Chunk, vendor: Vendor, place: Place) -> None:
        """Look whether a batch whose creation was not answered is there."""
        known = {each.batch for each in self._journal.chunks.values() if each.batch is not None}
        known.update(old for each in self._journal.chunks.values() for old in each.old_batches + each.foreign)
        try:
            batch = await self._caller.run(vendor.find(place, self._sent(chunk), frozenset(known)))
        except VendorError as error:
            if error.status in {404, 405}:  # there is no list
                self._absent(chunk)
            else:
                self._trouble(chunk, error)
            return
        if batch is not None:
            self._journal.write("created", chunk, batch=batch, found=True)
        else:
            self._absent(chunk)

    async def look(self, chunk: Chunk, vendor: Vendor, place: Place) -> None:
        """Look where its batch stands."""
        assert chunk.batch is not None
        try:
            look = await self._caller.run(vendor.look(place, chunk.batch), without=vendor.inline)
        except VendorError as error:
            chunk.looked = self._wall()
            if error.status != 404:
                chunk.reserve = self._wall() + WAIT
            elif chunk.missing is None:
                self._journal.write("missing", chunk)
            elif chunk.looked >= chunk.missing + GONE_AFTER:
                self._journal.write("failed", chunk, why="the vendor says that there is no such batch")
                self._released(chunk)
            return
        before, chunk.looked = chunk.word, self._wall()
        if look.phase != "ended":
            if look.word != before or chunk.missing is not None:
                self._journal.write("look", chunk, word=look.word)
            return
        if not look.outputs and not look.faults and _results(look.counts) and not self._is_over(chunk):
            return  # there are results, but they cannot be seen yet
        self._end(chunk, vendor, look.word, look.outputs, look.faults, look.usd, _results(look.counts))

    def _is_over(self, chunk: Chunk) -> bool:
        """Whether an ended batch has been without its results for long."""
        if chunk.missing is None:
            self._journal.write("missing", chunk)
        return chunk.missing is not None and self._wall() >= chunk.missing + GONE_AFTER - FIRST_LOOKS

    def _end(
        self, chunk: Chunk, vendor: Vendor, word: str, outputs: tuple[str, ...], faults: tuple[Fault, ...],
        usd: float | None, expected: int,
    ) -> None:
        fault = faults[0] if faults else None
        if fault is not None and is_no_room(fault) and not outputs:
            self._room.learn(chunk, fault, self._journal.chunks.values())
            self._journal.write("wait", chunk, until=self._wall() + WAIT)
        elif fault is not None and is_lost_file(fault) and not outputs and chunk.uploads < UPLOADS and vendor.by_file:
            self._journal.write("again", chunk, why=fault.message)
        else:
            why = "" if fault is None else f"{fault.code}: {fault.message}".strip(": ")
            self._journal.write(
                "ended", chunk, word=word, outputs=list(outputs), usd=usd, why=why or word, expected=expected
            )

    async def cancel(self, chunk: Chunk, vendor: Vendor, place: Place) -> None:
        """Cancel its batch. One that cannot be cancelled may have ended since the last look: it is looked at again."""
        assert chunk.batch is not None
        self._journal.write("cancelling", chunk)
        try:
            await self._caller.run(vendor.cancel(place, chunk.batch))
        except VendorError as error:
            await self.look(chunk, vendor, place)
            if chunk.step != "created":
                return
            if error.passes and error.status != CONFLICT:
                chunk.reserve = self._wall() + pause(0)
                return
        self._journal.write("cancelled", chunk)

    async def fetch(self, chunk: Chunk, vendor: Vendor, place: Place) -> None:
        """Fetch its results."""
        assert chunk.batch is not None
        self._journal.write("fetching", chunk)
        try:
            async with self.heavy:
                for part, request in enumerate(vendor.downloads(place, chunk.batch, chunk.outputs)):
                    await self._caller.download(request, results_path(self._journal.folder, chunk.number, part))
        except VendorError as error:
            self._trouble(chunk, error)
        else:
            self._journal.write("fetched", chunk)

    async def clean(self, chunk: Chunk, vendor: Vendor, place: Place) -> None:
        """Delete what it has left at the vendor."""
        self._journal.write("cleaning", chunk)
        run = self._caller.run
        try:
            for batch in chunk.old_batches:
                await run(vendor.clean(place, batch, None, ()))
            for file in chunk.old_files:
                await run(vendor.clean(place, None, file, ()))
            await run(vendor.clean(place, chunk.batch, chunk.file, chunk.outputs))
            if vendor.by_file and chunk.uploads > 1:
                while (twin := await run(vendor.find_file(place, self._sent(chunk)))) is not None:
                    await run(vendor.clean(place, None, twin, ()))
        except VendorError as error:
            self._trouble(chunk, error)
        else:
            self._journal.write("cleaned", chunk)

    # What goes wrong.

    def _not_taken(self, chunk: Chunk, vendor: Vendor, error: VendorError) -> None:
        """An upload or a creation that was not answered by a success."""
        fault = Fault(error.code, error.message)
        if not error.sure:
            logger.warning("%s: %s: looking whether it was done", chunk.provider, error.message)
        elif is_no_room(fault):
            self._room.learn(chunk, fault, self._journal.chunks.values())
            self._journal.write("wait", chunk, until=self._wall() + WAIT)
        elif is_lost_file(fault) and vendor.by_file and chunk.step == "creating":
            if chunk.uploads < UPLOADS:
                self._journal.write("again", chunk, why=error.message)
            else:
                self._fail(chunk, error)
        elif error.status == TOO_LARGE and chunk.rows > 1:
            self._split(chunk, vendor, chunk.rows // 2)
        elif error.passes or error.status in {401, 403}:
            until = self._wall() + pause(chunk.trouble)
            self._journal.write("not_done", chunk, until=until, why=error.message)
        else:
            self._fail(chunk, error)

    def _fail(self, chunk: Chunk, error: VendorError) -> None:
        logger.warning("%s does not take a batch: %s; its rows are asked live", chunk.provider, error.message)
        self._journal.write("failed", chunk, why=error.message)
        self._released(chunk)

    def _absent(self, chunk: Chunk) -> None:
        self._journal.write("absent", chunk)
        if chunk.searches >= len(searches_of(chunk)):
            self._journal.write("not_done", chunk)

    def _trouble(self, chunk: Chunk, error: VendorError) -> None:
        until = self._wall() + pause(chunk.trouble)
        self._journal.write("trouble", chunk, until=until, why=error.message)

    def _split(self, chunk: Chunk, vendor: Vendor, first: int) -> None:
        numbers = split(self._journal, chunk, vendor, first, self._run)
        for number in numbers:
            self._begin(self._journal.chunks[number])

    async def _is_affordable(self, chunk: Chunk, vendor: Vendor) -> bool:
        """Whether the budget covers a chunk; if not, it is divided, or waits for others to end."""
        rows = self._affords(chunk)
        if rows is None:
            return True
        if rows > 0:
            self._split(chunk, vendor, rows)
        else:
            await self.sleep(WAIT)
        return False

    def _sent(self, chunk: Chunk) -> Sent:
        return Sent(
            chunk.mark, chunk.group, chunk.rows, lines_path(self._journal.folder, chunk.number), chunk.file,
            chunk.began,
        )

    async def sleep(self, seconds: float) -> None:
        """Wait, at most until stopped."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)


def _results(counts: object) -> int:
    """How many results a vendor says there are, as far as its counts can be read; 0 where they cannot."""
    names = (
        "completed", "failed", "succeeded", "errored", "canceled", "expired", "successfulRequestCount",
        "failedRequestCount",
    )
    found = counts if isinstance(counts, dict) else {}
    return sum(value for name in names if isinstance(value := found.get(name), int))
