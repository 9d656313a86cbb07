"""Limits as a provider keeps them: token buckets, what they announce, and what they say to who comes too soon."""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from asyncrouter.sim._pauses import duration, instant
from asyncrouter.sim._prompt import limit, prompt_tokens
from asyncrouter.sim.act import Act

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from asyncrouter.sim._prompt import Wire
    from asyncrouter.sim._stage import Seen

Told = bool | Literal["lying"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """So many requests (`rps`) and tokens (`tps`) a second, `None` for no limit.

    `burst` is how many requests may come at once after a rest, `None` for a second's worth; of tokens it is always a
    minute's worth. A request takes its prompt's tokens and its `max_tokens`. One that comes too soon is a 429.
    """

    rps: float | None = None
    tps: float | None = None
    burst: float | None = None
    retry_after: Told = True
    announced: Told = False

    def __post_init__(self) -> None:
        for name, value in (("rps", self.rps), ("tps", self.tps), ("burst", self.burst)):
            if value is not None and not 0.0 < value < math.inf:
                raise ValueError(f"{name}: expected a number above 0, got {value!r}")


class Bucket:
    """A token bucket: `size` at most, `rate` a second more."""

    __slots__ = ("_at", "_level", "rate", "size")

    def __init__(self, rate: float, size: float, level: float, at: float) -> None:
        self.rate = rate
        self.size = size
        self._level = min(level, size)
        self._at = at

    def level(self, now: float) -> float:
        """What is in it."""
        return min(self.size, self._level + (now - self._at) * self.rate)

    def lacks(self, now: float, units: float) -> float:
        """Seconds until so much is in it; 0.0: it is."""
        missing = min(units, self.size) - self.level(now)
        return missing / self.rate if missing > 1e-9 * self.size else 0.0

    def take(self, now: float, units: float) -> None:
        """Take so much out."""
        self._level, self._at = self.level(now) - units, now

    def full(self, now: float) -> float:
        """Seconds until it is full."""
        return (self.size - self.level(now)) / self.rate


class Gate:
    """One limit at work, for a model or for a key, changed at the instants of its schedule."""

    __slots__ = ("_lie", "_limit", "_random", "_requests", "_schedule", "_tokens")

    def __init__(self, schedule: Schedule, random: Random) -> None:
        self._schedule = schedule.after(-math.inf)
        self._random = random
        self._lie = 1.0
        self._limit: Limit | None = None
        self._requests: Bucket | None = None
        self._tokens: Bucket | None = None

    def plan(self, schedule: Schedule) -> None:
        """Take over a schedule to which something has been added."""
        self._schedule = schedule.after(-math.inf if self._limit is None else 0.0)
