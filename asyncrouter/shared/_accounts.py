"""The accounts of a budget, kept in one process.

An account is one amount for one span of time: of the whole budget, or of one value of a tag. A reservation names the
span in which it was made, and is settled in that one: what comes in after midnight for a call of the day before is no
part of the new day.

Guaranteed: nothing is reserved beyond the limit of any of its accounts; a reservation counts for all of them or for
none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter.shared._protocol import ALONE, Account, Reservation, Short, Spent

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_VALUES = 10_000
"""Values of a tag that have an account of their own."""


class _Sum:
    __slots__ = ("number", "reserved", "spent")

    def __init__(self, number: int) -> None:
        self.number = number  # of its span since the epoch
        self.spent = 0
        self.reserved = 0


class OwnAccounts:
    """Accounts of this process alone. They never wait. `wall` returns seconds since the epoch."""

    __slots__ = ("_sums", "_values", "_wall")

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._sums: dict[tuple[str, str, int], _Sum] = {}  # by tag, value and span, as a reload may change the span
        self._values: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<OwnAccounts {len(self._sums)}>"

    async def reserve(self, accounts: tuple[Account, ...], amount: int, lapse: float) -> Reservation | Short:
        """Reserve an amount in all of these accounts, or in none. Nothing lapses: this process ends with them."""
        now = self._wall()
        sums = [self._sum(account, now) for account in accounts]
        for account, sum_ in zip(accounts, sums, strict=True):
            left = account.limit - sum_.spent - sum_.reserved
            if amount > left:
                return Short(account, left, ends_in(account, now))
        for sum_ in sums:
            sum_.reserved += amount
        lefts = tuple(
            account.limit - sum_.spent - sum_.reserved for account, sum_ in zip(accounts, sums, strict=True)
        )
        return Reservation(accounts, tuple(sum_.number for sum_ in sums), amount, left=lefts)

    def settle(self, reservation: Reservation, cost: int) -> None:
        """Replace a reservation by what was spent, where its span has not ended yet."""
        now = self._wall()
        for account, number in zip(reservation.accounts, reservation.numbers, strict=True):
            sum_ = self._sum(account, now)
            if reservation.id.startswith(ALONE):
                sum_.spent += cost
            elif sum_.number == number:
                sum_.reserved -= reservation.amount
                sum_.spent += cost

    async def read(self, account: Account) -> Spent:
        """An account as it is now."""
        now = self._wall()
        sum_ = self._sum(account, now)
        return Spent(sum_.spent, sum_.reserved, ends_in(account, now))

    def _sum(self, account: Account, now: float) -> _Sum:
        number = span_number(account, now)
        key = account.tag, account.value, account.span
        sum_ = self._sums.get(key)
        if sum_ is None:
            if account.tag and self._values.get(account.tag, 0) >= MAX_VALUES and not self._forget(account, number):
                key = account.tag, "", account.span  # further values share one account
                sum_ = self._sums.get(key)
            if sum_ is None:
                sum_ = self._sums[key] = _Sum(number)
                self._values[account.tag] = self._values.get(account.tag, 0) + 1
        if number > sum_.number:  # a clock that is set back begins no new span
            sum_.number, sum_.spent, sum_.reserved = number, 0, 0
        return sum_

    def _forget(self, account: Account, number: int) -> bool:
        """Forget the values of a tag that are of earlier spans; whether there were any."""
        same = account.tag, account.span
        old = [key for key, sum_ in self._sums.items() if (key[0], key[2]) == same and sum_.number < number]
        for key in old:
            del self._sums[key]
        self._values[account.tag] -= len(old)
        return bool(old)


def span_number(account: Account, now: float) -> int:
    """Which span an instant lies in, counted from the epoch (UTC)."""
    return int(now // account.span) if account.span else 0


def ends_in(account: Account, now: float) -> float | None:
    """Seconds until the present span of an account ends; `None`: never."""
    return account.span - now % account.span if account.span else None
