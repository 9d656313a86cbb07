"""What the policies are worth: whole routers in virtual time, beside the theoretical optimum.

    python benchmarks/simulation.py [--only hedge-5,pacing] [--calls 250000] [--seed 0] [--json FILE]

Hedging is held against the best that one hedge under a budget can do for a percentile, worked out by numerical
integration (`_theory.py`). Efficiency is (T_none - T) / (T_none - T*): 0 is no hedge, 1 the optimum.

Every row runs the real `Router`. Only its transport is lean (`_lean.py`): it brings whole replies without their bytes.
The part `bytes` plays the same calls once more over `asyncrouter.sim`, every event of their streams, and compares.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
import time
from array import array
from bisect import bisect_right
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from _lean import REFUSED, Fate, play
from _theory import SCENARIOS, Law, hedged, optimum

from asyncrouter import CallError, Router
from asyncrouter.sim import Act, Clock, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MESSAGES: list[dict[str, object]] = [{"role": "user", "content": "hello"}]
WORKERS = 20
LEARNING = 1000
"""Requests at the beginning that are not counted."""
BURST = 10
TOTAL = 60.0
"""Seconds after which an attempt that hangs is given up (scenario E)."""
PROGRESS = 100_000
"""Calls after which a line on stderr says how far it is."""
NEAR = 1e-6
"""Twenty deposits of 0.05 are one hedge, though they do not add up to 1 exactly."""


class Figure(NamedTuple):
    """One number beside its goal (`None`: only shown); `told` is what else there is to know."""

    what: str
    measured: float
    goal: float | None
    at_least: bool
    told: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the goal is met; `None` without one."""
        if self.goal is None:
            return None
        return self.measured >= self.goal if self.at_least else self.measured <= self.goal + NEAR

    def __str__(self) -> str:
        goal = "" if self.goal is None else f"{'≥' if self.at_least else '≤'} {self.goal:g}"
        verdict = {True: "kept", False: "MISSED", None: ""}[self.passed]
        return f"  {self.what:<48} {self.measured:9.4f}  {goal:<8} {verdict:<6} {self.told}".rstrip()


class Log:
    """Calls in the order in which they began: when, seconds, whether a hedge was sent, whether there was an answer."""

    def __init__(self, calls: int) -> None:
        self.began = array("d", bytes(8 * calls))
        self.seconds = array("d", bytes(8 * calls))
        self.hedges_at = array("d")
        self.hedged = bytearray(calls)
        self.answered = bytearray(calls)

    def quantile(self, q: float, first: int = LEARNING) -> float:
        """Of the calls after the first ones."""
        kept = sorted(self.seconds[first:])
        return kept[min(len(kept) - 1, int(q * len(kept)))]

    def most_hedges(self, window: int) -> float:
        """The highest share of hedges in any so many calls in a row."""
        running = most = sum(self.hedged[:window])
        for old, new in zip(self.hedged, self.hedged[window:], strict=False):
            running += new - old
            most = max(most, running)
        return most / window

    def most_over(self, budget: float) -> float:
        """The most by which the hedges sent up to an instant were more than `budget` of the calls begun by then."""
        hedges = enumerate(sorted(self.hedges_at), 1)
        return max((sent - budget * bisect_right(self.began, at) for sent, at in hedges), default=0.0)


async def work(router: Router, calls: int, workers: int = WORKERS) -> Log:
    """So many calls, one after the other by each of the workers."""
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


# ── hedging ──────────────────────────────────────────────────────────────────────────────────────────────────────────


SHIP = {"B": (4.1, 5.6), "C": (3.0, 3.7), "D": (8.7, 12.0), "E": (4.5, 6.0)}
"""At a budget of 2 %: the p99 and p99.9 that are to be reached."""


def draw(law: Law, budget: float, seed: int) -> Random:
    """What the models of a scenario draw from."""
    return Random(f"{law}:{budget}:{seed}")


def race(law: Law, budget: float, calls: int, seed: int, change: Callable[[int], float] = lambda _: 1.0) -> Log:
    """Two models with the same law; after `n` requests they take `change(n)` times as long."""
    random, count = draw(law, budget, seed), 0

    def model(now: float) -> Fate:
        nonlocal count
        count += 1
        return Fate(law(random) * change(count))

    hedge = {"after": "p95", "budget": budget}
    return play({"a": model, "b": model}, lambda router: work(router, calls), hedge=hedge, total=TOTAL)


def hedge_5(calls: int, seed: int) -> Iterator[Figure]:
    """Scenarios A to E at a budget of 5 %: how much of the possible is gained."""
    for name, law in SCENARIOS.items():
        log = race(law, 0.05, calls, seed)
        for label, _, gain, told in _gains(law, 0.05, log):
            yield Figure(f"{name} 5% {label} efficiency", gain, 0.95, True, told)
        rate = sum(log.hedged[LEARNING:]) / (calls - LEARNING)
        yield Figure(f"{name} 5% hedge rate, least", rate, 0.04, True)
        yield Figure(f"{name} 5% hedge rate, most", rate, 0.05, False)
        yield Figure(f"{name} 5% hedges over B·N, in any prefix", log.most_over(0.05), BURST, False)


