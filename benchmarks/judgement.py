"""Whose fault it is, and what is worth waiting for: crowds at hidden limits, and services with bad requests among them.

    python -m benchmarks.judgement [--json results/judgement.json]

Everything runs in virtual time against the simulated world, so the figures are exact and the same everywhere.

*Crowds*: so many calls at once at a limit that only 429s tell. `time` is in units of the least time the limit allows
with the latency of one answer; `rejections` are 429s for each success, without those requests that were sent before
the model's first 429 could be read. A second crowd follows on the same router, and counts whole. `batch.map` begins
with few calls and doubles them with each round of answers, so there the least time is at least what the same calls take
on models without a limit.

*Blame*: a service of one call a second of which 1 % meet something of their own. `stay` is the share of the other calls
that the healthy first model answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter import CallError, Reply, Router, batch
from asyncrouter.sim import Act, Clock, World
from benchmarks._machine import environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from asyncrouter.sim._request_log import LoggedRequest

LATENCY = 0.3
DEADLINE = 1000.0
HOUR = 3600
TOLD = ("429, hint", "429", "503")
"""How a limit is told: by 429s with and without a Retry-After, by 503s with one."""
BAD_SHARE = 0.01
MARK = "odd one"
TENANT = {"headers": {"sim": {"Authorization": "Bearer sk-of-a-tenant"}}}
"""A call with a key of its own."""
OWN: Mapping[str, tuple[Act | None, Mapping[str, object]]] = {
    "404 no tools": (Act(status=404, message="No endpoints found that support tool use."), {}),
    "402 fewer max_tokens": (Act(status=402, message="This request needs more credits, or fewer max_tokens."), {}),
    "403 of a firewall": (Act(status=403, type="blocked", message="Request blocked."), {}),
    "500 for one prompt": (Act(status=500), {}),
    "a key of its own, 401": (Act(status=401), TENANT),
    "a key of its own, 429": (Act(status=429, retry_after=60), TENANT),
    "a deadline of its own": (None, {"deadline": 0.6}),
}
"""What 1 % of the requests meet, and the options of their calls."""


class Crowd(NamedTuple):
    """One crowd: calls answered, seconds, seconds in units of the least, 429s for each success."""

    answered: int
    seconds: float
    time: float
    rejections: float


class Unavailable:
    """A limit told by 503 with a Retry-After: a bucket of a second's worth for each model."""

    def __init__(self, clock: Clock, rate: float) -> None:
        self._clock, self._rate = clock, rate
        self._buckets: dict[str, tuple[float, float]] = {}

    def __call__(self, request: LoggedRequest, random: Random) -> Act | None:
        """A 503 for what comes too soon."""
        now = self._clock.now
        at, level = self._buckets.get(request.model, (now, self._rate))
        level = min(self._rate, level + (now - at) * self._rate)
        self._buckets[request.model] = now, level - 1.0 if level >= 1.0 - 1e-9 else level
        wait = round(max(0.001, (1.0 - level) / self._rate), 3)
        return None if level >= 1.0 - 1e-9 else Act(status=503, retry_after=wait)


async def all_at_once(router: Router, calls: int, chain: list[str], how: str) -> int:
    """Make all calls at once, by `chat`, `stream` or `map`; how many were answered."""
    if how == "map":
        rows = batch.map(router, map(str, range(calls)), concurrency=calls, chain=chain, deadline=DEADLINE)
        return len([None async for _, result in rows if isinstance(result, Reply)])

    async def one(number: int) -> bool:
        try:
            if how == "chat":
                await router.chat(f"{number}", chain=chain, deadline=DEADLINE)
                return True
            async with router.stream(f"{number}", chain=chain, deadline=DEADLINE) as reply:
                async for _ in reply:
                    pass
        except CallError:
            return False
        return True

    return sum(await asyncio.gather(*(one(number) for number in range(calls))))


