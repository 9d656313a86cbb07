"""When a batch stops before its end: no money left, too much fails, or nobody can answer. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncrouter.batch._errors import BatchError

if TYPE_CHECKING:
    from asyncrouter.batch._survey import Estimate
    from asyncrouter.batch._tally import Tally

SHUT = 10
"""Rows one after the other that nobody could answer: not one row's own model, and not an accident."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """`budget_usd` is what this run may cost, what is on its way included (guessed at the mean so far, or
    `usd_a_row` before there is one); `max_error_rate` a share of the rows that have ended, once `min_rows` have.
    """

    budget_usd: float | None = None
    max_error_rate: float | None = None
    min_rows: int = 50
    usd_a_row: float = 0.0

    def __post_init__(self) -> None:
        if self.budget_usd is not None and not (_is_number(self.budget_usd) and self.budget_usd > 0):
            raise BatchError(f"budget_usd: expected US dollars above 0, got {self.budget_usd!r}")
        if self.max_error_rate is not None and not (_is_number(self.max_error_rate) and 0 <= self.max_error_rate <= 1):
            raise BatchError(f"max_error_rate: expected a share from 0 to 1, got {self.max_error_rate!r}")

    def reason(self, tally: Tally) -> str | None:
        """Why no other row may be begun, whatever comes of those on their way; `None`: go on."""
        if tally.shut >= SHUT:
            return f"no row can be answered: {_most(tally)}"
        if self.max_error_rate is not None and tally.ended >= max(1, self.min_rows):
            rate = tally.failed / tally.ended
            if rate > self.max_error_rate:
                return f"{rate:.1%} of the rows failed, more than {self.max_error_rate:.1%}"
        if self.budget_usd is not None and tally.unpriced:
            return "an attempt cost something that is not known, and there is a budget to keep"
        return None

    def affords(self, tally: Tally, busy: int) -> bool:
        """Whether the budget has room for one more beside so many on their way."""
        if self.budget_usd is None:
            return True
        mean = tally.cost_usd / tally.ended if tally.ended else self.usd_a_row
        return tally.cost_usd + (busy + 1) * mean <= self.budget_usd

    def spent(self, tally: Tally) -> str:
        """That the budget has no room left."""
        return f"the budget of ${self.budget_usd:g} has no room for another row: ${tally.cost_usd:.6g} are spent"


def check_prices(rules: Rules, estimate: Estimate) -> None:
    """A budget can only be kept where prices are known. Raises `BatchError`."""
    if rules.budget_usd is not None and estimate.unpriced:
        names = ", ".join(sorted(estimate.unpriced))
        raise BatchError(
            f"budget_usd: the price of {names} is not known; say `usd_per_mtok` under [models], or leave the budget out"
        )


def check_counts(**counts: int | None) -> None:
    """These are at least 1, where they are given. Raises `BatchError`."""
    for name, count in counts.items():
        if count is not None and not (isinstance(count, int) and count >= 1):
            raise BatchError(f"{name}: expected a whole number of at least 1, got {count!r}")


def _is_number(given: object) -> bool:
    return isinstance(given, int | float)


def _most(tally: Tally) -> str:
    return ", ".join(sorted(tally.errors, key=lambda name: -tally.errors[name])) or "all are out"
