"""The accounts of a budget that many processes share, as one process sees them.

Theory of operation. Reservations that are asked for in the same moment go to the store in one question, and so do those
that have ended. Nobody waits for a settlement. If the store cannot be reached, this process reserves by itself, no more
than its even part of what was left when it was last heard of; what is spent meanwhile is booked when the store is back.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from asyncrouter._errors import RouterClosed
from asyncrouter.shared import ALONE, Account, Reservation, Short, Spent

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter.shared import Shared

SETTLE_SECONDS = 0.02
"""Seconds for which settlements are collected."""
ASK_AGAIN_SECONDS = 1.0
"""Seconds after which a store that could not be reached is asked again."""
MAX_UNSETTLED = 100_000
"""Settlements that are kept for a store that cannot be reached; beyond, the oldest are lost, and lapse in the store."""


class _Wanted:
    __slots__ = ("accounts", "amount", "found", "lapse")

    def __init__(self, accounts: tuple[Account, ...], amount: int, lapse: float, found: asyncio.Future[Found]) -> None:
        self.accounts = accounts
        self.amount = amount
        self.lapse = lapse
        self.found = found


class SharedMoney:
    """Implements `money.Accounts`. `tell` is told whether the store could be reached, `processes` how many there are.
    """

    def __init__(
        self, store: Shared, loop: asyncio.AbstractEventLoop, tell: Callable[[Exception | None], None],
        processes: Callable[[], int],
    ) -> None:
        self._store = store
        self._loop = loop
        self._tell = tell
        self._processes = processes
        self._wanted: list[_Wanted] = []
        self._ended: list[tuple[Reservation, int]] = []
        self._left: dict[Account, int] = {}  # when the store was last heard of
        self._own: dict[Account, int] | None = None  # what this process may still spend, while it is alone
        self._alone = 0
        self._name = uuid4().hex[:16]
        self._asking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<SharedMoney {'alone' if self._own is not None else 'with the store'}>"

    async def reserve(self, accounts: tuple[Account, ...], amount: int, lapse: float) -> Found:
        """Reserve an amount in all of these accounts, or in none."""
        if self._own is not None:
            return self._reserve_alone(accounts, amount)
        wanted = _Wanted(accounts, amount, lapse, self._loop.create_future())
        self._wanted.append(wanted)
        self._ask()
        try:
            return await wanted.found
        except asyncio.CancelledError:
            if wanted.found.done() and not wanted.found.cancelled():  # nobody takes it any more
                self._give_back(wanted.found.result())
            raise

    def settle(self, reservation: Reservation, cost: int) -> None:
        """Replace a reservation by what was spent."""
        if self._own is not None and reservation.id.startswith(ALONE):
            for account in reservation.accounts:
                self._own[account] = self._own.get(account, 0) + reservation.amount - cost
        self._ended.append((reservation, cost))
        del self._ended[:-MAX_UNSETTLED]
        if self._timer is None and self._asking is None and not self._closed:
            self._timer = self._loop.call_later(SETTLE_SECONDS, self._ask)

    async def read(self, account: Account) -> Spent:
        """An account as it is now. Raises `OSError`."""
        await self._settle()
        return await self._store.read(account)

    def _ask(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._asking is None and not self._closed:
            self._asking = self._loop.create_task(self._question())

    async def _question(self) -> None:
        wanted: list[_Wanted] = []
        try:
            while self._wanted or self._ended:
                wanted, self._wanted = self._wanted, []
                try:
                    await self._settle()
                    if wanted:
                        await self._reserve([one for one in wanted if not one.found.done()])
                except Exception as error:  # as in `shared_limit.py`
                    self._away(error, wanted)
                    return
                self._tell(None)
                self._own = None
        finally:
            self._asking = None
            _turn_away(wanted)  # only if this task was cancelled is anybody left

    async def _settle(self) -> None:
        """Settle what has ended; what could not be said is kept."""
        ended, self._ended = self._ended, []
        if not ended:
            return
        try:
            await self._store.settle(ended)
        except BaseException:
            self._ended = ended + self._ended
            raise

    async def _reserve(self, wanted: list[_Wanted]) -> None:
        found = await self._store.reserve([(one.accounts, one.amount, one.lapse) for one in wanted])
        for one, result in zip(wanted, found, strict=True):
            self._note_left(result)
            if one.found.done():  # cancelled meanwhile
                self._give_back(result)
            else:
                one.found.set_result(result)

    def _note_left(self, result: Found) -> None:
        if isinstance(result, Short):
            self._left[result.account] = max(0, result.left)
        else:
            self._left.update(zip(result.accounts, result.left, strict=False))

    def _give_back(self, result: Found) -> None:
        if isinstance(result, Reservation):
            self.settle(result, 0)

    def _away(self, error: Exception, wanted: list[_Wanted]) -> None:
        self._tell(error)
        if self._own is None:
            self._own = {account: left // max(1, self._processes()) for account, left in self._left.items()}
        for one in (*wanted, *self._wanted):
            if not one.found.done():
                one.found.set_result(self._reserve_alone(one.accounts, one.amount))
        self._wanted = []
        if not self._closed:
            self._timer = self._loop.call_later(ASK_AGAIN_SECONDS, self._try_again)

    def _try_again(self) -> None:
        self._timer = None
        self._ended.append((Reservation((), (), 0, ALONE), 0))  # something to say
        self._ask()

    def _reserve_alone(self, accounts: tuple[Account, ...], amount: int) -> Found:
        assert self._own is not None
        for account in accounts:
            left = self._own.setdefault(account, account.limit // max(1, self._processes()))
            if amount > left:
                return Short(account, left, None)
        for account in accounts:
            self._own[account] -= amount
        self._alone += 1
        return Reservation(accounts, (0,) * len(accounts), amount, f"{ALONE}-{self._name}-{self._alone}")

    async def aclose(self) -> None:
        """Settle what has ended."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()
        _turn_away(self._wanted)
        with suppress(Exception):  # it lapses in the store
            await self._settle()


def _turn_away(wanted: list[_Wanted]) -> None:
    for one in wanted:
        if not one.found.done():
            one.found.set_exception(RouterClosed("the router was closed while the call was running"))


Found = Reservation | Short
