"""The share of failures among the calls of the last half minute, counted in slices of time."""

from __future__ import annotations

from collections import deque

WINDOW_SECONDS = 30.0
"""Seconds that calls are counted over: longer than most answers take, so that calls and their ends meet in it."""
SLICES = 10
"""Parts of the window: the oldest part is forgotten at once, so what is counted is 27 to 30 seconds old at most."""
MIN_CALLS = 20
"""Calls in the window below which the share of failures does not count: two of three are chance."""
FAILURE_SHARE = 0.5
"""Share of failures from which on the window counts as full of them."""


class FailureWindow:
    """Calls and failures of the last 30 seconds.

    `calls` and `failures` are those of the present slice, which ends at `until`. Whoever adds to them directly calls
    `rotate` first when that instant has passed.
    """

    __slots__ = ("_older", "calls", "failures", "until")

    def __init__(self) -> None:
        self._older: deque[tuple[float, int, int]] = deque()  # when the slice ended, its calls, its failures
        self.calls = self.failures = 0
        self.until = 0.0

    def __repr__(self) -> str:
        return f"<FailureWindow {self.failures} of {self.calls}, {len(self._older)} older slices>"

    def rotate(self, now: float) -> None:
        """Begin another slice, and forget those that have left the window."""
        if self.calls:
            self._older.append((self.until, self.calls, self.failures))
        self.calls = self.failures = 0
        self.until = now + WINDOW_SECONDS / SLICES
        while self._older and self._older[0][0] <= self.until - WINDOW_SECONDS:
            self._older.popleft()

    def add(self, now: float, *, failed: bool) -> None:
        """Count a call."""
        if now >= self.until:
            self.rotate(now)
        self.calls += 1
        self.failures += failed

    def full_of_failures(self) -> bool:
        """Whether there were enough calls, and half of them failed, when the last one was counted."""
        calls = self.calls + sum(older[1] for older in self._older)
        failures = self.failures + sum(older[2] for older in self._older)
        return calls >= MIN_CALLS and failures >= FAILURE_SHARE * calls

    def clear(self) -> None:
        """Forget everything."""
        self._older.clear()
        self.calls = self.failures = 0
