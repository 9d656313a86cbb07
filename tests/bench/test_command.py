"""`asyncrouter bench`: runs, conditions, comparisons and replays from the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest

from asyncrouter import Router, bench
from asyncrouter.sim import Act
from tests.helpers.commandline import environment

if TYPE_CHECKING:
    from asyncrouter.sim import Clock
    from tests.helpers.commandline import Shell

SCENARIO = ("bench", "run", "--scenario", "flaky", "--rate", "20", "--calls", "120")


def test_a_scenario_is_run_and_shown(shell: Shell) -> None:
    """The table has a column for each standard arm, a row for each measure and its units; --out writes five files."""
    done = shell.run(*SCENARIO, "--out", "report")

    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert re.split(r" {2,}", lines[0])[1:] == [
        "direct", "retry", "fallback", "hedge p95", "hedge auto", "hedge 1.5 s", "known beforehand",
    ]
    assert [line.split()[0] for line in lines[1:4]] == ["success", "mean", "p50"]
    assert [line for line in lines if "times in seconds from the scheduled start" in line] != []
    assert {path.name for path in Path("report").iterdir()} == {
        "report.csv", "report.html", "report.json", "requests.csv", "requests.jsonl",
    }


def test_conditions_decide_the_status(shell: Shell) -> None:
    """Status 1 with the reason where a condition does not hold, 0 where all hold."""
    arm = ("--arm", "plain: chain=primary,secondary")
    good = shell.run(*SCENARIO, *arm, "--assert", "success>0.9 and p50_e2e<5")
    bad = shell.run(*SCENARIO, *arm, "--assert", "p50_e2e<0.1", "--assert", "p99_e2e<9")

    assert (good.status, good.err) == (0, "")
    assert bad.status == 1
    assert "plain: p50_e2e < 0.1 does not hold" in bad.err
    assert "p99_e2e < 9 cannot be checked: n too small (120)" in bad.err


def test_a_configured_chain_is_measured(shell: Shell) -> None:
    """Without a scenario the models of the configuration are asked, here behind sockets on this machine."""
    for name in "ab":
        shell.world.model(name, Act(first_token=0.01))
    done = shell.run("bench", "run", "--arm", "a: model=a", "--arm", "b: model=b stream", "--rate", "200",
                    "--calls", "10")

    assert done.status == 0
    assert (len(shell.world.asked("a")), len(shell.world.asked("b"))) == (10, 10)


def test_nothing_is_sent_without_a_budget(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that is not on this machine needs --budget-usd."""
    monkeypatch.setattr(Router, "chat", lambda *_, **__: pytest.fail("a call was made"))
    Path("asyncrouter.toml").unlink()
    done = shell.run("bench", "run", "--calls", "1")

    assert done.status == 2
    assert "--budget-usd" in done.err


@pytest.mark.parametrize(("option", "message"), [
    (("--arm", "nonsense"), "NAME: key=value"), (("--assert", "speed<1"), "no measure"),
    (("--slo", "e2e:soon"), "--slo e2e: expected seconds, got 'soon'"),
    (("--slo", "e2e:nan"), "slo: e2e: expected seconds above 0, got nan"), (("--warmup", "-1"), "--warmup"),
    (("--burstiness", "2"), "--burstiness is for --arrival gamma"),
    (("--duration", "inf"), "seconds: expected a number above 0, got inf"),
    (("--max-error-rate", "5"), "--max-error-rate"), (("--arm", "x: 'y"), "No closing quotation in the arm"),
    (("--arrival", "constant", "--recorded", "asyncrouter.toml"), "--recorded and --"),
    (("--assert", "p95<1"), "p95_e2e"), (("--concurrency", "2"), "--concurrency and --rate"),
    (("--local",), "--scenario"),
    (("--seed", "-1"), "seed"), (("--budget-usd", "nan"), "budget_usd"), (("--budget-usd", "inf"), "budget_usd"),
    (("--budget-usd", "-1"), "budget_usd"), (("--max-errors", "0"), "errors"),
    (("--arm", "x: model=primary stream=true"), "the word alone"), (("--arm", "x: messages=hi"), "messages"),
    (("--arm", "x: accept=true"), "accept"), (("--arm", "x: modle=primary"), "did you mean model="),
    (("--warmup", "500"), "leave nothing"),
    (("--rate", "0"), "'--rate': 0.0 is not in the range x>0"), (("--arm", "x: hedge=-1 chain=a"), "hedge"),
])
def test_a_wrong_option_is_a_usage_error(shell: Shell, option: tuple[str, ...], message: str) -> None:
    """Status 2, and a message that says what was expected."""
    done = shell.run(*SCENARIO, *option)

    assert done.status == 2
    assert message in done.err


