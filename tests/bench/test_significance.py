"""Which differences are more than chance, and in what words that is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from asyncrouter.bench import Arm, ArmReport, ArmRun, AttemptRow, Change, Estimate, Report, Row, Run, compare
from asyncrouter.bench.changes import judged
from asyncrouter.bench.comparability import remarks, unlike
from asyncrouter.bench.paired import differences
from asyncrouter.bench.significance import detectable, holm, p_value, student
from asyncrouter.bench.verdicts import method, verdicts

if TYPE_CHECKING:
    from collections.abc import Sequence


def test_holm_stops_at_the_first_that_is_not_small_enough() -> None:
    """The smallest of three must be at most 0.05 / 3, the next 0.05 / 2, the last 0.05; `None` is not one of them."""
    assert holm([0.01, 0.02, 0.05]) == [True, True, True]
    assert holm([0.02, 0.02, 0.05]) == [False, False, False]
    assert holm([0.04, None, 0.001]) == [True, False, True]
    assert holm([]) == []


@pytest.mark.parametrize(("freedom", "quantile"), [(5, 2.571), (22, 2.074), (49, 2.010), (1e6, 1.960)])
def test_students_quantile(freedom: float, quantile: float) -> None:
    """As in the printed tables, within half a percent."""
    assert student(1.959964, freedom) == pytest.approx(quantile, rel=5e-3)


@pytest.mark.parametrize(("value", "end", "p"), [
    (1.0, 0.0, 0.05), (-1.0, 0.0, 0.05), (0.0, -1.0, 1.0), (2.0, 2.0, 0.0),
])
def test_an_interval_that_ends_at_zero_is_significant_at_5_percent(value: float, end: float, p: float) -> None:
    """A difference of nothing has the p-value 1, one without any variation 0."""
    assert p_value(value, end, 1000) == pytest.approx(p, abs=1e-6)


def test_the_smallest_difference_grows_with_the_comparisons() -> None:
    """At an interval of ±1.96 one comparison shows 2.8 standard errors four times in five, nine show 3.6."""
    assert detectable(-1.96, 1.96, 10**6, 1) == pytest.approx(2.80, abs=0.01)
    assert detectable(-1.96, 1.96, 10**6, 9) == pytest.approx(3.61, abs=0.01)


def arm_run(name: str, seconds: Sequence[float], failed: Sequence[int] = (), usd: float = 0.001) -> ArmRun:
    """An arm whose calls, one a second, take so long; some of them fail."""
    attempt = AttemptRow("m", "first", "won", sent=0.0, first=0.0, cost_usd=usd)
    rows = [Row(name, at, float(at), float(at), float(at) + took / 2.0, at + took,
                "ServerFailed" if at in failed else "ok", "m", cost_usd=usd, attempts=[attempt])
            for at, took in enumerate(seconds)]
    return ArmRun(name, Arm(name).described(), rows, float(len(rows)), 1, 0.0)


def report(*arms: ArmRun, **settings: object) -> Report:
    return Run(list(arms), {"scenario": None, "seed": 0, **settings}, {}, 0).report()


def lognormal(seed: int, factor: float = 1.0, n: int = 1000) -> list[float]:
    return [float(one) for one in factor * np.exp(np.random.default_rng(seed).normal(0.0, 0.5, n))]


def test_a_faster_arm_is_said_to_be_faster() -> None:
    """The sentence has the place, the seconds with their interval, and what it costs."""
    told = report(arm_run("a", lognormal(1)), arm_run("b", lognormal(1, 0.8), usd=0.00104))
    [sentence] = verdicts(told.changes, "a")

    assert sentence.startswith("b is faster than a at p50 by 0.19")
    assert " on average by 0.2" in sentence
    assert sentence.endswith("; has 4 % (4 to 4) more cost than a.")
    assert method(told.changes, paired=True) == (
        "95 % intervals, differences call by call, resampled in circular blocks of consecutive calls; verdicts with "
        "Holm's correction: 5 % risk of any false one in all 8 comparisons together")


def test_where_nothing_could_be_shown_the_smallest_difference_is_said() -> None:
    """Two arms of one kind: what a thousand calls would have shown."""
    told = report(arm_run("a", lognormal(1)), arm_run("b", lognormal(2)))
    [sentence] = verdicts(told.changes, "a")

    assert sentence.startswith("No difference between b and a could be shown. The smallest differences that 1,000 "
                               "calls show in four of five such runs: 0.1")
    assert " s at p50 (1" in sentence


def test_an_arm_that_answers_less_is_said_to() -> None:
    """Fifty of a thousand calls fail: p99 is infinite, and so it has no answer there."""
    told = report(arm_run("a", lognormal(1)), arm_run("b", lognormal(1), failed=range(0, 1000, 20)))
    [sentence] = verdicts(told.changes, "a")

    assert "has no answer at p99, where a has one" in sentence
    assert "answers fewer calls than a, by 5 points (" in sentence


def test_four_failures_in_a_thousand_are_chance() -> None:
    """One arm failed four times, the other never: McNemar's exact test has 0.125, and nothing is claimed."""
    found = differences(arm_run("b", [1.0] * 1000, failed=(100, 300, 500, 700)), arm_run("a", [1.0] * 1000), {})

    assert (found["success"].value, found["success"].high) == (-0.004, pytest.approx(0.0, abs=1e-3))
    assert (found["success"].high or -1.0) > 0.0


