"""When a hedge comes, and which model it goes to: the delay from the latencies, bounded by the budget."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

import pytest

from asyncrouter import AllModelsFailed, Hedge, Router
from asyncrouter._policies.lateness import LATEST
from asyncrouter.sim import Act
from tests.helpers.policies import A, new_policies

if TYPE_CHECKING:
    from asyncrouter import Trace
    from asyncrouter._policies.latency import Latency
    from asyncrouter.sim import Clock, World


# ── the delay ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def delay(clock: Clock, hedge: Hedge, samples: int = 1000, *, tokens: float = 10.0, tail: float = 1.0) -> object:
    """The hedge delay in milliseconds, after samples of 1 ms, 2 ms and so on, `tail` times as long from the p98.5 on.

    With 1,000 samples that is a quantile in thousandths: 950.0 is the p95.
    """
    async def scenario() -> float:
        policies = await new_policies()
        memory: Latency = policies.state_of(A).streamed
        for number in range(1, samples + 1):
            memory.add(number / 1000 * (tail if number > 0.985 * samples else 1.0), 100, 0.0)
        bucket = policies.hedge_budgets.budget_of("a", hedge.budget)
        bucket.tokens = tokens
        return policies.hedge_after(hedge, bucket, A, 100, streams=True)

    return 1000 * clock.run(scenario())


def near(value: float) -> object:
    """Equal to a thousandth or two: samples spread evenly in buckets of 2 % are told apart that well."""
    return pytest.approx(value, rel=2e-3)


def test_there_is_no_hedge_before_a_hundred_samples(clock: Clock) -> None:
    """There is no hedge below a hundred samples, and one at the p95 from then on."""
    assert delay(clock, Hedge(after="p95"), 99) == inf
    assert delay(clock, Hedge(after="p95"), 100) == near(95.0)


def test_with_a_cap_there_is_one_at_the_cap(clock: Clock) -> None:
    """With a cap a hedge comes at the cap, while nothing is known and where the quantile is later."""
    assert delay(clock, Hedge(after="p95", cap=0.4), 0) == 400.0
    assert delay(clock, Hedge(after="p95", cap=0.4)) == 400.0
    assert delay(clock, Hedge(after="p95", cap=4.0)) == near(950.0)


def test_a_number_is_used_as_it_is(clock: Clock) -> None:
    """A delay in seconds is used as it is, whatever is known and however empty the bucket is."""
    assert delay(clock, Hedge(after=0.3)) == 300.0
    assert delay(clock, Hedge(after=0.3), 0, tokens=0.0) == 300.0


@pytest.mark.parametrize(("budget", "tokens", "quantile"), [
    (0.05, 10.0, 950.0),  # p95 at the earliest, though 5.75 % could be paid for
    (0.05, 0.0, 965.0),
    (0.02, 10.0, 977.0),
    (0.02, 0.0, 986.0),
    (0.5, 10.0, 950.0),
    (0.5, 0.0, 950.0),
])  # fmt: skip
def test_the_quantile_is_what_the_bucket_can_pay_for(
    clock: Clock, budget: float, tokens: float, quantile: float
) -> None:
    """The delay is the p95, or the quantile that leaves 1.15 (full bucket) to 0.7 (empty) times the budget late."""
    assert delay(clock, Hedge(after="p95", budget=budget), tokens=tokens) == near(quantile)


def test_an_empty_bucket_does_not_wait_for_the_stragglers(clock: Clock) -> None:
    """With an empty bucket the delay is at most 1.25 times the quantile of the budget."""
    assert delay(clock, Hedge(after="p95", budget=0.02), tail=20.0) == near(977.0)
    assert delay(clock, Hedge(after="p95", budget=0.02), tokens=0.0, tail=20.0) == near(980.0 * LATEST)


def test_the_delay_is_learned(clock: Clock, world: World) -> None:
    """The first hundred calls are not hedged, and the next one is when it is later than the p95."""
    world.model("b", Act(first_token=0.5))

    async def scenario() -> tuple[set[int], Trace]:
        numbers = set()
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            for number in range(100):
                world.model("a", Act(first_token=1.0 if number % 20 else 3.0))
                reply = await router.chat("x", chain=["a", "b"], hedge=Hedge(after="p95"))
                numbers.add(len(reply.trace.attempts))
            world.model("a", Act(first_token=9.0))
            return numbers, (await router.chat("x", chain=["a", "b"], hedge=Hedge(after="p95"))).trace

    numbers, trace = clock.run(scenario())
    first, second = trace.attempts

    assert numbers == {1}
    assert (first.outcome, second.cause, second.outcome) == ("superseded", "hedge", "won")
    assert first.sent is not None
    assert second.sent is not None
    assert second.sent - first.sent == pytest.approx(1.0, rel=0.02)


# ── which model a hedge goes to ───────────────────────────────────────────────────────────────────────────────────────


def late(clock: Clock, world: World, *before: str, hedge: float = 1.0, **options: object) -> list[tuple[str, str]]:
    """The attempts of a call whose first model is late, after calls that asked the models `before` alone."""
    world.model("a", Act(first_token=5.0))

    async def scenario() -> list[tuple[str, str]]:
        config = world.config(defaults={"retry": {"attempts": 1}})
        async with Router(config, transport=world.transport(), seed=1) as router:
            for name in before:
                try:
                    await router.chat("x", chain=[name])
                except AllModelsFailed:
                    await asyncio.sleep(2.0)
            reply = await router.chat("x", chain=["a", "b", "c"], hedge=hedge, **options)  # type: ignore[arg-type]
            return [(one.model, one.cause) for one in reply.trace.attempts]

    return clock.run(scenario())


def test_a_breaker_that_is_not_closed_is_passed_over(clock: Clock, world: World) -> None:
    """A hedge passes over a model whose breaker is open, and not one with two failures."""
    world.model("b", Act(status=503), Act(status=503), Act())
    world.model("c")
    assert late(clock, world, "b", "b") == [("a", "first"), ("b", "hedge")]

    world.model("b", Act(status=503))
    assert late(clock, world, "b", "b", "b") == [("a", "first"), ("c", "hedge")]


def test_a_probe_is_no_hedge(clock: Clock, world: World) -> None:
    """A hedge passes over a model whose breaker is due for a probe."""
    world.model("b", Act(status=503))
    world.model("c")

    assert late(clock, world, "b", "b", "b", hedge=4.5) == [("a", "first"), ("c", "hedge")]


def test_a_model_that_usually_takes_longer_than_is_left_is_passed_over(clock: Clock, world: World) -> None:
    """A hedge passes over a model whose median does not fit before the deadline."""
    world.model("b", Act(first_token=3.0))
    world.model("c", Act(first_token=0.5))

    assert late(clock, world, *["b"] * 100, deadline=3.3) == [("a", "first"), ("c", "hedge")]
    assert late(clock, world, *["b"] * 100, deadline=9.0)[:2] == [("a", "first"), ("b", "hedge")]
