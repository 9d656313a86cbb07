"""In time, to the last word: whole routers in virtual time, on days on which the first model is late in some way.

    python benchmarks/in_time.py [--only "crawl,stalls"] [--hedge p95,auto,none] [--rate 5] [--seconds 600] [--seeds 1]

A chain of three models is asked five times a second; each answer has 60 contents. Times are compared with somebody who
knows beforehand which answers of the first model will be bad (they take longer than 99.5 % of its healthy ones) and
asks the second model instead, at no price. A ratio of 1 is as good as that. `extra` counts the requests of hedges and
rescues, `exchanged` the answers that the one who knows has exchanged, `wasted` the rescues and hedges of answers that
were healthy.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import statistics
import sys
import time
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter import CallError, Router
from asyncrouter.sim import Act, Clock, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODELS = {"a": (0.6, 0.35), "b": (0.7, 0.4), "c": (0.4, 0.3)}
"""Median and sigma of the seconds to the first content (lognormal), by model."""
CONTENTS, GAP = 60, 0.03
"""Contents of an answer, and the mean seconds between two of them; an answer has one pace, U(0.7, 1.3) times that."""
MESSAGES: list[dict[str, object]] = [{"role": "user", "content": "hello"}]
WAYS = ("no content", "no more", "apart", "tried again")
"""Words that say why another attempt was started."""
SILENT = 100_000.0
"""Seconds of silence that stand for ever."""


class Answer(NamedTuple):
    """What an answer of the first model is like: its first content, its gap, and a silence before a content."""

    first: float
    gap: float
    contents: int = CONTENTS
    stall_at: int | None = None
    stall: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds until it is whole."""
        return self.first + self.gap * (self.contents - 1) + self.stall

    @property
    def act(self) -> Act:
        """The same for a simulated model."""
        if self.stall_at is None:
            return Act(first_token=self.first, gap=self.gap, tokens=self.contents)
        return Act(first_token=self.first, gap=self.gap, tokens=self.contents, fault="stall", at=self.stall_at,
                   pause=self.stall)


Trouble = "Callable[[Answer, Random, float], Answer]"
"""Makes an answer of the first model worse, or not; the last argument is the share of the day that has passed."""


def healthy(answer: Answer, random: Random, at: float) -> Answer:
    """Nothing happens."""
    return answer


def stragglers(share: float) -> Callable[[Answer, Random, float], Answer]:
    """A share of the first contents comes twenty times later."""
    return lambda answer, random, at: answer._replace(first=20 * answer.first) if random.random() < share else answer


def brown_out(factor: float, *, whole: bool = False) -> Callable[[Answer, Random, float], Answer]:
    """First contents come later in the middle third, and contents too if `whole`."""
    def worse(answer: Answer, random: Random, at: float) -> Answer:
        if not 1 / 3 <= at < 2 / 3:
            return answer
        return answer._replace(first=factor * answer.first, gap=answer.gap * (factor if whole else 1.0))
    return worse


def outage(answer: Answer, random: Random, at: float) -> Answer:
    """No content comes in the middle third."""
    return answer._replace(first=SILENT) if 1 / 3 <= at < 2 / 3 else answer


def slow_words(answer: Answer, random: Random, at: float) -> Answer:
    """Contents come twenty times slower in the middle third."""
    return answer._replace(gap=20 * answer.gap) if 1 / 3 <= at < 2 / 3 else answer


def crawls(share: float) -> Callable[[Answer, Random, float], Answer]:
    """A share of the answers comes twenty times slower."""
    return lambda answer, random, at: answer._replace(gap=20 * answer.gap) if random.random() < share else answer


def stalls(share: float) -> Callable[[Answer, Random, float], Answer]:
    """A share of the answers falls silent for 30 s in the middle."""
    def worse(answer: Answer, random: Random, at: float) -> Answer:
        if random.random() >= share:
            return answer
        return answer._replace(stall_at=random.randrange(5, answer.contents - 5), stall=30.0)
    return worse


