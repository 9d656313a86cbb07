"""Quantiles of the time to first content, once there are enough samples; losers of races are samples too.

What is kept: for each model and wire (streamed or not) and for six sizes of prompt, the last 16,000 durations or forty
minutes, as counts in buckets. A sample costs O(1) and no object.

A loser of a race is cancelled when another attempt wins: all that is known is that it would have taken longer. Leaving
losers out makes a model look faster than it is, and a hedge that was asked for at 5 % fires at 8 to 12 % (as in tower
and resilience4j). So losers are kept as right-censored samples, and quantiles come from a survival curve
(`survival.py`).

A long memory must notice when it is wrong: when the samples of an epoch follow another distribution than those before
it (Kolmogorov and Smirnov), everything older is forgotten.
"""

from __future__ import annotations

import math
from array import array
from collections import deque

from asyncrouter._policies.survival import BUCKETS, SurvivalCurve, bucket_of

EPOCH_SAMPLES = 500
"""Samples after which an epoch ends; memory is forgotten by whole epochs."""
EPOCH_SECONDS = 75.0
"""Seconds after which an epoch ends, however few its samples."""
EPOCHS = 32
"""Epochs remembered: 16,000 samples, or forty minutes. That is a long memory: of 2,000 samples a sixth more or less lie
beyond the p98 by chance, and a hedge that is to meet 1.5 % of stragglers would often come after them."""
CHANGE = 2.5
"""The distance between an epoch and those before it from which on these are forgotten, in units of the distance that
chance makes: 2.5 comes by chance once in 100,000 epochs (Kolmogorov and Smirnov)."""
REFRESH = 0.02
"""The share of the samples that must be new before the curve is worked out again: as much as the buckets can tell."""
MIN_SAMPLES = 100
"""Samples below which there is no quantile: the p95 of fewer rests on a handful of them."""
SMALL_BYTES = 1024
"""Bytes of a request below which it belongs to the smallest size; each further size is four times as long."""
SIZES = 6
"""Sizes of requests that are told apart: from below 1 KiB to 256 KiB and more."""


class Histogram:
    """The last durations of requests of one size, seen to the end (`observed`) or cut off (`censored`), by bucket."""

    __slots__ = ("_curve", "_epoch", "_epochs", "_new", "_until", "censored", "count", "observed")

    def __init__(self) -> None:
        self.count = 0
        self.observed = [0] * BUCKETS
        self.censored = [0] * BUCKETS
        self._epoch = array("h")  # bucket numbers; a censored one is stored as its complement
        self._epochs: deque[array[int]] = deque()  # those before it
        self._until = -math.inf
        self._curve: SurvivalCurve | None = None
        self._new = 0  # samples since the curve was worked out

    def __repr__(self) -> str:
        return f"<Histogram of {self.count}, p50 {self.quantile(0.5)}, p95 {self.quantile(0.95)}>"

    def add(self, seconds: float, now: float, *, censored: bool = False) -> None:
        """Count a request that took so many seconds, or (`censored`) longer than that."""
        if now >= self._until or len(self._epoch) >= EPOCH_SAMPLES:
            self._rotate(now)
        bucket = bucket_of(seconds)
        if censored:
            self.censored[bucket] += 1
            bucket = ~bucket
        else:
            self.observed[bucket] += 1
        self._epoch.append(bucket)
        self.count += 1
        self._new += 1

    def quantile(self, q: float) -> float | None:
        """The seconds within which a share `q` of the requests have their first content; `None` below 100 samples."""
        if self.count < MIN_SAMPLES:
            return None
        if self._curve is None or self._new > REFRESH * self.count:
            self._curve, self._new = SurvivalCurve(self.observed, self.censored), 0
        return self._curve.quantile(q)

    def _rotate(self, now: float) -> None:
        """Begin an epoch, and forget the oldest one; all of them when the last one is unlike them."""
        if self._epoch:
            most = 0 if self._changed() else EPOCHS - 2
            while len(self._epochs) > most:
                self._forget(self._epochs.popleft())
            self._epochs.append(self._epoch)
            self._epoch = array("h")
        self._until = now + EPOCH_SECONDS

    def _changed(self) -> bool:
        """Whether the samples of this epoch follow another distribution than those before it."""
        fresh, older = len(self._epoch), self.count - len(self._epoch)
        if min(fresh, older) < MIN_SAMPLES:
            return False
        observed, censored = [0] * BUCKETS, [0] * BUCKETS
        _count(self._epoch, 1, observed, censored)
        before = SurvivalCurve(_less(self.observed, observed), _less(self.censored, censored))
        distance = SurvivalCurve(observed, censored).distance(before)
        return distance > CHANGE * math.sqrt(1.0 / fresh + 1.0 / older)

    def _forget(self, epoch: array[int]) -> None:
        _count(epoch, -1, self.observed, self.censored)
        self.count -= len(epoch)
        self._curve = None


class Latency:
    """The memory of one model on one wire: a histogram for each size, taken together where one knows too little."""

    __slots__ = ("_curve", "_new", "_sizes")

    def __init__(self) -> None:
        self._sizes: dict[int, Histogram] = {}
        self._curve: SurvivalCurve | None = None
        self._new = 0

    def __repr__(self) -> str:
        return f"<Latency {self._sizes!r}>"

    def add(self, seconds: float, size: int, now: float, *, censored: bool = False) -> None:
        """Count a request of `size` bytes: seconds to its first content, or (`censored`) fewer than it would take."""
        size_class = 0 if size < SMALL_BYTES else _size_class(size)
        found = self._sizes.get(size_class)
        if found is None:
            found = self._sizes[size_class] = Histogram()
        found.add(seconds, now, censored=censored)
        self._new += 1

    def quantile(self, q: float, size: int | None = None) -> float | None:
        """The quantile for requests of about `size` bytes (`None` = all); `None` while it is not known."""
        if not self._sizes:
            return None
        found = None if size is None else self._sizes.get(_size_class(size))
        if found is not None and found.count >= MIN_SAMPLES:
            return found.quantile(q)
        return self._pooled(q)

    def _pooled(self, q: float) -> float | None:
        """The quantile over all sizes."""
        every = list(self._sizes.values())
        if len(every) == 1:
            return every[0].quantile(q)
        count = sum(one.count for one in every)
        if count < MIN_SAMPLES:
            return None
        if self._curve is None or self._new > REFRESH * count:
            observed = [sum(counts) for counts in zip(*(one.observed for one in every), strict=True)]
            censored = [sum(counts) for counts in zip(*(one.censored for one in every), strict=True)]
            self._curve, self._new = SurvivalCurve(observed, censored), 0
        return self._curve.quantile(q)


def _size_class(size: int) -> int:
    return min(SIZES - 1, max(0, (size.bit_length() - 9) // 2))


def _less(counts: list[int], part: list[int]) -> list[int]:
    return [every - one for every, one in zip(counts, part, strict=True)]


def _count(samples: array[int], change: int, observed: list[int], censored: list[int]) -> None:
    for sample in samples:
        if sample < 0:
            censored[~sample] += change
        else:
            observed[sample] += change
