"""Which model is good enough: scores of a run, with errors clustered by prompt, and answers that are kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter import bench
from asyncrouter.bench import Arm, Load, Row, Sample, Scenario, Scorer
from asyncrouter.bench.clustered import difference, mean_score
from asyncrouter.bench.quality import quality_measures
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from asyncrouter.bench import Day
    from asyncrouter.sim import World
    from tests.helpers.commandline import Shell

MODELS = [Arm(name, {"model": name, "retry": {"attempts": 1}}) for name in ("primary", "secondary", "tertiary")]


def saying(**texts: str | Act) -> Scenario:
    """A scenario in which each model always says the same."""

    def furnish(world: World, day: Day) -> None:
        for name, text in texts.items():
            world.model(name, text if isinstance(text, Act) else Act(text=text, first_token=0.5))

    return Scenario("saying", "", furnish)


def test_a_failed_check_is_no_failed_call() -> None:
    """Wrong answers lower the quality, not the success; a call that failed counts as 0 in the quality, too."""
    scenario = saying(primary="4", secondary="five", tertiary=Act(status=500))
    run = bench.run(MODELS, Load.constant(2, calls=10), scenario=scenario,
                    prompts=[Sample(prompt="2 + 2?", expected="4")], scorers=[Scorer.exact(), Scorer.regex(r"^\w+$")])
    found = [[arm.measures[name].value for name in ("success", "quality", "score_exact", "score_regex")]
             for arm in run.report().arms]

    assert found == [[1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]]


def test_each_prompt_is_asked_in_each_epoch_as_it_stands() -> None:
    """Call k asks prompt k modulo their number, with its own parameters; an arm's replace them."""
    samples = [Sample(prompt=f"Say {word}.", expected=word, parameters={"max_tokens": 1}) for word in ("a", "b", "c")]
    scenario = saying(primary="a b c", secondary="a b c")
    arms = [MODELS[0], Arm("longer", {"model": "secondary", "max_tokens": 2})]
    run = bench.run(arms, Load.constant(2, calls=6), scenario=scenario, prompts=samples, scorers=[Scorer.contains()])

    assert [(row.prompt, row.answer, row.scores["contains"]) for row in run.arms[0].rows] == [
        (0, "a", 1.0), (1, "a", 0.0), (2, "a", 0.0)] * 2
    assert [row.answer for row in run.arms[1].rows] == ["a b"] * 6


def test_an_answer_is_as_good_as_its_worst_check() -> None:
    """Grades are not averaged over scorers; what one scorer could not judge is left out of the quality."""
    rows = [Row("arm", 0, 0.0, 0.0, prompt=0, scores={"a": 1.0, "b": 0.5}),
            Row("arm", 1, 0.0, 0.0, prompt=1, scores={"a": 0.0, "b": None}),
            Row("arm", 2, 0.0, 0.0, prompt=2, scores={"a": 1.0, "b": 1.0})]
    found = quality_measures(rows, ["a", "b"])

    assert {name: (one.value, one.n) for name, one in found.items()} == {
        "quality": (0.75, 2), "score_a": (2 / 3, 3), "score_b": (0.75, 2)}


def test_epochs_of_equal_answers_say_no_more_than_one() -> None:
    """Three calls that always agree have the interval of one; three that vary freely have a narrower one."""
    once = [(prompt, float(prompt % 4 > 0)) for prompt in range(100)]
    thrice = [(prompt, value) for prompt, value in once for _ in range(3)]
    varied = [(prompt, float((prompt + epoch * 25) % 4 > 0)) for prompt in range(100) for epoch in range(3)]
    first, same, free = (mean_score(values) for values in (once, thrice, varied))

    assert (round(first.low or 0.0, 3), round(first.high or 0.0, 3)) == (0.656, 0.825)
    assert (same.low, same.high) == (first.low, first.high)
    assert (free.high or 0.0) - (free.low or 0.0) < 0.7 * ((first.high or 0.0) - (first.low or 0.0))


def test_without_any_wrong_answer_there_is_still_an_interval() -> None:
    """Twenty right answers of twenty prompts: Wilson's interval, however often each was asked."""
    found = mean_score([(prompt, 1.0) for prompt in range(20) for _ in range(5)])

    assert (found.value, round(found.low or 0.0, 3), found.high, found.n) == (1.0, 0.839, 1.0, 100)


