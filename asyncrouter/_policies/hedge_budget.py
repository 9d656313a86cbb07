"""How many hedges there may be: a token bucket for each first model, which every call that may hedge pays into.

What is limited: the extra requests of hedging, to a share of the calls (`hedge.budget`, 5 % unless set) plus a burst
of ten (`CAPACITY` in `token_bucket.py`, which the retry budget has too). The state is one number a bucket. The bucket
is asked when a hedge fires, not when it is scheduled: what others spend in between counts. A hedge that was taken
from the bucket and then never sent is refunded.
"""

from __future__ import annotations

from asyncrouter._events import MAX_NAMES
from asyncrouter._policies.token_bucket import CAPACITY, TokenBucket

AIM_FULL = 1.15
"""The share of calls that should be late while the bucket is full, in units of the budget: a little more than can be
paid for in the long run, so that no token is wasted on a full bucket."""
AIM_EMPTY = 0.7
"""The same while the bucket is empty: less than is paid in, so that it fills again."""
LATER_CALLS = 400
"""Calls over which the share of races for silence and pace is taken."""


class HedgeBudget(TokenBucket):
    """The hedges of the calls that begin with one model at one rate: in N calls at most `rate` · N + 10."""

    __slots__ = ("later_races",)

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.later_races = 0.0
        """The share of the last calls that were raced for silence or pace: the budget has to pay these, too."""

    def deposit(self) -> None:
        """Pay in for a call."""
        super().deposit()
        self.later_races -= self.later_races / LATER_CALLS

    def raced_later(self) -> None:
        """Count a race for silence or pace."""
        self.later_races += 1.0 / LATER_CALLS

    @property
    def fill(self) -> float:
        """How full the bucket is, 0 to 1."""
        return self.tokens / CAPACITY

    @property
    def aim(self) -> float:
        """The share of calls that should be late now, so that the bucket is hardly ever empty when one is.

        An empty bucket denies the hedges that matter with those that do not, and each straggler that is not hedged
        shows in the p99.9. Hedges come in bunches: with a fixed aim of 0.95 · rate one in 32 was denied, and 96 % of
        what hedging can gain at the p99.9 was gained; with an aim that falls with the bucket one in 75, and 99 %
        (simulated with whole routers: the first law of `benchmarks/simulation.py`, a budget of 5 %). An error of the
        quantile corrects itself, too: too many hedges empty the bucket, which lowers the aim.
        """
        return self.rate * (AIM_EMPTY + (AIM_FULL - AIM_EMPTY) * self.tokens / CAPACITY)


class HedgeBudgets:
    """The hedge budgets of a router: one for each first model and rate, a thousand at most."""

    __slots__ = ("_budgets",)

    def __init__(self) -> None:
        self._budgets: dict[tuple[str, float], HedgeBudget] = {}

    def __repr__(self) -> str:
        return f"<HedgeBudgets {self._budgets!r}>"

    def budget_of(self, model: str, rate: float) -> HedgeBudget:
        """The budget of calls that try `model` first and may hedge a share `rate` of the time.

        Names of models can come from anywhere, so the oldest budget is forgotten when there are too many.
        """
        key = (model, rate)
        found = self._budgets.get(key)
        if found is None:
            if len(self._budgets) >= MAX_NAMES:
                del self._budgets[next(iter(self._budgets))]
            found = self._budgets[key] = HedgeBudget(rate)
        return found