@cache
def unlimited(calls: int) -> float:
    """The seconds that `batch.map` needs for so many calls of one model without a limit."""
    clock, world = Clock(), World(1)
    world.model("a", Act(first_token=LATENCY))

    async def crowd() -> None:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            await all_at_once(router, calls, ["a"], "map")

    clock.run(crowd())
    return clock.now


def crowds(calls: int, rate: float, *, told: str, models: int, how: str) -> list[Crowd]:
    """Two crowds, one after the other, on one router."""
    ramp = unlimited(calls) if how == "map" else 0.0
    clock, world = Clock(), World(1)
    chain = ["a", "b"][:models]
    for name in chain:
        model = world.model(name, Act(first_token=LATENCY))
        if told != "503":
            model.limit(rate, retry_after=told == "429, hint")
    if told == "503":
        world.rule(Unavailable(clock, rate))

    async def crowd(router: Router, *, first: bool) -> Crowd:
        began, before = clock.now, len(world.seen)
        answered = await all_at_once(router, calls, chain, how)
        seconds = clock.now - began
        rejected = [
            seen for seen in list(world.seen)[before:] if seen.act.why == "rate_limit" or seen.act.status == 503
        ]
        known: dict[str, float] = {}
        for seen in rejected if first else ():
            known[seen.model] = min(known.get(seen.model, clock.now), seen.at if seen.ended is None else seen.ended)
        late = sum(seen.at > known.get(seen.model, -1.0) for seen in rejected)
        together = rate * models
        least = LATENCY + max(0.0, calls - (together if first else 0.0)) / together
        least = max(least, ramp)
        return Crowd(answered, round(seconds, 3), round(seconds / least, 3), round(late / calls, 3))

    async def both() -> list[Crowd]:
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            return [await crowd(router, first=True), await crowd(router, first=False)]

    return clock.run(both())


def stay(act: Act | None, options: Mapping[str, object], seed: int = 1) -> float:
    """The share of the other calls that stay on the healthy first model."""
    clock, world = Clock(), World(seed)
    for name in ("a", "b"):
        world.model(name, Act(first_token=1.0))

    def rule(request: LoggedRequest, random: Random) -> Act | None:
        return act if request.model == "a" and MARK in str(request.body) else None

    world.rule(rule)

    async def service() -> float:
        stayed = others = 0
        config = world.config(providers={"other": {"wire": "openai", "base_url": "http://other.test/v1"}})
        async with Router(config, transport=world.transport(), seed=seed) as router:
            for number in range(HOUR):
                odd = number % round(1 / BAD_SHARE) == 0
                try:
                    reply = await router.chat(
                        f"{MARK if odd else 'call'} {number}", chain=["a", "other:b"],
                        **(options if odd else {}),  # type: ignore[arg-type]
                    )
                except CallError:
                    continue
                if not odd:
                    others += 1
                    stayed += reply.model == "a"
        return stayed / others

    return clock.run(service())


def main() -> None:
    """Print the tables, and keep them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "judgement.json")
    path: Path = parser.parse_args().json
    table: list[dict[str, object]] = []
    print("calls  a second  told       models  how     crowd  answered    time  rejections")
    for calls, rate, told, models, how in product((100, 1000), (5.0, 50.0), TOLD, (1, 2), ("chat", "stream", "map")):
        for number, row in enumerate(crowds(calls, rate, told=told, models=models, how=how), 1):
            print(f"{calls:5}  {rate:8g}  {told:9}  {models:6}  {how:6}  {number:5}  {row.answered:8}"
                  f"  {row.time:6.3f}  {row.rejections:10.3f}", flush=True)
            table.append({"calls": calls, "rate": rate, "told": told, "models": models, "how": how,
                          "crowd": number, **row._asdict()})
    blame = {}
    for name, (act, options) in OWN.items():
        blame[name] = round(stay(act, options), 4)
        print(f"{name:24} {blame[name]:.4f} stay", flush=True)
    path.write_text(json.dumps({**environment(), "crowds": table, "blame": blame}, indent=1) + "\n")


if __name__ == "__main__":
    main()
