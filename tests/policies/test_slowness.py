"""Whether a model has become slow: evidence from ranks, demotion, probes, return."""

from __future__ import annotations

from math import exp, log
from random import Random

import pytest

from asyncrouter._policies.estimate import Estimate
from asyncrouter._policies.memory import FIRST
from asyncrouter._policies.slowness import HOLD, KAPPA, LIMIT, UNHEARD, Slowness

RARE = log(KAPPA) - (1.0 - KAPPA) * log(0.001)
"""The evidence of one attempt as slow as one in a thousand: 3.63."""


def slowness() -> tuple[Slowness, list[tuple[str, str]]]:
    """Nothing known, and a list of the changes that are told."""
    told: list[tuple[str, str]] = []
    return Slowness(lambda state, why: told.append((state, why))), told


def made_slow(at: float = 0.0) -> Slowness:
    """A model that has been demoted at this instant."""
    made, _ = slowness()
    for _ in range(4):
        made.ended("first", 0.001, at)
    assert made.slow
    return made


def test_four_rare_attempts_demote() -> None:
    """Four attempts as slow as one in a thousand are enough, three are not."""
    made, told = slowness()
    for _ in range(3):
        made.ended("first", 0.001, 0.0)
    assert (made.slow, told) == (False, [])

    made.ended("first", 0.001, 0.0)
    assert made.slow
    assert [state for state, _ in told] == ["slow"]


def test_quick_attempts_take_evidence_away() -> None:
    """Each ordinary attempt takes 1.2 away, and the sum never falls below zero."""
    made, _ = slowness()
    for _ in range(50):
        made.ended("first", 1.0, 0.0)
    assert made._evidence["first"] == 0.0

    made.ended("first", 0.001, 0.0)
    made.ended("first", 1.0, 0.0)
    assert made._evidence["first"] == pytest.approx(RARE + log(KAPPA))


def test_a_silent_attempt_counts_while_it_runs_and_only_once() -> None:
    """What was counted while an attempt was silent is taken off when it ends."""
    early, _ = slowness()
    given = early.cut("first", 0.05, 0.0)
    given = early.cut("first", 0.001, 0.0, given)
    early.ended("first", 0.001, 0.0, given)
    late, _ = slowness()
    late.ended("first", 0.001, 0.0)

    assert early._evidence["first"] == pytest.approx(late._evidence["first"])


def test_each_duration_has_a_sum_of_its_own() -> None:
    """Three slow first contents, silences and paces each do not add up."""
    made, _ = slowness()
    for _ in range(3):
        made.ended("first", 0.001, 0.0)
        made.ended("silence", 0.001, 0.0)
        made.ended("pace", 0.001, 0.0)

    assert not made.slow


def test_nothing_is_learned_while_evidence_stands() -> None:
    """From a third of the limit on a duration is not learned; while demoted none is, for ten minutes."""
    made, _ = slowness()
    made.ended("first", 0.001, 0.0)
    assert made.learns("first", 0.0)
    made.ended("first", 0.001, 0.0)
    assert made._evidence["first"] > HOLD
    assert (made.learns("first", 0.0), made.learns("pace", 0.0)) == (False, True)

    slow = made_slow()
    assert (slow.learns("pace", 599.0), slow.learns("first", 600.0)) == (False, True)


def test_probes_become_rarer() -> None:
    """A demoted model is last, but for a probe after 5, 10, 20, 40 and then every 60 seconds."""
    made, now, pauses = made_slow(), 0.0, []
    for _ in range(7):
        began = now
        while made.place(now) == "last":
            now += 1.0
        assert made.place(now) == "probe"
        made.begin_probe(now)
        pauses.append(now - began)

    assert pauses == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0]


def test_a_quick_probe_ends_it() -> None:
    """A probe as quick as usual brings the model back, with half the evidence left: two rare attempts demote again."""
    made = made_slow()
    made.passed(5.0)
    assert (made.slow, made.place(5.0), made._evidence["first"]) == (False, "usual", LIMIT / 2)

    made.ended("first", 0.001, 6.0)
    made.ended("first", 0.001, 6.0)
    assert made.slow
    made.begin_probe(11.0)
    assert made.place(20.9) == "last"


def test_after_two_minutes_of_good_conduct_probes_come_soon_again() -> None:
    """The pauses begin anew when the model was good for 120 s."""
    made = made_slow()
    for at in (5.0, 15.0, 35.0):
        made.begin_probe(at)
    made.passed(40.0)
    for _ in range(4):
        made.ended("first", 0.001, 160.0)

    assert (made.place(164.9), made.place(165.0)) == ("last", "probe")


def test_two_probes_that_win_end_it() -> None:
    """Two probes in a row that answer before the next model bring it back, and a minute long nothing is counted."""
    made = made_slow()
    made.won(5.0)
    made.lost(5.0)
    made.won(15.0)
    assert made.slow

    made.won(35.0)
    assert (made.slow, made._evidence["first"]) == (False, 0.0)
    for _ in range(9):
        made.ended("first", 0.001, 94.0)
    assert not made.slow


def test_two_probes_that_say_nothing_end_it() -> None:
    """Where the next model is always whole first, two probes that were not slower than usual bring it back."""
    made = made_slow()
    for unclear in (True, False, True):
        made.lost(5.0, unclear=unclear)
    assert made.slow

    made.lost(80.0, unclear=True)
    assert (made.slow, made._evidence["first"]) == (False, LIMIT / 2)


def test_a_model_without_a_usual_is_slow_after_twenty_lost_races() -> None:
    """Twenty races in a row lost by a model that never gave a content demote it; a content in between begins anew."""
    made, told = slowness()
    for _ in range(UNHEARD - 1):
        made.lost_unheard(0.0)
    made.heard()
    for _ in range(UNHEARD - 1):
        made.lost_unheard(0.0)
    assert not made.slow

    made.lost_unheard(0.0)
    assert told == [("slow", "it has lost 20 races and never given a content")]


def calls_until_slow(factor: float, healthy: int, seed: int, sigma: float = 0.35) -> int | None:
    """The calls until a model is demoted that becomes `factor` times slower; `None` for never in 20,000."""
    random, estimate, (made, _) = Random(seed), Estimate(FIRST), slowness()
    for number in range(20_000):
        value = exp(random.gauss(0.0, sigma)) * (factor if number >= healthy else 1.0)
        made.ended("first", estimate.p_value(value), 0.0)
        if made.slow:
            return number - healthy + 1
        if made.learns("first", 0.0):
            estimate.add(value, 0.0)
    return None


@pytest.mark.parametrize("factor", [3.0, 10.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_slow_model_is_found_within_fifteen_calls(factor: float, seed: int) -> None:
    """A model that becomes three or ten times slower is found after at most 15 calls, without those on their way."""
    found = calls_until_slow(factor, 1000, seed)

    assert found is not None
    assert 1 <= found <= 15


@pytest.mark.parametrize("sigma", [0.35, 1.2])
def test_a_steady_model_is_never_slow(sigma: float) -> None:
    """In 20,000 calls from its first one on a steady model is not demoted."""
    assert calls_until_slow(1.0, 0, 1, sigma) is None


def test_evidence_is_a_doubt_before_it_is_a_demotion() -> None:
    """From a third of the limit on a model is doubted; an ordinary one is not."""
    slowness = Slowness(lambda *_: None)
    doubted = [slowness.doubted]
    for _ in range(3):
        slowness.ended("pace", 0.005, 0.0)
        doubted.append(slowness.doubted)

    assert (doubted, slowness.slow) == ([False, False, True, True], False)
