"""What the calls of a router share, played again: circuit breakers, and when a silent model is rescued.

The rules are the router's, without what a recording does not hold: hosts, the seconds by which open times differ from
process to process, and which failures are one request's own fault. A rescue is played where no content has come; of
answers that fall silent or crawl later on the recording does not say when.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.bench.survival import Observation

# A door imports the package's public names only, so these are copies of the router's own constants;
# tests/bench/test_replay_standing.py holds both equal.
IN_A_ROW, QUIET_SECONDS = 3, 4.0
"""Failures in a row that open a model's breaker, with no success in so many seconds."""
OPEN_SECONDS, LONGEST_OPEN = 5.0, 15.0
"""Seconds that it stays open the first time, doubling with each failed probe, and at most."""
RESET_AFTER = 60.0
"""Seconds that it must have been closed to begin with the shortest open time again."""
RESCUE_EARLIEST, RESCUE_LATEST = 2.0, 10.0
"""Seconds of silence after which a rescue comes at the earliest and at the latest."""
RESCUE_GAIN, LATE_TIMES = 1.5, 1.2
"""The gain that a rescue must be worth, and how many times the p95 it waits at the least."""
RATE_ALONE, RATE_BESIDE_HEDGE = 0.05, 0.01
"""Rescues a call in a chain without a hedge, and beside one."""


@dataclass(slots=True)
class PlayedBreaker:
    """The breaker of one model. Times are seconds since the recording began."""

    failures: int = 0
    last_success: float = -inf
    until: float = -inf
    seconds: float = 0.0
    open: bool = False

    def refuses(self, now: float) -> bool:
        """Whether no call may go; when the open time is over the next one goes as a probe."""
        return self.open and now < self.until

    def succeeded(self, now: float) -> None:
        """Note an answer: it closes the breaker."""
        self.failures, self.last_success = 0, now
        if self.open:
            self.open, self.until = False, now

    def failed(self, now: float) -> None:
        """Note a failure, which may open the breaker; that of a probe opens it for twice as long."""
        self.failures += 1
        if not self.open and (self.failures < IN_A_ROW or now - self.last_success < QUIET_SECONDS):
            return
        again = self.open or now - self.until <= RESET_AFTER
        self.seconds = min(LONGEST_OPEN, 2.0 * self.seconds) if again and self.seconds else OPEN_SECONDS
        self.open, self.until, self.failures = True, now + self.seconds, 0


def rescue_delay(first: Sequence[Observation], other: Sequence[Observation]) -> float:
    """Seconds of silence after which a model is rescued by another one, from the times that both were observed with.

    It is late (1.2 times its p95), and what is still to come takes 2.5 times as long as the other's whole answer.
    """
    events = sorted(one.event for one in first if one.event_observed and one.has_content)
    wholes = [one.end for one in other if one.ok and one.fully_observed]
    if not events or not wholes:
        return RESCUE_LATEST
    own = [one.end - one.event for one in first if one.ok and one.fully_observed]
    worth = (1.0 + RESCUE_GAIN) * sum(wholes) / len(wholes) - (sum(own) / len(own) if own else 0.0)
    late = LATE_TIMES * events[min(len(events) - 1, int(0.95 * len(events)))]
    return min(RESCUE_LATEST, max(RESCUE_EARLIEST, late, _first_worth(events, worth)))


def _first_worth(events: Sequence[float], worth: float) -> float:
    """The earliest time from the p80 on at which the mean time still to come is `worth` seconds."""
    rest, count = 0.0, 0
    found = RESCUE_LATEST
    for event in reversed(events[int(0.8 * len(events)):]):  # those that come later are added up from the end
        if count and rest / count - event >= worth:
            found = event
        rest, count = rest + event, count + 1
    return found
