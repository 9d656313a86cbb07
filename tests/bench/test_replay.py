"""Recorded calls under other policies: exact where everything was seen, honest where it was not, right on average."""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import orjson
import pytest

from asyncrouter import CallError, Router
from asyncrouter.bench import AttemptRow, Policy, replay
from asyncrouter.bench.policy import Bucket, Outcome, Play
from asyncrouter.bench.rows import attempt_row
from asyncrouter.bench.stats import quantiles
from asyncrouter.bench.survival import Law, Turn, turns
from asyncrouter.bench.trace import CallRow
from asyncrouter.sim import Act, Clock, Seen, World, lognormal

if TYPE_CHECKING:
    from tests.helpers.commandline import Desk

USD = 0.001


def answer(model: str, first: float, end: float) -> Turn:
    return Turn(model, 0.0, first, end, True, True, True, USD, 10, 10)


def failure(model: str, at: float) -> Turn:
    return Turn(model, 0.0, at, at, False, False, True, 0.0)


def play(policy: Policy, *given: Turn, after: float = np.inf, bucket: Bucket | None = None) -> Outcome:
    known = {turn.model: turn for turn in given}
    return Play(policy, tuple(known), after, known.__getitem__, lambda _: USD / 10).run(bucket or Bucket(None))


@pytest.mark.parametrize(("given", "policy", "after", "seconds", "sent"), [
    ([answer("a", 1, 2)], Policy(), np.inf, 2, 1),
    ([failure("a", 1), answer("b", 1, 2)], Policy(), np.inf, 3, 2),
    ([answer("a", 5, 6), answer("b", 1, 2)], Policy(), 2, 4, 2),  # the hedge wins
    ([answer("a", 2.5, 6), answer("b", 1, 2)], Policy(), 2, 6, 2),  # the hedge is too late
    ([failure("a", 1), answer("b", 1, 2), answer("c", 1, 2)], Policy(), 1.5, 3, 2),
    ([answer("a", 9, 9), failure("b", 1), answer("c", 1, 2)], Policy(), 2, 5, 3),  # a failed hedge: the next one
    ([answer("a", 5, 6), answer("b", 1, 2)], Policy(first_token=3), np.inf, 5, 2),
    ([answer("a", 1, 6), answer("b", 1, 2)], Policy(total=3), np.inf, 5, 2),
    ([answer("a", 1, 6)], Policy(deadline=5), np.inf, np.inf, 1),
    ([answer("a", 4, 5), answer("b", 1, 2)], Policy(deadline=6), np.inf, 5, 2),  # silent for its share of 3 s
    ([answer("a", 1, 5.5), answer("b", 1, 1.5)], Policy(deadline=6), np.inf, 5.5, 2),  # speaks, but leaves 2 s to b
    ([answer("a", 0.1, 0.2), answer("b", 0.1, 0.3)], Policy(deadline=0.4), np.inf, 0.3, 1),  # 0.2 s: not begun
    ([failure("a", 1), failure("b", 1)], Policy(), np.inf, np.inf, 2),
])
def test_a_call_goes_as_the_router_would_have_it(
    given: list[Turn], policy: Policy, after: float, seconds: float, sent: int
) -> None:
    """Fallback, hedge, clocks, deadline."""
    outcome = play(policy, *given, after=after)

    assert (seconds, sent) == (outcome.seconds, outcome.sent)


def test_a_hedge_needs_a_token() -> None:
    """The bucket is the router's: ten at the start, then so many a call."""
    bucket = Bucket(0.1)
    hedged = [
        play(Policy(), answer("a", 5, 6), answer("b", 1, 2), after=2, bucket=bucket).hedged for _ in range(30)
    ]

    assert sum(hedged[:20]) == 10 + 1
    assert sum(hedged) == 10 + 2


def test_a_loser_costs_between_its_prompt_and_all_of_it() -> None:
    """Both ends are told."""
    outcome = play(Policy(), answer("a", 5, 6), answer("b", 1, 2), after=2)

    assert (pytest.approx(outcome.least), pytest.approx(outcome.most)) == (1.1 * USD, 2 * USD)


@pytest.mark.parametrize(("given", "policy", "least", "most"), [
    ([answer("a", 5, 6)], Policy(total=2), 0.1, 1.0),  # its prompt
    ([failure("a", 5)], Policy(total=2), 0.1, 0.1),  # cut off before its free failure
    ([answer("a", 1, 3)], Policy(total=2), 0.1, 1.0),  # and what it had said, which was not recorded
    ([answer("a", 5, 6), answer("b", 1, 2)], Policy(total=3), 1.1, 2.0),
    ([answer("a", 5, 6)], Policy(deadline=2), 0.1, 1.0),
    ([answer("a", 1, 3)], Policy(deadline=2), 0.1, 1.0),
    ([answer("a", 1, 2)], Policy(total=2), 1.0, 1.0),
])
def test_what_a_clock_cut_off_costs_what_it_had_done(
    given: list[Turn], policy: Policy, least: float, most: float
) -> None:
    """The prompt at least, as the router bills a turn that has said nothing; in full at most."""
    outcome = play(policy, *given)

    assert (pytest.approx(least * USD), pytest.approx(most * USD)) == (outcome.least, outcome.most)


