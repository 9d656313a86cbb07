"""Which failures are a row's own and which everybody's: when a row is asked again, and when none is. Pure.

Theory of operation. A row that failed of its own fault is final at once. Any other failure may pass, and what it means
depends on what becomes of the other rows:

- While others are answered, a failure counts against its row; after `TRIES` of them it is final (an outage needs
  `OUTAGE_TRIES`). It waits half a second before the next try, then twice as long each time, up to ten.
- When `DOWN_AFTER` failures have come in a row, without one answer between them, nobody answers: it is *down*. Then
  nothing counts against any row, all wait, and one at a time is asked as a probe: after half a second, then at growing
  distances up to `MAX_PROBE_PAUSE`. The first answer ends it.
- What has failed by itself, amid answers to others, is final after its tries even if nobody answers by then. So a file
  whose last rows cannot be answered comes to its end.

Limits are nobody's failure and never count. A timeout counts, and the row has twice the time at its next try.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from random import Random

    from asyncrouter.batch._failure import Kind

TRIES = 7
"""Calls after which a row is final: of 20,000 rows 10 % random failures leave 0.002 then."""
OUTAGE_TRIES = 30
"""The same of connections that fail and servers that are away, while others are answered: about five minutes."""
SUSPECT_OUTAGES = 2
"""Of these, the failures amid answers to others after which it is the row that fails, rather than the server."""
FIRST_PAUSE, MAX_PAUSE = 0.5, 10.0
"""Seconds that a row waits after its first failure, and at most; each pause is twice the one before."""
DOWN_AFTER = 8
"""Failures in a row after which nobody answers: of 10 % random failures one in a hundred million."""
FIRST_PROBE_PAUSE, PROBE_GROWTH, MAX_PROBE_PAUSE = 0.5, 1.6, 5.0
"""Seconds before the first probe, the factor of each later pause, and the longest: a server that is back is noticed
within five seconds."""
MAX_RETRY_AFTER = 600.0
"""The longest Retry-After, in seconds, that a row waits for, as in the router's own holds."""

Verdict = Literal["final", "again"]


@dataclass(slots=True)
class Past:
    """What has become of a row until now: its failures that count, those of outages that do, its timeouts.

    `answers` is how many other rows had been answered when it failed last; `pauses` its pauses so far.
    """

    counted: int = 0
    outages: int = 0
    timeouts: int = 0
    pauses: int = 0
    answers: int = 0

    @property
    def is_suspect(self) -> bool:
        """Whether it has failed by itself, amid answers to others."""
        return self.counted > 0 or self.outages >= SUSPECT_OUTAGES


class Availability:
    """Whether the models of a job answer at all. Instants are of the loop's clock, in seconds."""

    def __init__(self, random: Random) -> None:
        self.answers = 0
        self.failures_in_a_row = 0
        self.down = False
        self.probing = False
        self.probe_at = 0.0
        """Down: when the next probe is due."""
        self._random = random
        self._probe_pause = FIRST_PROBE_PAUSE

    def __repr__(self) -> str:
        return f"<Availability {'down' if self.down else 'up'}, {self.failures_in_a_row} failures in a row>"

    def answered(self) -> bool:
        """Note an answer; whether it was down until now."""
        was_down = self.down
        self.answers += 1
        self.failures_in_a_row = 0
        self.down = False
        self._probe_pause = FIRST_PROBE_PAUSE
        return was_down

    def failed(self, now: float, kind: Kind, past: Past, *, probe: bool) -> Verdict:
        """Note a failure that may pass, of a row with this past, which is brought up to date."""
        self.failures_in_a_row += 1
        amid_answers = not self.down and past.answers < self.answers
        if self.failures_in_a_row >= DOWN_AFTER and not self.down:
            self.down = True
            amid_answers = False
            self.probe_at = now + self._probe_pause
        elif probe and self.down:
            self._probe_pause = min(MAX_PROBE_PAUSE, self._probe_pause * PROBE_GROWTH)
            self.probe_at = now + self._probe_pause
        past.answers = self.answers
        return self._count(kind, past, amid_answers=amid_answers)

    def pause(self, kind: Kind, past: Past, retry_after: float | None) -> float:
        """Seconds until the row may be asked again."""
        pause = min(MAX_PAUSE, FIRST_PAUSE * 2.0**past.pauses)
        past.pauses = min(past.pauses + 1, 10)
        if kind == "limit":
            pause *= 0.5 + self._random.random()  # rows that met it together do not come back together
        return max(pause, min(retry_after or 0.0, MAX_RETRY_AFTER))

    @staticmethod
    def _count(kind: Kind, past: Past, *, amid_answers: bool) -> Verdict:
        if kind == "limit":
            return "again"
        if kind == "outage":
            if amid_answers or past.is_suspect:
                past.outages += 1
            return "final" if past.outages >= OUTAGE_TRIES else "again"
        if amid_answers or past.is_suspect:
            past.counted += 1
        past.timeouts += kind == "timeout"
        return "final" if past.counted >= TRIES else "again"
