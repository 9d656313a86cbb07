"""How many rows are on their way at once: workers that take the next one when they are done with the last."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

AT_FIRST = 8
"""Workers at the beginning; each success brings one more, which doubles them in the time of an answer."""


class Window(Generic[T]):
    """At most `size` items between `take` and the end of `ask`: no task and no memory for those that wait.

    `take` gives the next item, `None` at the end. `ask` deals with one and says whether that went well. What either
    raises ends the whole: the other workers finish what they have, then `wait` raises it.
    """

    def __init__(
        self, size: int, take: Callable[[], Awaitable[T | None]], ask: Callable[[T], Awaitable[bool]]
    ) -> None:
        if size < 1:
            raise ValueError(f"concurrency: expected at least 1, got {size}")
        self.busy = 0
        self._size = size
        self._take = take
        self._ask = ask
        self._ending = False
        self._failure: BaseException | None = None
        self._workers: set[asyncio.Task[None]] = set()
        self._all_ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for _ in range(min(size, AT_FIRST)):
            self._add_worker()

    def __repr__(self) -> str:
        state = "over" if self.over else "ending" if self._ending else "open"
        return f"<Window {state}, {self.busy} of {self._size}>"

    @property
    def over(self) -> bool:
        """Whether everything has been dealt with."""
        return self._all_ended.done()

    def stop(self) -> None:
        """Take nothing more; what has been taken is finished."""
        self._ending = True

    def abort(self) -> None:
        """Take nothing more, and cancel what is on its way."""
        self._ending = True
        for worker in tuple(self._workers):
            worker.cancel()

    async def wait(self) -> None:
        """Until everything has been dealt with. Raises what stopped it."""
        await asyncio.shield(self._all_ended)
        if self._failure is not None:
            raise self._failure

    async def aclose(self) -> None:
        """Cancel what is still on its way, and see it end."""
        self.abort()
        while self._workers:
            await asyncio.wait(self._workers)

    def when_over(self, call: Callable[[], None]) -> None:
        """Call this at the end."""
        self._all_ended.add_done_callback(lambda _: call())

    def _add_worker(self) -> None:
        worker = asyncio.create_task(self._work())
        self._workers.add(worker)
        worker.add_done_callback(self._worker_ended)

    async def _work(self) -> None:
        while not self._ending and (item := await self._take()) is not None:
            self.busy += 1
            try:
                good = await self._ask(item)
            finally:
                self.busy -= 1
            if good and not self._ending and len(self._workers) < self._size:
                self._add_worker()

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and (error := worker.exception()) is not None:
            self._failure = self._failure or error
            self._ending = True
        if not self._workers and not self._all_ended.done():
            self._all_ended.set_result(None)
