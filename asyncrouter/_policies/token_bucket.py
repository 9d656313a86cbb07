"""The token bucket of the hedge and retry budgets: a burst of ten, refilled by events instead of by time.

Each event adds a fraction of a token, and an action takes whole ones.
"""

from __future__ import annotations

CAPACITY = 10.0
"""Tokens that a bucket holds at most, and has at the start: enough for the first calls of a router's life, which come
before anything has been paid in, and few enough that a bucket saved up over days buys no storm."""
ROUNDING = 1e-6
"""Tokens by which a price may be missed: twenty deposits of 0.05 do not add up to 1 exactly."""


class TokenBucket:
    """Holds up to ten tokens; `rate` of one is paid in with each deposit.

    After N deposits at most `rate` · N + 10 tokens have been taken.
    """

    __slots__ = ("rate", "tokens")

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.tokens = CAPACITY

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.tokens:.2f} of {CAPACITY:g}, {self.rate:g} a deposit>"

    def deposit(self) -> None:
        """Pay in."""
        if self.tokens < CAPACITY:
            self.tokens = min(CAPACITY, self.tokens + self.rate)

    def take(self, tokens: float = 1.0) -> bool:
        """Take so many tokens if they are there; whether they were."""
        if self.tokens < tokens - ROUNDING:
            return False
        self.tokens -= tokens
        return True

    def refund(self, tokens: float = 1.0) -> None:
        """Put tokens back: what they were taken for did not happen."""
        self.tokens = min(CAPACITY, self.tokens + tokens)
