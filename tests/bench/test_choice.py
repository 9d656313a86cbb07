"""Which arm to choose: the Pareto front of quality, cost and latency, and the sentence that says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asyncrouter import bench
from asyncrouter.bench import Arm, Load, Report, Sample, Scenario, Scorer
from asyncrouter.bench.choice_text import choice_sentences, place
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

    from asyncrouter.bench import Day, Run
    from asyncrouter.sim import Seen, World

SAMPLES = [Sample(prompt=f"question {number}", expected="yes") for number in range(100)]
NAMES = ("primary", "secondary", "tertiary")


def answering(right: float, seconds: float) -> Callable[[Seen, Random], Act]:
    """A model that says "yes" to this share of the questions, spread evenly."""

    def act(seen: Seen, _: Random) -> Act:
        number = int(str(seen.body["messages"][0]["content"]).split()[-1])  # type: ignore[index]  # as asked below
        return Act(text="yes" if (number * 37) % 100 < 100 * right else "no", first_token=seconds)

    return act


def judged(
    models: dict[str, tuple[float, float, float]], good_enough: float | None = None, epochs: int = 1
) -> Run:
    """A run over models with a share of right answers, seconds, and a price each."""

    def furnish(world: World, day: Day) -> None:
        for name, (right, seconds, _) in models.items():
            world.model(name, answering(right, seconds))

    arms = [Arm(name, {"model": name}, {"models": {name: {
        "provider": "sim", "id": name, "usd_per_mtok": {"input": price, "output": price}}}})
        for name, (_, _, price) in models.items()]
    return bench.run(arms, Load.constant(5, calls=100 * epochs), scenario=Scenario("judged", "", furnish),
                     prompts=SAMPLES, scorers=[Scorer.exact()], good_enough=good_enough)


def stands(run: Run) -> dict[str, str]:
    choice = run.report().choice
    assert choice is not None
    return {name: place(choice, name) for name in (arm.name for arm in run.arms)}


def test_the_cheapest_of_those_that_answer_as_well_is_chosen() -> None:
    """A dearer and slower one that is not shown to answer better is beaten; a cheaper one that answers worse is not."""
    run = judged({"primary": (0.96, 1.0, 9.0), "secondary": (0.95, 0.5, 3.0), "tertiary": (0.6, 0.2, 1.0)})

    assert stands(run) == {"primary": "beaten: secondary is cheaper and faster, in nothing shown worse",
                           "secondary": "the choice",
                           "tertiary": "Pareto front, but shown to answer worse than the best"}


def test_the_sentences_say_which_why_and_how_sure() -> None:
    """With the interval, the number of prompts, and each other arm beside the chosen one."""
    run = judged({"primary": (0.96, 1.0, 9.0), "secondary": (0.95, 0.5, 3.0), "tertiary": (0.6, 0.2, 1.0)})
    report = run.report()
    assert report.choice is not None

    assert choice_sentences(report.choice, report.arms) == [
        "Choose secondary: 95.0% right over 100 prompts (95 % interval: 88.8% to 97.9%). Of the arms that answer as "
        "well as the best one, as far as 100 prompts can tell, it is the cheapest.",
        "primary beside secondary: no difference in quality could be shown; 1.0 points better (95 % interval: 1.7 "
        "points worse to 3.7 points better); dearer: $0.027 instead of $0.009 for 1,000 calls; slower at the median "
        "by 0.5 s (0.5 to 0.5).",
        "tertiary answers worse than secondary, by 35.0 points (24.9 to 43.8); cheaper: $0.003 instead of $0.009 "
        "for 1,000 calls; faster at the median by 0.3 s (0.3 to 0.3).",
    ]


def test_a_least_quality_decides_what_is_good_enough() -> None:
    """The cheapest whose whole interval lies above it; where that is unknown of all, none is chosen."""
    models = {"primary": (0.99, 1.0, 9.0), "secondary": (0.9, 0.5, 3.0), "tertiary": (0.6, 0.2, 1.0)}
    low, high, most = (judged(models, least).report() for least in (0.4, 0.8, 0.98))

    assert [report.choice.chosen for report in (low, high, most) if report.choice is not None] == [
        "tertiary", "secondary", None]
    assert most.choice is not None
    assert choice_sentences(most.choice, most.arms)[0] == (
        "No arm is shown to answer at least 98% right. The best one is primary: 99.0% right over 100 prompts (95 % "
        "interval: 94.5% to 99.8%).")
    assert place(most.choice, "primary") == "Pareto front, but not known to be good enough"


def test_equal_arms_are_not_told_apart() -> None:
    """Two of one kind stand both on the front, and no sentence says that one is better."""
    run = judged({"primary": (0.8, 0.5, 3.0), "secondary": (0.8, 0.5, 3.0)}, epochs=2)
    report = run.report()
    assert report.choice is not None

    assert stands(run) == {"primary": "the choice", "secondary": "Pareto front"}
    assert choice_sentences(report.choice, report.arms)[1] == (
        "secondary beside primary: no difference in quality could be shown; the same score (95 % interval: 1.9 points "
        "worse to 1.9 points better).")


@pytest.mark.parametrize("seed", range(4))
def test_the_built_in_sums_are_judged_rightly(seed: int) -> None:
    """Secondary answers as well as primary, within a point, and is cheaper; tertiary does not."""
    arms = [Arm(name, {"model": name}) for name in NAMES]
    run = bench.run(arms, Load.poisson(20, calls=200), scenario="sums", scorers=[Scorer.exact()], seed=seed)
    choice = run.report().choice

    assert choice is not None
    assert choice.chosen == "secondary"


def test_a_choice_is_read_again_as_it_was_written(tmp_path: Path) -> None:
    """report.json holds the front and every comparison."""
    run = judged({"primary": (0.96, 1.0, 9.0), "secondary": (0.6, 0.5, 3.0)})
    run.write(tmp_path)

    assert Report.read(tmp_path).choice == run.report().choice


def test_without_scorers_nothing_is_chosen() -> None:
    """A run that judges no answer has no quality and no choice; a least quality without scorers is refused."""
    run = bench.run([Arm("a", {"model": "primary"})], Load.constant(5, calls=10), scenario="healthy")

    assert run.report().choice is None
    with pytest.raises(ValueError, match=r"good_enough: expected scorers and a quality between 0 and 1, got 0\.9"):
        bench.run([Arm("a", {"model": "primary"})], Load.constant(5, calls=10), scenario="healthy", good_enough=0.9)
