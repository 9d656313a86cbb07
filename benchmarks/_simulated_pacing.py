"""Pacing in simulation: a rate limit that is only known from its 429s."""

from __future__ import annotations

import asyncio
from array import array
from random import Random
from typing import TYPE_CHECKING

from _function_models import Result, run_router
from _optimal_hedge import DISTRIBUTIONS
from _simulation_log import MESSAGES, Figure

from asyncrouter import CallError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from asyncrouter import Router

WORKERS = 400
"""Concurrent calls: far more than the limit lets through."""
SECONDS = 300.0
"""Length of a run."""


class LimitedModel:
    """A model behind a token bucket of `rate(now)` requests a second, which holds `burst` seconds' worth."""

    def __init__(self, rate: Callable[[float], float], burst: float, seed: int) -> None:
        self._rate = rate
        self._burst = burst
        self._random = Random(f"limited:{seed}")
        self._level, self._at = burst * rate(0.0), 0.0
        self.served = array("d")
        self.rejected = array("d")

    def __call__(self, now: float) -> Result:
        """The result of a request: an answer, or a 429 without a hint."""
        rate = self._rate(now)
        self._level = min(self._burst * rate, self._level + (now - self._at) * rate)
        self._at = now
        if self._level < 1.0:
            self.rejected.append(now)
            return Result(0.05, 429)
        self._level -= 1.0
        self.served.append(now)
        return Result(0.5 * DISTRIBUTIONS["A"](self._random))


async def saturate(router: Router, until: float) -> None:
    """Keep all workers busy until this instant."""
    loop = asyncio.get_running_loop()

    async def worker() -> None:
        while loop.time() < until:
            try:
                await router.chat(MESSAGES)
            except CallError:
                await asyncio.sleep(0.1)

    await asyncio.gather(*(worker() for _ in range(WORKERS)))


def pacing(calls: int, seed: int) -> Iterator[Figure]:
    """A limit of 50 requests a second that is not announced, and one that becomes 20."""
    for burst in (1.0, 0.1):
        steady = LimitedModel(lambda _: 50.0, burst, seed)
        run_router({"a": steady}, lambda router: saturate(router, SECONDS))
        what = f"burst {burst:g} s:"
        share = sum(at < SECONDS for at in steady.served) / (50.0 * (SECONDS + burst))
        rejections = len(steady.rejected) / len(steady.served)
        first = sum(at < 2.0 for at in steady.rejected)
        yield Figure(f"{what} share of the limit used", share, 0.98, True)
        yield Figure(f"{what} 429s for each answer", rejections, 0.03, False, f"{first} in the first two seconds")
        change = SECONDS / 2.0
        step = LimitedModel(lambda now, change=change: 50.0 if now < change else 20.0, burst, seed)
        run_router({"a": step}, lambda router: saturate(router, SECONDS))
        after = sum(change <= at < SECONDS for at in step.rejected) / change
        used = sum(change <= at < SECONDS for at in step.served) / (20.0 * change)
        yield Figure(f"{what} 50→20, 429s a second", after, 3.0, False, f"{used:.1%} of the limit used")
