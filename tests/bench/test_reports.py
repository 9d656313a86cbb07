"""Reports: what is written and read, conditions on their measures, and two of them compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter import ExplainedStep, Price, bench
from asyncrouter._config.parameter_names import ARGUMENTS, USE_INSTEAD
from asyncrouter.bench import Arm, ArmReport, AttemptRow, Estimate, Load, Report, Row, Scenario, figure
from asyncrouter.bench.scenarios import add_model
from asyncrouter.bench.stop import reserve
from asyncrouter.sim import lognormal

if TYPE_CHECKING:
    from pathlib import Path

ARMS = [Arm("direct", {"chain": ["primary"]}),
        Arm("hedged", {"chain": ["primary", "secondary"], "hedge": {"after": 1.5, "budget": 0.2}})]

STRAGGLING = Scenario("straggling", "one call in twenty takes fifteen times as long", lambda world, day: add_model(
    world, day, "primary", lognormal(0.6, 0.3, stragglers=0.05, factor=15.0)))


@pytest.fixture(scope="module")
def run() -> bench.Run:
    return bench.run(ARMS, Load.poisson(10, calls=1100), scenario=STRAGGLING, warmup=50)


@pytest.fixture(scope="module")
def report(run: bench.Run) -> Report:
    return run.report()


def test_a_report_comes_back_as_it_was_written(run: bench.Run, report: Report, tmp_path: Path) -> None:
    """report.json holds all measures, requests.jsonl a line for every call of every arm."""
    run.write(tmp_path)
    read = Report.read(tmp_path)

    assert [(arm.name, arm.measures) for arm in read.arms] == [(arm.name, arm.measures) for arm in report.arms]
    assert [arm.depths for arm in read.arms] == [arm.depths for arm in report.arms]
    assert len((tmp_path / "requests.jsonl").read_bytes().splitlines()) == 2200
    assert {"schema_version", "definitions", "environment", "settings"} <= set(orjson.loads(report.json()))


def test_every_measure_is_defined(report: Report) -> None:
    """`DEFINITIONS` has every measure of a report."""
    assert {name for arm in report.arms for name in arm.measures} - set(bench.DEFINITIONS) == set()


def test_the_hedge_saves_the_tail(report: Report) -> None:
    """With a heavy tail it saves seconds at p99, with an interval well above zero."""
    saved = report.arms[1].measures["saved_p99_e2e"]

    assert saved.low is not None
    assert saved.low > 1.0


@pytest.mark.parametrize(("text", "count"), [
    ("success>0.999", 0), ("p50_e2e<0.1", 2), ("hedged: p99_e2e < 6 && direct: p99_e2e>6", 0),
    ("p99.9_e2e<100", 2), ("direct:hedges_won>0", 1), ("success>=1 and attempts<=1", 1),
])
def test_conditions_hold_or_not(report: Report, text: str, count: int) -> None:
    """A condition on a measure that is not known, or rests on too few calls, does not hold."""
    assert len(bench.broken(report, bench.parse_conditions(text))) == count


@pytest.mark.parametrize("text", ["", "p99_e2e", "speed<1", "p99_e2e<fast", "p99_e2e<1 or success>0"])
def test_a_condition_that_cannot_be_read_says_so(text: str) -> None:
    """The message says what was expected, or which measures there are."""
    with pytest.raises(ValueError, match=r"expected measure|no measure|could not"):
        bench.parse_conditions(text)


def test_a_condition_for_an_arm_that_is_not_there(report: Report) -> None:
    """The message names the arms that there are."""
    with pytest.raises(ValueError, match="direct, hedged"):
        bench.broken(report, bench.parse_conditions("other: success>0"))


def test_two_reports_side_by_side(report: Report) -> None:
    """A report is the same as itself; the hedged arm is better at p99 than the direct one, and sends more requests."""
    plain = Report(report.settings, report.arms[:1], [], {})
    hedged = Report(report.settings, report.arms[1:], [], {})
    verdicts = {one.name: one.verdict for one in bench.compare(plain, hedged)}

    assert {one.verdict for one in bench.compare(report, report)} == {"same", "unsure"}
    assert (verdicts["p99_e2e"], verdicts["p50_e2e"], verdicts["extra_load"]) == ("better", "same", "worse")


@pytest.mark.parametrize(("name", "estimate", "text"), [
    ("success", Estimate(0.99987, n=10), "99.9870%"), ("success", Estimate(1.0, n=10), "100.00%"),
    ("p99_e2e", Estimate(None, n=1000), "never"), ("p99_e2e", Estimate(2.0, n=10, enough=False), "n too small"),
    ("p99_e2e", Estimate(None), "–"), ("saved_p99_e2e", Estimate(None, n=1000), "∞"), ("p50_e2e", None, "–"),
    ("usd_per_1000", Estimate(0.25, n=1), "0.2500"), ("max_e2e", Estimate(None, n=10), "never"),
])
def test_a_measure_as_text(name: str, estimate: Estimate | None, text: str) -> None:
    """Where there is no number, the text says why."""
    assert figure(name, estimate) == text


def test_an_interval_without_a_lower_end_has_minus_infinity() -> None:
    """The infinity has its sign."""
    assert figure("saved_p99_e2e", Estimate(1.0, None, 2.0, n=1000), interval=True) == "1.000 [−∞, 2.000]"


def test_a_success_rate_without_an_upper_end_has_100_percent() -> None:
    """A share cannot be more."""
    assert figure("success", Estimate(0.97, 0.96, None, n=1000), interval=True) == "97.00% [96.00%, 100.00%]"


def test_a_condition_against_the_baseline_is_not_for_the_baseline(report: Report) -> None:
    """The baseline has no savings; where it is the only arm, the condition does not hold."""
    conditions = bench.parse_conditions("saved_p99_e2e>1")

    assert bench.broken(report, conditions) == []
    assert len(bench.broken(Report(report.settings, report.arms[:1], [], {}), conditions)) == 1


FINITE, NEVER = Estimate(2.0, 1.8, 2.2, 2000), Estimate(None, 2.5, None, 2000)
PERHAPS = Estimate(None, 2.1, None, 2000)


@pytest.mark.parametrize(("before", "after", "verdict"), [
    (FINITE, NEVER, "worse"), (NEVER, FINITE, "better"), (NEVER, NEVER, "unsure"), (FINITE, PERHAPS, "unsure"),
])
def test_a_latency_that_becomes_infinite_is_worse(before: Estimate, after: Estimate, verdict: str) -> None:
    """It is unsure only where the intervals meet."""
    old, new = (Report({}, [ArmReport("x", {}, {"p99_e2e": one})], [], {}) for one in (before, after))

    assert next(one.verdict for one in bench.compare(old, new) if one.name == "p99_e2e") == verdict


def test_a_few_extra_requests_are_chance() -> None:
    """Of a thousand calls none had a second request, then four had: no difference that could be stated."""

    def report_of(retried: int) -> Report:
        sent = AttemptRow("m", "first", "won", sent=0.0)
        rows = [Row("x", number, number, number, ended=number + 1.0,
                    attempts=[sent] * (2 if number % 250 == 1 and number < 250 * retried else 1))
                for number in range(1000)]
        run = bench.Run([bench.ArmRun("x", {}, rows, 1000.0, 1, 0.0)], {}, {}, 0)
        return run.report()

    verdicts = {one.name: one.verdict for one in bench.compare(report_of(0), report_of(4))}

    assert (verdicts["attempts"], verdicts["extra_load"]) == ("same", "same")


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_of_the_answer_bounds_the_reserve(name: str) -> None:
    """Both names of the parameter are known."""
    step = ExplainedStep("m", "p", "", None, None, None, None, Price(input=0.0, output=1e6))

    assert reserve((step,), "hi", {name: 5}) == 5.0


def test_an_arm_can_be_written_on_one_line() -> None:
    """`parse_arm` reads what the command line takes."""
    arm = bench.parse_arm("hedged: chain=a,b hedge=p95/0.1 retry=1 deadline=none max_tokens=32 stream")
    call = {"chain": ["a", "b"], "hedge": {"after": "p95", "budget": 0.1}, "retry": {"attempts": 1}, "deadline": None,
            "max_tokens": 32}

    assert arm == Arm("hedged", call, stream=True)
    assert bench.parse_arm("plain: hedge=none chain=a").call == {"hedge": None, "chain": ["a"]}
    assert bench.parse_arm("worth: hedge=auto").call == {"hedge": {"after": "auto"}}


@pytest.mark.parametrize("name", [*USE_INSTEAD, *(f"{ours}x" for ours in ARGUMENTS)])
def test_an_arm_refuses_the_arguments_that_a_call_refuses(name: str) -> None:
    """Other clients' names, and typos of ours: a call would refuse them, or send them to the provider."""
    with pytest.raises(ValueError, match=r"not an? (argument|parameter)|did you mean|the word alone"):
        bench.parse_arm(f"x: {name}=1")


@pytest.mark.parametrize(("text", "message"), [
    ("chain=a,b", "expected NAME: key=value …, got 'chain=a,b'"), ("x: chain", "expected key=value, got 'chain'"),
    ("x: hedge=soon", "hedge: expected seconds, p95, auto or none, and a budget after a slash, got 'soon'"),
    ("x: hedge=p95/", "hedge: expected seconds, p95, auto or none, and a budget after a slash, got ''"),
    ("x: retry=twice", "retry: expected a number of tries, got 'twice'"),
])
def test_an_arm_written_wrongly_says_where(text: str, message: str) -> None:
    """The message has the word, and what was expected in its place."""
    with pytest.raises(ValueError) as raised:
        bench.parse_arm(text)

    assert str(raised.value) == message
