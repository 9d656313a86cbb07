"""One rate limit kept evenly: so many units a second, with a burst, shared by interactive and batch work.

The generic cell rate algorithm (ITU-T I.371) is a leaky bucket whose state is one number: the instant at which all that
was taken will have leaked away. A request may go when that instant lies no further ahead than the burst allows.

There are two such instants here, one for interactive work and one for everything. Interactive requests look only at
their own, so batch work never delays them. Batch work goes only when the bucket of everything is empty. Together they
never take more than burst + 1 at once.
"""

from __future__ import annotations

from math import inf

ROUNDING_SECONDS = 1e-6
"""Seconds by which an instant that is the sum of many may be off: what has leaked away within this time may go."""


class Gcra:
    """Lets `rate` units a second go, `burst` of them at once."""

    __slots__ = ("_all_until", "_until", "burst", "rate")

    def __init__(self, rate: float, burst: float = 1.0) -> None:
        self.rate = rate
        self.burst = burst
        self._until = -inf  # when all interactive work will have leaked away
        self._all_until = -inf  # when everything will have

    def __repr__(self) -> str:
        return f"<Gcra {self.rate:g}/s, burst {self.burst:g}>"

    def due(self, now: float, units: float = 1.0, *, batch: bool = False) -> float:
        """The instant from which on `units` may go; more than a burst goes when the bucket is empty."""
        due = self._all_until if batch else self._until - (max(self.burst, units) - units) / self.rate
        return due if due > now + ROUNDING_SECONDS else now

    def due_after(self, now: float, ahead: float, *, batch: bool = False) -> float:
        """The instant from which on one unit may go if `ahead` others have gone before it, as soon as they might."""
        if batch:
            return max(now, self._all_until) + ahead / self.rate
        return max(now, max(now, self._until) + (ahead + 1.0 - self.burst) / self.rate)

    def take(self, now: float, units: float = 1.0, *, batch: bool = False) -> None:
        """Note that `units` go now."""
        seconds = units / self.rate
        self._all_until = max(self._all_until, now) + seconds
        if not batch:
            self._until = max(self._until, now) + seconds

    def set_room(self, now: float, units: float, *, at_most: float) -> None:
        """Set what may go now to `units`; the next one is due in `at_most` seconds at the latest."""
        self._until = self._full_again(now, units, at_most)
        self._all_until = max(self._all_until, self._until) if units < 1.0 else self._until

    def narrow(self, now: float, units: float, *, at_most: float) -> None:
        """Let no more than `units` go now; the next one is due in `at_most` seconds at the latest, or as it was."""
        self._until = max(self._until, self._full_again(now, units, at_most))
        self._all_until = max(self._all_until, self._until)

    def _full_again(self, now: float, units: float, at_most: float) -> float:
        return min(now + (self.burst - units) / self.rate, now + (self.burst - 1.0) / self.rate + at_most)

    def correct(self, now: float, units: float, *, batch: bool = False) -> None:
        """Note that so many units more than were taken have been used; less than 0 gives back."""
        if units > 0.0:
            self.take(now, units, batch=batch)
            return
        self._all_until += units / self.rate
        if not batch:
            self._until += units / self.rate