def test_what_was_seen_comes_before_what_lasted_at_least_as_long() -> None:
    """A loser was overtaken at the very instant at which the hedge spoke: the hedge has won then, too."""
    overtaken = Turn("a", 0.0, 4.0, 4.0, True, True, False, USD)
    outcome = play(Policy(), overtaken, answer("b", 1.0, 2.0), after=3.0)

    assert (outcome.seconds, outcome.known, outcome.model) == (5.0, True, "b")


@pytest.mark.parametrize("policy", [Policy(first_token=3), Policy(total=3), Policy(deadline=3)])
def test_the_clock_that_cut_it_off_cuts_it_off_again(policy: Policy) -> None:
    """A turn that lasted at least three seconds has failed a limit of three seconds; that is no doubt."""
    cut = Turn("a", 0.0, 3.0, 3.0, True, True, False, USD)

    assert (np.inf, True) == (play(policy, cut).seconds, play(policy, cut).known)


def test_an_answer_that_was_cut_off_in_the_middle_ended_nobody_knows_when() -> None:
    """With the clock that cut it off it fails again; without, it took at least that long."""
    cut = AttemptRow("a", "first", "failed", "AttemptTimeout", clock="total", sent=0.0, first=1.0, ended=3.0)
    [turn] = turns([cut])
    patient, strict = play(Policy(), turn), play(Policy(total=3), turn)

    assert [(3.0, False), (np.inf, True)] == [(one.seconds, one.known) for one in (patient, strict)]


def test_a_turn_holds_its_retries() -> None:
    """From its first request to the end of its last; one that a clock stopped, or that was overtaken, is cut off."""
    found = turns([
        AttemptRow("a", "first", "failed", "ServerFailed", sent=0.5, ended=1.0),
        AttemptRow("a", "retry", "superseded", sent=1.5, ended=4.0),
        AttemptRow("b", "hedge", "won", sent=3.0, first=4.0, ended=5.0),
        AttemptRow("c", "fallback", "failed", "AttemptTimeout", clock="first_token", sent=5.0, ended=9.0),
        AttemptRow("d", "fallback", "not_sent", "NotSent", queued=9.0, ended=9.0),
    ])

    assert [
        (turn.model, turn.event, turn.known) for turn in found
    ] == [("a", 3.5, False), ("b", 1.0, True), ("c", 4.0, False), ("d", 0.0, True)]
    assert [turn.refused for turn in found] == [False, False, False, True]


def test_what_was_cut_off_counts() -> None:
    """The product-limit estimate, by hand: of 1, 2+, 3, 4 the one cut off at 2 shares its weight among 3 and 4."""
    cut = Turn("a", 0.0, 2.0, 2.0, False, False, False, 0.0)
    law = Law([answer("a", 1, 1), cut, answer("a", 3, 3), answer("a", 4, 4)])
    random = Random(0)
    drawn = [law.draw(random) for _ in range(4000)]
    share = {at: sum(turn is not None and turn.event == at for turn in drawn) / 4000 for at in (1, 3, 4)}

    assert pytest.approx(share, abs=0.03) == {1: 0.25, 3: 0.375, 4: 0.375}
    assert (law.quantile(0.25), law.quantile(0.6), law.unknown) == (1, 3, 0.0)
    assert all(turn is not None and turn.event == 4 for turn in (law.draw(random, 3.0) for _ in range(20)))


def call(at: float, *attempts: AttemptRow) -> CallRow:
    return CallRow(at, attempts[-1].ended or 0.0, None, None, list(attempts))


def test_the_recorded_policy_comes_out_as_recorded() -> None:
    """Where all was seen nothing is guessed: the same times to the last digit."""
    calls = [call(at, AttemptRow("a", "first", "won", sent=0.0, first=at / 100, ended=at / 50, cost_usd=USD))
             for at in range(1, 101)]
    [found] = replay(calls, [Policy()])

    assert (found.measures["p50_e2e"].value, found.measures["p90_e2e"].value, found.unknown) == (1.0, 1.8, 0.0)
    assert (found.measures["success"].value, pytest.approx(found.measures["usd_per_1000"].value)) == (1.0, USD * 1000)


