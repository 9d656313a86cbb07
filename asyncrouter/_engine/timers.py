"""The timers of a router: any number of them on one timer of the event loop.

Nearly every limit is cancelled before it is due, and that is what asyncio's own timers are slow at: its heap compares
handles in Python, and has to sift each cancelled one out again. That was a twentieth of the cost of a call.

A timer that comes late. When the program has blocked the loop, an answer may lie in a socket whose limit passed in the
meantime: the loop reads the socket and calls the timer in the same iteration, before the task that waits for the answer
runs. So when timers come late, nothing is called yet. The loop first runs some more iterations, in which what has
arrived is read and taken, and answers cancel their timers. What is still due then is called. A long block that ends
just after a limit makes its timer hardly late, so any lateness will do, also that of a loop which nobody has blocked.

How long the loop was blocked. Whoever measures how long something took must know for how much of that time nothing
could run. So while there are live timers the loop's one timer also comes in between: a tenth of a second after the
newest timer was set, then at growing distances. Where it comes late the loop was blocked, and `blocked()` adds that up.
It costs no timer of its own, and nothing is left on the loop when the last timer is cancelled.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

CANCELLED_ON_HEAP = 64
"""Cancelled timers that may lie on the heap beyond the number of live ones, before the heap is rebuilt without them.

With none allowed, a heap of few timers would be rebuilt at nearly every cancellation.
"""

MIN_LOOKS = 8
"""Iterations of the loop before late timers are called, however long they take. To read a socket, to decrypt, to wake
the task and to end a batched read takes five."""
MAX_LOOKS = 64
"""Iterations of the loop before late timers are called, at most: a long answer is read 64 KiB at a time."""
VERY_LATE_SECONDS = 0.01
"""Seconds of lateness up to which `MIN_LOOKS` iterations are enough. A loop that is not blocked is late by 1 or 2 ms at
most, because `epoll` counts in whole milliseconds."""
LOOK_SECONDS = 0.1
"""Seconds after which late timers are called, once `MIN_LOOKS` iterations have passed: the loop may be slow again."""

MIN_BLOCK_SECONDS = 0.1
"""Seconds by which the loop must be late to count as blocked; a busy one is late by some hundredths all the time."""
FIRST_WATCH_SECONDS = 0.1
"""Seconds after the newest timer was set at which the loop is watched first, and between two such instants at least."""
WATCH_GROWTH = 0.5
"""Share of the time since then that passes before the loop is watched again: a block that makes a wait longer by two
thirds or more is seen, and a wait of an hour is watched 25 times."""


class Timer:
    """A callback to be called at the instant `when` of the loop's clock; `None` once it was called or cancelled."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self.callback: Callable[[], object] | None = callback

    def __repr__(self) -> str:
        return f"<Timer at {self.when:.3f}{'' if self.callback is not None else ', over'}>"


class Timers:
    """The timers of one router. The loop has one timer, for what comes next; with no live timer it has none.

    Timers for the same instant are called in the order in which they were set. Late ones are called after a look at
    what has arrived.
    """

    __slots__ = ("_blocked", "_count", "_handle", "_heap", "_live", "_loop", "_newest_at", "_time", "_wakes_at")

    def __init__(self, loop: asyncio.AbstractEventLoop, time: Callable[[], float] | None = None) -> None:
        """`time` is the loop's clock, by a shorter way than the loop's own, if there is one."""
        self._loop = loop
        self._time = loop.time if time is None else time
        self._heap: list[tuple[float, int, Timer]] = []
        self._handle: asyncio.Handle | None = None
        self._live = 0  # timers that are neither called nor cancelled
        self._count = 0  # timers that have ever been set, which orders those of the same instant
        self._newest_at = 0.0  # when the newest of them was set
        self._wakes_at = inf  # when the loop's timer is due
        self._blocked = 0.0

    def __repr__(self) -> str:
        return f"<Timers {self._live} live>"

    def call_at(self, when: float, callback: Callable[[], object], *, watch: bool = True) -> Timer:
        """Call `callback` at the instant `when`, in no particular context.

        `watch`: the loop is watched more closely for a while; not needed for a wait within another one.
        """
        timer = Timer(when, callback)
        self._count += 1
        self._live += 1
        heappush(self._heap, (when, self._count, timer))
        if watch:
            self._newest_at = now = self._time()
            watch_at = now + FIRST_WATCH_SECONDS
            if self._wakes_at > when or self._wakes_at > watch_at:
                self._set_handle(now, watch_at)
        elif self._wakes_at > when:
            self._set_handle(self._time(), when)
        return timer

    def cancel(self, timer: Timer) -> None:
        """Do not call it. Nothing happens when it was called or cancelled before."""
        if timer.callback is None:
            return
        timer.callback = None
        self._live -= 1
        if not self._live:
            self._clear()
        elif len(self._heap) > 2 * self._live + CANCELLED_ON_HEAP:
            self._heap = [entry for entry in self._heap if entry[2].callback is not None]
            heapify(self._heap)

    def blocked(self, now: float) -> float:
        """Seconds for which the loop has been blocked until `now`, as far as has been seen, since the router opened."""
        late = now - self._wakes_at
        if late > MIN_BLOCK_SECONDS:
            self._blocked += late
            self._wakes_at = now
        return self._blocked

    def _set_handle(self, now: float, watch_at: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        when = self._heap[0][0]
        if watch_at < when:
            when = watch_at
        self._wakes_at = max(now, when)  # a timer may be set for an instant that has passed
        self._handle = self._loop.call_at(when, self._due)

    def _clear(self) -> None:
        self._heap.clear()
        self._wakes_at = inf
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _due(self) -> None:
        self._handle = None
        heap, now = self._heap, self._time()
        self.blocked(now)
        self._wakes_at = now
        while heap and heap[0][2].callback is None:
            heappop(heap)
        if heap and heap[0][0] < now:
            self._look(now, 0, MAX_LOOKS if now - heap[0][0] > VERY_LATE_SECONDS else MIN_LOOKS)
        else:
            self._call_due(now)

    def _look(self, began: float, looks: int, most: int) -> None:
        """Let the loop run before the timers that were due at `began` are called; `looks` of `most` times it has."""
        if looks >= most or (looks >= MIN_LOOKS and self._time() - began > LOOK_SECONDS):
            self._handle = None
            self._call_due(began)
        else:
            self._handle = self._loop.call_soon(self._look, began, looks + 1, most)

    def _call_due(self, now: float) -> None:
        """Call the timers that are due at `now`."""
        heap, due = self._heap, []
        while heap and (heap[0][0] <= now or heap[0][2].callback is None):
            due.append(heappop(heap)[2])
        for timer in due:
            self._run(timer)
        if not self._live:
            self._clear()
        elif self._handle is None:
            now = self._time()
            self._set_handle(now, now + max(FIRST_WATCH_SECONDS, WATCH_GROWTH * (now - self._newest_at)))

    def _run(self, timer: Timer) -> None:
        callback = timer.callback
        if callback is None:  # cancelled, perhaps by the one before it
            return
        timer.callback = None
        self._live -= 1
        try:
            callback()
        except Exception as error:  # reported as the loop would, so that the others are called
            self._loop.call_exception_handler({"message": f"{callback!r} raised", "exception": error})
