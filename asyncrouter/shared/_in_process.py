"""`InProcess`: shared state for several routers of one process, and the form in which the rules stand in Python."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from typing import TYPE_CHECKING

from asyncrouter.shared._accounts import OwnAccounts
from asyncrouter.shared._turns import PlaceTurns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncrouter.shared._protocol import Account, Ask, Grant, Reservation, SharedHold, Short, Spent


class InProcess:
    """Shared state that lives in this process: `InProcess()` for one router, `InProcess(that)` for the next one.

    All of them belong to one event loop, whose clock is theirs. `wall` returns seconds since the epoch, for budgets.
    """

    def __init__(self, beside: InProcess | None = None, *, wall: Callable[[], float] = time.time) -> None:
        self._all: _All = _All(wall) if beside is None else beside._all
        self._name = f"router {next(self._all.names)}"

    def __repr__(self) -> str:
        return f"<InProcess {self._name} of {len(self._all.members)}>"

    async def open(self) -> None:
        """Join the others."""
        self._all.members.add(self._name)

    async def admit(self, ask: Ask) -> Grant:
        """Say how a place stands here, and ask for turns."""
        now, places = _now(), self._all.places
        if ask.place not in places:
            places[ask.place] = PlaceTurns.new(ask, now)
        return places[ask.place].admit(self._name, ask, now)

    async def tell(self, hold: SharedHold) -> None:
        """Let all of them know of a hold."""
        now, key = _now(), (hold.kind, *hold.key)
        ends, _ = self._all.holds.get(key, (now, hold))
        if now + hold.seconds >= ends:
            self._all.holds[key] = now + hold.seconds, hold
        if (place := self._all.places.get(hold.place)) is not None:
            place.hold(hold.seconds, hold.why, now)

    async def news(self) -> tuple[int, list[SharedHold]]:
        """How many routers there are, and all holds that are not over."""
        now = _now()
        self._all.holds = {key: one for key, one in self._all.holds.items() if one[0] > now}
        holds = [hold._replace(seconds=ends - now) for ends, hold in self._all.holds.values()]
        return len(self._all.members), holds

    async def reserve(self, wanted: Sequence[tuple[tuple[Account, ...], int, float]]) -> list[Reservation | Short]:
        """Reserve amounts in accounts, each in all of them or in none."""
        return [await self._all.money.reserve(*one) for one in wanted]

    async def settle(self, ended: Sequence[tuple[Reservation, int]]) -> None:
        """Replace reservations by what was spent."""
        for reservation, cost in ended:
            self._all.money.settle(reservation, cost)

    async def read(self, account: Account) -> Spent:
        """An account as it is now."""
        return await self._all.money.read(account)

    async def aclose(self) -> None:
        """Leave the others."""
        self._all.members.discard(self._name)


class _All:
    def __init__(self, wall: Callable[[], float]) -> None:
        self.names = count(1)
        self.members: set[str] = set()
        self.places: dict[str, PlaceTurns] = {}
        self.holds: dict[tuple[str | bool, ...], tuple[float, SharedHold]] = {}
        self.money = OwnAccounts(wall)


def _now() -> float:
    return asyncio.get_running_loop().time()
