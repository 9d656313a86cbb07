"""A finished run judged again: nothing is asked, and all but the scores stays as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter import bench
from asyncrouter.bench import Arm, Load, Report, Sample, Scenario, Scorer
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter.bench import Day
    from asyncrouter.sim import World
    from tests.helpers.commandline import Shell

SAMPLES = [Sample(prompt=f"question {number}", expected="yes", row={"level": number}) for number in range(20)]


def furnish(world: World, day: Day) -> None:
    world.model("primary", Act(text="yes", first_token=0.5))
    world.model("secondary", Act(text="well, yes", first_token=0.5), Act(status=400))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The directory of a run whose answers were judged exactly."""
    arms = [Arm("one", {"model": "primary"}), Arm("two", {"model": "secondary", "retry": {"attempts": 1}})]
    run = bench.run(arms, Load.constant(5, calls=20), scenario=Scenario("", "", furnish), prompts=SAMPLES,
                    scorers=[Scorer.exact()], slo={"e2e": 1.0})
    return run.write(tmp_path / "report")


def test_other_scorers_judge_the_same_answers(written: Path) -> None:
    """Scores and quality are new; every other measure, and when and where it ran, is what it was."""
    before = Report.read(written)
    bench.rescore(written, [Scorer.contains(), Scorer.function(lambda text, expected, row: row["level"] < 5,
                                                               name="easy")]).write(written)
    after = Report.read(written)
    kept = [orjson.loads(line) for line in (written / "answers.jsonl").read_bytes().splitlines()]
    old, new = ({name: one for name, one in report.arms[1].measures.items() if "score" not in name
                 and name not in {"quality", "cpu_ms"}} for report in (before, after))

    assert [arm.measures["score_contains"].value for arm in after.arms] == [1.0, 0.05]
    assert [arm.measures["quality"].value for arm in after.arms] == [0.25, 0.05]
    assert "score_exact" not in after.arms[0].measures
    assert new == old
    assert after.environment == before.environment
    assert kept[0]["scores"] == {"contains": 1.0, "easy": 1.0}
    assert len(kept) == 40


def test_the_command_judges_again(written: Path, shell: Shell) -> None:
    """It prints the table and the choice; a directory without answers is refused with the reason."""
    done = shell.run("bench", "score", str(written), "--score", "contains", "--good-enough", "0.8")
    (written / "answers.jsonl").unlink()
    bare = shell.run("bench", "score", str(written), "--score", "contains")
    none = shell.run("bench", "score", str(written))

    assert done.status == 0
    assert "Choose one: 100.0% right over 20 prompts (95 % interval: 83.9% to 100.0%)." in done.out
    assert bare.status == 2
    assert "answers.jsonl: there is no such file: only a run with --score or --keep-answers" in bare.err
    assert "--score: expected at least one" in none.err


def test_a_missing_expected_answer_is_refused(tmp_path: Path) -> None:
    """Also of a run that was not judged at first."""
    run = bench.run([Arm("one", {"model": "primary"})], Load.constant(5, calls=2),
                    scenario=Scenario("", "", furnish), prompts=["Name a river."], keep_answers=True)
    run.write(tmp_path)

    assert bench.rescore(tmp_path, [Scorer.regex("yes")]).report().arms[0].measures["quality"].value == 1.0
    with pytest.raises(ValueError, match=r"scorer exact: prompt 1 .* has no expected answer"):
        bench.rescore(tmp_path, [Scorer.exact()])
