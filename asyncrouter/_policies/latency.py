"""A histogram of durations, once there are enough samples; losers of races are samples too.

What is kept: the last 16,000 durations or forty minutes, as counts in buckets. A sample costs O(1) and no object.

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
from bisect import bisect_left
from collections import Counter, deque
from itertools import accumulate
from operator import sub

from asyncrouter._policies.survival import BUCKETS, GROWTH, SHORTEST, SurvivalCurve, bucket_of

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
REFRESH = 50
"""One in so many samples must be new before a curve is worked out again: that is as much as the buckets can tell."""
MIN_SAMPLES = 100
"""Samples below which there is no quantile: the p95 of fewer rests on a handful of them."""


RARE = 4.26
"""The standard deviations of a quantile of 1 - 10^-5."""


class Histogram:
    """The last durations of requests of one kind, seen to the end (`observed`) or cut off (`censored`), by bucket."""

    __slots__ = (
        "_curve", "_curve_until", "_epoch", "_epochs", "_forgotten", "_quantiles", "_until", "added", "censored",
        "look_at", "observed", "seen",
    )

    def __init__(self) -> None:
        self.look_at = 0  # what `added` is when its owner looks at it again; 0 when samples may have been forgotten
        self.added = 0  # samples that were ever added
        self._forgotten = 0  # those among them that are forgotten
        self.seen = 0  # those of the others that were seen to the end
        self.observed = [0] * BUCKETS
        self.censored = [0] * BUCKETS
        self._epoch = array("h")  # bucket numbers; a censored one is stored as its complement
        self._epochs: deque[array[int]] = deque()  # those before it
        self._until = -math.inf
        self._curve: SurvivalCurve | None = None
        self._curve_until = MIN_SAMPLES - 1  # what `added` may become before it is worked out again
        self._quantiles: dict[float, float | None] = {}  # of that curve, as far as they were asked for: few

    def __repr__(self) -> str:
        return f"<Histogram of {self.count}, p50 {self.quantile(0.5)}, p95 {self.quantile(0.95)}>"

    @property
    def count(self) -> int:
        """The samples that are remembered."""
        return self.added - self._forgotten

    def add(self, seconds: float, now: float) -> None:
        """Count a request that took so many seconds."""
        if now >= self._until or len(self._epoch) >= EPOCH_SAMPLES:
            self._rotate(now)
        bucket = bucket_of(seconds)
        self.observed[bucket] += 1
        self.seen += 1
        self._epoch.append(bucket)
        self.added += 1

    def add_cut(self, seconds: float, now: float) -> None:
        """Count a request that would have taken longer than that."""
        if now >= self._until or len(self._epoch) >= EPOCH_SAMPLES:
            self._rotate(now)
        bucket = bucket_of(seconds)
        self.censored[bucket] += 1
        self._epoch.append(~bucket)
        self.added += 1

    def quantile(self, q: float) -> float | None:
        """The seconds within which a share `q` of the samples end; `None` below 100 samples."""
        if self.added > self._curve_until:
            self._work_out_curve()
        try:
            return self._quantiles[q]
        except KeyError:
            found = self._quantiles[q] = None if self._curve is None else self._curve.quantile(q)
            return found

    def _work_out_curve(self) -> None:
        self._quantiles.clear()
        if self.count < MIN_SAMPLES:
            self._curve, self._curve_until = None, self._forgotten + MIN_SAMPLES - 1
        else:
            self._curve = SurvivalCurve(self.observed, self.censored)
            self._curve_until = (REFRESH * self.added - self._forgotten) // (REFRESH - 1)

    @property
    def has_cuts(self) -> bool:
        """Whether any sample was cut off."""
        return self.seen < self.added - self._forgotten

    def simple_quantiles(self, *shares: float) -> list[float]:
        """The seconds within which each of these shares ends, where nothing was cut off; there must be samples."""
        ended = list(accumulate(self.observed))
        found = []
        for share in shares:
            wanted = share * self.seen
            at = bisect_left(ended, wanted)
            before = ended[at - 1] if at else 0
            inside = (wanted - before) / (ended[at] - before)
            end = SHORTEST * GROWTH**at
            found.append(end / GROWTH + inside * (end - end / GROWTH) if at else inside * end)
        return found

    def at_least(self, seconds: float) -> int:
        """How many were seen to the end and took as long as this, or longer."""
        return sum(self.observed[bucket_of(seconds):])

    def longest(self) -> float:
        """The longest that was seen to the end; 0 if none was."""
        return next((SHORTEST * GROWTH**bucket for bucket in range(BUCKETS - 1, -1, -1) if self.observed[bucket]), 0.0)

    def lognormal_quantile(self, z: float = RARE) -> float:
        """The quantile `z` standard deviations up, were those seen to the end lognormal; 0 if none was."""
        if not self.seen:
            return 0.0
        mean = sum(bucket * count for bucket, count in enumerate(self.observed)) / self.seen
        variance = sum(count * (bucket - mean) ** 2 for bucket, count in enumerate(self.observed)) / self.seen
        return SHORTEST * math.pow(GROWTH, min(mean + z * math.sqrt(variance), 10.0 * BUCKETS))

    def copy(self) -> Histogram:
        """Another one with the same samples."""
        made = Histogram()
        made.added, made._forgotten, made.seen, made._until = self.added, self._forgotten, self.seen, self._until
        made.observed, made.censored = self.observed[:], self.censored[:]
        made._epoch, made._epochs = self._epoch[:], deque(epoch[:] for epoch in self._epochs)
        return made

    def slower(self, times: float) -> Histogram:
        """What it would be, had every sample taken so many times as long. It takes no further samples."""
        made, shift = Histogram(), bucket_of(times) - bucket_of(1.0)
        made.added, made.seen = self.count, self.seen
        made.observed, made.censored = _later(self.observed, shift), _later(self.censored, shift)
        return made

    def _rotate(self, now: float) -> None:
        """Begin an epoch, and forget the oldest one; all of them when the last one is unlike them."""
        if self._epoch:
            most = 0 if self._changed() else EPOCHS - 2
            while len(self._epochs) > most:
                self._forget(self._epochs.popleft())
            self._epochs.append(self._epoch)
            self._epoch = array("h")
        self._until = now + EPOCH_SECONDS
        self.look_at = 0

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
        self.seen -= _count(epoch, -1, self.observed, self.censored)
        self._forgotten += len(epoch)
        self._curve_until = -1


def _later(counts: list[int], shift: int) -> list[int]:
    """The same counts so many buckets later; the last bucket takes what goes beyond it."""
    kept = len(counts) - shift
    moved = [0] * shift + counts[:kept]
    moved[-1] += sum(counts[kept:])
    return moved


def _less(counts: list[int], part: list[int]) -> list[int]:
    return list(map(sub, counts, part))


def _count(samples: array[int], sign: int, observed: list[int], censored: list[int]) -> int:
    """Add these samples to the counts (with a `sign` of -1 take them off); how many of them were seen to the end."""
    seen = 0
    for sample, times in Counter(samples).items():
        if sample < 0:
            censored[~sample] += sign * times
        else:
            observed[sample] += sign * times
            seen += times
    return seen
