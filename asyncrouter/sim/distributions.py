"""Distributions of latencies, drawn from a seeded generator, so that one seed gives the same run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from statistics import NormalDist

from asyncrouter.sim._request import prompt_text

Distribution = Callable[[Random], float]
"""Draws seconds from the generator it is given."""
Seconds = float | Distribution
"""A fixed time in seconds, or a distribution of times."""

_NORMAL = NormalDist()
"""The standard normal distribution."""


@dataclass(frozen=True, slots=True)
class Lognormal:
    """A lognormal distribution with stragglers; see `lognormal`, which makes it."""

    median: float
    sigma: float
    stragglers: float = 0.0
    factor: float = 20.0
    correlation: float = 0.0

    def __call__(self, random: Random) -> float:
        """Draw seconds that are independent of every other draw."""
        return self.seconds_at(random, random.normalvariate(0.0, 1.0))

    def seconds_at(self, random: Random, deviate: float) -> float:
        """The seconds at this standard normal deviate; whether they are a straggler's is drawn."""
        seconds = self.median * math.exp(self.sigma * deviate)
        # Drawn in any case, so that one seed gives the same base latencies whatever the share of stragglers.
        return seconds * self.factor if random.random() < self.stragglers else seconds

    def correlated(self, random: Random, prompt_deviate: float) -> float:
        """Draw seconds of which the prompt's own deviate decides the share `correlation`."""
        own = random.normalvariate(0.0, 1.0)
        deviate = math.sqrt(self.correlation) * prompt_deviate + math.sqrt(1.0 - self.correlation) * own
        return self.seconds_at(random, deviate)


def lognormal(
    median: float, sigma: float, *, stragglers: float = 0.0, factor: float = 20.0, correlation: float = 0.0
) -> Lognormal:
    """A lognormal distribution of seconds.

    `median` is in seconds, `sigma` is the standard deviation of the natural logarithm. A share `stragglers` of the
    draws, from 0 to 1, takes `factor` times as long. `correlation`, from 0 to 1, is that between the logarithms of two
    requests with the same prompt, whichever models they ask: a prompt that takes long at one takes long at all. It
    needs prompts that differ.
    """
    return Lognormal(median, sigma, stragglers, factor, correlation)


def draw(seconds: Seconds, random: Random, body: Mapping[str, object]) -> float:
    """The seconds of one request with this body."""
    if not callable(seconds):
        return seconds
    if isinstance(seconds, Lognormal) and seconds.correlation:
        return seconds.correlated(random, deviate_of(body))
    return seconds(random)


def deviate_of(body: Mapping[str, object]) -> float:
    """A standard normal deviate made of the prompt by a hash: the same for equal prompts, in every process."""
    digest = blake2b(prompt_text(body).encode("utf-8", "replace"), digest_size=8).digest()
    return _NORMAL.inv_cdf((int.from_bytes(digest, "big") + 0.5) / 2.0**64)
