"""Latency laws: how long something takes, drawn from a generator, so that one seed gives one history."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from statistics import NormalDist

from asyncrouter.sim._prompt import said

Law = Callable[[Random], float]
"""Draws seconds from the generator it is given."""
Seconds = float | Law

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Lognormal:
    """See `lognormal`."""

    median: float
    sigma: float
    stragglers: float = 0.0
    factor: float = 20.0
    correlation: float = 0.0

    def __call__(self, random: Random) -> float:
        """Seconds, with nothing in common with any other draw."""
        return self.drawn(random, random.normalvariate(0.0, 1.0))

    def drawn(self, random: Random, z: float) -> float:
        """Seconds for this standard normal deviate."""
        seconds = self.median * math.exp(self.sigma * z)
        # Drawn in any case, so that one seed gives the same base latencies whatever the share of stragglers.
        return seconds * self.factor if random.random() < self.stragglers else seconds

    def shared(self, random: Random, luck: float) -> float:
        """Seconds of which the prompt's luck decides its part."""
        own = random.normalvariate(0.0, 1.0)
        return self.drawn(random, math.sqrt(self.correlation) * luck + math.sqrt(1.0 - self.correlation) * own)


def lognormal(
    median: float, sigma: float, *, stragglers: float = 0.0, factor: float = 20.0, correlation: float = 0.0
) -> Lognormal:
    """A latency law: lognormal about `median` seconds; a share of `stragglers` takes `factor` times as long.

    `correlation` (0 to 1) is that of the logarithms between two requests with the same prompt, at whichever models: a
    prompt that takes long here takes long there. Prompts must differ for it to mean anything.
    """
    return Lognormal(median, sigma, stragglers, factor, correlation)


def draw(law: Seconds, random: Random, body: Mapping[str, object]) -> float:
    """The seconds a law gives this request."""
    if not callable(law):
        return law
    if isinstance(law, Lognormal) and law.correlation:
        return law.shared(random, luck(body))
    return law(random)


def luck(body: Mapping[str, object]) -> float:
    """A standard normal deviate that belongs to the prompt, the same in every process."""
    digest = blake2b(said(body).encode("utf-8", "replace"), digest_size=8).digest()
    return _NORMAL.inv_cdf((int.from_bytes(digest, "big") + 0.5) / 2.0**64)
