"""The one clock of an attempt: a timer whose instant moves from limit to limit, and a word for the limit that fired."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter._engine.timers import Timer, Timers
    from asyncrouter._errors import ClockName


class Clock:
    """Strikes once, when its limit is reached.

    A limit that moves away costs nothing: the timer comes due, looks again, and goes on waiting. `fired` tells which
    limit it was; the exception that a strike causes never does, for aiohttp, the caller and `accept` raise
    `TimeoutError` and `CancelledError` too.
    """

    __slots__ = ("_timer", "_timers", "fired", "strike", "until", "word")

    def __init__(self, timers: Timers, strike: Callable[[], object]) -> None:
        self._timers = timers
        self._timer: Timer | None = None
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
            if timer.when <= until:
                return
            self._timers.withdraw(timer)
        self._timer = None if until == inf else self._timers.at(until, self._due)

    def stop(self) -> None:
        """Never strike from here on."""
        if self._timer is not None:
            self._timers.withdraw(self._timer)
            self._timer = None

    def _due(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.when < self.until:
            self.move(self.until, self.word)
            return
        self.fired = self.word
        self.strike()
