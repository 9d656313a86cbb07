"""The rules by which a batch stops before its end: its budget, its error rate, nobody who can answer. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncrouter.batch._errors import BatchError

if TYPE_CHECKING:
    from asyncrouter.batch._estimate import Estimate
    from asyncrouter.batch._tally import Tally

UNANSWERABLE_IN_A_ROW = 10
"""Unanswerable rows, one after the other, after which a batch stops: too many for one row's own model, or an accident,
and cheap to ask again.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRules:
    """When no more rows are begun.

    `budget_usd` is what this run may cost in US dollars, `None` for no limit. Rows in flight count with the mean cost
    of a row so far, or with `usd_a_row` before there is one. `max_error_rate` is the share of the ended rows, from 0 to
    1, that may have failed once `min_rows` have ended; `None` for no limit. Raises `BatchError` for other values.
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

    def stop_reason(self, tally: Tally) -> str | None:
        """Why no more rows may be begun, whatever comes of those in flight; `None` to go on."""
        if self.max_error_rate is not None and tally.ended >= max(1, self.min_rows):
            rate = tally.failed / tally.ended
            if rate > self.max_error_rate:
                return f"{rate:.1%} of the rows failed, more than {self.max_error_rate:.1%}"
        if self.budget_usd is not None and tally.unpriced:
            return "an attempt has no known price, so the budget cannot be kept"
        return None

    def affords_another(self, tally: Tally, in_flight: int) -> bool:
        """Whether the budget covers one more row beside those in flight."""
        if self.budget_usd is None:
            return True
        mean = self.usd_a_row if tally.usd_a_row is None else tally.usd_a_row
        return tally.cost_usd + (in_flight + 1) * mean <= self.budget_usd

    def out_of_budget(self, tally: Tally) -> str:
        """The reason of a run whose budget does not cover another row."""
        return f"the budget of ${self.budget_usd:g} has no room for another row: ${tally.cost_usd:.6g} are spent"


def check_prices(rules: StopRules, estimate: Estimate) -> None:
    """Raise `BatchError` if there is a budget and a model whose price is not known."""
    if rules.budget_usd is not None and estimate.unpriced:
        names = ", ".join(sorted(estimate.unpriced))
        raise BatchError(
            f"budget_usd: the price of {names} is not known; say `usd_per_mtok` under [models], or leave the budget out"
        )


def check_counts(**counts: int | None) -> None:
    """Raise `BatchError` if a value, where it is given, is no whole number of at least 1."""
    for name, count in counts.items():
        if count is not None and not (isinstance(count, int) and count >= 1):
            raise BatchError(f"{name}: expected a whole number of at least 1, got {count!r}")


def _is_number(given: object) -> bool:
    return isinstance(given, int | float)

