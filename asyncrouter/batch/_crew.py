"""The processes that share a batch: begun while its input is still being checked, and ended whatever comes of that."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import pickle
import signal
import socket
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

from asyncrouter.batch._errors import BatchError
from asyncrouter.batch._share import JOB, work_on_share

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from multiprocessing.context import SpawnProcess

    from asyncrouter.batch._share import MakeRouter

PATIENCE = 5.0
"""Seconds for a process to end after it has been told to."""


class Crew:
    """Processes that wait for their share, and our ends of the lines to them."""

    def __init__(self) -> None:
        self.lines: list[socket.socket] = []
        self._processes: list[SpawnProcess] = []

    def __len__(self) -> int:
        return len(self.lines)

    def __repr__(self) -> str:
        return f"<Crew of {len(self)}>"

    def begin(self, make_router: MakeRouter) -> None:
        """Start one more. Raises `BatchError` when what makes its router cannot be handed to another process."""
        ours, theirs = socket.socketpair()
        self.lines.append(ours)
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=work_on_share, args=(theirs, make_router), daemon=True)
        with theirs, _without_ctrl_c(), _handed_over():
            process.start()
        self._processes.append(process)

    def give(self, number: int, *share: object) -> None:
        """What it is to do. Raises `BatchError` when that cannot be handed to another process."""
        with _handed_over():
            data = pickle.dumps(share)
        with contextlib.suppress(OSError):  # it has died, and whoever listens to it is told so
            self.lines[number].sendall(JOB.pack(len(data)) + data)

    async def end(self) -> None:
        """Hang up, and wait until all have ended; the hard way if need be."""
        for line in self.lines:
            line.close()
        for process in self._processes:
            await asyncio.to_thread(process.join, PATIENCE)
            if process.is_alive():
                process.kill()
                await asyncio.to_thread(process.join)
            process.close()


@contextlib.asynccontextmanager
async def crew_of(count: int, make_router: MakeRouter) -> AsyncIterator[Crew]:
    """So many processes, while the block lasts."""
    crew = Crew()
    try:
        for _ in range(count):
            crew.begin(make_router)
        yield crew
    finally:
        await asyncio.shield(crew.end())


@contextlib.contextmanager
def _handed_over() -> Iterator[None]:
    try:
        yield
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise BatchError(f"processes: something here cannot be handed to another process: {error}") from None


@contextlib.contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """What is started here hears no Ctrl-C, not even before its first line: the one that writes says what to do."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # started later, it would take our mask back
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
