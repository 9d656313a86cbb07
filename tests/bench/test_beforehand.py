"""The arm that knows beforehand which answers of the first model will be bad: the best that a router could do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asyncrouter import bench
from asyncrouter.bench import Arm, Load, Scenario
from asyncrouter.bench.scenarios import prompt_of
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from random import Random

    from asyncrouter.sim import Seen, World

CHAIN = ["primary", "secondary"]
KNOWN = Arm("known", {"chain": CHAIN}, beforehand=True)


def every_third(act: Act) -> Scenario:
    """A scenario in which the first model does this with every third prompt, and else answers in 0.6 s."""

    def first(seen: Seen, _: Random) -> Act:
        number = int(prompt_of(seen).partition("]")[0].partition("-")[2])
        return Act(first_token=0.6) if number % 3 else act

    def furnish(world: World, _: bench.Day) -> None:
        world.model("primary", first)
        world.model("secondary", Act(first_token=0.7))

    return Scenario("every third", "", furnish)


@pytest.mark.parametrize("act", [
    Act(first_token=30.0), Act(first_token=0.5, gap=1.0, tokens=30), Act(status=503), Act(fault="hang", at="headers"),
    Act(fault="cut", at=1, tokens=3), Act(fault="stall", at=1, tokens=3, pause=20.0), Act(fault="refuse"),
    Act(fault="error", at=1, tokens=3),
], ids=["late", "slow", "503", "hang", "cut", "stall", "refused", "error"])
def test_a_bad_answer_is_never_waited_for(act: Act) -> None:
    """The second model is asked instead, at once, and no request is wasted."""
    [arm] = bench.run([KNOWN], Load.constant(1, calls=9), scenario=every_third(act)).arms

    assert [len(row.sent) for row in arm.rows] == [1] * 9
    assert [row.model for row in arm.rows] == ["secondary", "primary", "primary"] * 3
    assert [round(row.ended - row.scheduled, 3) for row in arm.rows] == [0.7, 0.6, 0.6] * 3


def test_an_ordinary_answer_is_taken_as_it_is() -> None:
    """On a healthy day one answer in 200 or so is exchanged: those that take longest."""
    [arm] = bench.run([KNOWN], Load.poisson(10, calls=1000), scenario="healthy", seed=1).arms

    exchanged = sum(row.model == "secondary" for row in arm.rows)
    assert 1 <= exchanged <= 12


@pytest.mark.parametrize("name", [
    "brown-out", "crawl", "mixed", "silent", "slow-answers", "slow-words", "stall", "thinking",
])
def test_no_arm_is_better(name: str) -> None:
    """In every scenario it answers at least as many calls as a hedge, and its p95 is at least as good."""
    hedged = Arm("hedged", {"chain": CHAIN, "hedge": "p95"})
    report = bench.run([hedged, Arm("known", {"chain": CHAIN}, beforehand=True)], Load.poisson(5, calls=150),
                       scenario=name).report()
    ours, best = ({key: arm.measures[key].value or 0.0 for key in ("success", "p95_e2e")} for arm in report.arms)

    assert ours["success"] <= best["success"]
    assert best["p95_e2e"] <= 1.02 * ours["p95_e2e"]


def test_the_last_model_of_a_chain_is_asked_whatever_is_known() -> None:
    """A chain of one model has nobody else to ask."""
    arm = Arm("known", {"chain": ["primary"], "retry": {"attempts": 1}}, beforehand=True)
    [run] = bench.run([arm], Load.constant(1, calls=3), scenario=every_third(Act(status=503))).arms

    assert [row.outcome for row in run.rows] == ["AllModelsFailed", "ok", "ok"]


def test_it_is_said_on_the_command_line_with_a_word() -> None:
    """`beforehand` stands alone, as `stream` does."""
    assert bench.parse_arm("best: chain=primary,secondary beforehand") == Arm("best", {"chain": CHAIN}, beforehand=True)
    with pytest.raises(ValueError, match="beforehand: expected the word alone, without a value"):
        bench.parse_arm("best: beforehand=true")


def test_real_answers_are_not_known_beforehand() -> None:
    """Without a scenario such an arm is refused, and the message says why."""
    with pytest.raises(ValueError, match="arm 'known': only in a scenario can an answer be known beforehand"):
        bench.run([KNOWN], Load.constant(1, calls=1))


def test_it_is_the_last_standard_arm() -> None:
    """The arms of a scenario end with what could be reached at best."""
    assert [arm.beforehand for arm in bench.standard()] == [False] * 6 + [True]
