"""One timer of the loop for all the limits of a router.

Nearly every limit is withdrawn before it is due. A timer of asyncio's own is dear at that: its heap compares handles in
Python, and sifts each withdrawn one out again (together a twentieth of a call).
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

SPARE = 64
"""Withdrawn timers that may lie on the heap beyond the number of those that live."""


class Timer:
    """Something to be called at an instant of the loop's clock; `call` is `None` once it was, or was withdrawn."""

    __slots__ = ("call", "when")

    def __init__(self, when: float, call: Callable[[], object]) -> None:
        self.when = when
        self.call: Callable[[], object] | None = call

    def __repr__(self) -> str:
        return f"<Timer at {self.when:.3f}{'' if self.call is not None else ', over'}>"


class Timers:
    """The timers of a router. While none lives, neither does the loop's."""

    __slots__ = ("_handle", "_heap", "_living", "_loop", "_set")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, int, Timer]] = []
        self._handle: asyncio.TimerHandle | None = None
        self._living = 0
        self._set = 0  # how many there have been: of two for the same instant the older one comes first

    def __repr__(self) -> str:
        return f"<Timers {self._living} living>"

    def at(self, when: float, call: Callable[[], object]) -> Timer:
        """Call `call` at the instant `when`, in no particular context."""
        timer = Timer(when, call)
        self._set += 1
        self._living += 1
        heappush(self._heap, (when, self._set, timer))
        if self._heap[0][2] is timer:
            self._arm()
        return timer

    def withdraw(self, timer: Timer) -> None:
        """Do not call it; nothing happens when it is over."""
        if timer.call is None:
            return
        timer.call = None
        self._living -= 1
        if not self._living:
            self._rest()
        elif len(self._heap) > 2 * self._living + SPARE:
            self._heap = [entry for entry in self._heap if entry[2].call is not None]
            heapify(self._heap)

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop.call_at(self._heap[0][0], self._due)

    def _rest(self) -> None:
        self._heap.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _due(self) -> None:
        self._handle = None
        now, heap = self._loop.time(), self._heap
        due: list[Timer] = []
        while heap and (heap[0][0] <= now or heap[0][2].call is None):
            due.append(heappop(heap)[2])
        for timer in due:
            self._call(timer)
        if not self._living:
            self._rest()
        elif self._handle is None:
            self._arm()

    def _call(self, timer: Timer) -> None:
        call = timer.call
        if call is None:  # withdrawn, perhaps by the one before
            return
        timer.call = None
        self._living -= 1
        try:
            call()
        except Exception as error:  # as the loop does, so that the others are called
            self._loop.call_exception_handler({"message": f"{call!r} raised", "exception": error})
