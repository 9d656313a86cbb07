"""One limit kept evenly: so much a second, with a burst.

The generic cell rate algorithm is the leaky bucket that needs one number (ITU-T I.371): the instant at which the bucket
will have run empty.
"""

from __future__ import annotations

from math import inf


class Gcra:
    """Lets `rate` units a second go, and `burst` of them at once."""

    __slots__ = ("_empty_at", "burst", "rate")

    def __init__(self, rate: float, burst: float = 1.0) -> None:
        self.rate = rate
        self.burst = burst
        self._empty_at = -inf

    def __repr__(self) -> str:
        return f"<Gcra {self.rate:g}/s, burst {self.burst:g}>"

    def due(self, now: float, units: float = 1.0, spare: float = 0.0) -> float:
        """From when on `units` may go, and `spare` more could still."""
        return max(now, self._empty_at + (units + spare - max(self.burst, units)) / self.rate)

    def take(self, now: float, units: float = 1.0) -> None:
        """`units` go now."""
        self._empty_at = max(self._empty_at, now) + units / self.rate

    def give_back(self, units: float = 1.0) -> None:
        """`units` that were taken were not used (less than 0: more were used than taken)."""
        self._empty_at -= units / self.rate