def test_a_call_that_failed_breaks_limits_on_mean_and_maximum(shell: Shell) -> None:
    """Its latency is infinite, which is below no limit."""
    done = shell.run("bench", "run", "--scenario", "outage", "--calls", "60", "--arm", "direct: model=primary retry=1",
                    "--assert", "max_e2e<5 and mean_e2e<3")

    assert done.status == 1
    assert "direct: max_e2e < 5 does not hold: never" in done.err
    assert "direct: mean_e2e < 3 does not hold: never" in done.err


def test_the_table_is_followed_by_what_failed(shell: Shell) -> None:
    """One line for each arm with failures says how many, and of which classes."""
    done = shell.run("bench", "run", "--scenario", "healthy", "--calls", "3", "--arm", "a: model=primray",
                    "--arm", "b: model=primary")

    assert done.out.splitlines()[-1] == "a: 3 of 3 calls failed: AllModelsFailed 3; attempts: NotSent 2, Rejected 1"


@pytest.mark.parametrize("option", [("--assert", "x: success>0"), ("--out", "asyncrouter.toml/report")])
def test_what_cannot_be_checked_or_written_is_refused_before_a_call(shell: Shell, option: tuple[str, str]) -> None:
    """For a condition on an unknown arm, or a directory that cannot be made, nothing is sent."""
    shell.world.model("a", Act(first_token=0.01))
    done = shell.run("bench", "run", "--arm", "a: model=a", "--calls", "2", *option)

    assert (done.status != 0, len(shell.world.asked("a"))) == (True, 0)
    assert "Traceback" not in done.err


@pytest.mark.parametrize(("package", "options"), [("numpy", []), ("plotly", ["--out", "report"])])
def test_a_missing_package_is_found_before_a_call(tmp_path: Path, package: str, options: list[str]) -> None:
    """The message says what to install (in a process of its own: modules are imported only once)."""
    code = (f"import sys; sys.modules[{package!r}] = None; from asyncrouter import Router; Router.chat = None; "
            "from asyncrouter.cli import main; sys.exit(main())")
    done = subprocess.run(
        [sys.executable, "-c", code, "bench", "run", "--scenario", "healthy", "--calls", "2", *options], cwd=tmp_path,
        capture_output=True, text=True, timeout=60, check=False, env=environment(),
    )

    assert done.returncode == 2
    assert "pip install 'asyncrouter[bench]'" in done.stderr


@pytest.mark.parametrize(("options", "reason"), [
    (("--max-errors", "2"), "2 calls have failed"), (("--budget-usd", "0.00001"), "could be exceeded"),
])
def test_a_run_that_was_stopped_ends_in_1(shell: Shell, options: tuple[str, str], reason: str) -> None:
    """The reason is on standard error."""
    done = shell.run("bench", "run", "--scenario", "outage", "--calls", "60", "--arm", "x: model=primary retry=1",
                    *options)

    assert done.status == 1
    assert reason in done.err


def test_prompts_that_are_not_utf_8_name_the_file(shell: Shell) -> None:
    """The message names the file and what was expected, without a traceback."""
    Path("prompts.txt").write_bytes(b"\xff\xfe")
    done = shell.run(*SCENARIO, "--prompts", "prompts.txt")

    assert done.status == 2
    assert "prompts.txt: expected UTF-8" in done.err


def test_limits_may_be_milliseconds(shell: Shell) -> None:
    """`--slo` takes seconds or milliseconds, as other harnesses write them."""
    done = shell.run(*SCENARIO, "--slo", "TTFT:500ms, e2e:8s,tpot:0.1", "--out", "report")

    assert done.status == 0
    assert bench.Report.read("report").settings["slo"] == {"ttft": 0.5, "e2e": 8.0, "tpot": 0.1}


