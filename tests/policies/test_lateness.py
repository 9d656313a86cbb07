"""When an attempt is late, in three ways, when it is rescued, and which model is raced with it."""

from __future__ import annotations

import asyncio
from math import exp, inf
from random import Random
from typing import TYPE_CHECKING

import pytest

from asyncrouter import AllModelsFailed, Hedge, Router
from asyncrouter._policies.hedge_budget import HedgeBudget
from asyncrouter._policies.lateness import (
    CLOCK_SAMPLES,
    automatic_limit,
    is_slow_pace,
    late_first,
    late_silence,
    rescue_first,
    rescue_silence,
)
from asyncrouter._policies.memory import Answer, Usual
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from asyncrouter import Trace
    from asyncrouter.sim import Clock, World

P95 = Hedge(after="p95")
AUTO = Hedge(after="auto")


def known(
    samples: int = 1000, *, median: float = 0.6, sigma: float = 0.35, stragglers: float = 0.0, stalls: float = 0.0,
    pace: float = 0.03, contents: int = 60,
) -> Usual:
    """What is usual after so many lognormal first contents; stragglers take twenty times as long, stalls 30 s."""
    random, usual = Random(3), Usual()
    for _ in range(samples):
        late = 20.0 if random.random() < stragglers else 1.0
        usual.first.add(late * median * exp(random.gauss(0.0, sigma)), 0.0)
        silence = 30.0 if random.random() < stalls else pace * 1.5
        drawn = pace * random.uniform(0.7, 1.3)
        usual.add_answer(Answer(contents, silence + drawn * (contents - 2), silence), 0.0, whole=True)
    return usual


def budget(rate: float = 0.05, fill: float = 1.0) -> HedgeBudget:
    """A hedge budget that is so full."""
    made = HedgeBudget(rate)
    made.tokens = 10.0 * fill
    return made


# ── no first content ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_number_is_used_as_it_is() -> None:
    """A delay in seconds is used as it is, whatever is known and however empty the bucket is."""
    assert late_first(Hedge(after=0.3), budget(), known(), known()) == 0.3
    assert late_first(Hedge(after=0.3), budget(fill=0.0), Usual(), Usual()) == 0.3


@pytest.mark.parametrize("hedge", [P95, AUTO])
def test_while_little_is_known_a_rule_of_thumb_decides(hedge: Hedge) -> None:
    """At first an attempt is late after 8 s, from five samples on after three and a half times the median."""
    assert late_first(hedge, budget(), Usual(), Usual()) == 8.0
    assert late_first(hedge, budget(), known(20, sigma=1.0), Usual()) == pytest.approx(3.5 * 0.6, rel=0.3)
    assert late_first(hedge, budget(), known(2), Usual()) < 8.0


def test_with_a_cap_it_is_never_later() -> None:
    """A cap holds while nothing is known, and where the quantile is later."""
    assert late_first(Hedge(after="p95", cap=0.4), budget(), Usual(), Usual()) == 0.4
    assert late_first(Hedge(after="p95", cap=0.4), budget(), known(), known()) == 0.4
    assert late_first(Hedge(after="p95", cap=4.0), budget(), known(), known()) == pytest.approx(1.07, rel=0.05)


@pytest.mark.parametrize(("after", "rate", "fill", "quantile"), [
    ("p95", 0.05, 1.0, 0.95),  # p95 at the earliest, though 5.75 % could be paid for
    ("p95", 0.05, 0.0, 0.965),
    ("p95", 0.02, 1.0, 0.977),
    ("p95", 0.02, 0.0, 0.986),
    ("p95", 0.5, 0.0, 0.95),
    ("p99", 0.05, 1.0, 0.99),
    ("p90", 0.2, 1.0, 0.90),
])  # fmt: skip
def test_the_quantile_is_what_the_bucket_can_pay_for(after: str, rate: float, fill: float, quantile: float) -> None:
    """The delay is the quantile asked for, or the one that leaves 1.15 (full) to 0.7 (empty) times the budget late."""
    usual = known()

    assert late_first(Hedge(after=after, budget=rate), budget(rate, fill), usual, usual) == pytest.approx(
        usual.first.quantile(quantile)
    )


def test_races_for_silence_and_pace_come_from_the_same_budget() -> None:
    """What was spent on later races is not there for first contents."""
    usual, spent = known(), budget()
    for _ in range(12):  # of 400 calls: 3 %
        spent.raced_later()

    assert late_first(P95, spent, usual, usual) == pytest.approx(usual.first.quantile(1 - 0.0275))


