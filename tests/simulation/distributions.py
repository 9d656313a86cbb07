"""Random numbers where a uniform distribution will not do."""

from __future__ import annotations

from math import exp, log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random


def log_uniform(random: Random, low: float, high: float) -> float:
    """A number between `low` and `high` whose logarithm is uniform: each order of magnitude is as likely."""
    return exp(random.uniform(log(low), log(high)))
