"""The one clock of an attempt: a timer whose instant moves from limit to limit, and a word for the limit that fired."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from asyncrouter._errors import ClockName


class Clock:
    """Strikes once, when its limit is reached.

    A limit that moves away costs nothing: the timer comes due, looks again, and goes on waiting. `fired` tells which
    limit it was; the exception that a strike causes never does, for aiohttp, the caller and `accept` raise
    `TimeoutError` and `CancelledError` too.
    """

    __slots__ = ("_loop", "_timer", "fired", "strike", "until", "word")

    def __init__(self, loop: asyncio.AbstractEventLoop, strike: Callable[[], object]) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self.strike = strike
        self.until = inf
        self.word: ClockName = "total"
        self.fired: ClockName | None = None

    def __repr__(self) -> str:
        return f"<Clock {self.fired} fired>" if self.fired else f"<Clock {self.word} at {self.until:.3f}>"

    def move(self, until: float, word: ClockName) -> None:
        """Let the limit be the instant `until` (`inf` = none), called `word`."""
        self.until = until
        self.word = word
        timer = self._timer
        if timer is not None:
            if timer.when() <= until:
                return
            timer.cancel()
        self._timer = None if until == inf else self._loop.call_at(until, self._due)

    def stop(self) -> None:
        """Never strike from here on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        if self._loop.time() < self.until:
            self._timer = None if self.until == inf else self._loop.call_at(self.until, self._due)
            return
        self._timer = None
        self.fired = self.word
        self.strike()