def test_what_the_recording_does_not_reach_is_said() -> None:
    """A clock cut one turn in ten off at 3 s: how long it would have taken without, nobody knows."""
    cut = AttemptRow("a", "first", "failed", "AttemptTimeout", clock="first_token", sent=0.0, ended=3.0, cost_usd=0.0)
    calls = [call(at, cut if at % 10 == 0 else AttemptRow("a", "first", "won", sent=0.0, first=1.0, ended=1.0))
             for at in range(200)]
    patient, strict = replay(calls, [Policy(), Policy(first_token=2.0)])

    assert pytest.approx(patient.unknown) == 0.1
    assert (patient.measures["p95_e2e"].value, patient.measures["p95_e2e"].high) == (3.0, None)
    assert (pytest.approx(patient.measures["success"].value), patient.measures["success"].high) == (0.9, None)
    assert (patient.measures["success"].low or 1.0) < 0.9
    assert (strict.unknown, pytest.approx(strict.measures["success"].value)) == (0.0, 0.9)


def test_an_answer_that_was_not_seen_costs_what_an_answer_does() -> None:
    """Every tenth call was overtaken: left to itself, its first model would have answered, and been paid."""
    slow = AttemptRow("a", "first", "superseded", sent=0.0, ended=3.0, cost_usd=USD / 10)
    quick = AttemptRow("b", "hedge", "won", sent=2.0, first=2.9, ended=3.0, cost_usd=USD)
    calls = [call(at, slow, quick) if at % 10 == 0
             else call(at, AttemptRow("a", "first", "won", sent=0.0, first=1.0, ended=1.0, cost_usd=USD))
             for at in range(100)]
    [found] = replay(calls, [Policy()])

    assert pytest.approx(found.measures["usd_per_1000"].value) == 1000 * USD


def test_a_model_that_was_hardly_asked_is_named() -> None:
    """With how often it was."""
    calls = [call(at, AttemptRow("a", "first", "won", sent=0.0, first=1.0, ended=1.0)) for at in range(60)]
    calls.append(call(61, AttemptRow("a", "first", "failed", "ServerFailed", sent=0.0, ended=0.1),
                      AttemptRow("b", "fallback", "won", sent=0.1, first=1.0, ended=1.0)))
    [found] = replay(calls, [Policy(hedge=0.5)])

    assert found.warnings == ("b was asked only 1 times",)
    with pytest.raises(ValueError, match=r"never asked.*: c"):
        replay(calls, [Policy(order=("a", "c"))])


@pytest.mark.parametrize(("models", "policy", "told"), [
    ("a", Policy(hedge=0.5), "no model but a was asked: a hedge has nobody to race with"),
    ("ab", Policy(deadline=1.5), "a has 0.75 s of a deadline of 1.5 s, less than its p90 (1 s): the breakers"),
])
def test_what_the_figures_leave_out_is_named(models: str, policy: Policy, told: str) -> None:
    """A hedge that cannot be, a split of the deadline that breakers would change."""
    attempts = [AttemptRow(name, "first", "won", sent=0.0, first=1.0, ended=2.0) for name in models]
    [found] = replay([CallRow(0.0, 2.0, None, None, attempts)] * 60, [policy], imputations=1)

    assert found.warnings[0].startswith(told)


def test_few_turns_make_few_calls() -> None:
    """Of a thousand calls b was asked in fifty: asked first, its answers are worth fifty calls, not a thousand."""
    calls = [call(at, AttemptRow("a", "first", "won", sent=0.0, first=1.0, ended=1.0, cost_usd=USD)) if at % 20 else
             call(at, AttemptRow("a", "first", "failed", "ServerFailed", sent=0.0, ended=0.1),
                  AttemptRow("b", "fallback", "won", sent=0.1, first=at / 1000, ended=at / 1000, cost_usd=USD))
             for at in range(1000)]
    recorded, turned = (one.measures for one in replay(calls, [Policy(), Policy(order=("b", "a"))]))

    assert [recorded[name].enough for name in ("p50_e2e", "p90_e2e", "p99_e2e")] == [True, True, True]
    assert [turned[name].enough for name in ("p50_e2e", "p90_e2e", "p99_e2e")] == [True, False, False]
    assert {one.n for one in turned.values()} == {50}
    # No failure in fifty: up to 7 % may fail (Wilson), and then a is asked, too.
    assert (turned["attempts"].low, turned["attempts"].high) == (1.0, pytest.approx(1.0713, abs=1e-4))
    assert turned["success"].low == pytest.approx(0.9287, abs=1e-4)
    assert turned["usd_per_1000"].high == pytest.approx(1.0713, abs=1e-4)


