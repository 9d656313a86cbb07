"""A pool of worker tasks: how many calls are in flight at once.

A worker takes an item, handles it, and takes the next: an item that waits has no task and no memory. The
pool begins with a few workers and adds one with each success, which doubles them in the time of one answer; it never
shrinks. `size` is the only limit: what a provider takes is the router's business, whose calls wait inside `handle`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

INITIAL_WORKERS = 8
"""Workers at the beginning: few, so that a wrong key or a bad prompt costs few calls before it is known."""


class WorkerPool(Generic[T]):
    """Runs `handle` for every item that `next_item` gives, at most `size` at a time.

    `next_item` returns `None` when there are no more items: the worker that called it ends. `handle` returns whether it
    went well. An exception from either ends the pool: nothing more is taken, the other workers finish their items, then
    `wait` raises it. Raises `ValueError` for a size below 1.
    """

    def __init__(
        self, size: int, next_item: Callable[[], Awaitable[T | None]], handle: Callable[[T], Awaitable[bool]]
    ) -> None:
        if size < 1:
            raise ValueError(f"concurrency: expected at least 1, got {size}")
        self.in_flight = 0
        self._size = size
        self._next_item = next_item
        self._handle = handle
        self._stopping = False
        self._failure: BaseException | None = None
        self._workers: set[asyncio.Task[None]] = set()
        self._all_ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for _ in range(min(size, INITIAL_WORKERS)):
            self._add_worker()

    def __repr__(self) -> str:
        state = "ended" if self.ended else "stopping" if self._stopping else "running"
        return f"<WorkerPool {state}, {self.in_flight} of {self._size}>"

    @property
    def ended(self) -> bool:
        """Whether every worker has ended."""
        return self._all_ended.done()

    def stop(self) -> None:
        """Take no more items; those in flight are finished."""
        self._stopping = True

    def abort(self) -> None:
        """Take no more items, and cancel those in flight."""
        self._stopping = True
        for worker in tuple(self._workers):
            worker.cancel()

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
        worker = asyncio.create_task(self._work())
        self._workers.add(worker)
        worker.add_done_callback(self._worker_ended)

    async def _work(self) -> None:
        while not self._stopping and (item := await self._next_item()) is not None:
            self.in_flight += 1
            try:
                good = await self._handle(item)
            finally:
                self.in_flight -= 1
            if good and not self._stopping and len(self._workers) < self._size:
                self._add_worker()

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and (error := worker.exception()) is not None:
            self._failure = self._failure or error
            self._stopping = True
        if not self._workers and not self._all_ended.done():
            self._all_ended.set_result(None)
