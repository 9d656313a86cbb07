"""One duration of a model's answers, from the first sample on: what is usual, how rare a value is, what is to come.

Below a hundred samples it is what a fit with a cautious prior predicts (`log_fit.py`), from then on what was seen
(`latency.py`), with a lognormal tail (`distribution.py`). A curve is worked out again when 2 % of the samples are new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._policies.distribution import Curve, fitted_curve, observed_curve
from asyncrouter._policies.latency import MIN_SAMPLES, REFRESH, Histogram
from asyncrouter._policies.log_fit import LogFit
from asyncrouter._policies.survival import SHORTEST

if TYPE_CHECKING:
    from asyncrouter._policies.log_fit import Prior

LEAST_P = 0.001
"""The least p-value of one sample: no single one says more."""


class Estimate:
    """The samples of one duration: `seen` to the end, or cut off."""

    __slots__ = ("_at", "_curve", "fit", "histogram", "version")

    def __init__(self, prior: Prior) -> None:
        self.histogram = Histogram()
        self.fit = LogFit(prior)
        self.version = 0
        """A number that changes with each sample."""
        self._curve: Curve | None = None
        self._at = 0  # the version that the curve was worked out at

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
    def curve(self) -> Curve:
        """The distribution, at most 2 % of the samples old."""
        curve, histogram = self._curve, self.histogram
        if curve is None or self.version - self._at > REFRESH * histogram.count:
            if self.is_young:
                curve = fitted_curve(self.fit)
            else:
                curve = observed_curve(histogram.observed, histogram.censored, histogram.count)
            self._curve, self._at = curve, self.version
        return curve

    def add(self, value: float, now: float) -> None:
        """Count a sample that was seen to the end."""
        self.histogram.add(value, now)
        if self.histogram.seen <= MIN_SAMPLES:
            self.fit.add(max(value, SHORTEST))
        self.version += 1

    def add_cut(self, value: float, now: float) -> None:
        """Count a sample that was cut off at `value`: it would have been larger."""
        self.histogram.add(value, now, censored=True)
        if self.is_young:
            self.fit.add_cut(max(value, SHORTEST))
        self.version += 1

    def pool(self, others: list[Estimate]) -> None:
        """Let other models of the chain say what to expect, while this one has few samples."""
        if self.is_young:
            self.fit.pool([other.fit for other in others])
            self._curve = None

    def p_value(self, value: float) -> float:
        """The share of samples as large as this one: its rank among those before it, or what the curve says if more."""
        histogram = self.histogram
        if self.is_young:
            least = (1 + histogram.at_least(value)) / (histogram.seen + 1)
        else:
            least = 0.5 / (histogram.seen + 1)
        return max(LEAST_P, least, self.curve.longer(value))

    def in_words(self) -> str:
        """What is usual, in figures."""
        if not self.seen:
            return "nothing known yet"
        return f"usual {self.median:.3g} s, 99.9 %: {self.curve.quantile(0.999):.3g} s"

    def copy(self, prior: Prior) -> Estimate:
        """Another one with the same samples."""
        made = Estimate(prior)
        made.histogram = self.histogram.copy()
        made.fit.weight, made.fit.mean, made.fit.squares = self.fit.weight, self.fit.mean, self.fit.squares
        made.version = self.version
        return made
