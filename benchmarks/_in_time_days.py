"""Plays a day of calls with a whole router in virtual time, beside the best that could be known beforehand.

*Known beforehand* is somebody who knows which answers of the first model will be bad, that is, take longer than 99.5 %
of its healthy ones, and asks the second model instead, at no price. *No rules* is somebody who waits for the first
model whatever happens. Both get the very answers that the router would get for that call.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from math import inf
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from _answer_transport import AnswerTransport
from _answers import DAYS, Answer, Law

from asyncrouter import CallError, Router
from asyncrouter.sim import Clock

if TYPE_CHECKING:
    from _answers import Trouble

    from asyncrouter import Event, Trace

BAD_SHARE = 0.005
"""The share of healthy answers of the first model that count as bad, for they take longest."""
WAYS = {"no content": "first", "no more": "silence", "apart": "pace", "characters": "pace", "tried again": "probe"}
"""What the reason of an attempt says it was started for."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement: a day, what is asked for, and what differs from the usual day.

    - `day`: the name of a trouble; `hedge`: "p95", "auto" or "none".
    - `rate`, `calls`: calls a second, and how many.
    - `law`: the healthy answers.
    - `everybody`: whether all models have the trouble.
    - `lives`: how many routers share the calls, one after the other, each with an empty memory.
    - `trouble`: the trouble itself where the day is none of `DAYS`.
    """

    group: str
    day: str
    hedge: str
    rate: float = 5.0
    calls: int = 3000
    law: Law = field(default_factory=Law)
    everybody: bool = False
    lives: int = 1
    trouble: Trouble | None = None

    @property
    def seconds(self) -> float:
        """The length of the day, for one router."""
        return self.calls / self.lives / self.rate


class Made(NamedTuple):
    """One call: when it began, its seconds (`inf`: no answer), and those of the two that it is compared with."""

    began: float
    seconds: float
    known: float
    no_rules: float
    exchanged: bool


@dataclass(slots=True)
class Played:
    """The calls of a day, and its attempts of hedges and rescues."""

    calls: list[Made]
    extra: int
    healthy_rescues: int
    wasted: int
    cut: int
    failed: int
    detected: list[int]
    back: list[float]
    ways: Counter[str]


@cache
def bad_limit(law: Law) -> float:
    """The seconds that `BAD_SHARE` of the first model's healthy answers take longer than."""
    random = Random("healthy answers")
    taken = sorted(law.draw(random, 0).seconds for _ in range(40_000))
    return taken[int((1.0 - BAD_SHARE) * len(taken))]


class Day:
    """The answers of the models on one day. They depend on the seed, the model, the call and how often it was asked."""

    def __init__(self, cell: Cell, seed: str) -> None:
        self._cell, self._seed = cell, seed
        self._trouble = DAYS[cell.day] if cell.trouble is None else cell.trouble
        self._asked: Counter[tuple[int, int]] = Counter()

    def answer(self, index: int, number: int, at: float, time: int = 0) -> Answer:
        """What a model says to a call at an instant; `time`: how often it was asked before."""
        random = Random(f"{self._seed}:{index}:{number}:{time}")
        answer = self._cell.law.draw(random, index)
        if index == 0 or self._cell.everybody:
            answer = self._trouble(answer, random, at / self._cell.seconds)
        return answer

    def model(self, index: int) -> object:
        """The function of a model, for a transport."""
        def ask(number: int, at: float) -> Answer:
            time = self._asked[index, number]
            self._asked[index, number] += 1
            return self.answer(index, number, at, time)
        return ask


class Listener:
    """Hears when the first model becomes slow, and when it is not slow any more."""

    def __init__(self) -> None:
        self.slow: list[float] = []
        self.quick: list[float] = []

    def __call__(self, event: Event) -> None:
        if type(event).__name__ == "StateChanged" and getattr(event, "subject", "") == "a":
            state, now = getattr(event, "state", ""), asyncio.get_running_loop().time()
            if state == "slow":
                self.slow.append(now)
            elif state == "not slow any more":
                self.quick.append(now)


def config(cell: Cell) -> dict[str, object]:
    """The configuration of the router: a chain of the models, and all else as it comes."""
    names = [name for name, _, _ in cell.law.models]
    return {
        "default_provider": names[0],
        "providers": {name: {"wire": "openai", "base_url": f"http://{name}.test/v1"} for name in names},
        "models": {name: {"provider": name, "id": name} for name in names},
        "tasks": {"default": {"models": names, "hedge": cell.hedge}},
    }


def play(cell: Cell, seed: int, show: float = inf) -> Played:
    """Play a cell."""
    played = Played([], 0, 0, 0, 0, 0, [], [], Counter())
    for life in range(cell.lives):
        _live(cell, f"{seed}:{life}", played, show)
    return played


def _live(cell: Cell, seed: str, played: Played, show: float) -> None:
    day, listener, calls = Day(cell, seed), Listener(), cell.calls // cell.lives
    transport = AnswerTransport({name: day.model(index) for index, (name, _, _) in enumerate(cell.law.models)})
    earlier = len(played.calls)
    arrivals, limit = Random(f"arrivals:{seed}"), bad_limit(cell.law)

    async def one(router: Router, number: int) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            trace = (await router.chat(f"call {number}")).trace
            seconds = loop.time() - began
        except CallError as error:
            trace, seconds = error.trace, inf
            played.failed += 1
        if seconds >= show:
            print(f"at {began:.1f}: {seconds:.1f} s\n{trace}", flush=True)
        first = day.answer(0, number, began).seconds
        bad = first > limit
        known = day.answer(1, number, began).seconds if bad else first
        played.calls.append(Made(began, seconds, known, first, bad))
        _count(trace, played, bad=bad)

    async def main() -> None:
        async with Router(config(cell), transport=transport, seed=1, listeners=[listener]) as router:
            loop, at = asyncio.get_running_loop(), 0.0
            async with asyncio.TaskGroup() as group:
                for number in range(calls):
                    at += arrivals.expovariate(cell.rate)
                    await asyncio.sleep(at - loop.time())
                    group.create_task(one(router, number))

    Clock().run(main())
    begin, end = cell.seconds / 3.0, cell.seconds * 2.0 / 3.0
    if found := [at for at in listener.slow if begin <= at < end]:
        played.detected.append(sum(begin <= call.began < found[0] for call in played.calls[earlier:]))
        back = next((at for at in listener.quick if at >= end), cell.seconds)
        played.back.append(back - end if len(listener.slow) > sum(at < end for at in listener.quick) else 0.0)


def _count(trace: Trace, played: Played, *, bad: bool) -> None:
    for attempt in trace.attempts:
        played.cut += attempt.outcome == "failed"
        if attempt.cause not in {"hedge", "rescue"} or attempt.sent is None:
            continue
        played.extra += 1
        played.wasted += not bad
        played.healthy_rescues += attempt.cause == "rescue" and not bad
        way = next((name for text, name in WAYS.items() if text in attempt.why), "other")
        played.ways[f"{attempt.cause} {way} {attempt.outcome}"] += 1
