"""How long models take to their first content, learned from what is seen, losers included.

A loser is cancelled at the instant another one wins: that it would have taken longer is all there is to know. Leaving
losers out makes a model look faster than it is, and a hedge asked for at 5 % fires at 8 to 12 % (tower, resilience4j);
so they are kept as right-censored samples, and quantiles come from the product-limit estimator (Kaplan & Meier 1958).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque

GROWTH = 1.02
"""A bucket is 2 % wider than the one before it: the precision of a quantile."""
SHORTEST = 0.001
"""Seconds; what is faster falls into the first bucket."""
BUCKETS = 700
"""Up to a thousand seconds."""
EPOCH = 250
"""Samples after which the oldest ones are dropped."""
EPOCHS = 8
"""Epochs remembered: the last 2,000 samples, or fewer when they are older than ..."""
EPOCH_SECONDS = 300.0
"""... this many seconds an epoch."""
REFRESH = 50
"""Samples after which quantiles are worked out again."""
ENOUGH = 100
"""Samples below which nothing is said."""
SIZES = 6
"""Kinds of prompts: each is four times as long as the one before it."""

_SCALE = 1.0 / math.log(GROWTH)


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

    __slots__ = ("_began", "_curve", "_epochs", "_new", "count", "cut", "seen")

    def __init__(self) -> None:
        self.count = 0
        self.seen = [0] * BUCKETS
        self.cut = [0] * BUCKETS
        self._epochs: deque[list[int]] = deque([[]])  # bucket numbers; a cut one is stored as its complement
        self._began = -math.inf
        self._curve: Curve | None = None
        self._new = 0

    def __repr__(self) -> str:
        return f"<Histogram of {self.count}, p50 {self.quantile(0.5)}, p95 {self.quantile(0.95)}>"

    def add(self, seconds: float, now: float, *, cut: bool = False) -> None:
        """A request took so many seconds, or (`cut`) longer than that."""
        if now - self._began > EPOCH_SECONDS or len(self._epochs[-1]) >= EPOCH:
            self._turn(now)
        bucket = 0 if seconds <= SHORTEST else min(BUCKETS - 1, int(math.log(seconds / SHORTEST) * _SCALE) + 1)
        (self.cut if cut else self.seen)[bucket] += 1
        self._epochs[-1].append(~bucket if cut else bucket)
        self.count += 1
        self._new += 1

    def quantile(self, q: float) -> float | None:
        """The seconds within which a share `q` of the requests have their first content; `None` below 100 samples."""
        if self.count < ENOUGH:
            return None
        if self._curve is None or self._new >= REFRESH:
            self._curve, self._new = Curve(self.seen, self.cut), 0
        return self._curve.quantile(q)

    def _turn(self, now: float) -> None:
        """Begin an epoch and forget the oldest."""
        if self._epochs[-1]:
            self._epochs.append([])
        self._began = now
        if len(self._epochs) > EPOCHS:
            for sample in self._epochs.popleft():
                self.count -= 1
                if sample < 0:
                    self.cut[~sample] -= 1
                else:
                    self.seen[sample] -= 1


class Latency:
    """One model's memory: a histogram for each size of prompt, taken together where one knows too little."""

    __slots__ = ("_curve", "_new", "_sizes")

    def __init__(self) -> None:
        self._sizes: dict[int, Histogram] = {}
        self._curve: Curve | None = None
        self._new = 0

    def __repr__(self) -> str:
        return f"<Latency {self._sizes!r}>"

    @property
    def count(self) -> int:
        """Samples remembered."""
        return sum(one.count for one in self._sizes.values())

    def add(self, seconds: float, size: int, now: float, *, cut: bool = False) -> None:
        """A request of `size` bytes took so many seconds to its first content, or (`cut`) longer than that."""
        kind = _kind(size)
        found = self._sizes.get(kind)
        if found is None:
            found = self._sizes[kind] = Histogram()
        found.add(seconds, now, cut=cut)
        self._new += 1

    def quantile(self, q: float, size: int | None = None) -> float | None:
        """The quantile for requests of about `size` bytes (`None` = all); `None` while it is not known."""
        if len(self._sizes) == 1:
            return next(iter(self._sizes.values())).quantile(q)
        if size is not None and (found := self._sizes.get(_kind(size))) is not None and found.count >= ENOUGH:
            return found.quantile(q)
        return self._together(q)

    def _together(self, q: float) -> float | None:
        if self.count < ENOUGH:
            return None
        if self._curve is None or self._new >= REFRESH:
            every = self._sizes.values()
            seen = [sum(counts) for counts in zip(*(one.seen for one in every), strict=True)]
            cut = [sum(counts) for counts in zip(*(one.cut for one in every), strict=True)]
            self._curve, self._new = Curve(seen, cut), 0
        return self._curve.quantile(q)


def _kind(size: int) -> int:
    return min(SIZES - 1, max(0, (size.bit_length() - 9) // 2))