def test_many_comparisons_are_judged_together() -> None:
    """A difference that is significant alone (p 0.02) is none among ten."""
    one = Change("b", "p50_e2e", Estimate(1.0, n=1000), Estimate(2.0, n=1000), 0.1, 1.9, "unsure", p=0.02)

    assert [each.verdict for each in judged([one])] == ["worse"]
    assert {each.verdict for each in judged([one] * 10)} == {"same"}
    assert [each.verdict for each in judged([one], beside=[one] * 9)] == ["same"]


def test_reports_under_other_conditions_are_refused() -> None:
    """Another scenario, rate or SLO: the error names both values; a seed or a number of calls is only said."""
    load = {"kind": "poisson", "rate": 10.0, "calls": 20}
    before = report(arm_run("a", [1.0] * 20), load=load, slo={})
    after = report(arm_run("a", [1.0] * 30), load=load | {"rate": 20.0, "calls": 30}, slo={"e2e": 1.0}, seed=1)

    assert unlike(before, after) == ["load.rate: 10.0 → 20.0", "slo.e2e: none → 1.0"]
    assert remarks(before, after) == ["load.calls: 20 → 30", "seed: 0 → 1"]
    with pytest.raises(ValueError, match=r"other conditions \(load.rate: 10.0 → 20.0; slo.e2e: none → 1.0\)"):
        compare(before, after)
    assert compare(before, after, anyway=True) != []


def test_another_arm_and_another_machine_are_said() -> None:
    """They may be what is compared, so they are no reason to refuse."""
    arms = [ArmReport("a", {"call": {"hedge": after}}, {}) for after in ("p95", "p90")]
    before, after = (Report({}, [arm], [], {"python": python})
                     for arm, python in zip(arms, ("3.11", "3.12"), strict=True))

    assert remarks(before, after) == ["python: 3.11 → 3.12", "arm a: call.hedge: p95 → p90"]


def test_a_difference_with_one_infinite_end_is_judged_by_the_other() -> None:
    """Of a latency whose upper end is infinite it is known that it is at least so much longer."""
    reports = [Report({}, [ArmReport("a", {}, {"p90_e2e": one})], [], {}) for one in (
        Estimate(1.5, 1.4, 1.6, 400), Estimate(12.4, 9.0, None, 400))]
    [found] = [one for one in compare(*reports) if one.name == "p90_e2e"]

    assert (found.verdict, found.low, found.high) == ("worse", pytest.approx(7.4985, abs=1e-3), None)
    assert verdicts([found], "before") == ["a is slower than before at p90 by 10.9 s (at least 7.5)."]
