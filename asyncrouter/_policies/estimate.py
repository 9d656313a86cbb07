"""One duration of a model's answers, from the first sample on: what is usual, how rare a value is, what is to come.

Below a hundred samples it is what a fit with a cautious prior predicts (`log_fit.py`), from then on what was seen
(`latency.py`), with a lognormal tail (`distribution.py`). What most attempts need is whether they were ordinary: what
that means is worked out again when a fifth of the samples is new.
"""

from __future__ import annotations

from functools import cache
from math import log
from typing import TYPE_CHECKING

from asyncrouter._policies.distribution import Curve, normal_quantile, observed_curve
from asyncrouter._policies.latency import MIN_SAMPLES, Histogram
from asyncrouter._policies.log_fit import LogFit
from asyncrouter._policies.survival import SHORTEST

if TYPE_CHECKING:
    from asyncrouter._policies.log_fit import Prior

LEAST_P = 0.001
"""The least p-value of one sample: no single one says more."""
REFRESH = 0.1
"""The share of the samples that must be new before a curve is worked out again."""
MIN_REFRESH = 20
"""Samples that must be new for that at the least."""
NEAR, FAR, RARE, RAREST = 0.9, 0.95, 0.99, 0.999
"""The quantile up to which a duration is ordinary, and speaks for its model; and those of `rarities`."""
NEAR_TIMES = 1.2
"""Times the median up to which a duration is ordinary in any case, however little they vary."""
JITTER = 0.1
"""Seconds above the median up to which a duration is ordinary in any case: networks and busy programs take as long."""
NEAR_REFRESH, YOUNG_REFRESH = 0.2, 0.05
"""The share of the samples that must be new before these are worked out again, and the same while they are few."""