def test_a_file_of_blank_prompts_is_refused(shell: Shell) -> None:
    """The default prompt in their place would measure something else."""
    Path("prompts.txt").write_text(" \n\n", encoding="utf-8")
    done = shell.run(*SCENARIO, "--prompts", "prompts.txt")

    assert done.status == 2
    assert "--prompts prompts.txt: expected a prompt a line, found none" in done.err


@pytest.mark.parametrize("text", ['{"schema_version":1}', "[]", "no JSON", '{"schema_version":0}'])
def test_a_file_that_is_no_report_is_named(shell: Shell, text: str) -> None:
    """The message names the file, whatever is wrong with it."""
    Path("other.json").write_text(text, encoding="utf-8")
    done = shell.run("bench", "compare", "other.json", "other.json")

    assert done.status == 2
    assert "other.json: no report of schema 1" in done.err


@pytest.mark.parametrize("options", [
    ("--duration", "1", "--warmup", "100"), ("--recorded", "empty.jsonl"),
    ("--concurrency", "1", "--duration", "1", "--warmup", "100"),
])
def test_a_run_that_measures_nothing_is_an_error(shell: Shell, options: tuple[str, ...]) -> None:
    """Status 2 instead of an empty table and 0."""
    Path("empty.jsonl").touch()
    done = shell.run("bench", "run", "--scenario", "healthy", *options)

    assert done.status == 2
    assert "measure" in done.err


def test_ctrl_c_in_a_scenario_says_so(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status 130, and one message."""
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "run", interrupt, raising=False)
    done = shell.run(*SCENARIO)

    assert done.status == 130
    assert "stopped" in done.err


def test_ctrl_c_before_the_first_answer_says_so(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status 130, and a message that does not speak of scenarios."""
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "run", interrupt, raising=False)
    done = shell.run("bench", "run", "--arm", "a: model=a", "--calls", "2")

    message = "asyncrouter: stopped before every arm had an answer: there is nothing to show\n"
    assert (done.status, done.err) == (130, message)


def test_two_reports_are_compared(shell: Shell) -> None:
    """With --fail-if-worse the status is 1 when a measure is worse by more than chance."""
    outage = ("bench", "run", "--scenario", "outage", "--calls", "400", "--arm")
    shell.run(*outage, "x: chain=primary,secondary", "--out", "good")
    shell.run(*outage, "x: chain=primary", "--seed", "1", "--out", "bad")
    done = shell.run("bench", "compare", "good", "bad", "--fail-if-worse")
    same = shell.run("bench", "compare", "good/report.json", "good", "--fail-if-worse")

    assert (done.status, same.status) == (1, 0)
    assert [line.split()[-1] for line in done.out.splitlines() if " p95_e2e " in line] == ["worse"]


def test_recorded_calls_are_replayed(shell: Shell, clock: Clock) -> None:
    """A line for each hedge, and a warning where a model was seldom asked."""
    shell.world.model("a", *(Act(first_token=0.1 * number) for number in range(1, 61)))
    shell.world.model("b", Act(first_token=0.2))

    async def main() -> None:
        with bench.JsonlTrace("trace.jsonl") as trace:
            transport = shell.world.transport()
            async with Router(shell.world.config(), transport=transport, listeners=[trace], wall=clock.wall) as router:
                for _ in range(60):
                    await router.chat("hi", chain=["a", "b"], hedge=5.0)

    clock.run(main())
    done = shell.run("bench", "replay", "trace.jsonl", "--hedge", "none,p50,1.5", "--budget", "1")
    recorded, none, median, fixed = done.out.splitlines()[1:]

    assert done.status == 0
    assert recorded.split()[:7] == ["as", "recorded", "–", "100.00%", "[93.98%,", "100.00%]", "3.000"]
    assert ("–" in none, "3.000 s" in median, "1.500 s" in fixed) == (True, True, True)
    assert "b was asked only" in done.err