def mixed(answer: Answer, random: Random, at: float) -> Answer:
    """2 % stragglers, 2 % stalls, and slow words in the middle third."""
    return slow_words(stalls(0.02)(stragglers(0.02)(answer, random, at), random, at), random, at)


DAYS = {
    "healthy": healthy,
    "stragglers 2 %": stragglers(0.02),
    "stragglers 5 %": stragglers(0.05),
    "brown-out x10": brown_out(10.0),
    "brown-out x3": brown_out(3.0),
    "all x3": brown_out(3.0, whole=True),
    "outage": outage,
    "slow words": slow_words,
    "crawl 3 %": crawls(0.03),
    "stalls 2 %": stalls(0.02),
    "mixed": mixed,
}
"""The days by name."""


@dataclass(slots=True)
class Figures:
    """One day of one router beside the one who knows."""

    p95: float
    p99: float
    worst: float
    extra: float
    exchanged: float
    wasted: float
    failed: int
    detected: int | None


def draw(random: Random, name: str) -> Answer:
    """A healthy answer of a model."""
    median, sigma = MODELS[name]
    return Answer(median * math.exp(random.gauss(0.0, sigma)), GAP * random.uniform(0.7, 1.3))


def quantile(values: list[float], q: float) -> float:
    """A quantile of values that are sorted."""
    return values[min(len(values) - 1, int(q * len(values)))]


def healthy_limit(name: str) -> float:
    """The seconds that one in 200 of a model's healthy answers takes longer than."""
    random = Random(0)
    return quantile(sorted(draw(random, name).seconds for _ in range(20_000)), 0.995)


def known_beforehand(answers: list[Answer], seed: int) -> tuple[list[float], float]:
    """The seconds of the calls of somebody who knows these answers, sorted, and the share of exchanged ones."""
    random, limit = Random(f"known:{seed}"), healthy_limit("a")
    taken = [draw(random, "b").seconds if one.seconds > limit else one.seconds for one in answers]
    return sorted(taken), sum(one.seconds > limit for one in answers) / len(answers)


def play(
    day: str, hedge: str | None, rate: float, seconds: float, seed: int, everybody: bool, show: float | None
) -> Figures:
    """One day."""
    world, calls = World(seed=seed, keep=0), int(rate * seconds)
    trouble, arrivals = DAYS[day], Random(f"arrivals:{seed}")
    draws = {name: Random(f"{name}:{seed}") for name in MODELS}
    luck = Random(f"luck:{seed}")

    def first(_request: object, _random: Random) -> Act:
        answer = trouble(draw(draws["a"], "a"), luck, asyncio.get_running_loop().time() / seconds)
        return answer.act

    def other(name: str) -> Callable[[object, Random], Act]:
        def behave(_request: object, _random: Random) -> Act:
            answer = draw(draws[name], name)
            if everybody:
                answer = trouble(answer, luck, asyncio.get_running_loop().time() / seconds)
            return answer.act
        return behave

    world.model("a", first)
    world.model("b", other("b"))
    world.model("c", other("c"))
    config = world.config(tasks={"default": {"models": ["a", "b", "c"], "hedge": hedge or "none"}})
    took: list[float] = []
    attempts = {"hedge": 0, "rescue": 0, "failed": 0, "wasted": 0}
    ways: dict[str, int] = {}
    slow_at: list[float] = []
    asked: list[float] = []

    def listen(event: object) -> None:
        if type(event).__name__ == "StateChanged" and getattr(event, "state", "") == "slow":
            slow_at.append(asyncio.get_running_loop().time())
            if show is not None:
                print(f"    at {slow_at[-1]:.1f}: {event}", file=sys.stderr)

    async def one(router: Router) -> None:
        began = asyncio.get_running_loop().time()
        asked.append(began)
        try:
            reply = await router.chat(MESSAGES)
        except CallError as error:
            trace = error.trace
            attempts["failed"] += 1
        else:
            trace = reply.trace
        took.append(asyncio.get_running_loop().time() - began)
        assert trace is not None
        if show is not None and took[-1] >= show:
            print(f"    at {began:.1f}: {took[-1]:.1f} s\n{trace}", file=sys.stderr)
        for attempt in trace.attempts:
            if attempt.cause in {"hedge", "rescue"} and attempt.sent is not None:
                attempts[attempt.cause] += 1
                attempts["wasted"] += attempt.outcome != "won"
                way = next((way for way in WAYS if way in attempt.why), "?")
                key = f"{attempt.cause}, {way}, {attempt.outcome}"
                ways[key] = ways.get(key, 0) + 1

    async def main() -> None:
        async with Router(config, transport=world.transport(), seed=seed, listeners=[listen]) as router:
            at = 0.0
            tasks = []
            for _ in range(calls):
                await asyncio.sleep(at - asyncio.get_running_loop().time())
                tasks.append(asyncio.create_task(one(router)))
                at += arrivals.expovariate(rate)
            await asyncio.gather(*tasks)

    Clock().run(main())
    if show is not None:
        print("   ", ways, file=sys.stderr)
    random, luck = Random(f"a:{seed}"), Random(f"luck:{seed}")
    answers = [trouble(draw(random, "a"), luck, began / seconds) for began in sorted(asked)]
    best, exchanged = known_beforehand(answers, seed)
    took.sort()
    troubled = [at for at in slow_at if at >= seconds / 3]
    detected = None
    if troubled and day != "healthy":
        detected = sum(seconds / 3 <= began < troubled[0] for began in asked)
    extra = (attempts["hedge"] + attempts["rescue"]) / calls
    return Figures(
        quantile(took, 0.95) / quantile(best, 0.95), quantile(took, 0.99) / quantile(best, 0.99), took[-1], extra,
        exchanged, attempts["wasted"] / calls, attempts["failed"], detected,
    )


