"""The distribution of a duration: quantiles, the share that takes longer, and the mean time that is still to come.

A `Curve` is the survival function at some instants. `observed_curve()` makes it of many samples: the product-limit
estimate (Kaplan and Meier, 1958) as far as enough reach, and a lognormal tail beyond. The tail, and the mean time still
to come, are worked out when they are first asked for: few attempts take so long.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import compress
from operator import add, neg
from typing import TYPE_CHECKING

from asyncrouter._policies.survival import BUCKETS, GROWTH, SHORTEST, bucket_of

if TYPE_CHECKING:
    from collections.abc import Sequence

LAST_SECONDS = 120.0
"""Seconds beyond which a duration counts as over in a mean: nobody waits longer for the rest of an answer."""
MIN_AT_RISK = 10
"""Samples that must reach a bucket for the share of those that end in it to be believed."""
MIN_SIGMA = 0.02
"""The least spread of a lognormal tail, in units of the logarithm: the width of a bucket."""
STRETCH = 1.5
"""The ratio of the instants between which it is counted how many still end, before a tail that was not seen."""
STRETCH_SAMPLES = 20
"""Samples that end or are cut off in it at the most: where many end, the last of them say how soon the next ones will.
"""
STEP = 1.1
"""The ratio of two neighbouring instants where a curve is a formula."""
_SQRT2 = math.sqrt(2.0)
_SQRT_TAU = math.sqrt(math.tau)


def normal_tail(z: float) -> float:
    """The share of a normal distribution beyond `z` standard deviations."""
    return 0.5 * math.erfc(z / _SQRT2)


def normal_quantile(share: float) -> float:
    """The standard deviations beyond which this share, at most a half, of a normal distribution lies (Newton)."""
    z = 0.0
    for _ in range(60):
        step = (normal_tail(z) - share) * _SQRT_TAU * math.exp(0.5 * z * z)
        z += step
        if step < 1e-9:
            break
    return z


class Curve:
    """The share that takes longer than each of some instants; `seconds` rise from 0, `longer` falls from 1.

    With `tail`, the curve goes on beyond the last of them as a lognormal that leaves that share there at the least, and
    of which at first no more than `ending` end (a share, for each unit of the logarithm of time).
    """

    __slots__ = ("_ending", "_left", "_longer", "_seconds", "_tail")

    def __init__(
        self, seconds: list[float], longer: list[float], tail: float | None = None, ending: float = math.inf
    ) -> None:
        self._ending = ending
        self._seconds = seconds
        self._longer = longer
        self._tail = tail  # `None`: nothing is to be added
        self._left: list[float] | None = None  # the area beyond each instant, up to `LAST_SECONDS`

    def __repr__(self) -> str:
        return f"<Curve p50 {self.quantile(0.5):.3f}, p95 {self.quantile(0.95):.3f}>"

    def longer(self, seconds: float) -> float:
        """The share that takes longer than this."""
        if seconds >= self._seconds[-1]:
            self._add_tail()
        at = bisect_right(self._seconds, seconds) - 1
        if at < 0:
            return 1.0
        if at + 1 >= len(self._seconds):
            return self._longer[-1]
        begin, end = self._seconds[at], self._seconds[at + 1]
        inside = (seconds - begin) / (end - begin)
        return self._longer[at] + inside * (self._longer[at + 1] - self._longer[at])

    def quantile(self, q: float) -> float:
        """The seconds within which a share `q` ends; the last instant when that is not enough."""
        above = 1.0 - q
        if above < self._longer[-1]:
            self._add_tail()
        at = bisect_left(self._longer, -above, key=neg)
        if at == 0 or at == len(self._longer):
            return self._seconds[min(at, len(self._longer) - 1)]
        before, after = self._longer[at - 1], self._longer[at]
        inside = (before - above) / (before - after)
        return self._seconds[at - 1] + inside * (self._seconds[at] - self._seconds[at - 1])

    def mean_left(self, seconds: float) -> float:
        """The mean time still to come of what has taken so long already, counting none beyond `LAST_SECONDS`."""
        left = self._areas()
        at = bisect_right(self._seconds, seconds)
        if at == 0 or at >= len(self._seconds) or seconds >= LAST_SECONDS:
            return 0.0
        here = self.longer(seconds)
        if here <= 0.0:
            return 0.0
        end = min(self._seconds[at], LAST_SECONDS)
        return (0.5 * (end - seconds) * (here + self._longer[at]) + left[at]) / here

    def first_worth(self, least: float, above: float) -> float:
        """The first instant from `least` on at which the mean time still to come is more than `above`; else `inf`."""
        left = self._areas()
        if self.mean_left(least) > above:
            return least
        for at in range(bisect_right(self._seconds, least), len(self._seconds)):
            share = self._longer[at]
            if share > 0.0 and left[at] > above * share:
                return self._seconds[at]
        return math.inf

    def first_lull(self, least: float, window: float, rate: float) -> float:
        """The first instant from `least` on after which fewer than a share `rate` a second end, over `window` seconds.

        The last instant if there is none.
        """
        self._add_tail()
        at = bisect_right(self._seconds, least) - 1
        for seconds, share in zip(self._seconds[at:], self._longer[at:], strict=True):
            if seconds >= least and share - self.longer(seconds + window) < rate * window * share:
                return seconds
        return self._seconds[-1]

    def _areas(self) -> list[float]:
        """The area beyond each instant."""
        if self._left is None:
            self._add_tail()
            seconds, longer = self._seconds, self._longer
            self._left = [0.0] * len(seconds)
            area = 0.0
            for at in range(len(seconds) - 2, -1, -1):
                width = min(seconds[at + 1], LAST_SECONDS) - seconds[at]
                if width > 0.0:
                    area += 0.5 * width * (longer[at] + longer[at + 1])
                self._left[at] = area
        return self._left

    def _add_tail(self) -> None:
        """Go on beyond the last point with the tail of the lognormal through it and the median."""
        if self._tail is None:
            return
        seconds, longer = self._seconds, self._longer
        longer[-1] = share = max(longer[-1], self._tail)
        self._tail = None
        last = instant = seconds[-1]
        median = seconds[min(bisect_left(longer, -0.5, key=neg), len(seconds) - 1)]
        z = normal_quantile(share) if share < 0.5 else 0.0
        sigma = max(math.log(last / median) / z if z > 0.1 and last > median else 0.5, MIN_SIGMA)
        if self._ending < math.inf:
            sigma = max(sigma, math.exp(-0.5 * z * z) / (_SQRT_TAU * normal_tail(z) * self._ending))
        centre = math.log(last) - z * sigma  # so that the tail begins where the last point is
        while instant < 10.0 * LAST_SECONDS:
            instant *= STEP
            share = normal_tail((math.log(instant) - centre) / sigma)
            seconds.append(instant)
            longer.append(share)
            if share < 1e-12:
                break


def observed_curve(observed: Sequence[int], censored: Sequence[int], count: int) -> Curve:
    """The curve of `count` samples counted by bucket (`survival.py`), those that were cut off apart."""
    seconds, longer = [0.0], [1.0]
    at_risk, share, reached, last = count, 1.0, 0.0, -1
    for bucket in compress(range(BUCKETS), map(add, observed, censored)):
        if at_risk < MIN_AT_RISK and reached:
            break
        ended = observed[bucket]
        reached = SHORTEST * GROWTH**bucket
        if ended:
            if last != bucket - 1:
                seconds.append(reached / GROWTH)
                longer.append(share)
            last = bucket
            share *= 1.0 - ended / at_risk
            seconds.append(reached)
            longer.append(share)
        at_risk -= ended + censored[bucket]
    if seconds[-1] < reached:  # up to here many were silent, and then cut off
        seconds.append(reached)
        longer.append(share)
    return Curve(seconds, longer, 0.5 / (count + 1), _most_ending(observed, censored, reached, at_risk))


def _most_ending(observed: Sequence[int], censored: Sequence[int], reached: float, at_risk: int) -> float:
    """How many of those at risk end at the most, for each unit of the logarithm of time, before `reached` (95 %)."""
    if reached <= SHORTEST:
        return math.inf
    last, width = bucket_of(reached / math.sqrt(GROWTH)), math.log(GROWTH)
    ended, exposure, most = 0, 0.0, STRETCH_SAMPLES + at_risk
    for bucket in range(last, max(0, last - round(math.log(STRETCH) / width)), -1):
        at_risk += observed[bucket] + censored[bucket]
        if ended and at_risk > most:
            break
        ended += observed[bucket]
        exposure += width * at_risk
    return (ended + 2.0 * math.sqrt(ended) + 3.0) / exposure if exposure else math.inf