def test_a_difference_is_paired_by_prompt() -> None:
    """Twenty prompts won and five lost of a hundred are a difference; the same of unequal ones is none."""
    ours = [(prompt, float(prompt < 80)) for prompt in range(100)]
    theirs = [(prompt, float(20 <= prompt < 85)) for prompt in range(100)]
    clear, none = difference(ours, theirs, scale=1.0), difference(ours, ours, scale=1.0)

    assert clear is not None
    assert none is not None
    assert (round(clear.value, 2), round(clear.low, 3), round(clear.high, 3)) == (0.15, 0.053, 0.241)
    assert (clear.p < 0.01, none.p, none.low < 0.0 < none.high) == (True, 1.0, True)
    assert difference(ours[:1], theirs, scale=1.0) is None


def test_the_command_judges_three_models(shell: Shell) -> None:
    """One arm a model, a line for each scorer, and every answer beside its prompt in a file."""
    done = shell.run("bench", "run", "--scenario", "sums", "--models", "primary,secondary,tertiary", "--score", "exact",
                     "--score", "form=regex:^[0-9]+$", "--rate", "50", "--out", "report")
    lines = {line.split("  ")[0]: re.split(r" {2,}", line)[1:] for line in done.out.splitlines() if "  " in line}
    kept = [orjson.loads(line) for line in Path("report/answers.jsonl").read_bytes().splitlines()]

    assert done.status == 0
    assert lines["exact"] == ["94.5%", "95.5%", "69.0%"]
    assert lines["form"] == ["98.0%", "97.5%", "83.0%"]
    assert "\nChoose secondary: 95.5% right over 200 prompts (95 % interval: 91.7% to 97.6%)." in done.out
    assert len(kept) == 600
    assert (kept[2]["arm"], kept[2]["expected"], kept[2]["answer"]) == ("tertiary", "1117", "The sum is 1116.")
    assert kept[2]["scores"] == {"exact": 0.0, "form": 0.0}


@pytest.mark.parametrize(("options", "message"), [
    (("--score", "regex:(",), "scorer regex: not a regular expression: '('"), (("--epochs", "3"), "--epochs: expected"),
    (("--prompts", "p.txt", "--score", "exact"), "scorer exact: prompt 1 has no expected answer"),
    (("--prompts", "p.txt", "--synthetic", "9:9"), "--prompts and --synthetic: one or the other"),
    (("--shared-prefix", "9"), "--shared-prefix is for --synthetic"), (("--synthetic", "9"), "--synthetic 9: expected"),
    (("--dataset", "p.txt", "--epochs", "2", "--calls", "9"), "--epochs and --calls: one or the other"),
    (("--models", "a,,b"), "--models: expected names with commas between them, got 'a,,b'"),
])
def test_what_cannot_be_judged_is_a_usage_error(shell: Shell, options: tuple[str, ...], message: str) -> None:
    """Before anything is asked, with the value and the cure."""
    Path("p.txt").write_text("Name a river.\n", encoding="utf-8")
    done = shell.run("bench", "run", "--scenario", "healthy", *options)

    assert (done.status, done.out) == (2, "")
    assert message in done.err


def test_models_behind_sockets_are_judged(shell: Shell) -> None:
    """In real time, with a data set of messages and a function; asked again without scorers, a cache is warned of."""
    for name, text in (("a", "4"), ("b", "four")):
        shell.world.model(name, Act(text=text))
    Path("sums.jsonl").write_bytes(b"".join(orjson.dumps({
        "messages": [{"role": "user", "content": f"{number} + 1?"}], "expected": str(number + 1), "max_tokens": 5,
    }) + b"\n" for number in range(1, 5)))
    Path("checks.py").write_text("async def digits(text):\n    return text.isdigit()\n", encoding="utf-8")
    common = ("bench", "run", "--models", "a,b", "--dataset", "sums.jsonl", "--rate", "200")
    judged = shell.run(*common, "--score", "exact", "--score", "checks.py:digits", "--json")
    again = shell.run(*common, "--calls", "8")
    arms = {arm["name"]: arm["measures"] for arm in orjson.loads(judged.out)["arms"]}

    assert judged.status == 0
    assert [arms[name]["score_exact"]["value"] for name in "ab"] == [0.25, 0.0]
    assert [arms[name]["score_digits"]["value"] for name in "ab"] == [1.0, 0.0]
    assert len(shell.world.asked("a")) == 12
    assert shell.world.asked("a")[0].body["max_tokens"] == 5
    assert "each of the 4 prompts was asked 2 times: a cache may have made it faster" in again.err