@pytest.mark.parametrize("given", [
    {name: value} for name in ("first_token", "total", "deadline", "budget") for value in (0.0, -5.0, np.nan, np.inf)
])
def test_a_limit_that_makes_no_sense(given: dict[str, float]) -> None:
    """The message names the field and the value; a budget of 0 would still hedge ten times."""
    [(name, value)] = given.items()
    with pytest.raises(ValueError, match=f"^{name}: expected .*above 0, got {value!r}"):
        Policy(**given)  # type: ignore[arg-type]  # one of its numbers


@pytest.mark.parametrize("order", [(), ("a", "")])
def test_an_order_that_names_nothing(order: tuple[str, ...]) -> None:
    """Says what is expected."""
    with pytest.raises(ValueError, match="order: expected names of models"):
        Policy(order=order)


@pytest.mark.parametrize("hedge", ["95", "p0", "p100", "soon", -1.0, 0.0])
def test_a_hedge_that_makes_no_sense(hedge: float | str) -> None:
    """Says what is expected."""
    with pytest.raises(ValueError, match="expected seconds"):
        Policy(hedge=hedge)


def test_the_command_takes_names_with_spaces_and_no_senseless_limit(desk: Desk) -> None:
    """`--order "a, b"` are a and b; what cannot be is refused with its name and value."""
    attempt = {"model": "a", "cause": "first", "outcome": "won", "sent": 0.0, "first": 1.0, "ended": 1.0}
    line = {"schema_version": 1, "started": 0.0, "seconds": 1.0, "task": None, "error": None,
            "attempts": [attempt, {**attempt, "model": "b"}]}
    Path("trace.jsonl").write_bytes(orjson.dumps(line))
    done, limit, budget = (
        desk.run("bench", "replay", "trace.jsonl", "--hedge", "none", *more)
        for more in (("--order", "b, a"), ("--total", "-5"), ("--budget", "0"))
    )

    assert (done.status, "b → a" in done.out) == (0, True)
    assert (limit.status, "total: expected seconds above 0, got -5.0" in limit.err) == (2, True)
    assert (budget.status, "budget: expected hedges a call, above 0, got 0.0" in budget.err) == (2, True)


# ── against truth ────────────────────────────────────────────────────────────────────────────────────────────────────

FIRST, SECOND = lognormal(0.6, 0.5, stragglers=0.03, factor=10.0), lognormal(0.8, 0.4)
RECORDED, ASKED = {"after": 2.0, "budget": 0.3}, {"after": 1.2, "budget": 0.2}


def played(seed: int, count: int, hedge: dict[str, float]) -> list[CallRow]:
    """So many calls of a router with that hedge, in a world of two models of which the first has a heavy tail."""
    clock, world = Clock(), World(seed, keep=0)

    def first(_: Seen, random: Random) -> Act:
        return Act(status=500, first_token=0.1) if random.random() < 0.02 else Act(first_token=FIRST(random), tail=0.2)

    world.model("a", first)
    world.model("b", lambda _, random: Act(first_token=SECOND(random), tail=0.2))
    found: list[CallRow] = []
    settings = {"breaker": "off", "retry": {"attempts": 1}}

    async def scene() -> None:
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

    clock.run(scene())
    return sorted(found, key=lambda row: row.started)


def test_a_recorded_hedge_comes_out_as_recorded() -> None:
    """Every call was answered, and so is every one that is played again: nothing is unknown."""
    calls = played(7, 600, {"after": 1.2, "budget": 1.0})
    [found] = replay(calls, [Policy(hedge=1.2, budget=1.0)], imputations=2)
    hedged = sum(len(one.attempts) > 1 for one in calls)

    assert hedged > 50
    assert (found.unknown, found.measures["success"].value) == (0.0, 1.0)
    assert np.mean([len(one.attempts) for one in calls]) == pytest.approx(found.measures["attempts"].value)


@cache
def truth() -> dict[str, float]:
    calls = played(10**6, 3000, ASKED)
    seconds = np.array([one.seconds for one in calls])
    p50, p90, p95 = quantiles(seconds[None, :], [0.5, 0.9, 0.95])[0]
    return {"p50_e2e": p50, "p90_e2e": p90, "p95_e2e": p95,
            "attempts": float(np.mean([len(one.attempts) for one in calls]))}


def test_intervals_hold_the_truth() -> None:
    """Recorded with one hedge, asked about another: what it would truly have done lies in the 95 % interval.

    Eight recordings of 400 calls (3 s); two hundred of 1,000 are `benchmarks/replay.py`.
    """
    hits = dict.fromkeys(truth(), 0)
    for seed in range(8):
        [found] = replay(played(seed, 400, RECORDED), [Policy(hedge=ASKED["after"], budget=ASKED["budget"])],
                         imputations=10)
        for name, value in truth().items():
            low, high = found.measures[name].low, found.measures[name].high
            hits[name] += low is not None and high is not None and low <= value <= high

    assert min(hits.values()) >= 5, hits
