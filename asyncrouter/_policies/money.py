"""Money: whole nano-dollars, so that sums are exact, and the accounts that a call is charged to."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Protocol

from asyncrouter.shared import Account

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._config.budget import Budget
    from asyncrouter.shared import Reservation, Short, Spent

NANO = 1_000_000_000
"""Nano-dollars in a US dollar."""
SPANS = {"hour": 3600, "day": 86400, "run": 0}
"""Seconds of each span; 0: it never ends."""


class Accounts(Protocol):
    """Keeps the accounts of a budget: in this process (`OwnAccounts`), or for many of them."""

    async def reserve(self, accounts: tuple[Account, ...], amount: int, lapse: float) -> Reservation | Short:
        """Reserve an amount in all of these accounts, or in none. After `lapse` seconds it may count as spent."""
        ...

    def settle(self, reservation: Reservation, cost: int) -> None:
        """Replace a reservation by what was spent. Called once for each; it never waits."""
        ...

    async def read(self, account: Account) -> Spent:
        """An account as it is now."""
        ...


def accounts_of(budget: Budget, tags: Mapping[str, str] | None) -> tuple[Account, ...]:
    """The accounts that a call with these tags is charged to, those that end last first.

    So the first of them that is short says when a call can go that several of them refuse: not before its end.
    """
    accounts = [] if budget.usd is None else [Account("", "", nano(budget.usd), SPANS[budget.per])]
    for tag in budget.tags:
        if tags is not None and (value := tags.get(tag)) is not None:
            of_tag = budget.of_tag(tag)
            if of_tag.usd is not None:
                accounts.append(Account(tag, str(value), nano(of_tag.usd), SPANS[of_tag.per]))
    return tuple(sorted(accounts, key=lambda account: -(account.span or inf)))


def nano(usd: float) -> int:
    """US dollars in whole nano-dollars."""
    return round(usd * NANO)


def usd(amount: int) -> float:
    """Whole nano-dollars in US dollars."""
    return amount / NANO
