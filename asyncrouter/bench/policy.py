"""Another way to have answered a recorded call: an order of models, a hedge, clocks; and what it would have come to.

The rules are the router's: the next model starts when the last one failed or is late, a hedge needs a token of its
bucket, the first to speak wins, one that breaks afterwards has failed, models share what is left of the deadline.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter.bench.survival import Turn

BURST = 10.0
"""Tokens that fit into a hedge's bucket, as in the router."""
USEFUL, RESERVE = 0.25, 2.0
"""Seconds below which a turn is not begun, and that an answer leaves of the deadline to each model after it."""
TICK = 1e-6
"""Seconds by which "at least until then" comes after what was seen at that very instant: a turn is overtaken at the
instant at which another one speaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What to try. `order` is the chain (`None`: as recorded); `hedge` seconds, a quantile like "p95", or `None`.

    `budget` is the hedge's tokens a call (`None`: no limit). `first_token` and `total` bound each turn, `deadline` the
    whole call, in seconds; `None`: no limit. Raises `ValueError`: a time or a budget of 0 would not be one.
    """

    name: str = ""
    order: tuple[str, ...] | None = None
    hedge: float | str | None = None
    budget: float | None = 0.05
    first_token: float | None = None
    total: float | None = None
    deadline: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.hedge, str):
            quantile(self.hedge)
        elif self.hedge is not None and not 0.0 < self.hedge < inf:
            raise ValueError(f"hedge: expected seconds above 0 or a quantile like 'p95', got {self.hedge!r}")
        if self.order is not None and not (self.order and all(self.order)):
            raise ValueError(f"order: expected names of models, got {self.order!r}")
        # The router's bucket is full at the start: with a budget of 0 it would still hedge ten times.
        if self.budget is not None and not 0.0 < self.budget < inf:
            raise ValueError(f"budget: expected hedges a call, above 0, got {self.budget!r}; hedge none has none")
        for name in ("first_token", "total", "deadline"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < inf:
                raise ValueError(f"{name}: expected seconds above 0, got {value!r}; without a limit: leave it out")

    def __str__(self) -> str:
        if self.name:
            return self.name
        told = [] if self.order is None else [" → ".join(self.order)]
        told.append("no hedge" if self.hedge is None else f"hedge {self.hedge}")
        told += [f"{name} {getattr(self, name):g} s" for name in ("first_token", "total", "deadline")
                 if getattr(self, name) is not None]
        return ", ".join(told)


def quantile(text: str) -> float:
    """0.95 of "p95". Raises `ValueError`."""
    try:
        share = float(text.removeprefix("p")) / 100.0
    except ValueError:
        share = -1.0
    if not text.startswith("p") or not 0.0 < share < 1.0:
        raise ValueError(f"hedge: expected seconds or a quantile like 'p95', got {text!r}")
    return share


class Outcome(NamedTuple):
    """What a call would have come to: `seconds` to its answer by `model`, `inf` and `None` if it had none.

    `known` is False when the recording does not reach far enough: it took at least that long. `least` and `most` are
    USD, with turns that were cut off billed for their prompt only, or in full.
    """

    seconds: float
    known: bool
    hedged: bool
    won_by_hedge: bool
    denied: bool
    sent: int
    least: float
    most: float
    model: str | None = None


class Bucket:
    """The hedge's budget, as the router keeps it."""

    def __init__(self, rate: float | None) -> None:
        self._rate, self._tokens = rate, BURST

    def deposit(self) -> None:
        """A call has begun."""
        if self._rate is not None:
            self._tokens = min(BURST, self._tokens + self._rate)

    def take(self) -> bool:
        """Whether a hedge may go."""
        if self._rate is not None:
            if self._tokens < 1.0 - 1e-6:
                return False
            self._tokens -= 1.0
        return True


@dataclass(slots=True)
class _Lane:
    """A model's turn, under the policy's clocks, and as it was `seen`."""

    began: float
    turn: Turn
    seen: Turn
    hedge: bool
    looked: bool = False


class Play:
    """One call under a policy. `ask(model)` gives a model's turn, `prompt_cost(model)` its cost if it said nothing.

    `reserve(model)` is the seconds of the deadline that an answer leaves to it.
    """

    def __init__(
        self, policy: Policy, order: tuple[str, ...], after: float, ask: Callable[[str], Turn],
        prompt_cost: Callable[[str], float], reserve: Callable[[str], float] = lambda _: RESERVE,
    ) -> None:
        self._policy, self._after, self._ask, self._prompt_cost = policy, after, ask, prompt_cost
        self._deadline, self._reserve = inf if policy.deadline is None else policy.deadline, reserve
        self._left = list(order)
        self._sent = 0
        self._hedged = self._denied = False
        self._least = self._most = 0.0
        self._lanes: list[_Lane] = []

    def run(self, bucket: Bucket) -> Outcome:
        """To its answer, or to the end of the chain or the deadline."""
        bucket.deposit()
        now, deadline = 0.0, self._deadline
        self._start(now, hedge=False)
        while self._lanes:
            newest = self._lanes[-1]
            watched = len(self._lanes) == 1 and self._left and not newest.looked
            late = newest.began + self._after if watched else inf
            lane = min(self._lanes, key=_next_event)
            now = min(_next_event(lane), late)
            if now >= deadline:
                return self._nothing(deadline)
            if late < _next_event(lane):
                self._race(bucket, now)
            elif lane.turn.spoke:
                if (answer := self._win(lane, deadline)) is not None:
                    return answer
            else:
                self._fail(lane, now, bucket)
        return self._nothing(now)

    def _start(self, now: float, *, hedge: bool) -> None:
        if (model := self._next(now)) is None:
            return
        seen = self._ask(model)
        turn = self._clocked(seen, now)
        self._sent += not turn.refused
        self._hedged |= hedge
        self._lanes.append(_Lane(now, turn, seen, hedge))

    def _next(self, now: float) -> str | None:
        """The next model that the deadline leaves time for; the only one has whatever there is."""
        while self._left:
            model = self._left.pop(0)
            if self._share(now) >= USEFUL or not (self._left or self._sent):
                return model
        return None

    def _share(self, now: float) -> float:
        return (self._deadline - now) / (len(self._left) + 1)

    def _limits(self, now: float) -> tuple[float, float]:
        """Seconds that a turn may be silent and may last, so that the models after it have their part of the deadline.

        The last one has all that is left, which `run` watches.
        """
        if not self._left:
            return inf, inf
        share = self._share(now)
        return share, max(share, self._deadline - now - sum(map(self._reserve, self._left)))

    def _clocked(self, turn: Turn, now: float) -> Turn:
        """The turn under this policy's clocks; one that the recording does not see the end of is no failure of it."""
        share, left = self._limits(now)
        total = left if self._policy.total is None else min(self._policy.total, left)
        limit = min(share, total, inf if self._policy.first_token is None else self._policy.first_token)
        if _event(turn) > limit:
            return replace(turn, event=limit, end=limit, spoke=False, ok=False, known=True, ends=True)
        if turn.spoke and _end(turn) > total:
            return replace(turn, end=total, ok=False, ends=True)
        return turn

    def _race(self, bucket: Bucket, now: float) -> None:
        self._lanes[-1].looked = True
        if bucket.take():
            self._start(now, hedge=True)
        else:
            self._denied = True

    def _win(self, lane: _Lane, deadline: float) -> Outcome | None:
        """The first to speak: the others are losers. `None` when it broke afterwards and the chain goes on."""
        self._lanes.remove(lane)
        for other in self._lanes:
            self._bill(other, lane.began + lane.turn.event)
            self._left.insert(0, other.turn.model)
        self._lanes.clear()
        ended = lane.began + lane.turn.end
        self._bill(lane, min(ended, deadline))
        if lane.began + _end(lane.turn) >= deadline:
            return self._nothing(deadline)
        if lane.turn.ok:
            return self._outcome(ended, lane)
        if self._left:
            self._start(ended, hedge=False)
        return None

    def _fail(self, lane: _Lane, now: float, bucket: Bucket) -> None:
        newest = lane is self._lanes[-1]
        self._lanes.remove(lane)
        self._bill(lane, now)
        if not self._left:
            return
        if not self._lanes:
            self._start(now, hedge=False)
        elif newest and bucket.take():
            self._start(now, hedge=True)

    def _bill(self, lane: _Lane, now: float) -> None:
        """All of it, or between its prompt and all when it was cut off: what it had said by then was not recorded."""
        seen = lane.seen
        whole = seen.cost or 0.0
        ended = lane.turn is seen and now - lane.began >= seen.end - TICK
        least = whole if ended else self._prompt_cost(seen.model)
        self._least += least
        self._most += max(least, whole)

    def _nothing(self, now: float) -> Outcome:
        """No answer: the chain is at its end, or the deadline has cut off who still runs."""
        for lane in self._lanes:
            self._bill(lane, now)
        return self._outcome(inf)

    def _outcome(self, seconds: float, lane: _Lane | None = None) -> Outcome:
        known, hedge, model = True, False, None
        if lane is not None:
            known, hedge, model = lane.turn.known and lane.turn.ends, lane.hedge, lane.turn.model
        return Outcome(seconds, known, self._hedged, hedge, self._denied, self._sent, self._least, self._most, model)


def _next_event(lane: _Lane) -> float:
    return lane.began + _event(lane.turn)


def _event(turn: Turn) -> float:
    return turn.event if turn.known else turn.event + TICK


def _end(turn: Turn) -> float:
    return turn.end if turn.known and turn.ends else turn.end + TICK
