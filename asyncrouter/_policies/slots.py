"""How many requests may be under way at once (`max_concurrent`), and how many of them batch work may be."""

from __future__ import annotations

SPAN = 60.0
"""Seconds for which, or twice that, it is remembered how many slots interactive work has needed at once."""


class Slots:
    """`most` slots, `None` for any number.

    So that an interactive request never waits for a batch one to end, batch work leaves free as many slots as
    interactive work has lately needed at once, and one more than it needs now. One batch request may always be under
    way when a slot is free: with a single slot there is nothing to leave.
    """

    __slots__ = ("_batch", "_before", "_lately", "_since", "most", "running")

    def __init__(self, most: int | None) -> None:
        self.most = most
        self.running = 0
        self._batch = 0
        self._lately = self._before = 0  # the most interactive requests at once in this span, and in the one before
        self._since = 0.0

    def __repr__(self) -> str:
        return f"<Slots {self.running} of {self.most}, {self._batch} for batch work>"

    def free(self, now: float, *, batch: bool) -> bool:
        """Whether one more request may begin."""
        if self.most is None:
            return True
        if self.running >= self.most:
            return False
        if not batch or not self._batch:
            return True
        self._turn(now)
        wanted = max(self._lately, self._before, self.running - self._batch + 1)
        return self._batch < self.most - wanted

    def take(self, *, batch: bool) -> None:
        """A request begins."""
        self.running += 1
        self._batch += batch

    def note(self, now: float) -> None:
        """Remember how many interactive requests are under way."""
        self._turn(now)
        self._lately = max(self._lately, self.running - self._batch)

    def give_back(self, *, batch: bool) -> None:
        """A request has ended."""
        self.running -= 1
        self._batch -= batch

    def _turn(self, now: float) -> None:
        if now - self._since >= SPAN:
            self._before = self._lately if now - self._since < 2.0 * SPAN else 0
            self._lately = self.running - self._batch
            self._since = now
