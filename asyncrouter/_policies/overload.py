"""How long a call waits for a rate-limited model while another one could serve: through a burst, not an overload.

A queue that drains is worth waiting in: it is a burst. A queue that stands only makes every call late, for the model
serves hardly more of them than with two in line (CoDel, RFC 8289). Which of the two it is shows in a virtual queue of
all that was asked for, those who went elsewhere included (the adaptive virtual queue of Kunniyur and Srikant, SIGCOMM
2001): the queue there would be if every call waited, however long.

Simulated with a patience of 2 s and twice as many calls as the limit allows: at 4 a second all requests are used either
way, and the mean wait falls from 0.95 to 0.19 s; at 1 a second nothing changes.
"""

from __future__ import annotations

from asyncrouter._policies.gcra import Gcra

OVERLOAD_SHARE = 0.1
"""The share of its patience that a call has left while more is asked for than the limit allows."""
MIN_IN_LINE = 2.0
"""Requests that may stand in line in any case: with nobody in line a slow limit would not be used up."""
MAX_BACKLOG = 2.0
"""The most that demand may run ahead, in units of that patience: a lull as long as one patience ends an overload,
however large it was."""


class Demand:
    """The virtual queue of one model."""

    __slots__ = ("_queue",)

    def __init__(self) -> None:
        self._queue = Gcra(1.0)

    def __repr__(self) -> str:
        return f"<Demand {self._queue!r}>"

    def add(self, now: float, limit: Gcra, *, batch: bool) -> None:
        """Count one more request; `limit` says how many may go."""
        self._queue.rate, self._queue.burst = limit.rate, limit.burst
        self._queue.take(now, batch=batch)

    def patience(self, now: float, patience: float, *, batch: bool) -> float:
        """The seconds to wait of a call whose own patience is `patience` seconds."""
        ahead = self._queue.due(now, batch=batch) - now
        if ahead <= patience or patience <= 0.0:
            return patience
        if (forgotten := ahead - MAX_BACKLOG * patience) > 0.0:
            self._queue.correct(now, -forgotten * self._queue.rate, batch=batch)
        return min(patience, max(OVERLOAD_SHARE * patience, MIN_IN_LINE / self._queue.rate))
