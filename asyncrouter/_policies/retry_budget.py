"""How many retries a provider is sent: successes pay for them, so that an outage is not answered with a storm.

A deposit for each success and a price for each retry (M. Brooker, "Fixing retries with token buckets and circuit
breakers", 2022), weighted by what went before as in the AWS SDKs: a retry after a timeout costs twice as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._errors import AttemptTimeout

if TYPE_CHECKING:
    from asyncrouter._errors import AttemptError

DEPOSIT = 0.1
BURST = 10.0


class RetryBudget:
    """What may be spent on asking the same provider again. A fallback to another model is not a retry."""

    __slots__ = ("tokens",)

    def __init__(self) -> None:
        self.tokens = BURST

    def __repr__(self) -> str:
        return f"<RetryBudget {self.tokens:.1f} of {BURST:g}>"

    def deposit(self) -> None:
        """An attempt got its answer."""
        if self.tokens < BURST:
            self.tokens = min(BURST, self.tokens + DEPOSIT)

    def take(self, error: AttemptError) -> bool:
        """Whether a retry after `error` may be sent; if so it is paid for. Failures refund nothing."""
        price = 2.0 if isinstance(error, AttemptTimeout) else 1.0
        if self.tokens < price - 1e-6:
            return False
        self.tokens -= price
        return True
