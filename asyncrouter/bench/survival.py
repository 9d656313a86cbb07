"""What recorded turns say about a model: how long until it speaks or fails, where some were cut off before they did.

A *turn* is a model's part of one call, retries and the pauses between them included. One that was overtaken, cancelled
or stopped by a clock is *censored*: that it would have taken longer is all there is to know. The weights of the others
come from the product-limit estimator (Kaplan & Meier 1958).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from asyncrouter.bench.rows import AttemptRow

_CUT = {"superseded", "cancelled", None}


@dataclass(frozen=True, slots=True)
class Turn:
    """One model's turn. Times are seconds from its first request.

    `event` is when it first spoke, or failed without a word, or was cut off (`known` is False). `end` is when its
    answer was whole, or broke, or was cut off in the middle (`ends` is False). `cost` is USD, `None`: unknown.
    `refused` turns made no request (a breaker, a hold).
    """

    model: str
    began: float
    event: float
    end: float
    spoke: bool
    ok: bool
    known: bool
    cost: float | None
    input_tokens: int | None = None
    output_tokens: int | None = None
    refused: bool = False
    ends: bool = True


def turns(attempts: Sequence[AttemptRow]) -> list[Turn]:
    """The turns of one call, in the order in which they began."""
    return [_turn(group) for group in _groups(attempts)]


def _groups(attempts: Sequence[AttemptRow]) -> Iterator[list[AttemptRow]]:
    groups: list[list[AttemptRow]] = []
    for attempt in attempts:
        mine = next((group for group in reversed(groups) if group[-1].model == attempt.model), None)
        if attempt.cause == "retry" and mine is not None:
            mine.append(attempt)
        else:
            groups.append([attempt])
    yield from groups


def _turn(group: Sequence[AttemptRow]) -> Turn:
    last = group[-1]
    began = next((a.sent for a in group if a.sent is not None), None)
    cost = None if any(a.cost_usd is None for a in group) else sum(a.cost_usd or 0.0 for a in group)
    if began is None:
        return Turn(last.model, last.queued or 0.0, 0.0, 0.0, False, False, True, 0.0, refused=True)
    ended = (last.ended if last.ended is not None else began) - began
    spoke = last.first is not None
    event = ended if last.first is None else last.first - began
    # A clock that is not the connection's says how long we were willing to wait, not how long it would have taken.
    clocked = last.clock in {"first_token", "total", "deadline"}
    cut = last.outcome in _CUT or clocked
    ok = last.outcome == "won" or (spoke and cut)
    return Turn(last.model, began, event, ended, spoke, ok, spoke or not cut, cost, last.input_tokens,
                last.output_tokens, ends=not (spoke and cut))


class Law:
    """What is known of one model's turns, to draw from.

    `turns` are its events in the order of their times; `n` counts what was recorded, `cut` how much of that was cut
    off. Beyond the last event nothing is known.
    """

    def __init__(self, recorded: Sequence[Turn]) -> None:
        asked = sorted((turn for turn in recorded if not turn.refused), key=lambda turn: (turn.event, not turn.known))
        self.n = len(asked)
        self.cut = sum(not turn.known for turn in asked)
        self.longest = asked[-1].event if asked else 0.0
        self.turns: list[Turn] = []
        self._times: list[float] = []
        weights: list[float] = []
        survival = 1.0
        for index, turn in enumerate(asked):
            if turn.known:
                weight = survival / (self.n - index)
                self.turns.append(turn)
                self._times.append(turn.event)
                weights.append(weight)
                survival -= weight
        self._upto = list(accumulate(weights))
        self.unknown = max(0.0, survival) if self.cut else 0.0

    def __repr__(self) -> str:
        return f"<Law of {self.n} turns, {self.cut} cut off, {self.unknown:.2%} beyond the last event>"

    def quantile(self, q: float) -> float | None:
        """The time within which a share `q` of the turns spoke or failed; `None` where it was not seen."""
        if not self._upto or self._upto[-1] < q - 1e-9:
            return None
        return self._times[min(len(self._times) - 1, bisect_right(self._upto, q - 1e-9))]

    def draw(self, random: Random, beyond: float = -1.0) -> Turn | None:
        """A turn whose event comes after `beyond` seconds; `None`: it comes after everything that was seen."""
        start = bisect_right(self._times, beyond)
        below = self._upto[start - 1] if start else 0.0
        whole = (self._upto[-1] if self._upto else 0.0) + self.unknown
        if whole - below <= 1e-12:
            return None
        at = bisect_right(self._upto, below + random.random() * (whole - below))
        return self.turns[at] if at < len(self.turns) else None
