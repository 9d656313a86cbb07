"""A pool of worker tasks: how many rows are in flight at once.

A worker takes an item, handles it, and takes the next: an item that waits has no task and no memory. A worker that
finds an item adds those that are missing, as many as there are items to be expected; one that finds nothing, or that is
one too many because the size has shrunk, ends. Whoever has something new to do calls `wake`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class WorkerPool(Generic[T]):
    """Runs `handle` for every item that `next_item` gives, at most `size()` at a time.

    `next_item` returns `None` when there is no item now: the worker that called it ends. `expected()` is about how many
    items there are to take now. The pool has ended when all workers have and `pending()` says that nobody will call
    `wake` by and by. An
    exception from `next_item` or `handle` ends the pool: nothing more is taken, the other workers finish their items,
    then `wait` raises it.
    """

    def __init__(
        self, size: Callable[[], int], next_item: Callable[[], Awaitable[T | None]],
        handle: Callable[[T], Awaitable[None]], expected: Callable[[], int], pending: Callable[[], bool],
    ) -> None:
        self.in_flight = 0
        self._active = 0  # workers that go on: a task that has decided to end is still among `_workers`
        self._size = size
        self._next_item = next_item
        self._handle = handle
        self._expected = expected
        self._pending = pending
        self._stopping = False
        self._failure: BaseException | None = None
        self._workers: set[asyncio.Task[None]] = set()
        self._all_ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._add_worker()

    def __repr__(self) -> str:
        state = "ended" if self.ended else "stopping" if self._stopping else "running"
        return f"<WorkerPool {state}, {self.in_flight} of {self._size()}>"

    @property
    def ended(self) -> bool:
        """Whether every worker has ended, and none will be added."""
        return self._all_ended.done()

    def wake(self) -> None:
        """Look for items again, because there may be some, or a larger size."""
        if not self._stopping and not self.ended and self._active < self._size():
            self._add_worker()

    def stop(self) -> None:
        """Take no more items; those in flight are finished."""
        self._stopping = True
        self._check_ended()

    def abort(self) -> None:
        """Take no more items, and cancel those in flight."""
        self._stopping = True
        for worker in tuple(self._workers):
            worker.cancel()
        self._check_ended()

    async def wait(self) -> None:
        """Wait until every worker has ended. Raises the first exception of `next_item` or `handle`."""
        await asyncio.shield(self._all_ended)
        if self._failure is not None:
            raise self._failure

    async def aclose(self) -> None:
        """Cancel what is in flight, and wait until every worker has ended."""
        self.abort()
        while self._workers:
            await asyncio.wait(self._workers)

    def when_ended(self, call: Callable[[], None]) -> None:
        """Call this once, when every worker has ended."""
        self._all_ended.add_done_callback(lambda _: call())

    def _add_worker(self) -> None:
        self._active += 1
        worker = asyncio.create_task(self._work())
        self._workers.add(worker)
        worker.add_done_callback(self._worker_ended)

    async def _work(self) -> None:
        size = self._size
        while not self._stopping and self._active <= size() and (item := await self._next_item()) is not None:
            if self._active < size() and not self._stopping:
                for _ in range(min(size() - self._active, self._expected())):
                    self._add_worker()
            self.in_flight += 1
            try:
                await self._handle(item)
            finally:
                self.in_flight -= 1
        self._active -= 1

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if worker.cancelled():
            self._active -= 1
        elif (error := worker.exception()) is not None:
            self._active -= 1
            self._failure = self._failure or error
            self._stopping = True
        self._check_ended()

    def _check_ended(self) -> None:
        if not self._workers and not self._all_ended.done() and (self._stopping or not self._pending()):
            self._all_ended.set_result(None)