class Estimate:
    """The samples of one duration: `seen` to the end, or cut off."""

    __slots__ = (
        "_curve", "_curve_until", "_jitter", "_rarities", "_refresh_at", "fit", "histogram", "middle", "near", "what",
        "word",
    )

    def __init__(self, prior: Prior, jitter: float = 0.0, what: str = "") -> None:
        self._jitter = jitter
        self.what = what
        """What takes so long: the words behind a number of seconds."""
        self.word = "usual"
        """What its median is called: "usual", or "expected" where it is made of another model's samples."""
        self.histogram = Histogram()
        self.fit = LogFit(prior)
        self._curve: Curve | None = None
        self._curve_until = self._refresh_at = -1  # the samples until which the curve holds, and `near`
        self._rarities: tuple[float, float, float] | None = None
        self._refresh()

    def __repr__(self) -> str:
        return f"<Estimate of {self.seen}: median {self.median:.3f}>"

    @property
    def seen(self) -> int:
        """How many samples were seen to the end."""
        return self.histogram.seen

    @property
    def is_young(self) -> bool:
        """Whether there are too few samples to go by what was seen."""
        return self.histogram.seen < MIN_SAMPLES

    @property
    def median(self) -> float:
        """The median."""
        return self.fit.median if self.is_young else self.curve.quantile(0.5)

    @property
    def far(self) -> float:
        """The p95: from there on silence speaks against a model."""
        return (self._rarities or self.rarities)[0]

    @property
    def rarities(self) -> tuple[float, float, float]:
        """The p95, p99 and p99.9, as they were at the first question since `near` was worked out: silence speaks more
        and more against a model.
        """
        found = self._rarities
        if found is None:
            far = max(self.quantile(FAR), self.near)
            rare = max(self.quantile(RARE), far)
            found = self._rarities = far, rare, max(self.quantile(RAREST), rare)
        return found

    @property
    def curve(self) -> Curve:
        """The distribution of what was seen, a few samples old; not for few samples."""
        curve, histogram = self._curve, self.histogram
        if curve is None or histogram.added > self._curve_until:
            curve = self._curve = observed_curve(histogram.observed, histogram.censored, histogram.count)
            self._curve_until = histogram.added + max(MIN_REFRESH, int(REFRESH * histogram.count))
        return curve

    def quantile(self, q: float) -> float:
        """The quantile `q` of the next sample."""
        return self.fit.quantile(_deviations(q)) if self.is_young else self.curve.quantile(q)

    def longer(self, value: float) -> float:
        """The share of next samples that are larger than `value`."""
        return self.fit.longer(max(value, SHORTEST)) if self.is_young else self.curve.longer(value)

    def add(self, value: float, now: float) -> None:
        """Count a sample that was seen to the end."""
        histogram = self.histogram
        histogram.add(value, now)
        if histogram.added >= histogram.look_at:
            if histogram.seen <= MIN_SAMPLES:
                self.fit.add(max(value, SHORTEST))
            if histogram.added >= self._refresh_at or histogram.look_at == 0:
                self._refresh()

    def add_cut(self, value: float, now: float) -> None:
        """Count a sample that was cut off at `value`: it would have been larger."""
        self.histogram.add_cut(value, now)
        if self.is_young:
            self.fit.add_cut(max(value, SHORTEST))

    def pool(self, others: list[Estimate]) -> None:
        """Let other models of the chain say what to expect, while this one has few samples."""
        if self.is_young:
            self.fit.pool([other.fit for other in others])
            self._refresh()

    def p_value(self, value: float) -> float:
        """The share of samples as large as this one: its rank among those before it, or what the curve says if more."""
        histogram = self.histogram
        if self.is_young:
            return max(LEAST_P, (1 + histogram.at_least(value)) / (histogram.seen + 1), self.longer(value))
        if value <= self.near:
            return 1.0
        far, rare, rarest = self.rarities
        for share, begin, end, times in (
            (1.0 - NEAR, self.near, far, _TIMES[0]), (1.0 - FAR, far, rare, _TIMES[1]),
            (1.0 - RARE, rare, rarest, _TIMES[2]),
        ):
            if value < end:
                return float(share * times ** ((value - begin) / (end - begin)))
        return max(LEAST_P, 0.5 / (histogram.seen + 1))

    def in_words(self) -> str:
        """What is usual, in figures."""
        if not self.seen:
            return "nothing known yet"
        if self.is_young:
            return f"{self.word} {self.median:.3g} s"
        return f"{self.word} {self.median:.3g} s, 99.9 %: {self.quantile(0.999):.3g} s"

    def copy(self, prior: Prior) -> Estimate:
        """Another one with the same samples."""
        made = Estimate(prior, self._jitter, self.what)
        made.histogram = self.histogram.copy()
        made.fit.weight, made.fit.mean, made.fit.squares = self.fit.weight, self.fit.mean, self.fit.squares
        made._refresh()
        return made

    def slower(self, prior: Prior, times: float) -> Estimate:
        """What it would be, had every sample taken so many times as long. It takes no further samples."""
        made = Estimate(prior, self._jitter, self.what)
        made.word = "expected"
        made.histogram = self.histogram.slower(times)
        made.fit.weight, made.fit.squares = self.fit.weight, self.fit.squares
        made.fit.mean = self.fit.mean + log(times)
        made._refresh()
        return made

    def _refresh(self) -> None:
        """Work out the median (`middle`) and what is ordinary (`near`) as they are now."""
        self._curve = self._rarities = None
        if self.is_young or self.histogram.has_cuts:
            self.middle, near = self.median, self.quantile(NEAR)
        else:
            self.middle, near = self.histogram.simple_quantiles(0.5, NEAR)
        self.near = max(near, NEAR_TIMES * self.middle, self.middle + self._jitter)
        share = YOUNG_REFRESH if self.is_young else NEAR_REFRESH
        self._refresh_at = self.histogram.added + 1 + int(share * self.histogram.count)
        self.histogram.look_at = 1 if self.is_young else self._refresh_at


_TIMES = ((1.0 - FAR) / (1.0 - NEAR), (1.0 - RARE) / (1.0 - FAR), (1.0 - RAREST) / (1.0 - RARE))
"""By how much the share that takes longer falls from each of the quantiles to the next."""


@cache
def _deviations(q: float) -> float:
    """The standard deviations of a quantile of a normal distribution."""
    return normal_quantile(1.0 - q)
