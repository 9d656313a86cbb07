"""Calls with every kind of await in them, for tests that cancel or close at each of those awaits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from asyncrouter import (
    AllModelsFailed,
    Hedge,
    Reply,
    Retry,
    Router,
    Step,
)
from asyncrouter.sim import Act
from tests.helpers.failing import ONCE
from tests.helpers.racing import HEDGE

if TYPE_CHECKING:
    from asyncrouter._policies.slowness import Slowness

Scenario = Callable[[Router], Awaitable[object]]


@dataclass(frozen=True)
class Case:
    """A call (`run`) in a world with these acts; `before` is run first and is not cancelled.

    `attempts` is how many the call makes when it is not cancelled, `hedges` how many of them are hedges.
    """

    name: str
    acts: dict[str, tuple[Act, ...]]
    run: Scenario
    before: Scenario | None = None
    attempts: int = 1
    hedges: int = 0


async def accept_slowly(reply: Reply) -> bool:
    """An `accept` that takes half a second and does not accept what model a says."""
    await asyncio.sleep(0.25)
    await asyncio.sleep(0.25)
    return reply.model != "a"


async def read(router: Router, **options: object) -> None:
    """Read a stream from its beginning to its end."""
    async with router.stream("hello", retry=ONCE, **options) as stream:  # type: ignore[arg-type]
        async for _ in stream:
            pass


async def earn_a_hold(router: Router) -> None:
    """Make a call after which model a is held."""
    with pytest.raises(AllModelsFailed):
        await router.chat("hello", chain=["a"], retry=ONCE)


async def learn(router: Router) -> None:
    """Ask the models a and b so often that it is known how they answer."""
    for name in ("a", "b"):
        for _ in range(LESSONS):
            await router.chat("hello", chain=[name])


async def find_slow(router: Router) -> None:
    """The same, and then model a has become slow, and a probe of it is due."""
    await learn(router)
    slowness(router, "a")._demote(asyncio.get_running_loop().time(), "")
    await asyncio.sleep(5.0)


def slowness(router: Router, name: str) -> Slowness:
    """Whether a model has become slow."""
    assert router._life.engine is not None
    return next(one for one in router._life.engine.policies._models.values() if one.model.name == name).slowness


async def chat_while_two_become_slow(router: Router) -> None:
    """A call that is silent on model a when that becomes slow, and on b when that does; model c is as usual."""
    loop = asyncio.get_running_loop()

    def become_slow(name: str) -> None:
        slowness(router, name)._demote(loop.time(), "")
        slowness(router, "c").ordinary_at = loop.time() + 1.0

    timers = [loop.call_later(seconds, become_slow, name) for seconds, name in ((8.0, "a"), (16.0, "b"))]
    try:
        await router.chat("hello", chain=["a", "b", "c"])
    finally:
        for timer in timers:
            timer.cancel()


LESSONS = 6
"""Answers after which the pace of a model is known."""
LESSON = Act(tokens=12, first_token=0.5, gap=0.125)
CRAWLS = Act(tokens=12, first_token=0.5, gap=2.0)
STALLS = Act(tokens=12, first_token=0.5, gap=0.125, fault="stall", at=6, pause=9.0)
HANGS = Act(tokens=12, first_token=0.5, gap=0.125, fault="hang", at=6)
ANSWER = Act(tokens=3, connect=0.25, headers_after=0.5, first_token=1.0, gap=0.5, tail=0.5)
SILENT = Act(fault="hang", at="headers", connect=0.25)
LATE = Act(tokens=3, connect=0.25, headers_after=0.5, first_token=2.0, gap=0.5, tail=0.5)
FAILS = Act(status=500, first_token=1.25)
BREAKS = Act(tokens=40, first_token=0.5, gap=1 / 32, fault="error", at=24)
CASES = [
    Case("unhedged", {"a": (ANSWER,)}, lambda router: router.chat("hello", chain=["a"])),
    Case("one body", {"a": (ANSWER,)}, lambda router: router.chat("hello", chain=[Step(model="a", wire_stream=False)])),
    Case("fallback", {"a": (FAILS,), "b": (ANSWER,)},
         lambda router: router.chat("hello", chain=["a", "b"], retry=ONCE), attempts=2),
    Case("hedge won", {"a": (SILENT,), "b": (ANSWER,)},
         lambda router: router.chat("hello", chain=["a", "b"], hedge=HEDGE), attempts=2, hedges=1),
    Case("hedge lost", {"a": (LATE,), "b": (SILENT,)},
         lambda router: router.chat("hello", chain=["a", "b"], hedge=HEDGE), attempts=2, hedges=1),
    Case("first failed, hedge alive", {"a": (FAILS,), "b": (ANSWER,)},
         lambda router: router.chat("hello", chain=["a", "b"], hedge=HEDGE, retry=ONCE), attempts=2, hedges=1),
    Case("both failed", {"a": (FAILS,), "b": (Act(status=500, first_token=0.5),), "c": (ANSWER,)},
         lambda router: router.chat("hello", chain=["a", "b", "c"], hedge=HEDGE, retry=ONCE), attempts=3, hedges=1),
    Case("newest failed", {"a": (SILENT,), "b": (Act(status=500, first_token=0.5),), "c": (ANSWER,)},
         lambda router: router.chat("hello", chain=["a", "b", "c"], hedge=HEDGE, retry=ONCE), attempts=3, hedges=2),
    Case("hedge won, then broke", {"a": (SILENT, ANSWER), "b": (BREAKS,)},
         lambda router: router.chat("hello", chain=["a", "b"], hedge=HEDGE, retry=ONCE), attempts=3, hedges=1),
    Case("content at one instant", {"a": (Act(first_token=1.5),), "b": (Act(first_token=0.5),)},
         lambda router: router.chat("hello", chain=["a", "b"], hedge=HEDGE), attempts=2, hedges=1),
    Case("retry pause", {"a": (Act(status=500), ANSWER)},
         lambda router: router.chat("hello", chain=["a", "b"], retry=Retry(attempts=3)), attempts=2),
    Case("retry after", {"a": (Act(status=429, retry_after=1.5), ANSWER)},
         lambda router: router.chat("hello", chain=["a", "b"]), attempts=2),
    Case("held", {"a": (Act(status=429, retry_after=1.5), ANSWER)},
         lambda router: router.chat("hello", chain=["a", "b"]), before=earn_a_hold),
    Case("timed out", {"a": (SILENT,), "b": (ANSWER,)},
         lambda router: router.chat("hello", chain=[Step(model="a", first_token=1.0), "b"]), attempts=2),
    Case("timed out reading", {"a": (Act(fault="hang"),), "b": (ANSWER,)},
         lambda router: router.chat("hello", chain=[Step(model="a", first_token=1.0), "b"]), attempts=2),
    Case("timed out, hedge alive", {"a": (SILENT,), "b": (ANSWER,)},
         lambda router: router.chat("hello", chain=[Step(model="a", first_token=1.25), "b"], hedge=HEDGE),
         attempts=2, hedges=1),
    Case("accept", {"a": (ANSWER,), "b": (ANSWER,)},
         lambda router: router.chat("hello", chain=["a", "b"], accept=accept_slowly), attempts=2),
    Case("accept in a hedge", {"a": (SILENT, ANSWER), "b": (ANSWER,)},
         lambda router: router.chat("hello", chain=["a", "b"], hedge=HEDGE, accept=accept_slowly),
         attempts=2, hedges=1),
    Case("rescue", {"a": (SILENT,), "b": (ANSWER,)},
         lambda router: router.chat("hello", chain=["a", "b"]), attempts=2),
    Case("rescue lost", {"a": (Act(tokens=3, first_token=16.5, gap=0.5),), "b": (SILENT,)},
         lambda router: router.chat("hello", chain=["a", "b"]), attempts=2),
    Case("rescue of a crawl", {"a": (*[LESSON] * LESSONS, CRAWLS), "b": (LESSON,)},
         lambda router: router.chat("hello", chain=["a", "b"]), before=learn, attempts=2),
    Case("stall", {"a": (Act(tokens=12, fault="hang", at=6),), "b": (LESSON,)},
         lambda router: router.chat("hello", chain=["a", "b"], hedge=HEDGE), attempts=2, hedges=1),
    Case("accept, both whole", {"a": (STALLS,), "b": (Act(tokens=12, first_token=1.5, gap=0.125),)},
         lambda router: router.chat("hello", chain=["a", "b"], hedge=HEDGE, accept=accept_slowly),
         attempts=2, hedges=1),
    Case("probe", {"a": (LESSON,), "b": (LESSON,)},
         lambda router: router.chat("hello", chain=["a", "b"]), before=find_slow, attempts=2),
    Case("third in the place of one of two",
         {"a": (*[LESSON] * LESSONS, SILENT), "b": (*[LESSON] * LESSONS, SILENT), "c": (LESSON,)},
         chat_while_two_become_slow, before=learn, attempts=3),
    Case("stream", {"a": (ANSWER,)}, lambda router: read(router, chain=["a"])),
    Case("hedged stream", {"a": (SILENT,), "b": (ANSWER,)},
         lambda router: read(router, chain=["a", "b"], hedge=HEDGE), attempts=2, hedges=1),
    Case("stream, hedge lost", {"a": (LATE,), "b": (SILENT,)},
         lambda router: read(router, chain=["a", "b"], hedge=HEDGE), attempts=2, hedges=1),
    Case("restarted stream", {"a": (Act(tokens=5, gap=0.25, fault="cut", at=2),), "b": (ANSWER,)},
         lambda router: read(router, chain=["a", "b"], on_interrupt="restart"), attempts=2),
    Case("silent stream", {"a": (STALLS,), "b": (LESSON,)},
         lambda router: read(router, chain=["a", "b"], hedge=HEDGE, on_interrupt="restart"), attempts=2, hedges=1),
    Case("silent stream goes on", {"a": (STALLS,), "b": (Act(tokens=12, first_token=2.5, gap=0.125),)},
         lambda router: read(router, chain=["a", "b"], hedge=HEDGE, on_interrupt="restart"), attempts=2, hedges=1),
    Case("silent stream, rescue fails", {"a": (HANGS,), "b": (FAILS,), "c": (ANSWER,)},
         lambda router: read(router, chain=["a", "b", "c"], on_interrupt="restart"), attempts=3),
    Case("silent stream, both hedges late", {"a": (HANGS,), "b": (SILENT,), "c": (ANSWER,)},
         lambda router: read(router, chain=["a", "b", "c"], hedge=HEDGE, on_interrupt="restart"),
         attempts=3, hedges=2),
    Case("silent stream breaks while raced", {"a": (HANGS,), "b": (LATE,)},
         lambda router: read(router, chain=["a", "b"], hedge=Hedge(after=9.0), idle=9.0, on_interrupt="restart"),
         attempts=2, hedges=1),
]
