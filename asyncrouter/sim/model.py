"""One simulated model: what it does with each request, from when on, under which limits, at what price."""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from inspect import iscoroutinefunction, signature
from operator import itemgetter
from random import Random
from typing import TYPE_CHECKING, Self

from asyncrouter.sim._billing import Bill, Price, charge
from asyncrouter.sim._request_log import LoggedRequest
from asyncrouter.sim._strict.complaint import HOSTS
from asyncrouter.sim._strict.rules import refusal
from asyncrouter.sim.act import Act
from asyncrouter.sim.limits import Limit, RateLimiter
from asyncrouter.sim.play import Play, plan

if TYPE_CHECKING:
    from asyncrouter.sim._strict.complaint import Host
    from asyncrouter.sim.limits import Announcement

Behaviour = Callable[[LoggedRequest, Random], Act]
"""Decides what one request gets. The generator is the model's own, so that the traffic of one model never changes what
another draws.
"""


class SimModel:
    """A simulated model, which follows a script of acts, one for each request, whose last one repeats.

    A function in the place of an act decides by the request. `live` counts the requests whose connections are open,
    `bill` sums up those that have ended. Instants are of the event loop's clock: in virtual time, seconds from 0.0.
    """

    def __init__(self, name: str, seed: str) -> None:
        self.name = name
        self.live: int = 0
        self.bill: Bill = Bill()
        # Seeded by a string, the generator is the same whatever PYTHONHASHSEED says.
        self._seed, self._random = seed, Random(seed)
        self._script: deque[Act | Behaviour] = deque([Act()])
        self._schedule: list[tuple[float, deque[Act | Behaviour]]] = []
        self._limiter: RateLimiter | None = None
        self._price: Price | None = None
        self._capacity: int | None = None
        self._over_capacity = Act(why="overloaded")
        self._strict: Host | None = None
        self._abandoned_until: list[float] = []  # a heap: when the model is done with requests whose clients have left

    def __repr__(self) -> str:
        return f"<SimModel {self.name!r}: {', '.join(map(repr, self._script))}>"

    def does(self, *script: Act | Behaviour) -> Self:
        """Replace the script from now on; without arguments by a healthy `Act()`."""
        self._script = deque(_checked(script) or [Act()])
        return self

    def then(self, *script: Act | Behaviour) -> Self:
        """Add these acts to the script."""
        self._script.extend(_checked(script))
        return self

    def at(self, instant: float, *script: Act | Behaviour) -> Self:
        """Replace the script at this instant; without acts by a healthy `Act()`."""
        insort(self._schedule, (instant, deque(_checked(script) or [Act()])), key=itemgetter(0))
        return self

    def limit(
        self, rps: float | None = None, *, tps: float | None = None, burst: float | None = None,
        retry_after: Announcement = True, announced: Announcement = False, at: float = float("-inf"),
    ) -> Self:
        """Keep this limit from now on, or from the instant `at` on, see `Limit`; without numbers no limit."""
        if self._limiter is None:
            self._limiter = RateLimiter(f"{self._seed}:limit")
        self._limiter.schedule(at, limit_of(rps, tps, burst, retry_after, announced))
        return self

    def strict(self, host: Host | bool = True) -> Self:
        """Refuse what the vendor refuses, with a 400 in its words; `True` for the wire's own, `False` for nothing."""
        if not isinstance(host, bool) and host not in HOSTS:
            raise ValueError(f"strict: expected True, False or one of {', '.join(HOSTS)}, got {host!r}")
        self._strict = None if host is False else "openai" if host is True else host
        return self

    def capacity(self, most: int | None, act: Act | None = None) -> Self:
        """Serve at most so many requests at once, `None` for any number; one more gets `act`, or is "overloaded"."""
        self._capacity, self._over_capacity = most, act or Act(why="overloaded")
        return self

    def price(self, input: float, output: float) -> Self:  # noqa: A002  # as in the configuration
        """Bill these US dollars for a million tokens.

        Only `bill` and `World.usd` know this price. A router knows those of its configuration.
        """
        self._price = Price(input, output)
        return self

    def play(self, request: LoggedRequest, refused: Act | None = None) -> Play:
        """Plan the response to a request; `refused` is what a rule of the world says it gets."""
        self.live += 1
        request.strict = self._strict
        request.act = act = refused or self._refusal(request) or self._next_act(request)
        play = plan(act, request, self._random)
        if self._limiter is not None:
            play.headers |= self._limiter.announce(request)
        return play

    def play_in_batch(self, request: LoggedRequest) -> tuple[Play, float]:
        """Plan the response to a row of a batch, which no limit concerns, and what it costs live, in US dollars."""
        request.act = act = self._next_act(request)
        request.connected = request.at
        play = plan(act, request, self._random)
        charge(request, play, self._price)
        return play, request.usd

    def end(self, request: LoggedRequest, play: Play) -> None:
        """Charge a request whose connection is over."""
        self.live -= 1
        charge(request, play, self._price)
        self.bill.add(request)
        if request.gone and request.act.deaf and request.connected is not None and request.ended is not None:
            until = request.connected + play.generated_at
            if until > request.ended:
                heappush(self._abandoned_until, until)

    def _refusal(self, request: LoggedRequest) -> Act | None:
        if self._strict is not None and (refused := refusal(request)) is not None:
            return refused
        if self._limiter is not None and (limited := self._limiter.admit(request)) is not None:
            return limited
        if self._capacity is None:
            return None
        while self._abandoned_until and self._abandoned_until[0] <= request.at:
            heappop(self._abandoned_until)
        return self._over_capacity if self.live + len(self._abandoned_until) > self._capacity else None

    def _next_act(self, request: LoggedRequest) -> Act:
        while self._schedule and self._schedule[0][0] <= request.at:
            self._script = self._schedule.pop(0)[1]
        act = self._script.popleft() if len(self._script) > 1 else self._script[0]
        return act if isinstance(act, Act) else decided(act, request, self._random)


def limit_of(
    rps: float | None, tps: float | None, burst: float | None, retry_after: Announcement, announced: Announcement
) -> Limit | None:
    """A limit with these numbers, `None` if there are none."""
    if rps is None and tps is None:
        return None
    return Limit(rps=rps, tps=tps, burst=burst, retry_after=retry_after, announced=announced)


def _checked(script: tuple[Act | Behaviour, ...]) -> tuple[Act | Behaviour, ...]:
    """The same. Raises `TypeError` for what is neither an act nor a function of a request."""
    for each in script:
        if not isinstance(each, Act):
            check_function("script", "Act(…), Act(…) or a function of a request", each)
    return script


def check_function(name: str, what: str, given: object) -> None:
    """Raise `TypeError` for what is no plain function of a request and a generator."""
    if not callable(given):
        raise TypeError(f"{name}: expected {what}, got {type(given).__name__}")
    if iscoroutinefunction(given):
        raise TypeError(f"{name}: expected {what}, got the async {given!r}: a world waits for nobody")
    try:
        signature(given).bind(None, None)
    except ValueError:  # a function that Python knows no signature of
        return
    except TypeError:
        raise TypeError(f"{name}: {given!r} must take two arguments: the request, and a random.Random") from None


def decided(function: Behaviour, request: LoggedRequest, random: Random) -> Act:
    """What a function decides. Raises `TypeError` if that is no act."""
    act = function(request, random)
    if not isinstance(act, Act):
        raise TypeError(f"script: {function!r} must return an Act, and returned {type(act).__name__}")
    return act
