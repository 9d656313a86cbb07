"""Whether to wait for a limited model pays: how far what is asked of it runs ahead of what it lets go."""

from __future__ import annotations

from asyncrouter._policies.gcra import Gcra

SHORT = 0.1
"""The share of its patience that a call has left while more is asked for than the limit lets go ..."""
IN_LINE = 2.0
"""... or the time in which so many others go, where that is longer: with nobody in line a slow limit is not used up."""
MEMORY = 2.0
"""Times that patience by which demand is ahead at the most: a lull as long as one patience, and one may wait again."""


class Demand:
    """The queue there would be if everybody waited, however long.

    A queue that passes is worth waiting in: it is a burst. One that stands only makes everybody late, for the model
    serves hardly more of them than with two in line (CoDel, RFC 8289). Which of the two it is shows in a queue of what
    was asked for, those who went elsewhere included (the adaptive virtual queue of Kunniyur and Srikant, SIGCOMM 2001).
    Simulated with a patience of 2 s, twice as many calls as the limit lets go: of 4 a second all are used either way,
    and the mean wait falls from 0.95 to 0.19 s; of 1 a second nothing changes.
    """

    __slots__ = ("_queue",)

    def __init__(self) -> None:
        self._queue = Gcra(1.0)

    def __repr__(self) -> str:
        return f"<Demand {self._queue!r}>"

    def asked(self, now: float, limit: Gcra, *, batch: bool) -> None:
        """One more wants to go, and `limit` says how many may."""
        self._queue.rate, self._queue.burst = limit.rate, limit.burst
        self._queue.take(now, batch=batch)

    def patience(self, now: float, most: float, *, batch: bool) -> float:
        """Seconds to wait for who would wait `most`."""
        ahead = self._queue.due(now, batch=batch) - now
        if ahead <= most or most <= 0.0:
            return most
        if (forgotten := ahead - MEMORY * most) > 0.0:
            self._queue.correct(now, -forgotten * self._queue.rate, batch=batch)
        return min(most, max(SHORT * most, IN_LINE / self._queue.rate))
