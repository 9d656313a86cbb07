"""Limits as a provider keeps them: token buckets, what they announce, and what they say to who comes too soon."""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass
from operator import itemgetter
from random import Random
from typing import TYPE_CHECKING, Literal

from asyncrouter.sim._pauses import duration, instant
from asyncrouter.sim._prompt import most_tokens, prompt_tokens
from asyncrouter.sim.act import Act

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from asyncrouter.sim._seen import Seen

Told = bool | Literal["lying"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """So many requests (`rps`) and tokens (`tps`) a second, `None` for no limit.

    `burst` is how many requests may come at once after a rest, `None` for a second's worth; of tokens it is always a
    minute's worth. A request takes its prompt's tokens and its `max_tokens`. One that comes too soon takes nothing and
    is a 429 whose Retry-After is true, missing, or off by a factor of 0.5 to 2 ("lying").

    `announced` puts the limit into the headers of every response: its rate a minute, what is left now, and when all of
    it is there again (OpenAI, "Rate limits"; Anthropic, "Rate limits"; Google announces nothing).
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
        return min(self.size, self._level + max(0.0, now - self._at) * self.rate)

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
    """A limit at work, for one model or one key, which changes at the instants of its plan."""

    def __init__(self, seed: str, plan: Iterable[tuple[float, Limit | None]] = ()) -> None:
        self._random = Random(seed)
        self._plan = list(plan)
        self._limit: Limit | None = None
        self._requests: Bucket | None = None
        self._tokens: Bucket | None = None
        self._lie = 1.0

    def __repr__(self) -> str:
        return f"<Gate {self._limit}, {len(self._plan)} to come>"

    def plan(self, at: float, limit: Limit | None) -> None:
        """From this instant on another limit, or none."""
        insort(self._plan, (at, limit), key=itemgetter(0))

    def admit(self, seen: Seen) -> Act | None:
        """`None` for a request that may pass, else what it gets."""
        now = seen.at
        while self._plan and self._plan[0][0] <= now:
            at, limit = self._plan.pop(0)
            self._set(limit, now if at == -math.inf else at)
        if self._limit is None:
            return None
        wait, units = 0.0, 0.0
        if self._requests is not None:
            wait = self._requests.lacks(now, 1.0)
        if self._tokens is not None:
            units = prompt_tokens(seen.body) + (most_tokens(seen.wire, seen.body) or 0)
            wait = max(wait, self._tokens.lacks(now, units))
        if wait > 0.0:
            return Act(why="rate_limit", retry_after=self._pause(wait, self._limit.retry_after))
        if self._requests is not None:
            self._requests.take(now, 1.0)
        if self._tokens is not None:
            self._tokens.take(now, units)
        return None

    def announce(self, seen: Seen) -> Mapping[str, str]:
        """What the headers of a response tell of the limit, as its provider writes it."""
        if self._limit is None or self._limit.announced is False or seen.wire == "gemini":
            return {}
        told: dict[str, str] = {}
        for kind, bucket in (("requests", self._requests), ("tokens", self._tokens)):
            if bucket is not None:
                told |= _headers(kind, bucket, seen, self._lie)
        return told

    def _set(self, limit: Limit | None, now: float) -> None:
        self._limit = limit
        if limit is None:
            self._requests = self._tokens = None
            return
        burst = limit.burst if limit.burst is not None or limit.rps is None else max(1.0, limit.rps)
        self._requests = _bucket(self._requests, limit.rps, burst, now)
        self._tokens = _bucket(self._tokens, limit.tps, None if limit.tps is None else 60.0 * limit.tps, now)
        self._lie = self._random.uniform(0.5, 2.0) if limit.announced == "lying" else 1.0

    def _pause(self, wait: float, told: Told) -> float | None:
        if told is False:
            return None
        factor = self._random.uniform(0.5, 2.0) if told == "lying" else 1.0
        return math.ceil(wait * factor * 1000.0) / 1000.0


def _bucket(old: Bucket | None, rate: float | None, size: float | None, now: float) -> Bucket | None:
    """A bucket for this rate with what was in the old one; a first one has always been full."""
    if rate is None or size is None:
        return None
    return Bucket(rate, size, size, -math.inf) if old is None else Bucket(rate, size, old.level(now), now)


def _headers(kind: str, bucket: Bucket, seen: Seen, lie: float) -> Mapping[str, str]:
    a_minute, left, full = 60.0 * bucket.rate * lie, max(0, int(bucket.level(seen.at) * lie)), bucket.full(seen.at)
    if seen.wire == "anthropic":
        name = f"anthropic-ratelimit-{kind}-"
        return {f"{name}limit": f"{a_minute:.0f}", f"{name}remaining": f"{left}", f"{name}reset": instant(full)}
    return {
        f"x-ratelimit-limit-{kind}": f"{a_minute:.0f}",
        f"x-ratelimit-remaining-{kind}": f"{left}",
        f"x-ratelimit-reset-{kind}": duration(round(full, 3)),
    }
