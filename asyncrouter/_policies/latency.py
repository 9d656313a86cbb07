"""How long models take to their first content, learned from what is seen, losers included.

A loser is cancelled at the instant another one wins: that it would have taken longer is all there is to know. Leaving
losers out makes a model look faster than it is, and a hedge asked for at 5 % fires at 8 to 12 % (tower, resilience4j);
so they are kept as right-censored samples, and quantiles come from the product-limit estimator (Kaplan & Meier 1958).
"""

from __future__ import annotations

import math
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
REFRESH = 25
"""Samples after which quantiles are worked out again."""
ENOUGH = 100
"""Samples below which nothing is said."""

_SCALE = 1.0 / math.log(GROWTH)


class Histogram:
    """The last samples of one kind of request: seconds, seen to the end or cut off. O(1) a sample."""

    __slots__ = ("_began", "_cut", "_epochs", "_fresh", "_known", "_new", "_seen", "count")

    def __init__(self) -> None:
        self.count = 0
        self._seen = [0] * BUCKETS
        self._cut = [0] * BUCKETS
        self._epochs: deque[list[int]] = deque([[]])  # bucket numbers; a cut one is stored as its complement
        self._began = -math.inf
        self._fresh = 0
        self._new = 0
        self._known: dict[float, float | None] = {}

    def __repr__(self) -> str:
        return f"<Histogram of {self.count}, p50 {self.quantile(0.5)}, p95 {self.quantile(0.95)}>"

    def add(self, seconds: float, now: float, *, cut: bool = False) -> None:
        """A request took so many seconds, or (`cut`) longer than that."""
        self.put(bucket_of(seconds), now, cut=cut)

    def put(self, bucket: int, now: float, *, cut: bool) -> None:
        """The same for whoever knows the bucket already."""
        if now - self._began > EPOCH_SECONDS or self._fresh >= EPOCH:
            self._turn(now)
        if cut:
            self._cut[bucket] += 1
            self._epochs[-1].append(~bucket)
        else:
            self._seen[bucket] += 1
            self._epochs[-1].append(bucket)
        self.count += 1
        self._fresh += 1
        self._new += 1

    def quantile(self, q: float) -> float | None:
        """The seconds within which a share `q` of the requests have their first content.

        `None` below 100 samples, and when too many were cut off for that share to be seen.
        """
        if self.count < ENOUGH:
            return None
        if self._new >= REFRESH:
            self._known.clear()
            self._new = 0
        if q not in self._known:
            self._known[q] = product_limit(self._seen, self._cut, q)
        return self._known[q]

    def counts(self) -> tuple[list[int], list[int]]:
        """Samples by bucket, seen and cut: what a merged estimate is made of."""
        return self._seen, self._cut

    def _turn(self, now: float) -> None:
        """Begin an epoch and forget the oldest."""
        if self._epochs[-1]:
            self._epochs.append([])
        self._began, self._fresh = now, 0
        while len(self._epochs) > EPOCHS:
            for sample in self._epochs.popleft():
                self.count -= 1
                if sample < 0:
                    self._cut[~sample] -= 1
                else:
                    self._seen[sample] -= 1


def bucket_of(seconds: float) -> int:
    """Where so many seconds are counted."""
    return 0 if seconds <= SHORTEST else min(BUCKETS - 1, int(math.log(seconds / SHORTEST) * _SCALE) + 1)


def product_limit(seen: list[int], cut: list[int], q: float) -> float | None:
    """The Kaplan-Meier estimate of quantile `q` over log-spaced buckets; `None` when the curve ends below it."""
    at_risk = sum(seen) + sum(cut)
    survival, target = 1.0, 1.0 - q
    for bucket, ended in enumerate(seen):
        if ended:
            after = survival * (1.0 - ended / at_risk)
            if after <= target:
                # Within the bucket as if its samples were spread evenly.
                inside = (survival - target) / (survival - after)
                return SHORTEST * GROWTH ** (bucket - 1 + inside) if bucket else SHORTEST
            survival = after
        at_risk -= ended + cut[bucket]
    return None


class Latency:
    """One model's memory: a histogram for each size of prompt, and all of them together where one knows too little."""

    __slots__ = ("_all", "_sizes")

    SIZES = 6

    def __init__(self) -> None:
        self._all = Histogram()
        self._sizes: dict[int, Histogram] = {}

    def __repr__(self) -> str:
        return f"<Latency {self._all!r}>"

    def add(self, seconds: float, size: int, now: float, *, cut: bool = False) -> None:
        """A request of `size` bytes took so many seconds to its first content, or (`cut`) longer than that."""
        bucket = bucket_of(seconds)
        self._all.put(bucket, now, cut=cut)
        self._of(size).put(bucket, now, cut=cut)

    def quantile(self, q: float, size: int | None = None) -> float | None:
        """The quantile for requests of about `size` bytes (`None` = all); `None` while it is not known."""
        if size is not None and (known := self._of(size).quantile(q)) is not None:
            return known
        return self._all.quantile(q)

    def _of(self, size: int) -> Histogram:
        kind = min(self.SIZES - 1, max(0, (size.bit_length() - 9) // 2))
        found = self._sizes.get(kind)
        if found is None:
            found = self._sizes[kind] = Histogram()
        return found
