"""The distribution of a duration: quantiles, the share that takes longer, and the mean time that is still to come.

A `Curve` is the survival function at some instants. It is made in two ways. `observed_curve()` makes it of many
samples: the product-limit estimate (Kaplan and Meier, 1958) as far as enough reach, and a lognormal tail beyond.
`fitted_curve()` makes it of few: Student's t of the logarithms, as a `LogFit` predicts the next one.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from asyncrouter._policies.survival import GROWTH, SHORTEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter._policies.log_fit import LogFit

LAST_SECONDS = 120.0
"""Seconds beyond which a duration counts as over in a mean: nobody waits longer for the rest of an answer."""
MIN_AT_RISK = 10
"""Samples that must reach a bucket for the share of those that end in it to be believed."""
MIN_SIGMA = 0.02
"""The least spread of a lognormal tail, in units of the logarithm: the width of a bucket."""
STEP = 1.1
"""The ratio of two neighbouring instants where a curve is a formula."""
_SQRT2 = math.sqrt(2.0)


def normal_tail(z: float) -> float:
    """The share of a normal distribution beyond `z` standard deviations."""
    return 0.5 * math.erfc(z / _SQRT2)


def normal_quantile(share: float) -> float:
    """The standard deviations beyond which this share of a normal distribution lies; found by bisection."""
    low, high = -12.0, 12.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        if normal_tail(middle) > share:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


class Curve:
    """The share that takes longer than each of some instants; `seconds` rise from 0, `longer` falls from 1."""

    __slots__ = ("_ended", "_left", "_longer", "_seconds")

    def __init__(self, seconds: list[float], longer: list[float]) -> None:
        self._seconds = seconds
        self._longer = longer
        self._ended = [1.0 - share for share in longer]
        self._left = [0.0] * len(seconds)  # the area beyond each instant, up to `LAST_SECONDS`
        area = 0.0
        for at in range(len(seconds) - 2, -1, -1):
            width = min(seconds[at + 1], LAST_SECONDS) - seconds[at]
            if width > 0.0:
                area += 0.5 * width * (longer[at] + longer[at + 1])
            self._left[at] = area

    def __repr__(self) -> str:
        return f"<Curve p50 {self.quantile(0.5):.3f}, p95 {self.quantile(0.95):.3f}>"

    def longer(self, seconds: float) -> float:
        """The share that takes longer than this."""
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
        at = bisect_left(self._ended, q)
        if at == 0 or at == len(self._ended):
            return self._seconds[min(at, len(self._ended) - 1)]
        before, after = self._ended[at - 1], self._ended[at]
        inside = (q - before) / (after - before)
        return self._seconds[at - 1] + inside * (self._seconds[at] - self._seconds[at - 1])

    def mean_left(self, seconds: float) -> float:
        """The mean time still to come of what has taken so long already, counting none beyond `LAST_SECONDS`."""
        at = bisect_right(self._seconds, seconds)
        if at == 0 or at >= len(self._seconds) or seconds >= LAST_SECONDS:
            return 0.0
        here = self.longer(seconds)
        if here <= 0.0:
            return 0.0
        end = min(self._seconds[at], LAST_SECONDS)
        return (0.5 * (end - seconds) * (here + self._longer[at]) + self._left[at]) / here

    def first_worth(self, least: float, above: float) -> float:
        """The first instant from `least` on at which the mean time still to come is more than `above`; else `inf`."""
        if self.mean_left(least) > above:
            return least
        for at in range(bisect_right(self._seconds, least), len(self._seconds)):
            share = self._longer[at]
            if share > 0.0 and self._left[at] > above * share:
                return self._seconds[at]
        return math.inf

    def first_lull(self, least: float, window: float, rate: float) -> float:
        """The first instant from `least` on after which fewer than a share `rate` a second end, over `window` seconds.

        The last instant if there is none.
        """
        at = bisect_right(self._seconds, least) - 1
        for seconds, share in zip(self._seconds[at:], self._longer[at:], strict=True):
            if seconds >= least and share - self.longer(seconds + window) < rate * window * share:
                return seconds
        return self._seconds[-1]


def observed_curve(observed: Sequence[int], censored: Sequence[int], count: int) -> Curve:
    """The curve of `count` samples counted by bucket (`survival.py`), those that were cut off apart."""
    seconds, longer = [0.0], [1.0]
    at_risk, share, reached = count, 1.0, 0.0
    for bucket, (ended, cut) in enumerate(zip(observed, censored, strict=True)):
        if not (ended or cut):
            continue
        if at_risk < MIN_AT_RISK and reached:
            break
        reached = SHORTEST * GROWTH**bucket
        if ended:
            if seconds[-1] < (begin := SHORTEST * GROWTH ** (bucket - 1)):
                seconds.append(begin)
                longer.append(share)
            share *= 1.0 - ended / at_risk
            seconds.append(reached)
            longer.append(share)
        at_risk -= ended + cut
    if seconds[-1] < reached:  # up to here many were silent, and then cut off
        seconds.append(reached)
        longer.append(share)
    _add_tail(seconds, longer, 0.5 / (count + 1))
    return Curve(seconds, longer)


def _add_tail(seconds: list[float], longer: list[float], least: float) -> None:
    """Go on beyond the last point with the tail of the lognormal through it and the median."""
    if longer[-1] < least:
        longer[-1] = least
    last, share = seconds[-1], longer[-1]
    ended = [1.0 - one for one in longer]
    at = bisect_left(ended, 0.5)
    median = seconds[at] if at < len(seconds) else last
    z = normal_quantile(share) if share < 0.5 else 0.0
    sigma = math.log(last / median) / z if z > 0.1 and last > median else 0.5
    sigma = max(sigma, MIN_SIGMA)
    centre = math.log(last) - z * sigma  # so that the tail begins where the last point is
    instant = last
    while instant < 10.0 * LAST_SECONDS:
        instant *= STEP
        share = normal_tail((math.log(instant) - centre) / sigma)
        seconds.append(instant)
        longer.append(share)
        if share < 1e-12:
            break


def fitted_curve(fit: LogFit) -> Curve:
    """The curve of the next sample, as few samples predict it."""
    centre = fit.centre
    seconds, longer = [0.0], [1.0]
    instant = math.exp(centre - 4.0 * fit.scale)
    last = max(10.0 * LAST_SECONDS, math.exp(min(centre + fit.scale, 20.0)))
    while instant < last:
        seconds.append(instant)
        longer.append(fit.longer(instant))
        instant *= STEP
    return Curve(seconds, longer)