def hedge_2(calls: int, seed: int) -> Iterator[Figure]:
    """Scenarios A to E at a budget of 2 %; in A no single hedge is near both optima, so it has no goal."""
    for name, law in SCENARIOS.items():
        log = race(law, 0.02, calls, seed)
        goals = SHIP.get(name, (None, None))
        for (label, reached, gain, told), goal in zip(_gains(law, 0.02, log), goals, strict=True):
            yield Figure(f"{name} 2% {label} seconds", reached, goal, False, f"{told}, efficiency {gain:.3f}")
        rate = sum(log.hedged[LEARNING:]) / (calls - LEARNING)
        yield Figure(f"{name} 2% hedge rate, most", rate, 0.02, False)
        yield Figure(f"{name} 2% hedges over B·N, in any prefix", log.most_over(0.02), BURST, False)


def _gains(law: Law, budget: float, log: Log) -> Iterator[tuple[str, float, float, str]]:
    """For p99 and p99.9: its name, the seconds reached, the efficiency, and all of them in words."""
    for label, q in (("p99", 0.99), ("p99.9", 0.999)):
        reached, best, none = log.quantile(q), optimum(law, q, budget), min(TOTAL, law.quantile(q))
        single = hedged(law, q, law.quantile(1.0 - budget))
        told = f"no hedge {none:.3f}, measured {reached:.3f}, optimum {best:.3f}, fixed delay {single:.3f}"
        yield label, reached, (none - reached) / (none - best), told


def in_bytes(calls: int, seed: int) -> Iterator[Figure]:
    """Scenario A at 5 %, lean and once more with every byte of streamed replies: the same calls?"""
    calls, law = min(calls, 20_000), SCENARIOS["A"]
    lean, random, world = race(law, 0.05, calls, seed), draw(law, 0.05, seed), World(keep=0)
    for name in "ab":
        world.model(name, lambda _seen, _random: Act(first_token=law(random), tokens=1))
    config = world.config(
        defaults={"first_token": "none", "idle": "none", "total": TOTAL, "deadline": "none"},
        tasks={"default": {"models": ["a", "b"], "hedge": {"after": "p95"}}},
    )

    async def main() -> Log:
        async with Router(config, transport=world.transport(), seed=1) as router:
            return await work(router, calls)

    full = Clock().run(main())
    apart = max(abs(one - other) for one, other in zip(lean.seconds, full.seconds, strict=True))
    yield Figure("most seconds apart", apart, 0.0, False, f"{calls} calls, p99 {full.quantile(0.99):.3f}")
    apart = sum(one != other for one, other in zip(lean.hedged, full.hedged, strict=True))
    yield Figure("hedged in one of them only", apart, 0.0, False, f"{sum(full.hedged)} hedges")


