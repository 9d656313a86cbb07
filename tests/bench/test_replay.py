"""Recorded calls under other policies: exact where everything was observed, bounded where it was not, unbiased."""

from __future__ import annotations

import asyncio
from functools import cache
from random import Random

import numpy as np
import pytest

from asyncrouter import CallError, Router
from asyncrouter.bench import AttemptRow, Policy, replay
from asyncrouter.bench.resampling import row_quantiles
from asyncrouter.bench.rows import attempt_row
from asyncrouter.bench.trace import CallRow
from asyncrouter.sim import Act, Clock, Seen, World, lognormal
from tests.helpers.recorded import USD, recorded_call


def test_the_recorded_policy_comes_out_as_recorded() -> None:
    """Where everything was observed nothing is imputed: the times are the same to the last digit."""
    calls = [
        recorded_call(at, AttemptRow("a", "first", "won", sent=0.0, first=at / 100, ended=at / 50, cost_usd=USD))
        for at in range(1, 101)
    ]
    [found] = replay(calls, [Policy()])

    assert (found.measures["p50_e2e"].value, found.measures["p90_e2e"].value, found.unknown) == (1.0, 1.8, 0.0)
    assert (found.measures["success"].value, found.measures["usd_per_1000"].value) == (1.0, pytest.approx(USD * 1000))


def test_what_the_recording_does_not_reach_is_a_bound() -> None:
    """A timeout cut one request in ten off at 3 s: without it, the time is only known to be at least 3 s."""
    cut = AttemptRow("a", "first", "failed", "AttemptTimeout", clock="first_token", sent=0.0, ended=3.0, cost_usd=0.0)
    quick = AttemptRow("a", "first", "won", sent=0.0, first=1.0, ended=1.0)
    calls = [recorded_call(at, cut if at % 10 == 0 else quick) for at in range(200)]
    patient, strict = replay(calls, [Policy(), Policy(first_token=2.0)])

    assert patient.unknown == pytest.approx(0.1)
    assert (patient.measures["p95_e2e"].value, patient.measures["p95_e2e"].high) == (3.0, None)
    assert (patient.measures["success"].value, patient.measures["success"].high) == (pytest.approx(0.9), None)
    assert (patient.measures["success"].low or 1.0) < 0.9
    assert (strict.unknown, strict.measures["success"].value) == (0.0, pytest.approx(0.9))


def test_an_imputed_answer_costs_what_an_answer_does() -> None:
    """In every tenth call the first model was overtaken: without the hedge it would have answered, and been paid."""
    slow = AttemptRow("a", "first", "superseded", sent=0.0, ended=3.0, cost_usd=USD / 10)
    quick = AttemptRow("b", "hedge", "won", sent=2.0, first=2.9, ended=3.0, cost_usd=USD)
    plain = AttemptRow("a", "first", "won", sent=0.0, first=1.0, ended=1.0, cost_usd=USD)
    calls = [recorded_call(at, *((slow, quick) if at % 10 == 0 else (plain,))) for at in range(100)]
    [found] = replay(calls, [Policy()])

    assert found.measures["usd_per_1000"].value == pytest.approx(1000 * USD)


def test_a_model_that_was_seldom_asked_is_named() -> None:
    """A warning says how often it was asked; a model that never was is refused."""
    calls = [recorded_call(at, AttemptRow("a", "first", "won", sent=0.0, first=1.0, ended=1.0)) for at in range(60)]
    failed = AttemptRow("a", "first", "failed", "ServerFailed", sent=0.0, ended=0.1)
    calls.append(recorded_call(61, failed, AttemptRow("b", "fallback", "won", sent=0.1, first=1.0, ended=1.0)))
    [found] = replay(calls, [Policy(hedge=0.5)])

    assert found.warnings == ("b was asked only 1 times",)
    with pytest.raises(ValueError, match=r"never asked.*: c"):
        replay(calls, [Policy(order=("a", "c"))])


def test_a_hedge_without_another_model_is_warned_of() -> None:
    """There is nobody to ask."""
    attempts = [AttemptRow("a", "first", "won", sent=0.0, first=1.0, ended=2.0)]
    [found] = replay([CallRow(0.0, 2.0, None, None, attempts)] * 60, [Policy(hedge=0.5)], imputations=1)

    assert found.warnings == ("no model but a was asked: a hedge has no other model to ask",)


