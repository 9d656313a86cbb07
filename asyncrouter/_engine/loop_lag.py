"""How long the program has blocked the event loop: what happened meanwhile says nothing about any model.

A beat on the loop, four times a second while attempts are in flight. One that comes late shows that nothing else could
run either. An attempt compares the sum at its beginning with the one at its end, so a beat costs nothing per attempt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

BEAT_SECONDS = 0.25
"""Seconds between two beats. A block is seen to be at most this much shorter than it was."""
MIN_LAG_SECONDS = 0.05
"""Seconds by which a beat has to be late to count; a busy loop is always late by some milliseconds."""


class LoopLag:
    """`seconds` is the time for which the loop has been blocked, as far as has been seen, since the router was opened.

    `attempts` is how many are in flight; the beat stops when there are none.
    """

    __slots__ = ("_beat", "_due", "_loop", "attempts", "seconds")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._beat: asyncio.TimerHandle | None = None
        self._due = 0.0
        self.attempts = 0
        self.seconds = 0.0

    def __repr__(self) -> str:
        return f"<LoopLag {self.seconds:.3f} s, {self.attempts} attempts>"

    def watch(self, now: float) -> float:
        """Count an attempt that is sent at the instant `now`; the seconds until then."""
        self.attempts += 1
        if self._beat is None:
            self._next(now)
        return self.seconds

    def close(self) -> None:
        """Beat no more."""
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None

    def _next(self, now: float) -> None:
        self._due = now + BEAT_SECONDS
        self._beat = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        if now - self._due > MIN_LAG_SECONDS:
            self.seconds += now - self._due
        if self.attempts:
            self._next(now)
        else:
            self._beat = None
