"""Carries out what `decide` says, for each chunk in a task of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from asyncrouter import Chain, Model, Retry, Step
from asyncrouter.batch._vendors.decide import decide
from asyncrouter.batch._vendors.place import Place
from asyncrouter.batch._vendors.registry import VENDORS
from asyncrouter.batch._vendors.steps import VendorSteps

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from asyncrouter import Router
    from asyncrouter.batch._vendors.api import Vendor
    from asyncrouter.batch._vendors.caller import Caller
    from asyncrouter.batch._vendors.chunk import Chunk
    from asyncrouter.batch._vendors.codec import Codec
    from asyncrouter.batch._vendors.decide import Action, Times
    from asyncrouter.batch._vendors.journal import LaneJournal


class KeyChanged(Exception):
    """A batch was begun with another key than the one that is set now."""


class Lane:
    """Takes chunks through their vendors. `merge` writes the results of a fetched chunk, `released` hears of each whose
    rows may be asked live, `affords` says of a chunk that has not been sent how many of its rows the budget covers now
    (`None`: all of them).
    """

    def __init__(
        self, router: Router, journal: LaneJournal, caller: Caller, codec: Codec, times: Times, run: str, *, keep: bool,
        merge: Callable[[Chunk], Awaitable[bool]], released: Callable[[Chunk], None],
        affords: Callable[[Chunk], int | None], stop: Callable[[str], None],
    ) -> None:
        self.left: list[Chunk] = []
        """Chunks whose end was not awaited."""
        self._router = router
        self._journal = journal
        self._codec = codec
        self._times = times
        self._keep = keep
        self._merge, self._released, self._stop = merge, released, stop
        self._steps = VendorSteps(
            journal, caller, router.wall, run, begin=self.begin, released=released, affords=affords
        )
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, chunk: Chunk) -> None:
        """Take a chunk through its vendor, in a task."""
        task = asyncio.create_task(self._carry(chunk))
        self._tasks.add(task)

    async def wait(self) -> None:
        """Wait until every chunk is closed or left. Raises what a task raises, after cancelling the others."""
        try:
            while self._tasks:
                done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                self._tasks -= done
                errors = [error for task in done if (error := task.exception()) is not None]
                if errors:
                    raise errors[0]
        finally:
            await self.aclose()

    def stop(self) -> None:
        """Begin nothing more: what is at the vendors stays there, for the next run."""
        self._steps.stopping.set()

    async def aclose(self) -> None:
        """Cancel all tasks, and wait for them."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # the first one is raised

    async def _carry(self, chunk: Chunk) -> None:
        vendor = VENDORS.get(chunk.vendor)
        by_file, cancels = (False, False) if vendor is None else (vendor.by_file, vendor.cancels)
        while chunk.open and not self._steps.stopping.is_set():
            now = self._router.wall()
            action = decide(chunk, now, self._times, by_file=by_file, cancels=cancels, keep=self._keep)
            if action.at > now:
                await self._steps.sleep(action.at - now)
                continue
            if action.do == "leave":
                self.left.append(chunk)
                return
            try:
                await self._do(chunk, vendor, action)
            except KeyChanged:
                self._stop(
                    f"the batches at {chunk.provider} were begun with another key than the one that is set now: set "
                    "that one again"
                )
                return

    async def _do(self, chunk: Chunk, vendor: Vendor | None, action: Action) -> None:
        write = self._journal.write
        match action.do:
            case "release":
                write("released", chunk, why=action.why)
                self._released(chunk)
            case "fail":
                write("failed", chunk, why=action.why)
                self._released(chunk)
            case "close":
                write("closed", chunk)
            case "merge":
                async with self._steps.heavy:
                    if not await self._merge(chunk):
                        return
                self._released(chunk)
            case do:
                assert vendor is not None
                await getattr(self._steps, do)(chunk, vendor, await self._place(chunk))

    async def _place(self, chunk: Chunk) -> Place:
        provider = self._router.config.provider(chunk.provider)
        only = Step(Model(provider=chunk.provider, id=chunk.group.model), retry=Retry(attempts=1), wire_stream=False)
        chain = Chain([only], hedge=None, deadline=None, on_context=None)
        request = await self._codec.encode("hello", {"chain": chain})
        place = Place(request, _call_path(urlsplit(request.url).path))
        if chunk.key and chunk.key != place.key_digest and not callable(provider.key) and chunk.step != "planned":
            raise KeyChanged
        return place


def _call_path(path: str) -> str:
    """The end of a call's path that is the call's own."""
    if "/models/" in path and path.endswith(":generateContent"):
        return path[path.index("/models/") :]
    ends = ("/chat/completions", "/responses", "/messages")
    return next((end for end in ends if path.endswith(end)), "")