def test_the_effective_n_is_the_number_of_observations() -> None:
    """Of a thousand calls b was asked in fifty: with b first, an estimate rests on fifty, not on a thousand."""

    def call(at: int) -> CallRow:
        if at % 20:
            return recorded_call(at, AttemptRow("a", "first", "won", sent=0.0, first=1.0, ended=1.0, cost_usd=USD))
        answered = AttemptRow("b", "fallback", "won", sent=0.1, first=at / 1000, ended=at / 1000, cost_usd=USD)
        return recorded_call(at, AttemptRow("a", "first", "failed", "ServerFailed", sent=0.0, ended=0.1), answered)

    policies = [Policy(), Policy(order=("b", "a"))]
    recorded, reversed_ = (one.measures for one in replay([call(at) for at in range(1000)], policies))

    assert [recorded[name].enough for name in ("p50_e2e", "p90_e2e", "p99_e2e")] == [True, True, True]
    assert [reversed_[name].enough for name in ("p50_e2e", "p90_e2e", "p99_e2e")] == [True, False, False]
    assert {one.n for one in reversed_.values()} == {50}
    # No failure in fifty: up to 7 % may fail (Wilson), and then a is asked, too.
    assert (reversed_["attempts"].low, reversed_["attempts"].high) == (1.0, pytest.approx(1.0713, abs=1e-4))
    assert reversed_["success"].low == pytest.approx(0.9287, abs=1e-4)
    assert reversed_["usd_per_1000"].high == pytest.approx(1.0713, abs=1e-4)


# ── against what a router really does ────────────────────────────────────────────────────────────────────────────────

FIRST, SECOND = lognormal(0.6, 0.5, stragglers=0.03, factor=10.0), lognormal(0.8, 0.4)
RECORDED, ASKED = {"after": 2.0, "budget": 0.3}, {"after": 1.2, "budget": 0.2}


def record_calls(seed: int, count: int, hedge: dict[str, float]) -> list[CallRow]:
    """`count` calls of a router with that hedge, to two simulated models of which the first has a heavy tail."""
    clock, world = Clock(), World(seed, keep=0)

    def first(_: Seen, random: Random) -> Act:
        return Act(status=500, first_token=0.1) if random.random() < 0.02 else Act(first_token=FIRST(random), tail=0.2)

    world.model("a", first)
    world.model("b", lambda _, random: Act(first_token=SECOND(random), tail=0.2))
    found: list[CallRow] = []
    settings = {"breaker": "off", "retry": {"attempts": 1}}

    async def main() -> None:
        async with Router(world.config(defaults=settings), transport=world.transport(), seed=seed) as router:
            async def one() -> None:
                began = clock.now
                try:
                    trace = (await router.chat("x", chain=["a", "b"], hedge=hedge)).trace
                except CallError as error:
                    trace = error.trace
                rows = [attempt_row(attempt) for attempt in trace.attempts]
                found.append(CallRow(began, trace.seconds, None, None, rows))

            random, tasks = Random(seed), []
            for _ in range(count):
                await asyncio.sleep(random.expovariate(10.0))
                tasks.append(asyncio.ensure_future(one()))
            await asyncio.gather(*tasks)

    clock.run(main())
    return sorted(found, key=lambda row: row.started)


def test_a_recorded_hedge_comes_out_as_recorded() -> None:
    """Every call was answered, and so is every one in the estimate: nothing is unknown."""
    calls = record_calls(7, 600, {"after": 1.2, "budget": 1.0})
    [found] = replay(calls, [Policy(hedge=1.2, budget=1.0)], imputations=2)
    hedged = sum(len(one.attempts) > 1 for one in calls)

    assert hedged > 50
    assert (found.unknown, found.measures["success"].value) == (0.0, 1.0)
    assert np.mean([len(one.attempts) for one in calls]) == pytest.approx(found.measures["attempts"].value)


@cache
def truth() -> dict[str, float]:
    calls = record_calls(10**6, 3000, ASKED)
    seconds = np.array([one.seconds for one in calls])
    p50, p90, p95 = row_quantiles(seconds[None, :], [0.5, 0.9, 0.95])[0]
    return {"p50_e2e": p50, "p90_e2e": p90, "p95_e2e": p95,
            "attempts": float(np.mean([len(one.attempts) for one in calls]))}


def test_intervals_hold_the_truth() -> None:
    """Recorded with one hedge, estimated for another: what a router really does with it lies in the 95 % interval.

    Eight recordings of 400 calls (3 s); `benchmarks/replay.py` has two hundred of 1,000.
    """
    hits = dict.fromkeys(truth(), 0)
    for seed in range(8):
        [found] = replay(record_calls(seed, 400, RECORDED), [Policy(hedge=ASKED["after"], budget=ASKED["budget"])],
                         imputations=10)
        for name, value in truth().items():
            low, high = found.measures[name].low, found.measures[name].high
            hits[name] += low is not None and high is not None and low <= value <= high

    assert min(hits.values()) >= 5, hits
