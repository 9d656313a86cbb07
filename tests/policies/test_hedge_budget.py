"""When an adaptive hedge comes, and what its budget has to say: the delay from the memory, the aim from the bucket."""

from __future__ import annotations

import asyncio
from math import inf
from random import Random
from typing import TYPE_CHECKING

import pytest

from asyncrouter import AllModelsFailed, Hedge, HedgeDenied, Model, Retry, Router
from asyncrouter._events import MAX_NAMES, Events
from asyncrouter._policies.facade import Policies
from asyncrouter._policies.hedge_budget import HedgeBudget, HedgeBudgets
from asyncrouter._policies.lateness import LATEST
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from asyncrouter import Trace
    from asyncrouter._policies.latency import Latency
    from asyncrouter.sim import Clock, World

A = Model(provider="p", id="a", name="a")
ONCE = Retry(attempts=1)


# ── the bucket ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("taken", "share"), [(0, 1.15), (5, 0.925), (10, 0.7)])
def test_the_aim_falls_with_the_bucket(taken: int, share: float) -> None:
    """A little above the rate while it is full, so that nothing is wasted; well below when it is empty."""
    bucket = HedgeBudget(0.04)
    for _ in range(taken):
        assert bucket.take()

    assert pytest.approx(0.04 * share) == bucket.aim


def test_a_thousand_buckets_are_remembered() -> None:
    """Names of models can come from anywhere: the oldest goes, and comes back full."""
    budgets = HedgeBudgets()
    first, second = (budgets.budget_of(name, 0.05) for name in ("first", "second"))
    for bucket in (first, second):
        assert bucket.take()
    for number in range(MAX_NAMES - 1):
        budgets.budget_of(f"m{number}", 0.05)

    assert second is budgets.budget_of("second", 0.05)
    assert budgets.budget_of("first", 0.05).tokens == 10.0


# ── the delay ────────────────────────────────────────────────────────────────────────────────────────────────────────


def delay(clock: Clock, hedge: Hedge, samples: int = 1000, *, tokens: float = 10.0, tail: float = 1.0) -> object:
    """When a hedge comes, after samples of 0.001 s, 0.002 s and so on, `tail` times as long from the p98.5 on.

    In thousandths of the samples when it is one of their quantiles: 950.0 is the p95.
    """
    async def scenario() -> float:
        policies = Policies(asyncio.get_running_loop(), Random(0), Events([]))
        memory: Latency = policies.state_of(A).streamed
        for number in range(1, samples + 1):
            memory.add(number / 1000 * (tail if number > 0.985 * samples else 1.0), 100, 0.0)
        bucket = policies.hedge_budgets.budget_of("a", hedge.budget)
        bucket.tokens = tokens
        return policies.hedge_after(hedge, bucket, A, 100, streams=True)

    return 1000 * clock.run(scenario())


def near(value: float) -> object:
    """Equal to what 2 % buckets tell apart, with samples spread evenly in them: a thousandth."""
    return pytest.approx(value, rel=2e-3)


def test_there_is_no_hedge_before_a_hundred_samples(clock: Clock) -> None:
    """Then there is one at the p95."""
    assert delay(clock, Hedge(after="p95"), 99) == inf
    assert near(95.0) == delay(clock, Hedge(after="p95"), 100)


def test_with_a_cap_there_is_one_at_the_cap(clock: Clock) -> None:
    """While nothing is known, and where the quantile is later; an earlier quantile comes first."""
    assert delay(clock, Hedge(after="p95", cap=0.4), 0) == 400.0
    assert delay(clock, Hedge(after="p95", cap=0.4)) == 400.0
    assert near(950.0) == delay(clock, Hedge(after="p95", cap=4.0))


def test_a_number_is_used_as_it_is(clock: Clock) -> None:
    """Whatever is known, and however empty the bucket is."""
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
    """The p95, or a higher one: 1.15 times the budget are late while it is full, 0.7 times when it is empty."""
    assert near(quantile) == delay(clock, Hedge(after="p95", budget=budget), tokens=tokens)


def test_an_empty_bucket_does_not_wait_for_the_stragglers(clock: Clock) -> None:
    """1.5 % take twenty times as long: their quantile is that of an empty 2 % bucket, and no delay at all."""
    assert near(977.0) == delay(clock, Hedge(after="p95", budget=0.02), tail=20.0)
    assert near(980.0 * LATEST) == delay(clock, Hedge(after="p95", budget=0.02), tokens=0.0, tail=20.0)


def test_the_delay_is_learned(clock: Clock, world: World) -> None:
    """The first hundred calls are not hedged, however late; the next one is when it is later than 95 % of them."""
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


# ── who may be raced with ────────────────────────────────────────────────────────────────────────────────────────────


def late(clock: Clock, world: World, *before: str, hedge: float = 1.0, **options: object) -> list[tuple[str, str]]:
    """The attempts of a call whose first model is late, after calls that asked these models alone."""
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
    """Three failures have opened it: the hedge goes to the model after it. Two have not."""
    world.model("b", Act(status=500), Act(status=500), Act())
    world.model("c")
    assert late(clock, world, "b", "b") == [("a", "first"), ("b", "hedge")]

    world.model("b", Act(status=500))
    assert late(clock, world, "b", "b", "b") == [("a", "first"), ("c", "hedge")]


def test_a_probe_is_no_hedge(clock: Clock, world: World) -> None:
    """When its time is up the breaker is still not closed: a hedge is not what finds out."""
    world.model("b", Act(status=500))
    world.model("c")

    assert late(clock, world, "b", "b", "b", hedge=4.5) == [("a", "first"), ("c", "hedge")]


def test_a_model_that_usually_takes_longer_than_is_left_is_passed_over(clock: Clock, world: World) -> None:
    """A median of three seconds does not fit between the first second and a deadline at 3.3, but in one at 9."""
    world.model("b", Act(first_token=3.0))
    world.model("c", Act(first_token=0.5))

    assert late(clock, world, *["b"] * 100, deadline=3.3) == [("a", "first"), ("c", "hedge")]
    assert late(clock, world, *["b"] * 100, deadline=9.0)[:2] == [("a", "first"), ("b", "hedge")]


# ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_denied_hedge_is_told_once_a_call(clock: Clock, world: World) -> None:
    """Late, failed, tried again and late again: one event; the next call has its own."""
    denied: list[HedgeDenied] = []

    def listen(event: object) -> None:
        if isinstance(event, HedgeDenied):
            denied.append(event)

    async def scenario() -> list[Trace]:
        hedge = Hedge(after=1.0, budget=0.0)
        async with Router(world.config(), transport=world.transport(), listeners=[listen], seed=1) as router:
            world.model("a", Act(first_token=2.0))
            for _ in range(10):
                await router.chat("x", chain=["a", "b"], hedge=hedge, retry=ONCE)
            traces = []
            for _ in range(2):
                world.model("a", Act(status=500, first_token=2.0), Act(first_token=2.0))
                reply = await router.chat("x", chain=["a", "b"], hedge=hedge, retry=Retry(attempts=2))
                traces.append(reply.trace)
            return traces

    world.model("b", Act(first_token=9.0))
    traces = clock.run(scenario())

    assert [[one.cause for one in trace.attempts] for trace in traces] == [["first", "retry"]] * 2
    assert traces == [event.trace for event in denied]
    assert {event.reason for event in denied} == {"the hedge budget is used up"}
