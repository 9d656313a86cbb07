"""How many hedges there may be: a token bucket that every call which may hedge pays into."""

from __future__ import annotations

BURST = 10.0
FULL, EMPTY = 1.15, 0.7
"""The part of the rate that is aimed at while the bucket is full, and when it is empty."""

REMEMBERED = 1000
"""Buckets kept; names of models can come from anywhere, so the oldest goes when there are more."""


class Bucket:
    """`rate` tokens come in a call, ten fit, and it is full at the start; a hedge takes one when it fires.

    So in every prefix of N calls there are at most `rate` · N + 10 hedges.
    """

    __slots__ = ("rate", "tokens")

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.tokens = BURST

    def __repr__(self) -> str:
        return f"<Bucket {self.tokens:.2f} of {BURST:g}, {self.rate:g} a call>"

    @property
    def aim(self) -> float:
        """The share of calls that should be late now, so that the bucket is hardly ever empty when one is.

        An empty bucket denies the hedges that matter with those that do not, and each straggler that is not hedged is
        felt in the p99.9. Hedges come in bunches: with a fixed aim of 0.95 · rate one in 32 was denied (simulated with
        whole routers, law A of `benchmarks/simulation.py` at 5 %), and at the p99.9 96 % of the possible was gained;
        with an aim that falls with the bucket one in 75, and 99 %. An error of the quantile mends itself, too.
        """
        return self.rate * (EMPTY + (FULL - EMPTY) * self.tokens / BURST)

    def deposit(self) -> None:
        """A call that may hedge has begun."""
        self.tokens = min(BURST, self.tokens + self.rate)

    def take(self) -> bool:
        """Whether a hedge may be sent; if so it is paid for."""
        # Deposits of 0.05 do not add up to 1 exactly; a millionth of a hedge is nobody's money.
        if self.tokens < 1.0 - 1e-6:
            return False
        self.tokens -= 1.0
        return True

    def refund(self) -> None:
        """The hedge was never sent."""
        self.tokens = min(BURST, self.tokens + 1.0)


class HedgeBudgets:
    """One bucket for each first model and rate."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, float], Bucket] = {}

    def __repr__(self) -> str:
        return f"<HedgeBudgets {self._buckets!r}>"

    def bucket(self, model: str, rate: float) -> Bucket:
        """The bucket of calls that try `model` first and hedge a share `rate` of the time."""
        key = (model, rate)
        found = self._buckets.get(key)
        if found is None:
            if len(self._buckets) >= REMEMBERED:
                del self._buckets[next(iter(self._buckets))]
            found = self._buckets[key] = Bucket(rate)
        return found
