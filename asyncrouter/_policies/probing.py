"""The limit nobody tells: found by its 429s, as AIMD on the rate.

A 429 multiplies the rate by 0.9, at most once a second; successes add 2 a second while the pace is what holds us back.
Pacing beats back-off: 400 workers at a limit of 50 a second get 2.25 rejections a success with the back-off of the
SDKs, 0.02 with a paced rate (simulated). Nothing is paced before the first 429.
"""

from __future__ import annotations

from math import inf

from asyncrouter._policies.gcra import Gcra

FLOOR = 0.5
"""Requests a second that are left whatever comes."""
AT_FIRST = 10.0
"""Requests a second that are left by the first 429, if not more than that went through in the last second or two."""
CUT = 0.9
"""What a 429 multiplies the rate by ..."""
CUT_EVERY = 1.0
"""... at most once in so many seconds: those of requests sent before the cut say nothing new."""
GROW = 2.0
"""Requests a second that are added each second while the pace holds us back."""
GATE = 0.2
"""Seconds of silence after a 429 that names none: time to hear what became of the rest."""
FORGET = 300.0
"""Seconds without a 429 after which the limit is forgotten."""


class Probe:
    """What is known of a model's hidden limit. `limit` is `None` until a 429 has come."""

    __slots__ = ("_cut_at", "_held_at", "_rejected", "_second", "_sent", "gate", "limit")

    def __init__(self) -> None:
        self.limit: Gcra | None = None
        self.gate = -inf
        self._cut_at = -inf
        self._held_at = -inf
        self._second = -1
        self._sent = [0, 0]
        self._rejected = [0, 0]

    def __repr__(self) -> str:
        return "<Probe no limit known>" if self.limit is None else f"<Probe {self.limit.rate:.3g}/s>"

    def sent(self, now: float) -> None:
        """A request goes."""
        self._turn(now)
        self._sent[-1] += 1

    def held(self, now: float) -> None:
        """The pace makes somebody wait."""
        self._held_at = now

    def rejected(self, now: float, sent_at: float, *, hinted: bool) -> None:
        """A 429 or 529 has come for a request that was sent at `sent_at`."""
        self._turn(now)
        self._rejected[-1] += 1
        if sent_at <= self._cut_at or now < self._cut_at + CUT_EVERY:
            return
        self._cut_at = now
        if not hinted:
            self.gate = now + GATE
        passed = sum(self._sent) - sum(self._rejected)
        if self.limit is None:
            self.limit = Gcra(max(AT_FIRST, float(passed)))
        else:
            self.limit.rate = max(FLOOR, self.limit.rate * CUT)

    def passed(self, now: float) -> None:
        """A request was answered."""
        limit = self.limit
        if limit is None:
            return
        if now - self._cut_at > FORGET:
            self.limit = None
        elif now - self._held_at < 1.0:
            limit.rate += GROW / limit.rate

    def _turn(self, now: float) -> None:
        """Keep counts of this second and the one before."""
        second = int(now)
        if second != self._second:
            adjacent = second == self._second + 1
            self._sent = [self._sent[-1] if adjacent else 0, 0]
            self._rejected = [self._rejected[-1] if adjacent else 0, 0]
            self._second = second
