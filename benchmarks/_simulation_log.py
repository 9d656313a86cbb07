"""Calls of a simulation: how they are made, what is logged of them, and figures beside their goals."""

from __future__ import annotations

import asyncio
import sys
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter import CallError

if TYPE_CHECKING:
    from asyncrouter import Router

MESSAGES: list[dict[str, object]] = [{"role": "user", "content": "hello"}]
WORKERS = 20
"""Calls in flight at once."""
LEARNING = 1000
"""Calls at the beginning that are not counted: the router has no latencies yet, and does not hedge."""
PROGRESS = 100_000
"""Calls after which a line on standard error says how far it is."""
ROUNDING = 1e-6
"""By how much a figure may exceed its goal: twenty deposits of 0.05 are one hedge, but do not add up to 1 exactly."""


class Figure(NamedTuple):
    """One number beside its goal (`None`: only shown), with details in words."""

    what: str
    measured: float
    goal: float | None
    at_least: bool
    details: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the goal is met; `None` without one."""
        if self.goal is None:
            return None
        return self.measured >= self.goal if self.at_least else self.measured <= self.goal + ROUNDING

    def __str__(self) -> str:
        goal = "" if self.goal is None else f"{'≥' if self.at_least else '≤'} {self.goal:g}"
        verdict = {True: "met", False: "MISSED", None: ""}[self.passed]
        return f"  {self.what:<48} {self.measured:9.4f}  {goal:<8} {verdict:<6} {self.details}".rstrip()


class Log:
    """Calls in the order in which they began: when, seconds, whether a hedge was sent, whether there was an answer."""

    def __init__(self, calls: int) -> None:
        self.began = array("d", bytes(8 * calls))
        self.seconds = array("d", bytes(8 * calls))
        self.hedges_at = array("d")
        self.hedged = bytearray(calls)
        self.answered = bytearray(calls)

    def quantile(self, q: float, first: int = LEARNING) -> float:
        """A quantile of the seconds, without the first calls."""
        kept = sorted(self.seconds[first:])
        return kept[min(len(kept) - 1, int(q * len(kept)))]

    def max_hedge_rate(self, window: int) -> float:
        """The highest share of hedged calls in any `window` consecutive ones."""
        running = most = sum(self.hedged[:window])
        for old, new in zip(self.hedged, self.hedged[window:], strict=False):
            running += new - old
            most = max(most, running)
        return most / window

    def max_excess(self, budget: float) -> float:
        """The most by which the hedges sent up to an instant exceeded `budget` of the calls begun by then."""
        hedges = enumerate(sorted(self.hedges_at), 1)
        return max((sent - budget * bisect_right(self.began, at) for sent, at in hedges), default=0.0)


async def make_calls(router: Router, calls: int, workers: int = WORKERS) -> Log:
    """Make so many calls: each worker makes its next one when the last one has ended."""
    log, loop, numbers = Log(calls), asyncio.get_running_loop(), iter(range(calls))

    async def worker() -> None:
        for number in numbers:
            log.began[number] = began = loop.time()
            try:
                reply = await router.chat(MESSAGES)
            except CallError as error:
                trace = error.trace
            else:
                log.answered[number] = True
                assert reply.trace is not None
                trace = reply.trace
            log.seconds[number] = loop.time() - began
            for one in trace.attempts:
                if one.cause == "hedge" and one.sent is not None:
                    log.hedged[number] = True
                    log.hedges_at.append(began + one.sent)
            if number % PROGRESS == 0 and number:
                print(f"    {number} of {calls} calls", file=sys.stderr, flush=True)

    await asyncio.gather(*(worker() for _ in range(workers)))
    return log
