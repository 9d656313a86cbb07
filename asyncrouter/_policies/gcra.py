"""One limit kept evenly: so much a second, with a burst, shared by two kinds of work.

The generic cell rate algorithm is the leaky bucket that needs one number (ITU-T I.371): the instant at which what was
taken will have leaked away. Interactive work has a bucket of its own, so batch work never delays it; batch work goes
only while nothing at all is left in the bucket of everything. Together they never take more than burst + 1 at once: of
the bucket of everything, interactive work leaves at least what its own has left.
"""

from __future__ import annotations

from math import inf


class Gcra:
    """Lets `rate` units a second go, and `burst` of them at once."""

    __slots__ = ("_all_until", "_until", "burst", "rate")

    def __init__(self, rate: float, burst: float = 1.0) -> None:
        self.rate = rate
        self.burst = burst
        self._until = -inf  # when all interactive work will have leaked away
        self._all_until = -inf

    def __repr__(self) -> str:
        return f"<Gcra {self.rate:g}/s, burst {self.burst:g}>"

    def due(self, now: float, units: float = 1.0, *, batch: bool = False) -> float:
        """From when on `units` may go. More than a burst goes when nothing is left in the bucket."""
        if batch:
            return max(now, self._all_until)
        return max(now, self._until - (max(self.burst, units) - units) / self.rate)

    def take(self, now: float, units: float = 1.0, *, batch: bool = False) -> None:
        """`units` go now."""
        span = units / self.rate
        self._all_until = max(self._all_until, now) + span
        if not batch:
            self._until = max(self._until, now) + span

    def correct(self, now: float, units: float, *, batch: bool = False) -> None:
        """So many units more (less than 0: fewer) were used than were taken."""
        if units > 0.0:
            self.take(now, units, batch=batch)
            return
        self._all_until += units / self.rate
        if not batch:
            self._until += units / self.rate
