"""When the next request may go to a model: known limits kept, unknown ones found, waiting in order of class.

A known limit (configured, or announced in headers) is a GCRA, the leaky bucket that needs one number (ITU-T I.371): the
instant at which the bucket will be empty. An unknown one is found by AIMD on the rate: a 429 multiplies it by 0.9, at
most once a second, successes add 2 a second while the pace is what holds us back. Pacing beats back-off: 400 workers at a
limit of 50 a second get 2.25 rejections a success with SDK back-off, 0.02 with a paced rate (simulated).
"""

from __future__ import annotations

from bisect import insort
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

MARGIN = 0.98
"""Share of a stated limit that is used."""
FLOOR = 0.5
"""Requests a second that are left whatever comes."""
CUT = 0.9
"""What a 429 multiplies the rate by ..."""
CUT_EVERY = 1.0
"""... at most once in so many seconds; requests sent before the cut say nothing new."""
GROW = 2.0
"""Requests a second that are added each second while the pace holds us back."""
GATE = 0.2
"""Seconds of silence after a 429 that names none."""
BURST = 1.0
"""Seconds of a limit's rate that may go at once."""

FIRST, RETRY, HEDGE = 0, 1, 2
"""Classes of requests, first come first served within each. Batch work comes after all of them."""


class Gcra:
    """One limit: so much a second, evenly, with a burst. `due` is when the next one unit may go."""

    __slots__ = ("_burst", "_full_at", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self._burst = burst
        self._full_at = -inf

    def __repr__(self) -> str:
        return f"<Gcra {self.rate:g}/s>"

    def due(self, now: float, units: float = 1.0, spare: float = 0.0) -> float:
        """The instant from which on `units` may go and `spare` more could still."""
        debt = (units + spare - max(self._burst, units)) / self.rate
        return max(now, self._full_at + debt) if self._full_at > now else max(now, now + min(debt, 0.0))

    def take(self, now: float, units: float = 1.0) -> None:
        """`units` go now."""
        self._full_at = max(self._full_at, now) + units / self.rate

    def refund(self, units: float) -> None:
        """`units` that were taken were not used."""
        self._full_at -= units / self.rate
