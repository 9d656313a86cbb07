"""One model of the world: what it does, when it begins to do something else, how much of it there is."""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from operator import itemgetter
from random import Random
from typing import TYPE_CHECKING, Self

from asyncrouter.sim._ledger import Bill, Price, charge
from asyncrouter.sim._seen import Seen
from asyncrouter.sim.act import Act
from asyncrouter.sim.limits import Gate, Limit
from asyncrouter.sim.play import Play, play

if TYPE_CHECKING:
    from asyncrouter.sim.limits import Told

Behaviour = Callable[[Seen, Random], Act]
"""Decides what one request gets; the generator belongs to the model, so one model's traffic never moves another's."""


class SimModel:
    """One model of the world and what it does: a script of acts whose last one repeats, or a function.

    Instants are those of the loop's clock, in virtual time seconds from its beginning. `live` counts the requests it
    has in hand, `bill` what all of them came to.
    """

    def __init__(self, name: str, seed: str) -> None:
        self.name = name
        self.live = 0
        self.bill = Bill()
        # A string seeds the same generator whatever PYTHONHASHSEED says.
        self._seed, self._random = seed, Random(seed)
        self._script: deque[Act | Behaviour] = deque([Act()])
        self._plan: list[tuple[float, deque[Act | Behaviour]]] = []
        self._gate: Gate | None = None
        self._price: Price | None = None
        self._capacity: int | None = None
        self._full = Act(why="overloaded")
        self._deaf: list[float] = []  # when those are done that nobody listens to any more

    def __repr__(self) -> str:
        return f"<SimModel {self.name!r}: {', '.join(map(repr, self._script))}>"

    def does(self, *script: Act | Behaviour) -> Self:
        """From now on: these acts, one a request; the last one repeats."""
        self._script = deque(script or [Act()])
        return self

    def then(self, *script: Act | Behaviour) -> Self:
        """And after those: these acts."""
        self._script.extend(script)
        return self

    def at(self, instant: float, *script: Act | Behaviour) -> Self:
        """From this instant on: these acts."""
        insort(self._plan, (instant, deque(script or [Act()])), key=itemgetter(0))
        return self

    def limit(
        self, rps: float | None = None, *, tps: float | None = None, burst: float | None = None,
        retry_after: Told = True, announced: Told = False, at: float = float("-inf"),
    ) -> Self:
        """From now on, or from the instant `at` on, it keeps this limit (see `Limit`); without numbers, none."""
        if self._gate is None:
            self._gate = Gate(f"{self._seed}:limit")
        self._gate.plan(at, limit_of(rps, tps, burst, retry_after, announced))
        return self

    def capacity(self, most: int | None, act: Act | None = None) -> Self:
        """Serve so many requests at once; one more gets `act`, by default that it is overloaded."""
        self._capacity, self._full = most, act or Act(why="overloaded")
        return self

    def price(self, input: float, output: float) -> Self:  # noqa: A002  # as in the configuration
        """What it bills, in USD for a million tokens."""
        self._price = Price(input, output)
        return self

    def play(self, seen: Seen, refused: Act | None = None) -> Play:
        """What this request gets."""
        self.live += 1
        seen.act = act = refused or self._refusal(seen) or self._act(seen)
        played = play(act, seen, self._random)
        if self._gate is not None:
            played.headers |= self._gate.announce(seen)
        return played

    def end(self, seen: Seen, played: Play) -> None:
        """A request's connection is over."""
        self.live -= 1
        charge(seen, played, self._price)
        self.bill.add(seen)
        if seen.gone and seen.act.deaf and seen.connected is not None and seen.ended is not None:
            until = seen.connected + played.made_at
            if until > seen.ended:
                heappush(self._deaf, until)

    def _refusal(self, seen: Seen) -> Act | None:
        if self._gate is not None and (limited := self._gate.admit(seen)) is not None:
            return limited
        if self._capacity is None:
            return None
        while self._deaf and self._deaf[0] <= seen.at:
            heappop(self._deaf)
        return self._full if self.live + len(self._deaf) > self._capacity else None

    def _act(self, seen: Seen) -> Act:
        while self._plan and self._plan[0][0] <= seen.at:
            self._script = self._plan.pop(0)[1]
        act = self._script.popleft() if len(self._script) > 1 else self._script[0]
        return act if isinstance(act, Act) else act(seen, self._random)


def limit_of(
    rps: float | None, tps: float | None, burst: float | None, retry_after: Told, announced: Told
) -> Limit | None:
    """A limit with these numbers, `None` if there are none."""
    if rps is None and tps is None:
        return None
    return Limit(rps=rps, tps=tps, burst=burst, retry_after=retry_after, announced=announced)
