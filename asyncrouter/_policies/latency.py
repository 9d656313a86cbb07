"""How long models take to their first content, learned from what is seen, losers included.

A loser is cancelled at the instant another one wins: that it would have taken longer is all there is to know. Leaving
losers out makes a model look faster than it is, and a hedge asked for at 5 % fires at 8 to 12 % (tower, resilience4j);
so they are kept as right-censored samples, and quantiles come from the product-limit estimator (Kaplan & Meier 1958).
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections import deque

GROWTH = 1.02
"""A bucket is 2 % wider than the one before it: the precision of a quantile."""
SHORTEST = 0.001
"""Seconds; what is faster falls into the first bucket."""
BUCKETS = 700
"""Up to a thousand seconds."""
EPOCH = 500
"""Samples after which an epoch ends, ..."""
EPOCH_SECONDS = 75.0
"""... and seconds."""
EPOCHS = 32
"""Epochs remembered: 16,000 samples, or forty minutes. That is a long memory: of 2,000 samples a sixth more or less lie
beyond the p98 by chance, and a hedge that is to meet 1.5 % of stragglers often comes after them."""
CHANGE = 2.5
"""The distance between the last epoch and those before it from which on these are forgotten, in units of what chance
does (Kolmogorov & Smirnov; 2.5 comes by chance once in 100,000 epochs): a long memory must know when it is wrong."""
REFRESH = 0.02
"""The part of what is known that must be new before quantiles are worked out again."""
ENOUGH = 100
"""Samples below which nothing is said."""
SMALL, SIZES = 1024, 6
"""Bytes below which requests are of the smallest kind of six; each is four times as long as the one before it."""

_SCALE = 1.0 / math.log(GROWTH)
_OFFSET = 1.0 - math.log(SHORTEST) * _SCALE


class Curve:
    """The Kaplan-Meier estimate of how many have ended by when, from counts in log-spaced buckets."""

    __slots__ = ("_buckets", "_ended")

    def __init__(self, seen: list[int], cut: list[int]) -> None:
        self._buckets: list[int] = []
        self._ended: list[float] = []
        at_risk, survival = sum(seen) + sum(cut), 1.0
        for bucket, (ended, censored) in enumerate(zip(seen, cut, strict=True)):
            if ended:
                survival *= 1.0 - ended / at_risk
                self._buckets.append(bucket)
                self._ended.append(1.0 - survival)
            at_risk -= ended + censored

    def __repr__(self) -> str:
        return f"<Curve to {self._ended[-1] if self._ended else 0.0:.3f}>"

    def by(self, bucket: int) -> float:
        """The share that has ended by the end of this bucket."""
        at = bisect_right(self._buckets, bucket)
        return self._ended[at - 1] if at else 0.0

    def distance(self, other: Curve) -> float:
        """The most by which the two differ where this one steps, as far as both are known."""
        most = before = 0.0
        for bucket, ended in zip(self._buckets, self._ended, strict=True):
            if not other._buckets or bucket > other._buckets[-1]:
                break
            most = max(most, abs(other.by(bucket - 1) - before), abs(other.by(bucket) - ended))
            before = ended
        return most

    def quantile(self, q: float) -> float | None:
        """Seconds, as if the samples of a bucket were spread evenly; `None` when no end was seen.

        Where so many were cut off that the curve ends below `q`, its last point: the quantile is no less.
        """
        if not self._ended:
            return None
        at, inside = bisect_left(self._ended, q), 1.0
        if at == len(self._ended):
            at -= 1
        else:
            before = self._ended[at - 1] if at else 0.0
            inside = (q - before) / (self._ended[at] - before)
        bucket = self._buckets[at]
        return SHORTEST * GROWTH ** (bucket - 1 + inside) if bucket else SHORTEST


class Histogram:
    """The last samples of one kind of request: seconds, seen to the end or cut off. O(1) a sample."""

    __slots__ = ("_curve", "_epoch", "_epochs", "_new", "_until", "count", "cut", "seen")

    def __init__(self) -> None:
        self.count = 0
        self.seen = [0] * BUCKETS
        self.cut = [0] * BUCKETS
        self._epoch = array("h")  # bucket numbers; a cut one is stored as its complement
        self._epochs: deque[array[int]] = deque()  # those before it
        self._until = -math.inf
        self._curve: Curve | None = None
        self._new = 0  # samples since it was drawn

    def __repr__(self) -> str:
        return f"<Histogram of {self.count}, p50 {self.quantile(0.5)}, p95 {self.quantile(0.95)}>"

    def add(self, seconds: float, now: float, *, cut: bool = False) -> None:
        """A request took so many seconds, or (`cut`) longer than that."""
        if now >= self._until or len(self._epoch) >= EPOCH:
            self._turn(now)
        bucket = int(math.log(seconds) * _SCALE + _OFFSET) if seconds > SHORTEST else 0
        if bucket >= BUCKETS:
            bucket = BUCKETS - 1
        if cut:
            self.cut[bucket] += 1
            bucket = ~bucket
        else:
            self.seen[bucket] += 1
        self._epoch.append(bucket)
        self.count += 1
        self._new += 1

    def quantile(self, q: float) -> float | None:
        """The seconds within which a share `q` of the requests have their first content; `None` below 100 samples."""
        if self.count < ENOUGH:
            return None
        if self._curve is None or self._new > REFRESH * self.count:
            self._curve, self._new = Curve(self.seen, self.cut), 0
        return self._curve.quantile(q)

    def _turn(self, now: float) -> None:
        """Begin an epoch, and forget the oldest; all of them, when the last one is unlike them."""
        if self._epoch:
            most = 0 if self._changed() else EPOCHS - 2
            while len(self._epochs) > most:
                self._forget(self._epochs.popleft())
            self._epochs.append(self._epoch)
            self._epoch = array("h")
        self._until = now + EPOCH_SECONDS

    def _changed(self) -> bool:
        """Whether the samples of this epoch follow another law than those before it."""
        fresh, older = len(self._epoch), self.count - len(self._epoch)
        if min(fresh, older) < ENOUGH:
            return False
        seen, cut = [0] * BUCKETS, [0] * BUCKETS
        _count(self._epoch, 1, seen, cut)
        before = Curve(
            [every - one for every, one in zip(self.seen, seen, strict=True)],
            [every - one for every, one in zip(self.cut, cut, strict=True)],
        )
        return Curve(seen, cut).distance(before) > CHANGE * math.sqrt(1.0 / fresh + 1.0 / older)

    def _forget(self, epoch: array[int]) -> None:
        _count(epoch, -1, self.seen, self.cut)
        self.count -= len(epoch)
        self._curve = None


class Latency:
    """One model's memory: a histogram for each size of prompt, taken together where one knows too little."""

    __slots__ = ("_curve", "_new", "_sizes")

    def __init__(self) -> None:
        self._sizes: dict[int, Histogram] = {}
        self._curve: Curve | None = None
        self._new = 0

    def __repr__(self) -> str:
        return f"<Latency {self._sizes!r}>"

    def add(self, seconds: float, size: int, now: float, *, cut: bool = False) -> None:
        """A request of `size` bytes took so many seconds to its first content, or (`cut`) longer than that."""
        kind = 0 if size < SMALL else _kind(size)
        found = self._sizes.get(kind)
        if found is None:
            found = self._sizes[kind] = Histogram()
        found.add(seconds, now, cut=cut)
        self._new += 1

    def quantile(self, q: float, size: int | None = None) -> float | None:
        """The quantile for requests of about `size` bytes (`None` = all); `None` while it is not known."""
        if not self._sizes:
            return None
        if size is not None and (found := self._sizes.get(_kind(size))) is not None and found.count >= ENOUGH:
            return found.quantile(q)
        return self._together(q)

    def _together(self, q: float) -> float | None:
        every = list(self._sizes.values())
        if len(every) == 1:
            return every[0].quantile(q)
        count = sum(one.count for one in every)
        if count < ENOUGH:
            return None
        if self._curve is None or self._new > REFRESH * count:
            seen = [sum(counts) for counts in zip(*(one.seen for one in every), strict=True)]
            cut = [sum(counts) for counts in zip(*(one.cut for one in every), strict=True)]
            self._curve, self._new = Curve(seen, cut), 0
        return self._curve.quantile(q)


def _kind(size: int) -> int:
    return min(SIZES - 1, max(0, (size.bit_length() - 9) // 2))


def _count(samples: array[int], change: int, seen: list[int], cut: list[int]) -> None:
    for sample in samples:
        if sample < 0:
            cut[~sample] += change
        else:
            seen[sample] += change
