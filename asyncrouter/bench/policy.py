"""Another way to have answered a recorded call: an order of models, a hedge, clocks; and what it would have come to.

The rules are the router's: the next model starts when the last one failed or is late, a hedge needs a token of its
bucket, the first to speak wins, one that breaks afterwards has failed.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What to try. `order` is the chain (`None`: as recorded); `hedge` seconds, a quantile like "p95", or `None`.

    `budget` is the hedge's tokens a call (`None`: no limit). `first_token` and `total` bound each turn, `deadline` the
    whole call, in seconds; `None`: no limit.
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
    """What a call would have come to: `seconds` to its answer, `inf` if it had none.

    `known` is False when the recording does not reach far enough: it took at least that long. `least` and `most` are
    USD, with losers billed for their prompt only, or in full.
    """

    seconds: float
    known: bool
    hedged: bool
    won_by_hedge: bool
    denied: bool
    sent: int
    least: float
    most: float


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
    began: float
    turn: Turn
    hedge: bool
    looked: bool = False


class Play:
    """One call under a policy. `ask(model)` gives that model's turn, `prompt_cost(model)` what a loser costs."""

    def __init__(
        self, policy: Policy, order: tuple[str, ...], after: float, ask: Callable[[str], Turn],
        prompt_cost: Callable[[str], float],
    ) -> None:
        self._policy, self._after, self._ask, self._prompt_cost = policy, after, ask, prompt_cost
        self._left = list(order)
        self._sent = 0
        self._known = True
        self._hedged = self._denied = False
        self._least = self._most = 0.0
        self._lanes: list[_Lane] = []

    def run(self, bucket: Bucket) -> Outcome:
        """To its answer, or to the end of the chain or the deadline."""
        bucket.deposit()
        now, deadline = 0.0, inf if self._policy.deadline is None else self._policy.deadline
        self._start(now, hedge=False)
        while self._lanes:
            newest = self._lanes[-1]
            watched = len(self._lanes) == 1 and self._left and not newest.looked
            late = newest.began + self._after if watched else inf
            lane = min(self._lanes, key=_next_event)
            now = min(_next_event(lane), late)
            if now >= deadline:
                return self._ended(inf, hedge=False)
            if late < _next_event(lane):
                self._race(bucket, now)
            elif lane.turn.spoke:
                if (answer := self._win(lane, deadline)) is not None:
                    return answer
            else:
                self._fail(lane, now, bucket)
        return self._ended(inf, hedge=False)

    def _start(self, now: float, *, hedge: bool) -> None:
        turn = self._clocked(self._ask(self._left.pop(0)))
        self._sent += not turn.refused
        self._hedged |= hedge
        self._lanes.append(_Lane(now, turn, hedge))

    def _clocked(self, turn: Turn) -> Turn:
        """The turn under this policy's clocks; one that the recording does not see the end of is no failure of it."""
        limit = min(self._policy.first_token or inf, self._policy.total or inf)
        if turn.event > limit:
            return replace(turn, event=limit, end=limit, spoke=False, ok=False, known=True)
        if turn.spoke and self._policy.total is not None and turn.end > self._policy.total:
            return replace(turn, end=self._policy.total, ok=False)
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
            self._least += self._prompt_cost(other.turn.model)
            self._most += other.turn.cost or 0.0
            self._left.insert(0, other.turn.model)
        self._lanes.clear()
        self._bill(lane.turn)
        ended = lane.began + lane.turn.end
        if not lane.turn.known:
            self._known = False
        if ended >= deadline:
            return self._ended(inf, hedge=False)
        if lane.turn.ok:
            return self._ended(ended, hedge=lane.hedge)
        if self._left:
            self._start(ended, hedge=False)
        return None

    def _fail(self, lane: _Lane, now: float, bucket: Bucket) -> None:
        newest = lane is self._lanes[-1]
        self._lanes.remove(lane)
        self._bill(lane.turn)
        if not self._left:
            return
        if not self._lanes:
            self._start(now, hedge=False)
        elif newest and bucket.take():
            self._start(now, hedge=True)

    def _bill(self, turn: Turn) -> None:
        self._least += turn.cost or 0.0
        self._most += turn.cost or 0.0

    def _ended(self, seconds: float, *, hedge: bool) -> Outcome:
        for lane in self._lanes:  # the deadline has cut them off
            self._least += self._prompt_cost(lane.turn.model)
            self._most += lane.turn.cost or 0.0
        return Outcome(seconds, self._known, self._hedged, hedge, self._denied, self._sent, self._least, self._most)


def _next_event(lane: _Lane) -> float:
    return lane.began + lane.turn.event

