"""How many retries a provider is sent: its successes pay for them, so that retries do not multiply an outage.

What is limited: tries of the same model again, for all models of a provider together, to ten and one more for every ten
answers. At 10 % failures nearly every retry is paid for (98.7 % of the calls succeed, with 1.10 times the load); at
100 % there are ten retries and no more. A fallback to another model is not a retry and costs nothing here.

The deposit for each success is M. Brooker's ("Fixing retries with token buckets and circuit breakers", 2022); the price
that depends on the failure is the AWS SDKs', where a retry after a timeout costs twice as much as after another error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._errors import AttemptTimeout
from asyncrouter._policies.token_bucket import TokenBucket

if TYPE_CHECKING:
    from asyncrouter._errors import AttemptError

DEPOSIT = 0.1
"""Tokens that each answer pays in: one retry for ten answers, Brooker's figure."""
PRICE = 1.0
"""Tokens that a retry costs after an ordinary failure."""
PRICE_AFTER_TIMEOUT = 2.0
"""Tokens that a retry costs after a timeout: a provider that is slow needs fewer requests, not more."""

GIVEN_SHARE = 0.1
"""Share of the price where somebody has asked for a number of attempts: one retry for each answer, and a hundred in an
outage. At 50 % failures nearly every retry is still paid for."""


class RetryBudget(TokenBucket):
    """What may be spent on asking the same provider again."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(DEPOSIT)

    def pay_for_retry(self, error: AttemptError, *, given: bool = False) -> bool:
        """Whether a retry after `error` may be sent; if so it is paid for. A retry that fails is not refunded.

        `given`: somebody has asked for a number of attempts.
        """
        price = PRICE_AFTER_TIMEOUT if isinstance(error, AttemptTimeout) else PRICE
        return self.take(price * GIVEN_SHARE if given else price)
