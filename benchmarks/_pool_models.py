"""Members of a pool as functions, routers to them in virtual time, and rules of other people's to compare with."""

from __future__ import annotations

import asyncio
from array import array
from math import exp
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from _function_models import FunctionTransport, Result
from _simulation_log import MESSAGES

from asyncrouter import AttemptEnded, CallError, Router
from asyncrouter.sim import Clock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from _function_models import Model

    from asyncrouter import Event, MemberView

T = TypeVar("T")
REJECTION_SECONDS = 0.05
"""Seconds until a 429 comes."""


class Limited:
    """A member behind a token bucket of one second that nobody announces; it answers after lognormal seconds."""

    def __init__(self, rate: float, seed: object, *, median: float = 1.0, sigma: float = 0.5) -> None:
        self._rate = rate
        self._random = Random(f"limited:{seed}")
        self._median, self._sigma = median, sigma
        self._level, self._at = rate, 0.0
        self.served = array("d")
        self.rejected = array("d")

    def __call__(self, now: float) -> Result:
        """The result of a request that is sent now."""
        self._level = min(self._rate, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < 1.0:
            self.rejected.append(now)
            return Result(REJECTION_SECONDS, 429)
        self._level -= 1.0
        self.served.append(now)
        return Result(self._median * self._random.lognormvariate(0.0, self._sigma))


class Deployment:
    """A member without a limit that is `factor(now)` times slower than usual; it dies at some instants."""

    def __init__(
        self, seed: object, factor: Callable[[float], float] = lambda now: 1.0, *, median: float = 1.0,
        sigma: float = 0.5, dead: Callable[[float], bool] = lambda now: False,
    ) -> None:
        self._random = Random(f"deployment:{seed}")
        self._factor, self._median, self._sigma, self._dead = factor, median, sigma, dead
        self.sent = array("d")

    def __call__(self, now: float) -> Result:
        """The result of a request that is sent now."""
        self.sent.append(now)
        if self._dead(now):
            return Result(0.02, 500)
        return Result(self._median * self._factor(now) * self._random.lognormvariate(0.0, self._sigma))


def run_pool(
    members: Mapping[str, Model], main: Callable[[Router], Awaitable[T]], *, pick: object = "least-busy",
    weights: Sequence[float] | None = None, seed: int = 1, listeners: Sequence[Callable[[Event], None]] = (),
    **defaults: object,
) -> T:
    """Run `main` in virtual time with a router whose only model is a pool of these members."""
    names = [f"{name}:m" for name in members]
    entries: list[object] = list(names)
    if weights is not None:
        entries = [{"model": name, "weight": weight} for name, weight in zip(names, weights, strict=True)]
    table: dict[str, object] = {
        "default_provider": next(iter(members)),
        "providers": {name: {"wire": "openai", "base_url": f"http://{name}.test/v1"} for name in members},
        "models": {"pool": {"any": entries, "pick": pick}},
        "defaults": {
            "wire_stream": False, "connect": "none", "total": "none", "deadline": "none", "rescue": "off", **defaults,
        },
        "tasks": {"default": ["pool"]},
    }

    async def run() -> T:
        transport = FunctionTransport(members)
        async with Router(table, transport=transport, seed=seed, listeners=listeners) as router:
            return await main(router)

    return Clock().run(run())


async def saturate(router: Router, callers: int, until: float, *, begin: float = 1.0) -> int:
    """Keep so many callers busy until this instant; how many of their calls failed. They come within `begin` seconds.
    """
    loop, failed, random = asyncio.get_running_loop(), 0, Random("callers")

    async def caller() -> None:
        nonlocal failed
        await asyncio.sleep(random.uniform(0.0, begin))
        while loop.time() < until:
            try:
                await router.chat(MESSAGES)
            except CallError:
                failed += 1
                await asyncio.sleep(0.5)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return failed


async def arrive(router: Router, rate: float, until: float, seed: object, **options: Any) -> list[tuple[float, float]]:
    """Calls that arrive at random, so many a second: when each began, and how long it took."""
    loop, random, seconds = asyncio.get_running_loop(), Random(f"arrivals:{seed}"), list[tuple[float, float]]()

    async def call() -> None:
        began = loop.time()
        await router.chat(MESSAGES, **options)
        seconds.append((began, loop.time() - began))

    async with asyncio.TaskGroup() as group:
        while loop.time() < until:
            group.create_task(call())
            await asyncio.sleep(random.expovariate(rate))
    return seconds


def quantile(values: list[float], q: float) -> float:
    """A quantile of these values."""
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


class RandomPick:
    """Any member."""

    def __init__(self, seed: object) -> None:
        self._random = Random(f"pick:{seed}")

    def __call__(self, members: Sequence[MemberView]) -> MemberView:
        """One of them."""
        return self._random.choice(members)


class RoundRobin:
    """One after the other."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, members: Sequence[MemberView]) -> MemberView:
        """The next one."""
        self._calls += 1
        return members[self._calls % len(members)]


class PeakEwma:
    """The better one of two members at random, by latency times load: an average that jumps up, and falls in ten
    seconds (Finagle, linkerd, tower).
    """

    DECAY = 10.0

    def __init__(self, seed: object) -> None:
        self._random = Random(f"pick:{seed}")
        self._average: dict[str, tuple[float, float]] = {}  # seconds, and when that was

    def __call__(self, members: Sequence[MemberView]) -> MemberView:
        """The better one of two."""
        pair = self._random.sample(list(members), min(2, len(members)))
        return min(pair, key=lambda one: self._average.get(one.name, (0.0, 0.0))[0] * (one.in_flight + 1))

    def listen(self, event: Event) -> None:
        """Hear how long an answer took."""
        if not isinstance(event, AttemptEnded) or event.attempt.sent is None or event.attempt.ended is None:
            return
        name, took = event.attempt.member or "", event.attempt.ended - event.attempt.sent
        now = asyncio.get_running_loop().time()
        average, at = self._average.get(name, (0.0, now))
        weight = exp(-(now - at) / self.DECAY)
        self._average[name] = (took if took > average else average * weight + took * (1.0 - weight), now)
