"""When to stop asking what keeps failing, and how to find out that it works again.

Closed: counts. Open: says no until its time is up. Half-open: lends one permit at a time; whoever holds it settles it
with success, failure, or neither, and one that is not settled in time lapses: a permit that leaks keeps a breaker open
for ever, the commonest defect of breakers. Each change of state has a generation; results of an older one do not count.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

State = Literal["closed", "open", "half_open"]

WINDOW = 30.0
"""Seconds that failures are counted over, in ten buckets."""
SLOTS = 10
VOLUME = 20
"""Counted calls in the window below which a share says nothing."""
SHARE = 0.5
"""Share of failures from which on it opens."""
OPEN = 5.0
"""Seconds it stays open the first time; twice as long each time a probe fails."""
CALM = 60.0
"""Seconds closed after which it starts again with the shortest time."""
PATIENT, PART = 15.0, 0.25
"""Beyond so many seconds it is never open for more than this part of the time since it first opened: what comes back
after a minute is noticed within a quarter of one, whatever the longest time is."""
JITTER = 0.1
"""Open times are longer by up to this share, so that a fleet does not probe in step; the longest one is the longest."""
FORCED = -1
"""The generation of a call that was made although the breaker said no: nobody else could have answered."""


class Window:
    """Calls and failures of the last 30 seconds."""

    __slots__ = ("_older", "calls", "failures", "until")

    def __init__(self) -> None:
        self._older: deque[tuple[float, int, int]] = deque()  # when that slot ended, its calls, its failures
        self.calls = self.failures = 0
        """Those of the present slot; whoever adds to them calls `turn` first when its time, `until`, is up."""
        self.until = 0.0

    def turn(self, now: float) -> None:
        """Begin another slot."""
        if self.calls:
            self._older.append((self.until, self.calls, self.failures))
        self.calls = self.failures = 0
        self.until = now + WINDOW / SLOTS
        while self._older and self._older[0][0] <= self.until - WINDOW:
            self._older.popleft()

    def add(self, now: float, *, failed: bool) -> None:
        """Count a call."""
        if now >= self.until:
            self.turn(now)
        self.calls += 1
        self.failures += failed

    def full_of_failures(self) -> bool:
        """Whether, when the last one was counted, enough calls had been made, and half of them failed."""
        calls = self.calls + sum(slot[1] for slot in self._older)
        return calls >= VOLUME and self.failures + sum(slot[2] for slot in self._older) >= SHARE * calls

    def clear(self) -> None:
        """Forget everything."""
        self._older.clear()
        self.calls = self.failures = 0


class Breaker:
    """Guards one host or one model.

    It opens at 20 calls in 30 s of which half failed, and at `in_a_row` failures in a row with no success in the last
    `quiet` seconds. It stays open 5 s, doubling up to `longest`.
    """

    __slots__ = (
        "_changed", "_failures", "_in_a_row", "_level", "_longest", "_permit_until", "_quiet", "_random", "_since",
        "_succeeded", "_window", "generation", "state", "until", "why",
    )

    def __init__(
        self, random: Random, changed: Callable[[str, str], None], *, in_a_row: int, quiet: float, longest: float
    ) -> None:
        self.state: State = "closed"
        self.until = 0.0
        self.why = ""
        self.generation = 0
        self._random = random
        self._changed = changed
        self._in_a_row = in_a_row
        self._quiet = quiet
        self._longest = longest
        self._window = Window()
        self._failures = 0
        self._succeeded = float("-inf")
        self._since = 0.0  # when it first opened
        self._level = 0
        self._permit_until = 0.0

    def __repr__(self) -> str:
        return f"<Breaker {self.state}, {self._failures} failures in a row>"

    def refuses(self, now: float) -> str | None:
        """Why a call may not be made now; `None` when it may."""
        if self.state == "closed":
            return None
        if self.state == "open" and now < self.until:
            return f"breaker open for {self.until - now:.2f} s more: {self.why}"
        if self.state == "half_open" and now < self._permit_until:
            return f"breaker half-open, a probe is under way: {self.why}"
        return None

    def enter(self, now: float, lapse: float) -> int:
        """A call is being made; its generation. Half-open it holds the permit, for `lapse` seconds at most."""
        if self.state == "closed":
            return self.generation
        if self.refuses(now) is not None:
            return FORCED
        if self.state == "open":
            self._change("half_open")
        # A probe that was lent before has lapsed: what it brings in the end belongs to the past.
        self.generation += 1
        self._permit_until = now + lapse
        return self.generation

    def succeeded(self, generation: int, now: float) -> None:
        """A call got its answer."""
        self._succeeded = now
        if self.state == "closed" and generation == self.generation:
            self._failures = 0
            window = self._window
            if now >= window.until:
                window.turn(now)
            window.calls += 1  # in place: this is what nearly every call comes to
        elif self.state != "closed" and generation in {self.generation, FORCED}:
            self._change("closed")
            self._window.clear()
            self.until = now

    def failed(self, generation: int, now: float, why: str) -> None:
        """A call failed in a way that counts."""
        if generation != self.generation:
            return
        self.why = why
        if self.state == "half_open":
            self._open(now)
        elif self.state == "closed":
            self._failures += 1
            self._window.add(now, failed=True)
            in_a_row = self._failures >= self._in_a_row and now - self._succeeded >= self._quiet
            if in_a_row or self._window.full_of_failures():
                self._open(now)

    def left(self, generation: int) -> None:
        """A call ended without saying anything about the other side: cancelled, superseded, the caller's fault."""
        if self.state == "half_open" and generation == self.generation:
            self._permit_until = 0.0

    def _open(self, now: float) -> None:
        if self.state == "closed" and (not self._level or now - self.until > CALM):
            self._level, self._since = 0, now
        longest = min(self._longest, max(PATIENT, PART * (now - self._since)))
        span = OPEN * 2**self._level * self._random.uniform(1.0, 1.0 + JITTER)
        self._level = min(self._level + 1, 10)
        self.until = now + min(longest, span)
        self._failures = 0
        self._change("open")

    def _change(self, state: State) -> None:
        self.state = state
        self.generation += 1
        self._permit_until = 0.0
        self._changed(f"breaker {state.replace('_', '-')}", self.why)
