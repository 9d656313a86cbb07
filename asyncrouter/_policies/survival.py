"""Quantiles of durations of which some were cut off: the product-limit estimator (Kaplan and Meier, 1958).

Durations are counted in buckets of equal width on a logarithmic scale, so that a quantile has the same precision from
milliseconds to minutes, and a sample costs one addition.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import compress
from operator import add

GROWTH = 1.02
"""The ratio of two neighbouring buckets, and so the precision of a quantile: 2 %."""
SHORTEST = 0.001
"""Seconds up to which a duration falls into the first bucket."""
BUCKETS = 700
"""Buckets in all: up to a thousand seconds."""

_SCALE = 1.0 / math.log(GROWTH)
_OFFSET = 1.0 - math.log(SHORTEST) * _SCALE


def bucket_of(seconds: float) -> int:
    """The number of the bucket that a duration falls into."""
    bucket = int(math.log(seconds) * _SCALE + _OFFSET) if seconds > SHORTEST else 0
    return bucket if bucket < BUCKETS else BUCKETS - 1


class SurvivalCurve:
    """The estimated share of requests that have ended by when.

    `observed` counts the durations seen to the end, `censored` those that were cut off, by bucket. A request that was
    cut off is known to have taken longer, and counts among those at risk until then.
    """

    __slots__ = ("_buckets", "_ended")

    def __init__(self, observed: list[int], censored: list[int]) -> None:
        self._buckets: list[int] = []
        self._ended: list[float] = []
        at_risk, survival = sum(observed) + sum(censored), 1.0
        for bucket in compress(range(BUCKETS), map(add, observed, censored)):
            if ended := observed[bucket]:
                survival *= 1.0 - ended / at_risk
                self._buckets.append(bucket)
                self._ended.append(1.0 - survival)
            at_risk -= ended + censored[bucket]

    def __repr__(self) -> str:
        return f"<SurvivalCurve to {self._ended[-1] if self._ended else 0.0:.3f}>"

    def ended_by(self, bucket: int) -> float:
        """The share that has ended by the end of this bucket."""
        at = bisect_right(self._buckets, bucket)
        return self._ended[at - 1] if at else 0.0

    def distance(self, other: SurvivalCurve) -> float:
        """The largest difference between the two where this one steps, as far as both are known."""
        most = before = 0.0
        for bucket, ended in zip(self._buckets, self._ended, strict=True):
            if not other._buckets or bucket > other._buckets[-1]:
                break
            most = max(most, abs(other.ended_by(bucket - 1) - before), abs(other.ended_by(bucket) - ended))
            before = ended
        return most

    def quantile(self, q: float) -> float | None:
        """Seconds, as if the samples of a bucket were spread evenly in it; `None` when none was seen to the end.

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