def rows(options: argparse.Namespace) -> Iterator[str]:
    """A line for each day and hedge."""
    days = [day for day in DAYS if not options.only or any(part in day for part in options.only.split(","))]
    yield (f"{'day':<16} {'hedge':<6} {'p95':>6} {'(worst)':>8} {'p99':>6} {'(worst)':>8} {'call':>7} {'extra':>7} "
           f"{'exch.':>7} {'wasted':>7} {'failed':>6} {'found':>6}")
    for day in days:
        for hedge in options.hedge.split(","):
            began = time.monotonic()
            given = None if hedge == "none" else hedge
            played = [
                play(day, given, options.rate, options.seconds, seed, options.everybody, options.show)
                for seed in range(options.seeds)
            ]
            p95, p99 = [one.p95 for one in played], [one.p99 for one in played]
            found = [one.detected for one in played if one.detected is not None]
            yield (
                f"{day:<16} {hedge:<6} {statistics.median(p95):6.2f} {max(p95):8.2f} {statistics.median(p99):6.2f} "
                f"{max(p99):8.2f} {max(one.worst for one in played):6.1f}s "
                f"{statistics.median(one.extra for one in played):7.2%} "
                f"{statistics.median(one.exchanged for one in played):7.2%} "
                f"{statistics.median(one.wasted for one in played):7.2%} {sum(one.failed for one in played):6d} "
                f"{statistics.median(found) if found else '-':>6}"
            )
            print(f"  ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)


def main() -> None:
    """Play the days and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="parts of the names of days, with commas (default: all)")
    parser.add_argument("--hedge", default="p95,auto,none", help="what is asked for (default: p95,auto,none)")
    parser.add_argument("--rate", type=float, default=5.0, help="calls a second (default: 5)")
    parser.add_argument("--seconds", type=float, default=600.0, help="length of a day (default: 600)")
    parser.add_argument("--seeds", type=int, default=1, help="how often each day is played (default: 1)")
    parser.add_argument("--everybody", action="store_true", help="the other models have the same trouble")
    parser.add_argument("--show", type=float, metavar="SECONDS", help="print the traces of calls that took so long")
    for row in rows(parser.parse_args()):
        print(row, flush=True)


if __name__ == "__main__":
    main()
