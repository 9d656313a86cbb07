"""Statistics of scores: means of calls that are alike within a prompt, and paired differences of two arms.

A prompt that is asked several times is hard or easy each time, so its calls are no independent samples. Standard errors
are clustered by prompt (Liang and Zeger 1986; for evaluations Miller 2024): sums are made for each prompt, and the
prompts are the sample. For one call a prompt they are the ordinary ones.

- **Means of scores** get Wilson's interval for the effective number of calls, m(1 - m) / variance, so that it stays
  within 0 and 1 and has a width where all answers are right. It is at least the number of prompts then, and never above
  that of calls.
- **Differences** are paired by prompt: of each prompt both arms' means are subtracted. The interval is the normal one
  after half a discordant pair in either direction and one concordant pair were added (Agresti and Min 2005): without
  any discordant pair it still has a width.
- **p** is two-sided, from the same normal approximation.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncrouter.bench.significance import Z_95
from asyncrouter.bench.stats import Estimate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Value = tuple[int, float]
"""A number, and the prompt that it belongs to."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean difference of two arms over the prompts of both, with its 95 % interval and p for "there is none"."""

    value: float
    low: float
    high: float
    p: float
    prompts: int


def mean_score(values: Sequence[Value]) -> Estimate:
    """The mean of scores from 0 to 1 with its interval; no value without any."""
    n, groups = len(values), _by_prompt(values)
    if n == 0:
        return Estimate(None, enough=False)
    mean = sum(score for _, score in values) / n
    effective = _effective_n(mean, n, list(groups.values()))
    middle = (mean + Z_95 * Z_95 / (2.0 * effective)) / (1.0 + Z_95 * Z_95 / effective)
    spread = mean * (1.0 - mean) / effective + Z_95 * Z_95 / (4.0 * effective * effective)
    half = Z_95 * math.sqrt(spread) / (1.0 + Z_95 * Z_95 / effective)
    return Estimate(mean, max(0.0, min(mean, middle - half)), min(1.0, max(mean, middle + half)), n)


def difference(ours: Iterable[Value], theirs: Iterable[Value], *, scale: float = 0.0) -> Difference | None:
    """Ours less theirs, over the prompts that both have; `None` where there are fewer than two.

    `scale` is the largest difference a prompt can have (1 for scores): the size of the pairs that are added. With 0
    none are, for numbers that are never equal by chance, such as dollars.
    """
    mine, others = ({prompt: sum(all_) / len(all_) for prompt, all_ in _by_prompt(values).items()}
                    for values in (ours, theirs))
    gained = [mine[prompt] - others[prompt] for prompt in mine if prompt in others]
    if len(gained) < 2:
        return None
    value, added = sum(gained) / len(gained), 2.0 if scale else 0.0
    n = len(gained) + added
    middle = sum(gained) / n
    square = (sum(one * one for one in gained) + scale * scale * added / 2.0) / n - middle * middle
    error = math.sqrt(max(0.0, square) / (n - 1.0))
    p = 1.0 if value == 0.0 else math.erfc(abs(middle) / error / math.sqrt(2.0)) if error else 0.0
    return Difference(value, min(value, middle - Z_95 * error), max(value, middle + Z_95 * error), p, len(gained))


def _effective_n(mean: float, n: int, groups: Sequence[Sequence[float]]) -> float:
    """The number of independent yes-or-no calls that would know the mean as well."""
    count = len(groups)
    residues = [sum(score - mean for score in scores) for scores in groups]
    variance = count / max(1, count - 1) * sum(one * one for one in residues) / (n * n)
    if variance == 0.0 or count == 1:
        return float(count)
    return min(float(n), mean * (1.0 - mean) / variance)


def _by_prompt(values: Iterable[Value]) -> Mapping[int, list[float]]:
    found: dict[int, list[float]] = defaultdict(list)
    for prompt, value in values:
        found[prompt].append(value)
    return found
