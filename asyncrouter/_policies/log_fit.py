"""What few durations say about the next one: a lognormal distribution with unknown mean and spread, and a prior.

The logarithms of durations are taken as normal; their mean and spread have a normal-inverse-gamma prior. The next one
then follows Student's t, which is wide while little is known. One sample changes three numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

PRIOR_SHAPE = 3.0
"""Degrees of freedom of the prior: its spread is worth three samples."""
PRIOR_WEIGHT = 0.25
"""Samples that the mean of the prior is worth, while it is a guess of ours."""
POOLED_WEIGHT = 1.0
"""The same once it is the mean of other models of the chain."""
MAX_POOLED = 20.0
"""Samples that one other model counts for at most in that mean."""
CLIP = 2.5
"""Standard deviations of the prediction at which a sample is cut: a straggler among ten would double the spread."""
MEMORY = 500.0
"""Samples remembered; older ones fade, so that a model that has changed is soon known as it is."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What is assumed before the first sample: the median, and the variance of the logarithm."""

    median: float
    variance: float


class LogFit:
    """The running mean and spread of logarithms, under a prior."""

    __slots__ = ("_prior_mean", "_prior_weight", "_variance", "mean", "squares", "weight")

    def __init__(self, prior: Prior) -> None:
        self._prior_mean = math.log(prior.median)
        self._prior_weight = PRIOR_WEIGHT
        self._variance = prior.variance
        self.weight = 0.0
        self.mean = self._prior_mean
        self.squares = 0.0

    def __repr__(self) -> str:
        return f"<LogFit of {self.weight:.1f}: median {self.median:.3f}, scale {self.scale:.3f}>"

    @property
    def centre(self) -> float:
        """The mean of the logarithm of the next sample."""
        weight = self._prior_weight + self.weight
        return (self._prior_weight * self._prior_mean + self.weight * self.mean) / weight

    @property
    def median(self) -> float:
        """The median of the next sample."""
        return math.exp(self.centre)

    @property
    def freedom(self) -> float:
        """The degrees of freedom of the prediction."""
        return PRIOR_SHAPE + self.weight

    @property
    def variance(self) -> float:
        """The variance of the logarithm, without what is unknown of its mean."""
        off = self.mean - self._prior_mean
        between = self._prior_weight * self.weight / (self._prior_weight + self.weight) * off * off
        return (PRIOR_SHAPE * self._variance + self.squares + between) / self.freedom

    @property
    def scale(self) -> float:
        """The scale of the prediction's Student's t."""
        return math.sqrt(self.variance * (1.0 + 1.0 / (self._prior_weight + self.weight)))

    def longer(self, value: float) -> float:
        """The share of next samples that are larger than `value`."""
        return _t_tail((math.log(value) - self.centre) / self.scale, self.freedom)

    def quantile(self, z: float) -> float:
        """The quantile of the next sample that lies `z` standard deviations up in a normal distribution."""
        return math.exp(self.centre + self.scale * _t_of(z, self.freedom))

    def mean_above(self, value: float) -> float:
        """The mean of samples that are larger than `value` (0 for all), as a lognormal; at least `value`."""
        centre, variance = self.centre, self.variance
        sigma = math.sqrt(variance)
        every = math.exp(centre + 0.5 * variance)
        if value <= 0.0:
            return every
        z = (math.log(value) - centre) / sigma
        beyond = math.erfc(z / math.sqrt(2.0))
        if beyond < 1e-12:
            return value * (1.0 + sigma)
        return max(value, every * math.erfc((z - sigma) / math.sqrt(2.0)) / beyond)

    def add(self, value: float, weight: float = 1.0) -> None:
        """Count a sample above 0; one that is far off counts as far as is credible."""
        if self.weight:
            scale, centre = CLIP * self.scale, self.centre
            log = min(max(math.log(value), centre - scale), centre + scale)
        else:
            log = math.log(value)
        self.weight += weight
        off = log - self.mean
        self.mean += off * weight / self.weight
        self.squares += weight * off * (log - self.mean)
        if self.weight > MEMORY:
            self.squares *= MEMORY / self.weight
            self.weight = MEMORY

    def add_cut(self, value: float) -> None:
        """Count a sample that was cut off at `value`: an early cut says nearly nothing."""
        z = (math.log(value) - self.centre) / self.scale
        longer = _t_tail(z, self.freedom)
        if longer >= 0.999:
            return
        density = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
        expected = self.centre + self.scale * max(density / (0.5 * math.erfc(z / math.sqrt(2.0)) + 1e-12), z)
        self.add(math.exp(expected), 1.0 - longer)

    def pool(self, others: list[LogFit]) -> None:
        """Take the mean of other models for the prior's; nothing changes when they know nothing either."""
        weights = [min(MAX_POOLED, other.weight) for other in others]
        if (total := sum(weights)) > 0.0:
            self._prior_mean = sum(w * other.mean for w, other in zip(weights, others, strict=True)) / total
            self._prior_weight = PRIOR_WEIGHT + (POOLED_WEIGHT - PRIOR_WEIGHT) * min(1.0, total / MAX_POOLED)


def _t_tail(t: float, freedom: float) -> float:
    """The share of Student's t beyond `t`, by Wallace's approximation (1959), right to a hundredth."""
    z = (8.0 * freedom + 1.0) / (8.0 * freedom + 3.0) * math.sqrt(freedom * math.log1p(t * t / freedom))
    return 0.5 * math.erfc(math.copysign(z, t) / math.sqrt(2.0))


def _t_of(z: float, freedom: float) -> float:
    """The inverse: where Student's t has as much beyond it as a normal distribution beyond `z`."""
    scaled = z * (8.0 * freedom + 3.0) / (8.0 * freedom + 1.0)
    return math.copysign(math.sqrt(freedom * math.expm1(scaled * scaled / freedom)), z)