def test_where_there_are_more_stragglers_than_tokens_nobody_waits_for_them() -> None:
    """With 8 % of stragglers a race starts as soon as no healthy attempt can be expected any more."""
    usual = known(3000, stragglers=0.08)

    assert usual.first.quantile(0.965) > 9.0
    assert 1.3 < late_first(P95, budget(fill=0.0), usual, known()) < 1.9


def test_auto_races_nobody_on_a_healthy_day() -> None:
    """Where no attempt takes much longer than usual, "auto" races none."""
    assert late_first(AUTO, budget(), known(), known()) == inf


def test_auto_races_stragglers() -> None:
    """Where 2 % take twenty times as long, "auto" races those, later when the bucket is empty."""
    usual = known(3000, stragglers=0.02)
    full, empty = (late_first(AUTO, budget(fill=fill), usual, known()) for fill in (1.0, 0.0))

    assert 1.0 < full <= empty < 1.7


@pytest.mark.parametrize(("usual", "seconds"), [
    (Usual(), 16.0),
    (known(stragglers=0.02), 2.0),
    (known(), 10.0),
])
def test_a_silent_attempt_is_rescued_when_there_is_hardly_a_doubt(usual: Usual, seconds: float) -> None:
    """A rescue comes after 16 s of an unknown model, and after 2 to 10 s of a known one."""
    assert rescue_first(late_first(P95, budget(), usual, known()), usual, known()) == seconds


# ── silence and pace ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_silence_of_an_unknown_model() -> None:
    """While little is known a silence is late after 8 s and rescued after 12."""
    assert late_silence(Usual(), Usual(), 10, 1.0) == 8.0
    assert rescue_silence(8.0, Usual(), Usual(), 10) == 12.0


def test_silence_is_judged_by_its_worth() -> None:
    """Where silences are short, or mean a stall, half a second is late; the last contents are worth no race."""
    steady, stalls = known(), known(3000, stalls=0.02)

    assert late_silence(steady, steady, 10, 1.0) == 0.5
    assert late_silence(stalls, stalls, 10, 1.0) == 0.5
    assert rescue_silence(0.5, stalls, stalls, 10) == 2.0


def test_a_crawl_is_late() -> None:
    """Contents twenty times slower are late as soon as there are three, and usual ones never."""
    usual = known()

    assert is_slow_pace(Answer(3, 1.2, 0.6), usual, usual)
    assert not is_slow_pace(Answer(2, 0.6, 0.6), usual, usual)
    assert not is_slow_pace(Answer(30, 0.9, 0.04), usual, usual)


def test_the_end_of_a_crawl_is_worth_no_race() -> None:
    """When the other answer would take as long as the rest, nobody is raced."""
    usual = known()

    assert is_slow_pace(Answer(30, 30 * 0.2, 0.2), usual, usual)
    assert not is_slow_pace(Answer(55, 55 * 0.2, 0.2), usual, usual)


def test_the_pace_of_an_unknown_model_says_nothing() -> None:
    """Until five answers have shown a model's pace nobody is raced for it: some are slow, or send large pieces."""
    assert not is_slow_pace(Answer(9, 9.0, 1.0), known(4), known())
    assert is_slow_pace(Answer(9, 9.0, 1.0), known(5), known())


# ── limits that nobody has given ──────────────────────────────────────────────────────────────────────────────────────


def test_a_limit_follows_what_a_model_does() -> None:
    """From 500 samples on it is twice what one in 100,000 takes; twice the longest seen at the least, also before."""
    young = known(CLOCK_SAMPLES - 1).first
    assert automatic_limit(Usual().first) == 0.0
    assert automatic_limit(young) == 2 * young.histogram.longest()
    assert automatic_limit(known(CLOCK_SAMPLES).first) == pytest.approx(2 * 0.6 * exp(4.26 * 0.35), rel=0.25)
    assert automatic_limit(known(3000, stragglers=0.02).first) > 2 * 20.0


# ── in a router ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_delay_is_learned(clock: Clock, world: World) -> None:
    """Calls that are as quick as usual are not hedged, and one that is later than the p95 is."""
    world.model("b", Act(first_token=0.5))

    async def scenario() -> tuple[set[int], Trace]:
        numbers = set()
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            for number in range(100):
                world.model("a", Act(first_token=1.0 + number % 5 / 20))
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
    assert second.sent - first.sent == pytest.approx(1.3, rel=0.1)


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
