"""Failing models in simulation: success, requests for each call, and how soon a model is used again after an outage."""

from __future__ import annotations

import asyncio
from math import inf
from random import Random
from typing import TYPE_CHECKING

from _function_models import REFUSED, Result, run_router
from _optimal_hedge import DISTRIBUTIONS
from _simulation_log import MESSAGES, Figure, make_calls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter import Router


def errors(calls: int, seed: int) -> Iterator[Figure]:
    """Two independent models of distribution A that fail now and then, half of the time at once."""
    calls = min(calls, 200_000)
    for share, goal in ((0.05, 0.997), (0.10, 0.989)):
        for attempts in (1, 2):
            random = Random(f"errors:{share}:{seed}")

            def model(now: float, share: float = share, random: Random = random) -> Result:
                seconds = DISTRIBUTIONS["A"](random)
                if random.random() >= share:
                    return Result(seconds)
                return Result(0.05 if random.random() < 0.5 else seconds, 500)

            log = run_router(
                {"a": model, "b": model}, lambda router: make_calls(router, calls), hedge={"after": "p95"},
                retry={"attempts": attempts},
            )
            what = f"{share:.0%} errors an attempt, {attempts} tr{'y' if attempts == 1 else 'ies'} a model, success"
            yield Figure(what, sum(log.answered) / calls, goal, True)


def amplification(calls: int, seed: int) -> Iterator[Figure]:
    """One model that fails, three tries: how many requests it gets for each call."""
    calls = min(calls, 20_000)
    for share, goal, success in ((0.10, 1.11, 0.985), (1.0, 1.02, 0.0)):
        random, requests = Random(f"amplification:{share}:{seed}"), 0

        def model(now: float, share: float = share, random: Random = random) -> Result:
            nonlocal requests
            requests += 1
            return Result(0.3, 500 if random.random() < share else 200)

        log = run_router({"a": model}, lambda router: make_calls(router, calls), retry={"attempts": 3})
        yield Figure(f"{share:.0%} failures, requests a call", requests / calls, goal, False)
        if success:
            yield Figure(f"{share:.0%} failures, success", sum(log.answered) / calls, success, True)


def outage(calls: int, seed: int) -> Iterator[Figure]:
    """The first model is down for a minute while a call comes every four seconds."""
    results = {"refused": Result(0.01, REFUSED), "500": Result(0.05, 500), "silent": Result(inf)}
    down, up = 100.0, 160.0
    for name, result in results.items():
        requests: list[float] = []

        def first(now: float, result: Result = result, requests: list[float] = requests) -> Result:
            requests.append(now)
            return result if down <= now < up else Result(0.5)

        async def main(router: Router) -> tuple[int, float]:
            loop, answered, back = asyncio.get_running_loop(), 0, inf
            for number in range(60):
                await asyncio.sleep(4.0 * number - loop.time())
                reply = await router.chat(MESSAGES)
                answered += 1
                if loop.time() >= up and reply.model == "a":
                    back = min(back, loop.time() - up)
            return answered, back

        answered, back = run_router({"a": first, "b": lambda _: Result(0.5)}, main, seed=seed, total=2.0)
        yield Figure(f"{name}: calls answered of 60", answered, 60, True)
        yield Figure(f"{name}: attempts while down", sum(down <= at < up for at in requests), 7, False)
        yield Figure(f"{name}: used again after, s", back, 20.0, False)
