"""Rate limits as a provider keeps them: token buckets, their 429 responses, and the headers that announce them."""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass
from operator import itemgetter
from random import Random
from typing import TYPE_CHECKING, Literal

from asyncrouter.sim._request import max_answer_tokens, prompt_tokens
from asyncrouter.sim._retry_after import duration, timestamp_in
from asyncrouter.sim.act import Act

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from asyncrouter.sim._request_log import LoggedRequest

Announcement = bool | Literal["lying"]
"""Whether a provider tells the truth about its limit, nothing, or something wrong."""
LIE = (0.5, 2.0)
"""The range of the factor, uniformly drawn, by which a "lying" provider is off."""
TOKEN_BURST_SECONDS = 60.0
"""The size of a bucket of tokens, in seconds of its rate: providers state their token limits by the minute."""
ROUNDING = 1e-9
"""The share of a bucket's size that counts as nothing: the error of adding many fractions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A rate limit: `rps` requests and `tps` tokens a second, `None` for no limit of that kind.

    `burst` is how many requests may come at once after a pause; `None`: as many as in a second, at least one. Of tokens
    it is always as many as in a minute. A request takes the tokens of its prompt and its `max_tokens`. One that comes
    too soon takes nothing and gets a 429, whose Retry-After is right (`True`), missing (`False`) or off by a factor
    from 0.5 to 2 ("lying").

    `announced` puts the limit into the headers of every response: its rate a minute, what is left, and when all of it
    is there again. It has the same three values, and no effect on Google's wire, which announces nothing. (Sources:
    OpenAI, "Rate limits"; Anthropic, "Rate limits".)

    Raises `ValueError` for numbers that are not finite and above 0.
    """

    rps: float | None = None
    tps: float | None = None
    burst: float | None = None
    retry_after: Announcement = True
    announced: Announcement = False

    def __post_init__(self) -> None:
        for name, value in (("rps", self.rps), ("tps", self.tps), ("burst", self.burst)):
            if value is not None and not 0.0 < value < math.inf:
                raise ValueError(f"{name}: expected a number above 0, got {value!r}")


class TokenBucket:
    """A token bucket: it holds `size` units at most and gets `rate` units a second. Instants are in seconds."""

    __slots__ = ("_at", "_level", "rate", "size")

    def __init__(self, rate: float, size: float, level: float, at: float) -> None:
        self.rate: float = rate
        self.size: float = size
        self._level = min(level, size)
        self._at = at

    def level(self, now: float) -> float:
        """The units in it."""
        return min(self.size, self._level + max(0.0, now - self._at) * self.rate)

    def seconds_until(self, now: float, units: float) -> float:
        """Seconds until it holds so many units (a full bucket is enough for any number); 0.0 if it does now."""
        missing = min(units, self.size) - self.level(now)
        return missing / self.rate if missing > ROUNDING * self.size else 0.0

    def take(self, now: float, units: float) -> None:
        """Take these units; its level may fall below 0."""
        self._level, self._at = self.level(now) - units, now

    def seconds_until_full(self, now: float) -> float:
        """Seconds until it is full."""
        return (self.size - self.level(now)) / self.rate


class RateLimiter:
    """Keeps one limit, for one model or one key; the limit changes at the instants of a schedule."""

    def __init__(self, seed: str, schedule: Iterable[tuple[float, Limit | None]] = ()) -> None:
        self._random = Random(seed)
        self._schedule = list(schedule)
        self._limit: Limit | None = None
        self._requests: TokenBucket | None = None
        self._tokens: TokenBucket | None = None
        self._announced_factor = 1.0

    def __repr__(self) -> str:
        return f"<RateLimiter {self._limit}, {len(self._schedule)} to come>"

    def schedule(self, at: float, limit: Limit | None) -> None:
        """Change the limit at this instant; `None`: no limit from then on."""
        insort(self._schedule, (at, limit), key=itemgetter(0))

    def admit(self, request: LoggedRequest) -> Act | None:
        """Admit a request and return `None`, or return the 429 that it gets."""
        now = request.at
        while self._schedule and self._schedule[0][0] <= now:
            at, limit = self._schedule.pop(0)
            self._set(limit, now if at == -math.inf else at)
        if self._limit is None:
            return None
        wait, units = 0.0, 0.0
        if self._requests is not None:
            wait = self._requests.seconds_until(now, 1.0)
        if self._tokens is not None:
            units = prompt_tokens(request.body) + (max_answer_tokens(request.wire, request.body) or 0)
            wait = max(wait, self._tokens.seconds_until(now, units))
        if wait > 0.0:
            return Act(why="rate_limit", retry_after=self._retry_after(wait, self._limit.retry_after))
        if self._requests is not None:
            self._requests.take(now, 1.0)
        if self._tokens is not None:
            self._tokens.take(now, units)
        return None

    def announce(self, request: LoggedRequest) -> Mapping[str, str]:
        """The headers that announce the limit in the response to a request, in its provider's form."""
        if self._limit is None or self._limit.announced is False or request.wire == "gemini":
            return {}
        headers: dict[str, str] = {}
        for kind, bucket in (("requests", self._requests), ("tokens", self._tokens)):
            if bucket is not None:
                headers |= _headers(kind, bucket, request, self._announced_factor)
        return headers

    def _set(self, limit: Limit | None, now: float) -> None:
        self._limit = limit
        if limit is None:
            self._requests = self._tokens = None
            return
        burst = limit.burst if limit.burst is not None or limit.rps is None else max(1.0, limit.rps)
        token_burst = None if limit.tps is None else TOKEN_BURST_SECONDS * limit.tps
        self._requests = _bucket(self._requests, limit.rps, burst, now)
        self._tokens = _bucket(self._tokens, limit.tps, token_burst, now)
        self._announced_factor = self._random.uniform(*LIE) if limit.announced == "lying" else 1.0

    def _retry_after(self, wait: float, announcement: Announcement) -> float | None:
        """The seconds to announce, rounded up to a millisecond."""
        if announcement is False:
            return None
        factor = self._random.uniform(*LIE) if announcement == "lying" else 1.0
        return math.ceil(wait * factor * 1000.0) / 1000.0


def _bucket(old: TokenBucket | None, rate: float | None, size: float | None, now: float) -> TokenBucket | None:
    """A bucket of this rate and size with the level of the old one; full where there was none."""
    if rate is None or size is None:
        return None
    return TokenBucket(rate, size, size, -math.inf) if old is None else TokenBucket(rate, size, old.level(now), now)


def _headers(kind: str, bucket: TokenBucket, request: LoggedRequest, factor: float) -> Mapping[str, str]:
    a_minute, left = 60.0 * bucket.rate * factor, max(0, int(bucket.level(request.at) * factor))
    full = bucket.seconds_until_full(request.at)
    if request.wire == "anthropic":
        name = f"anthropic-ratelimit-{kind}-"
        return {f"{name}limit": f"{a_minute:.0f}", f"{name}remaining": f"{left}", f"{name}reset": timestamp_in(full)}
    return {
        f"x-ratelimit-limit-{kind}": f"{a_minute:.0f}",
        f"x-ratelimit-remaining-{kind}": f"{left}",
        f"x-ratelimit-reset-{kind}": duration(round(full, 3)),
    }