def shift(calls: int, seed: int) -> Iterator[Figure]:
    """All models become three times as slow."""
    calls = min(calls, 40_000)
    for name, law in SCENARIOS.items():
        log = race(law, 0.05, calls, seed, lambda number: 3.0 if number > calls // 2 else 1.0)
        late = sum(log.hedged[-calls // 4:]) / (calls // 4)
        yield Figure(f"{name} ×3 hedges in any 500", log.most_hedges(500), 0.07, False, f"at the end {late:.2%}")


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def errors(calls: int, seed: int) -> Iterator[Figure]:
    """Two independent models of scenario A that fail now and then, half of the time at once."""
    calls = min(calls, 200_000)
    for share, goal in ((0.05, 0.997), (0.10, 0.989)):
        for attempts in (1, 2):
            random = Random(f"errors:{share}:{seed}")

            def model(now: float, share: float = share, random: Random = random) -> Fate:
                seconds = SCENARIOS["A"](random)
                if random.random() >= share:
                    return Fate(seconds)
                return Fate(0.05 if random.random() < 0.5 else seconds, 500)

            log = play(
                {"a": model, "b": model}, lambda router: work(router, calls), hedge={"after": "p95"},
                retry={"attempts": attempts},
            )
            what = f"{share:.0%} errors an attempt, {attempts} tr{'y' if attempts == 1 else 'ies'} a model, success"
            yield Figure(what, sum(log.answered) / calls, goal, True)


def amplification(calls: int, seed: int) -> Iterator[Figure]:
    """One model that fails, three tries: how many requests it sees for each call."""
    calls = min(calls, 20_000)
    for share, goal, success in ((0.10, 1.11, 0.985), (1.0, 1.02, 0.0)):
        random, seen = Random(f"amplification:{share}:{seed}"), 0

        def model(now: float, share: float = share, random: Random = random) -> Fate:
            nonlocal seen
            seen += 1
            return Fate(0.3, 500 if random.random() < share else 200)

        log = play({"a": model}, lambda router: work(router, calls), retry={"attempts": 3})
        yield Figure(f"{share:.0%} failures, requests a call", seen / calls, goal, False)
        if success:
            yield Figure(f"{share:.0%} failures, success", sum(log.answered) / calls, success, True)


def outage(calls: int, seed: int) -> Iterator[Figure]:
    """The first model is down for a minute while a call comes every four seconds."""
    fates = {"refused": Fate(0.01, REFUSED), "500": Fate(0.05, 500), "silent": Fate(inf)}
    down, up = 100.0, 160.0
    for name, fate in fates.items():
        seen: list[float] = []

        def first(now: float, fate: Fate = fate, seen: list[float] = seen) -> Fate:
            seen.append(now)
            return fate if down <= now < up else Fate(0.5)

        async def main(router: Router) -> tuple[int, float]:
            loop, answered, back = asyncio.get_running_loop(), 0, inf
            for number in range(60):
                await asyncio.sleep(4.0 * number - loop.time())
                reply = await router.chat(MESSAGES)
                answered += 1
                if loop.time() >= up and reply.model == "a":
                    back = min(back, loop.time() - up)
            return answered, back

        answered, back = play({"a": first, "b": lambda _: Fate(0.5)}, main, seed=seed, total=2.0)
        yield Figure(f"{name}: calls answered of 60", answered, 60, True)
        yield Figure(f"{name}: attempts while down", sum(down <= at < up for at in seen), 7, False)
        yield Figure(f"{name}: back after, s", back, 20.0, False)


# ── pacing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Limited:
    """A model behind a token bucket that nobody is told of, which holds `burst` seconds' worth."""

    def __init__(self, rate: Callable[[float], float], burst: float, seed: int) -> None:
        self._rate = rate
        self._burst = burst
        self._random = Random(f"limited:{seed}")
        self._level, self._at = burst * rate(0.0), 0.0
        self.served = array("d")
        self.rejected = array("d")

    def __call__(self, now: float) -> Fate:
        """A request, and what becomes of it."""
        rate = self._rate(now)
        self._level = min(self._burst * rate, self._level + (now - self._at) * rate)
        self._at = now
        if self._level < 1.0:
            self.rejected.append(now)
            return Fate(0.05, 429)
        self._level -= 1.0
        self.served.append(now)
        return Fate(0.5 * SCENARIOS["A"](self._random))


async def flood(router: Router, until: float) -> None:
    """Four hundred workers that never rest."""
    loop = asyncio.get_running_loop()

    async def worker() -> None:
        while loop.time() < until:
            try:
                await router.chat(MESSAGES)
            except CallError:
                await asyncio.sleep(0.1)

    await asyncio.gather(*(worker() for _ in range(400)))


def pacing(calls: int, seed: int) -> Iterator[Figure]:
    """A limit of 50 requests a second which nobody tells, and which becomes 20."""
    for burst in (1.0, 0.1):
        steady = Limited(lambda _: 50.0, burst, seed)
        play({"a": steady}, lambda router: flood(router, 300.0))
        what = f"burst {burst:g} s:"
        share = sum(at < 300.0 for at in steady.served) / (50.0 * (300.0 + burst))
        rejections = len(steady.rejected) / len(steady.served)
        first = sum(at < 2.0 for at in steady.rejected)
        yield Figure(f"{what} share of the limit used", share, 0.98, True)
        yield Figure(f"{what} rejections a success", rejections, 0.03, False, f"{first} in the first two seconds")
        step = Limited(lambda now: 50.0 if now < 150.0 else 20.0, burst, seed)
        play({"a": step}, lambda router: flood(router, 300.0))
        after = sum(150.0 <= at < 300.0 for at in step.rejected) / 150.0
        used = sum(150.0 <= at < 300.0 for at in step.served) / (20.0 * 150.0)
        yield Figure(f"{what} 50→20, rejections a second", after, 3.0, False, f"{used:.1%} of the limit used")


# ── the whole ────────────────────────────────────────────────────────────────────────────────────────────────────────


PARTS: dict[str, Callable[[int, int], Iterator[Figure]]] = {
    "hedge-5": hedge_5, "hedge-2": hedge_2, "bytes": in_bytes, "shift": shift, "errors": errors, "pacing": pacing,
    "amplification": amplification, "outage": outage,
}


def _parts(given: str) -> list[str]:
    names = given.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        raise argparse.ArgumentTypeError(f"no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=_parts, default=list(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--calls", type=int, default=250_000, help="calls a scenario (default: 250000)")
    parser.add_argument("--seed", type=int, default=0, help="what everything is drawn from (default: 0)")
    parser.add_argument("--json", type=Path, help="where to keep the figures")
    options = parser.parse_args()
    kept: dict[str, list[dict[str, object]]] = {}
    missed = 0
    for name in options.only:
        began = time.monotonic()
        print(f"{name}: {PARTS[name].__doc__}", flush=True)
        for figure in PARTS[name](options.calls, options.seed):
            print(figure, flush=True)
            missed += figure.passed is False
            kept.setdefault(name, []).append(figure._asdict() | {"passed": figure.passed})
        print(f"  ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
    print(f"{missed} of {sum(map(len, kept.values()))} figures missed their goal" if missed else "every goal was kept")
    if options.json is not None:
        told = {
            "date": datetime.now(UTC).date().isoformat(), "python": platform.python_version(),
            "calls": options.calls, "seed": options.seed, "parts": kept,
        }
        options.json.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
