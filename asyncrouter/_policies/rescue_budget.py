"""How many rescues there may be: a small token bucket of their own, and a tally of how often they help.

A rescue costs one more request, as a fallback does. When everything is slow, rescues do not help, and the tally makes
them dear; when they do help, one that has waited for long is free.
"""

from __future__ import annotations

from asyncrouter._events import MAX_NAMES
from asyncrouter._policies.token_bucket import CAPACITY, TokenBucket

RATE_BESIDE_HEDGE = 0.01
"""Rescues a call beside a hedge, which has a budget of its own."""
RATE_ALONE = 0.05
"""Rescues a call in a chain without a hedge. With 3, 2 or 1 % the p99 of a day on which 3 % of the answers crawl was
1.6, 8.4 or 11 times as long as it need be (simulated)."""
TALLY_WEIGHT = 0.15
"""The weight of the newest rescue in the tally."""
HELPFUL = 0.4
"""The share of rescues that win from which on they are helpful."""
USELESS_PRICE = 3.0
"""Tokens that a rescue costs while they are not."""
FREE_SECONDS = 10.0
"""Seconds of silence after which a rescue is free, as long as they are helpful."""


class RescueBudget(TokenBucket):
    """The rescues of the calls that begin with one model."""

    __slots__ = ("_low", "tally")

    def __init__(self, rate: float, low: set[RescueBudget]) -> None:
        super().__init__(rate)
        self._low = low  # those that are not full
        self.tally = 1.0
        """The share of the last rescues that have won."""

    def pay(self, silent: float) -> float | None:
        """Take what a rescue costs after so many seconds of silence, and say how much; `None` if it was not there."""
        price = USELESS_PRICE if self.tally < HELPFUL else 1.0 if silent < FREE_SECONDS else 0.0
        if not self.take(price):
            return None
        self._low.add(self)
        return price

    def deposit(self) -> None:
        """Pay in for a call."""
        super().deposit()
        if self.tokens >= CAPACITY:
            self._low.discard(self)

    def ended(self, *, won: bool) -> None:
        """Count a rescue that has ended."""
        self.tally += TALLY_WEIGHT * (won - self.tally)


class RescueBudgets:
    """The rescue budgets of a router: one for each first model and rate, a thousand at most."""

    __slots__ = ("_budgets", "low")

    def __init__(self) -> None:
        self._budgets: dict[tuple[str, float], RescueBudget] = {}
        self.low: set[RescueBudget] = set()
        """Those that are not full; nothing need be paid into others."""

    def __repr__(self) -> str:
        return f"<RescueBudgets {self._budgets!r}>"

    def budget_of(self, model: str, *, hedged: bool) -> RescueBudget:
        """The budget of calls that try `model` first."""
        key = model, RATE_BESIDE_HEDGE if hedged else RATE_ALONE
        found = self._budgets.get(key)
        if found is None:
            if len(self._budgets) >= MAX_NAMES:
                self.low.discard(self._budgets.pop(next(iter(self._budgets))))
            found = self._budgets[key] = RescueBudget(key[1], self.low)
        return found
