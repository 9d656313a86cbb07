"""A random sample of the rows of an input, and what it tells about all of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from random import Random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from asyncrouter.batch._rows import Fields
    from asyncrouter.batch._source import Line

SEED = 0
"""Always the same rows are drawn, so that models can be compared by their samples."""
Z95 = 1.959964
"""The normal quantile of a two-sided interval of 95 %."""


class SampledRow(NamedTuple):
    """A row that was drawn: the number of its line, its fields, the estimated tokens of its prompt."""

    line: int
    fields: Fields
    tokens: int


class Reservoir:
    """A random sample of `size` of the rows that are offered, each with the same chance (Vitter's algorithm R)."""

    def __init__(self, size: int) -> None:
        self.rows: list[SampledRow] = []
        self.offered = 0
        self.tokens = 0
        """The tokens of all prompts that were offered."""
        self._size = size
        self._random = Random(SEED)

    def __repr__(self) -> str:
        return f"<Reservoir: {len(self.rows)} of {self.offered}>"

    def offer(self, row: SampledRow) -> None:
        """Perhaps take this row, in the place of another."""
        self.offered += 1
        self.tokens += row.tokens
        if len(self.rows) < self._size:
            self.rows.append(row)
        elif (at := self._random.randrange(self.offered)) < self._size:
            self.rows[at] = row


class SampledRows:
    """The drawn rows as the rows of an input, in its order."""

    def __init__(self, name: str, drawn: Sequence[SampledRow]) -> None:
        self.name = name
        self._drawn = sorted(drawn, key=lambda row: row.line)

    def __repr__(self) -> str:
        return f"<SampledRows: {len(self._drawn)} of {self.name}>"

    @property
    def tokens(self) -> list[int]:
        """The estimated tokens of each prompt."""
        return [row.tokens for row in self._drawn]

    def lines(self) -> Iterator[Line]:
        """Read them from the first one on."""
        for row in self._drawn:
            yield row.line, row.fields


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, and the ends of its interval of 95 %."""

    value: float
    low: float
    high: float

    def __mul__(self, factor: float) -> Interval:
        return Interval(self.value * factor, self.low * factor, self.high * factor)


def mean_of(values: Sequence[float], population: int) -> Interval:
    """The mean over a population that these values were drawn from without replacement; there is at least one."""
    return _interval(sum(values) / len(values), values, len(values) - 1, population)


def mean_by(values: Sequence[float], known: Sequence[float], mean_known: float, population: int) -> Interval:
    """The same with something known of each (`known`) and of the whole population on the average (`mean_known`).

    This is the regression estimator: where the values depend on it, the interval is shorter.
    """
    count = len(values)
    mean, at = sum(values) / count, sum(known) / count
    spread = sum((x - at) ** 2 for x in known)
    if count < 3 or spread == 0.0:
        return mean_of(values, population)
    slope = sum((x - at) * (y - mean) for x, y in zip(known, values, strict=True)) / spread
    rest = [y - slope * (x - at) for x, y in zip(known, values, strict=True)]
    return _interval(mean + slope * (mean_known - at), rest, count - 2, population)


def _interval(value: float, values: Sequence[float], degrees: int, population: int) -> Interval:
    count = len(values)
    if count >= population:
        return Interval(value, value, value)
    if degrees < 1:
        return Interval(value, 0.0, float("inf"))
    mean = sum(values) / count
    variance = sum((each - mean) ** 2 for each in values) / degrees
    half = _t95(degrees) * sqrt(variance / count * (1 - count / population))
    return Interval(value, max(0.0, value - half), value + half)


def _t95(degrees: int) -> float:
    """The quantile of Student's distribution (Abramowitz and Stegun, 26.7.5), within 1 % from 3 degrees on."""
    z, n = Z95, degrees
    return (
        z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )
