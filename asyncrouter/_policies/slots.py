"""How many requests may run at once (`max_concurrent`), and how many of them may be batch work."""

from __future__ import annotations

from math import inf

PEAK_SECONDS = 60.0
"""Seconds over which the most interactive requests at once are noted; this span and the one before it count, so a peak
is remembered for one to two minutes: that bridges the pauses between bursts, and reserves nothing for hours."""


class Slots:
    """`limit` slots, `None` for any number.

    So that an interactive request never waits for a batch request to end, batch work leaves free as many slots as
    interactive work has lately needed at once, and one more than it uses now. One batch request may always run when a
    slot is free: with a single slot there is nothing to leave.
    """

    __slots__ = ("_batch", "_peak", "_peak_before", "_peak_since", "limit", "running")

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.running = 0
        self._batch = 0
        self._peak = self._peak_before = 0  # the most interactive requests at once in this span, and in the last one
        self._peak_since = 0.0

    def __repr__(self) -> str:
        return f"<Slots {self.running} of {self.limit}, {self._batch} for batch work>"

    def free(self, now: float, *, batch: bool) -> bool:
        """Whether one more request may begin."""
        if self.limit is None:
            return True
        if self.running >= self.limit:
            return False
        if not batch or not self._batch:
            return True
        self._rotate(now)
        reserved = max(self._peak, self._peak_before, self.running - self._batch + 1)
        return self._batch < self.limit - reserved

    def next_look(self, now: float) -> float:
        """The instant at which fewer slots may be left free for interactive work; `inf` where only an end helps."""
        if self.limit is None or self.running >= self.limit or not (self._peak or self._peak_before):
            return inf
        self._rotate(now)
        return self._peak_since + PEAK_SECONDS

    def take(self, *, batch: bool) -> None:
        """Note that a request begins."""
        self.running += 1
        self._batch += batch

    def note_peak(self, now: float) -> None:
        """Remember how many interactive requests run now."""
        self._rotate(now)
        self._peak = max(self._peak, self.running - self._batch)

    def give_back(self, *, batch: bool) -> None:
        """Note that a request has ended."""
        self.running -= 1
        self._batch -= batch

    def _rotate(self, now: float) -> None:
        if now >= self._peak_since + PEAK_SECONDS:  # not a difference: it might be rounded down for ever
            self._peak_before = self._peak if now < self._peak_since + 2.0 * PEAK_SECONDS else 0
            self._peak = self.running - self._batch
            self._peak_since = now
