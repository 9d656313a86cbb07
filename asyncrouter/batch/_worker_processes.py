"""The worker processes of a batch: started while its input is still being checked, and ended whatever comes of that.

Theory of operation. The process that called `batch.run` is the only one that writes files; each worker process has a
router of its own and every n-th of the pending rows, and sends its lines through a socket. Starting takes a process
about a second, so it happens beside the check of the input; a process that is never given a task ends as soon as its
socket is closed. So a worker process cannot outlive the one that started it, however that ends.

Ctrl-C goes to every process of a terminal. The worker processes ignore it from their first instruction on (it is
blocked while they start): the process that writes decides what a Ctrl-C means and tells them to stop or to abort.
"""

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
from asyncrouter.batch._messages import TASK_LENGTH
from asyncrouter.batch._worker import run_worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from multiprocessing.context import SpawnProcess

    from asyncrouter.batch._worker import MakeRouter

EXIT_TIMEOUT = 5.0
"""Seconds that a worker process has to end, once its socket is closed, before it is killed."""


class WorkerProcesses:
    """Started worker processes, and this process's end of the socket to each, in the same order."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self._processes: list[SpawnProcess] = []

    def __len__(self) -> int:
        return len(self.sockets)

    def __repr__(self) -> str:
        return f"<WorkerProcesses: {len(self)}>"

    def start_one(self, make_router: MakeRouter) -> None:
        """Start one more process. Raises `BatchError` when `make_router` cannot be pickled."""
        ours, theirs = socket.socketpair()
        self.sockets.append(ours)
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=run_worker, args=(theirs, make_router), daemon=True)
        with theirs, _sigint_blocked(), _pickling():
            process.start()
        self._processes.append(process)

    def send_task(self, number: int, *arguments: object) -> None:
        """Give a process its task. Raises `BatchError` when the arguments cannot be pickled."""
        with _pickling():
            data = pickle.dumps(arguments)
        with contextlib.suppress(OSError):  # the process has died, which its reader will find
            self.sockets[number].sendall(TASK_LENGTH.pack(len(data)) + data)

    async def aclose(self) -> None:
        """Close the sockets, and wait until all processes have ended; kill those that take too long."""
        for end in self.sockets:
            end.close()
        for process in self._processes:
            await asyncio.to_thread(process.join, EXIT_TIMEOUT)
            if process.is_alive():
                process.kill()
                await asyncio.to_thread(process.join)
            process.close()


@contextlib.asynccontextmanager
async def worker_processes(count: int, make_router: MakeRouter) -> AsyncIterator[WorkerProcesses]:
    """So many worker processes, which end with the block. Raises `BatchError` when `make_router` cannot be pickled."""
    processes = WorkerProcesses()
    try:
        for _ in range(count):
            processes.start_one(make_router)
        yield processes
    finally:
        await asyncio.shield(processes.aclose())


@contextlib.contextmanager
def _pickling() -> Iterator[None]:
    try:
        yield
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise BatchError(f"processes: something here cannot be handed to another process: {error}") from None


@contextlib.contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Processes started in this block have Ctrl-C blocked from the beginning, before they can ignore it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # if `start` had to begin it, it would unblock Ctrl-C again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
