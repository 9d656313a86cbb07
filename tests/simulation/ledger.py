"""A second set of books beside a router's own: what is reserved and spent of its budget, by account."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from asyncrouter.shared import Reservation

if TYPE_CHECKING:
    from asyncrouter._policies.money import Accounts
    from asyncrouter.shared import Account, Short, Spent

    from .record import Record


class Ledger:
    """Passes everything on to the router's accounts, and checks each reservation by sums of its own."""

    def __init__(self, accounts: Accounts, record: Record) -> None:
        self._accounts = accounts
        self._record = record
        self._open: dict[int, Reservation] = {}
        self.reserved: Counter[Account] = Counter()
        self.spent: Counter[Account] = Counter()
        self.above: Counter[Account] = Counter()
        """What attempts have cost above what was reserved for them."""

    async def reserve(self, accounts: tuple[Account, ...], amount: int, lapse: float) -> Reservation | Short:
        """Reserve, if that is within the budget."""
        found = await self._accounts.reserve(accounts, amount, lapse)
        over = [one for one in accounts if self.spent[one] + self.reserved[one] + amount > one.limit]
        if isinstance(found, Reservation):
            if over:
                self._record.flag("over budget", f"{amount} reserved of {over[0]}, of which too little was left")
            self._open[id(found)] = found
            self.reserved.update(dict.fromkeys(accounts, amount))
        elif found.account not in over:
            self._record.flag("budget", f"{amount} not reserved of {found.account}, of which there was enough")
        return found

    def settle(self, reservation: Reservation, cost: int) -> None:
        """Book what was spent."""
        if self._open.pop(id(reservation), None) is None:
            self._record.flag("books", f"{reservation} is settled twice")
        for account in reservation.accounts:
            self.reserved[account] -= reservation.amount
            self.spent[account] += cost
            self.above[account] += max(0, cost - reservation.amount)
        self._accounts.settle(reservation, cost)

    async def read(self, account: Account) -> Spent:
        """An account as the router's books have it."""
        return await self._accounts.read(account)

    async def check(self) -> None:
        """Check that both books agree when nothing runs."""
        if self._open:
            self._record.flag("books", f"{len(self._open)} reservations were never settled")
        for account, spent in self.spent.items():
            told = await self._accounts.read(account)
            if (told.spent, told.reserved) != (spent, 0):
                self._record.flag("books", f"{account}: {told}, spent {spent}")
            if spent > account.limit + self.above[account]:
                self._record.flag("over budget", f"{account}: {spent} of {account.limit}, {self.above[account]} above")
