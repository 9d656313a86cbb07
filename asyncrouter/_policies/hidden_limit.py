"""The limit nobody tells: found by its 429s, as AIMD on the rate.

A 429 lowers the rate by a tenth, at most once a second; every answer raises it a little while the pace is what holds us
back. Pacing beats back-off: 400 workers at a limit of 50 a second get 2.25 rejections a success with the back-off of
the SDKs, 0.02 with a paced rate (simulated). Nothing is paced, nor counted, before the first 429.
"""

from __future__ import annotations

from math import inf

from asyncrouter._policies.gcra import Gcra

FLOOR = 0.05
"""Requests a second that are left whatever comes: three a minute."""
AT_FIRST = 10.0
"""Requests a second that are left by the first 429, until it is known how many get through."""
CUT = 0.9
"""What a 429 multiplies the rate by ..."""
DEEPEST = 0.5
"""... at the most, when far fewer than that get through: after a step down a tenth each second takes too long ..."""
CUT_EVERY = 1.0
"""... and once in so many seconds: the 429s of requests sent before the cut say nothing new."""
TELLING = 10
"""Answers in a second below which their number is mostly chance."""
START = 1.0
"""Requests a second that each answer adds until the second cut: twice the rate each second."""
GROW = 0.04
"""The same from then on: 4 % each second, at any rate ..."""
CREEP = 0.01
"""... and where the last 429 came, 1 %."""
GATE = 2.0
"""Turns of silence after a 429 that names no pause, ..."""
LONGEST_GATE = 0.2
"""... but no more than so many seconds: time to hear what became of the rest."""
FORGET = 300.0
"""Seconds without a 429 after which the limit is forgotten."""


class Probe:
    """What is known of a model's hidden limit. `limit` is `None` until a 429 has come."""

    __slots__ = ("_ceiling", "_cut_at", "_held_at", "_last", "_second", "_this", "gate", "limit")

    def __init__(self) -> None:
        self.limit: Gcra | None = None
        self.gate = -inf
        self._ceiling = inf  # the rate at which the last 429 came
        self._cut_at = -inf
        self._held_at = -inf
        self._second = -1
        self._this = self._last = 0  # answers in this second, and in the one before

    def __repr__(self) -> str:
        return "<Probe no limit known>" if self.limit is None else f"<Probe {self.limit.rate:.3g}/s>"

    def held(self, now: float) -> None:
        """The pace makes somebody wait."""
        self._held_at = now

    def rejected(self, now: float, sent_at: float, *, hinted: bool) -> None:
        """A 429 or 529 has come for a request that was sent at `sent_at`."""
        if sent_at <= self._cut_at or now < self._cut_at + CUT_EVERY:
            return
        self._cut_at = now
        if self.limit is None:
            self._begin(now)
        else:
            self._cut(now, self.limit)
        if not hinted and self.limit is not None:
            self.gate = now + min(LONGEST_GATE, GATE / self.limit.rate)

    def passed(self, now: float) -> None:
        """A request was answered."""
        limit = self.limit
        if limit is None:
            return
        if now - self._cut_at > FORGET:
            self.limit = None
            return
        self._turn(now)
        self._this += 1
        if now - self._held_at < max(1.0, 2.0 / limit.rate):
            limit.rate += self._step(limit.rate)

    def _begin(self, now: float) -> None:
        self.limit = Gcra(AT_FIRST)
        self._ceiling = inf
        self._second = int(now)
        self._this = self._last = 0

    def _cut(self, now: float, limit: Gcra) -> None:
        self._turn(now)
        self._ceiling = limit.rate
        lower = limit.rate * CUT
        if self._last >= TELLING:
            lower = max(limit.rate * DEEPEST, min(lower, float(self._last)))
        limit.rate = max(FLOOR, lower)

    def _step(self, rate: float) -> float:
        if self._ceiling == inf:
            return START
        return CREEP if 0.95 * self._ceiling < rate < 1.1 * self._ceiling else GROW

    def _turn(self, now: float) -> None:
        """Begin to count anew each second; what got through in one can get through in the next."""
        second = int(now)
        if second != self._second:
            self._last = self._this if second == self._second + 1 else 0
            self._second, self._this = second, 0
            if self.limit is not None and self._ceiling == inf:
                self.limit.rate = max(self.limit.rate, float(self._last))