def test_a_quantile_that_was_not_observed_leaves_the_other_policies(shell: Shell) -> None:
    """A policy that the recording cannot answer for is left out with a warning; the others are shown."""
    slow, answer = {"model": "a", "cause": "first", "outcome": "superseded", "sent": 0.0, "ended": 3.0}, {
        "model": "b", "cause": "hedge", "outcome": "won", "sent": 2.0, "first": 3.0, "ended": 4.0}
    quick = {"model": "a", "cause": "first", "outcome": "won", "sent": 0.0, "first": 1.0, "ended": 2.0}
    with Path("trace.jsonl").open("wb") as file:
        for number in range(60):
            attempts = [slow, answer] if number % 10 == 0 else [quick]
            file.write(orjson.dumps({"schema_version": 1, "started": float(number), "seconds": 1.0, "task": None,
                                     "error": None, "attempts": attempts}) + b"\n")
    done = shell.run("bench", "replay", "trace.jsonl", "--hedge", "p50,p98", "--budget", "1")

    assert (done.status, len(done.out.splitlines())) == (0, 3)
    assert "left out: p98 of a was not observed" in done.err


def test_each_task_is_replayed_apart(shell: Shell) -> None:
    """Two tasks with chains of their own: a table for each, none with a chain that never was; --task chooses one."""
    quick = {"cause": "first", "outcome": "won", "sent": 0.0, "first": 0.5, "ended": 1.0}
    with Path("trace.jsonl").open("wb") as file:
        for number in range(100):
            task, model = ("chat", "a") if number % 4 else ("code", "b")
            file.write(orjson.dumps({"schema_version": 1, "started": float(number), "seconds": 1.0, "task": task,
                                     "error": None, "attempts": [{**quick, "model": model}]}) + b"\n")
    both, one, wrong = (shell.run("bench", "replay", "trace.jsonl", "--hedge", "none", *more)
                        for more in ((), ("--task", "code"), ("--task", "cod")))

    assert [line.split("  ")[0] for line in both.out.splitlines()] == [
        "task chat", "policy", "as recorded", "a, no hedge", "", "task code", "policy", "as recorded", "b, no hedge"]
    assert [line.split("  ")[0] for line in one.out.splitlines()] == ["policy", "as recorded", "b, no hedge"]
    assert (wrong.status, "no call of this task was recorded, but of: chat, code" in wrong.err) == (2, True)


def test_replay_takes_names_with_spaces_and_refuses_impossible_limits(shell: Shell) -> None:
    """`--order "a, b"` means a and b; an impossible limit is refused with its name and value."""
    attempt = {"model": "a", "cause": "first", "outcome": "won", "sent": 0.0, "first": 1.0, "ended": 1.0}
    line = {"schema_version": 1, "started": 0.0, "seconds": 1.0, "task": None, "error": None,
            "attempts": [attempt, {**attempt, "model": "b"}]}
    Path("trace.jsonl").write_bytes(orjson.dumps(line))
    done, limit, budget = (
        shell.run("bench", "replay", "trace.jsonl", "--hedge", "none", *more)
        for more in (("--order", "b, a"), ("--total", "-5"), ("--budget", "0"))
    )

    assert (done.status, "b → a" in done.out) == (0, True)
    assert (limit.status, "total: expected seconds above 0, got -5.0" in limit.err) == (2, True)
    assert (budget.status, "budget: expected hedges a call, above 0, got 0.0" in budget.err) == (2, True)


def test_a_long_run_shows_its_progress(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """On standard error: a line every few seconds where there is no terminal."""
    monkeypatch.setattr("asyncrouter.cli._bench_output.LINE_INTERVAL", 0.0)
    done = shell.run("bench", "run", "--scenario", "healthy", "--calls", "3", "--arm", "x: model=primary",
                    "--arm", "y: model=secondary")

    assert [line.split(",")[0] for line in done.err.splitlines()] == [f"{number} of 6 calls" for number in range(1, 7)]


def test_the_measures_are_listed(shell: Shell) -> None:
    """`bench measures` names every one, in order, with what it is."""
    done = shell.run("bench", "measures")

    assert [line.split()[0] for line in done.out.splitlines()[1:]] == list(bench.DEFINITIONS)


def test_the_scenarios_are_listed(shell: Shell) -> None:
    """`bench scenarios` names every one, with what happens in it."""
    done = shell.run("bench", "scenarios")

    assert set(bench.SCENARIOS) <= set(done.out.split())
