"""Hedging in simulation: how much of what one hedge can gain is gained, and whether the budget is kept."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from _function_models import Result, run_router
from _optimal_hedge import DISTRIBUTIONS, LatencyDistribution, hedged, optimum
from _simulation_log import LEARNING, Figure, Log, make_calls

from asyncrouter import Router
from asyncrouter.sim import Act, Clock, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BURST = 10
"""Hedges that a full bucket allows beyond the budget."""
TOTAL = 60.0
"""Seconds after which a request that hangs is given up (distribution E)."""
GOALS = {"B": (4.1, 5.6), "C": (3.0, 3.7), "D": (8.7, 12.0), "E": (4.5, 6.0)}
"""Seconds at p99 and p99.9 that are to be reached with a budget of 2 %."""


def hedge_5(calls: int, seed: int) -> Iterator[Figure]:
    """Distributions A to E at a budget of 5 %: the share of the possible gain that is reached."""
    for name, distribution in DISTRIBUTIONS.items():
        log = run_hedged(distribution, 0.05, calls, seed)
        for label, _, gain, details in _gains(distribution, 0.05, log):
            yield Figure(f"{name} 5% {label} efficiency", gain, 0.95, True, details)
        rate = sum(log.hedged[LEARNING:]) / (calls - LEARNING)
        yield Figure(f"{name} 5% hedge rate, at least", rate, 0.04, True)
        yield Figure(f"{name} 5% hedge rate, at most", rate, 0.05, False)
        yield Figure(f"{name} 5% hedges over B·N, in any prefix", log.max_excess(0.05), BURST, False)


def hedge_2(calls: int, seed: int) -> Iterator[Figure]:
    """Distributions A to E at a budget of 2 %; A has no goal, as no single hedge is near both of its optima."""
    for name, distribution in DISTRIBUTIONS.items():
        log = run_hedged(distribution, 0.02, calls, seed)
        goals = GOALS.get(name, (None, None))
        for (label, reached, gain, details), goal in zip(_gains(distribution, 0.02, log), goals, strict=True):
            yield Figure(f"{name} 2% {label} seconds", reached, goal, False, f"{details}, efficiency {gain:.3f}")
        rate = sum(log.hedged[LEARNING:]) / (calls - LEARNING)
        yield Figure(f"{name} 2% hedge rate, at most", rate, 0.02, False)
        yield Figure(f"{name} 2% hedges over B·N, in any prefix", log.max_excess(0.02), BURST, False)


def in_bytes(calls: int, seed: int) -> Iterator[Figure]:
    """Distribution A at 5 %, once with functions as models and once with every byte of a stream: the same calls?"""
    calls, distribution = min(calls, 20_000), DISTRIBUTIONS["A"]
    functions = run_hedged(distribution, 0.05, calls, seed)
    random, world = _random(distribution, 0.05, seed), World(keep=0)
    for name in "ab":
        world.model(name, lambda _request, _random: Act(first_token=distribution(random), tokens=1))
    config = world.config(
        defaults={"first_token": "none", "idle": "none", "total": TOTAL, "deadline": "none"},
        tasks={"default": {"models": ["a", "b"], "hedge": {"after": "p95"}}},
    )

    async def main() -> Log:
        async with Router(config, transport=world.transport(), seed=1) as router:
            return await make_calls(router, calls)

    streamed = Clock().run(main())
    apart = max(abs(one - other) for one, other in zip(functions.seconds, streamed.seconds, strict=True))
    yield Figure("largest difference, seconds", apart, 0.0, False, f"{calls} calls, p99 {streamed.quantile(0.99):.3f}")
    apart = sum(one != other for one, other in zip(functions.hedged, streamed.hedged, strict=True))
    yield Figure("calls hedged in one of them only", apart, 0.0, False, f"{sum(streamed.hedged)} hedges")


def shift(calls: int, seed: int) -> Iterator[Figure]:
    """All models become three times as slow in the middle of the run."""
    calls = min(calls, 40_000)
    for name, distribution in DISTRIBUTIONS.items():
        log = run_hedged(distribution, 0.05, calls, seed, lambda number: 3.0 if number > calls // 2 else 1.0)
        late = sum(log.hedged[-calls // 4:]) / (calls // 4)
        yield Figure(f"{name} ×3 hedge rate in any 500 calls", log.max_hedge_rate(500), 0.07, False,
                     f"at the end {late:.2%}")


def run_hedged(
    distribution: LatencyDistribution, budget: float, calls: int, seed: int,
    slowdown: Callable[[int], float] = lambda _: 1.0,
) -> Log:
    """Make calls to two models of one distribution; the n-th request takes `slowdown(n)` times as long."""
    random, count = _random(distribution, budget, seed), 0

    def model(now: float) -> Result:
        nonlocal count
        count += 1
        return Result(distribution(random) * slowdown(count))

    hedge = {"after": "p95", "budget": budget}
    return run_router({"a": model, "b": model}, lambda router: make_calls(router, calls), hedge=hedge, total=TOTAL)


def _random(distribution: LatencyDistribution, budget: float, seed: int) -> Random:
    """What the models of a run draw from. The text is that of earlier versions, so that results can be compared."""
    one = distribution
    return Random(f"Law(sigma={one.sigma}, stragglers={one.stragglers}, hangs={one.hangs}):{budget}:{seed}")


def _gains(distribution: LatencyDistribution, budget: float, log: Log) -> Iterator[tuple[str, float, float, str]]:
    """For p99 and p99.9: its name, the seconds reached, the efficiency, and all of them in words."""
    for label, q in (("p99", 0.99), ("p99.9", 0.999)):
        reached, best = log.quantile(q), optimum(distribution, q, budget)
        without = min(TOTAL, distribution.quantile(q))
        fixed = hedged(distribution, q, distribution.quantile(1.0 - budget))
        details = f"no hedge {without:.3f}, measured {reached:.3f}, optimum {best:.3f}, fixed delay {fixed:.3f}"
        yield label, reached, (without - reached) / (without - best), details
