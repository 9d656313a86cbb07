"""Figures of streamed answers: tokens a second, time per output token, gaps between contents, goodput, CSV."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from asyncrouter import bench
from asyncrouter.bench import Arm, Load, Scenario
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter.bench import Day, Run
    from asyncrouter.sim import World


def paced(world: World, _: Day) -> None:
    world.model("primary", Act(tokens=5, first_token=0.5, gap=0.1))


SCENARIO = Scenario("paced", "", paced)
ARMS = [Arm(name, {"chain": ["primary"], "retry": {"attempts": 1}}, stream=name == "stream")
        for name in ("stream", "chat")]


@pytest.fixture(scope="module")
def run() -> Run:
    return bench.run(ARMS, Load.constant(20, calls=200), scenario=SCENARIO, slo={"ttft": 0.6, "e2e": 1.0})


def values(run: Run, arm: int, *names: str) -> list[float | None]:
    measures = run.report().arms[arm].measures
    return [None if (one := measures[name].value) is None else round(one, 4) for name in names]


def test_tokens_and_gaps_are_as_everybody_defines_them(run: Run) -> None:
    """Five tokens, the first after 0.5 s and then one each 0.1 s: TPOT and ITL are 0.1 s, ten tokens a second."""
    figures = values(run, 0, "p50_ttft", "p50_tpot", "p50_itl", "p95_itl", "p50_tokens_per_second",
                     "mean_output_tokens")

    assert figures == [0.5, 0.1, 0.1, 0.1, 10.0, 5.0]


def test_rates_count_all_calls_until_the_last_one_ended(run: Run) -> None:
    """200 calls of 5 tokens, one each 0.05 s, the last one from 9.95 to 10.85 s."""
    seconds = max(row.ended for row in run.arms[0].rows)
    figures = values(run, 0, "achieved_rate", "output_tokens_per_second", "goodput", "goodput_share")

    assert seconds == pytest.approx(10.85, abs=0.02)
    assert figures == [round(200 / seconds, 4), round(1000 / seconds, 4), round(200 / seconds, 4), 1.0]


def test_whole_answers_have_no_gaps(run: Run) -> None:
    """An arm that is not streamed has no gaps to measure; its TPOT is known all the same."""
    chat = run.report().arms[1].measures

    assert (chat["p50_itl"].value, chat["p50_itl"].n) == (None, 0)
    assert values(run, 1, "p50_tpot") == [0.1]


def test_reads_are_not_batched() -> None:
    """With 40 answers in flight each call is read as its tokens come: it ends when its last one does."""
    [arm] = bench.run(ARMS[1:], Load.constant(50, calls=100), scenario=SCENARIO).arms

    assert arm.peak >= 40
    assert {round(row.ended - row.started, 3) for row in arm.rows} == {0.9}


def test_goodput_needs_limits() -> None:
    """Without --slo there is no goodput; a condition on it says that it cannot be checked."""
    report = bench.run(ARMS[1:], Load.constant(20, calls=20), scenario=SCENARIO).report()

    assert "goodput" not in report.arms[0].measures
    assert bench.broken(report, bench.parse_conditions("goodput>1")) == [
        "chat: goodput > 1 cannot be checked: there is no such figure here"]


def test_csv(run: Run, tmp_path: Path) -> None:
    """requests.csv has a line for each call, report.csv one for each measure of each arm."""
    run.write(tmp_path)
    calls, figures = (list(csv.DictReader((tmp_path / name).read_text().splitlines()))
                      for name in ("requests.csv", "report.csv"))
    measures = {(line["arm"], line["measure"]): line["value"] for line in figures}

    assert len(calls) == 400
    assert {name: calls[0][name] for name in ("arm", "outcome", "model", "requests", "tpot", "output_tokens")} == {
        "arm": "stream", "outcome": "ok", "model": "primary", "requests": "1", "tpot": "0.1", "output_tokens": "5"}
    assert measures["stream", "success"] == "1.0"


def test_a_name_is_no_formula(tmp_path: Path) -> None:
    """A spreadsheet does not run the name of an arm."""
    arm = Arm("=1+1", {"chain": ["primary"]})
    bench.run([arm], Load.constant(20, calls=20), scenario=SCENARIO).write(tmp_path)

    assert (tmp_path / "requests.csv").read_text().splitlines()[1].startswith("'=1+1,0,")
