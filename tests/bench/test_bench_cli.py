"""`asyncrouter bench`: runs, conditions, comparisons and replays from the command line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Router, bench
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from commandline import Desk

    from asyncrouter.sim import Clock

SCENARIO = ("bench", "run", "--scenario", "flaky", "--rate", "20", "--calls", "120")


def test_a_scenario_is_run_and_shown(desk: Desk) -> None:
    """A column for each standard arm, a row for each measure; the files are where it says."""
    done = desk.run(*SCENARIO, "--out", "report")

    assert (0, "") == (done.status, done.err)
    lines = done.out.splitlines()
    assert ["direct", "retry", "fallback", "hedge p95", "hedge 1.5 s"] == re.split(r" {2,}", lines[0])[1:]
    assert ["success", "mean", "p50"] == [line.split()[0] for line in lines[1:4]]
    assert {"report.html", "report.json", "requests.jsonl"} == {path.name for path in Path("report").iterdir()}


def test_conditions_decide_the_status(desk: Desk) -> None:
    """1 and the reason where one does not hold, 0 where all do."""
    arm = ("--arm", "plain: chain=primary,secondary")
    good = desk.run(*SCENARIO, *arm, "--assert", "success>0.9 and p50_e2e<5")
    bad = desk.run(*SCENARIO, *arm, "--assert", "p50_e2e<0.1", "--assert", "p99_e2e<9")

    assert (0, "") == (good.status, good.err)
    assert 1 == bad.status
    assert "plain: p50_e2e < 0.1 does not hold" in bad.err
    assert "p99_e2e < 9 cannot be said: n too small (120)" in bad.err


def test_a_configured_chain_is_measured(desk: Desk) -> None:
    """Without a scenario the configuration's own models are asked, here behind sockets on this machine."""
    for name in "ab":
        desk.world.model(name, Act(first_token=0.01))
    done = desk.run("bench", "run", "--arm", "a: model=a", "--arm", "b: model=b stream", "--rate", "200",
                    "--calls", "10")

    assert 0 == done.status
    assert (10, 10) == (len(desk.world.asked("a")), len(desk.world.asked("b")))


def test_nothing_is_sent_without_a_budget(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that is not on this machine costs money."""
    monkeypatch.setattr(Router, "chat", lambda *_, **__: pytest.fail("a call was made"))
    Path("asyncrouter.toml").unlink()
    done = desk.run("bench", "run", "--calls", "1")

    assert 2 == done.status
    assert "--budget-usd" in done.err


@pytest.mark.parametrize(("option", "told"), [
    (("--arm", "nonsense"), "NAME: key=value"), (("--assert", "speed<1"), "no measure"),
    (("--slo", "e2e:soon"), "float"),
    (("--assert", "p95<1"), "p95_e2e"), (("--concurrency", "2"), "--concurrency and --rate"),
    (("--local",), "--scenario"),
    (("--warmup", "500"), "leave nothing"), (("--rate", "0"), "above 0"), (("--arm", "x: hedge=-1 chain=a"), "hedge"),
])
def test_a_wrong_option_is_a_line_and_a_status(desk: Desk, option: tuple[str, ...], told: str) -> None:
    """2, and what was expected."""
    done = desk.run(*SCENARIO, *option)

    assert 2 == done.status
    assert told in done.err


def test_two_reports_are_compared(desk: Desk) -> None:
    """A worse one ends in 1 where that is asked for."""
    desk.run(*SCENARIO, "--arm", "x: chain=primary,secondary", "--out", "good")
    desk.run("bench", "run", "--scenario", "outage", "--calls", "120", "--arm", "x: chain=primary", "--out", "bad")
    done = desk.run("bench", "compare", "good", "bad", "--fail-if-worse")
    same = desk.run("bench", "compare", "good/report.json", "good", "--fail-if-worse")

    assert (1, 0) == (done.status, same.status)
    assert ["worse"] == [line.split()[-1] for line in done.out.splitlines() if "success" in line]


def test_recorded_calls_are_replayed(desk: Desk, clock: Clock) -> None:
    """A line for each hedge, and a warning where a model was hardly asked."""
    desk.world.model("a", *(Act(first_token=0.1 * number) for number in range(1, 61)))
    desk.world.model("b", Act(first_token=0.2))

    async def scene() -> None:
        with bench.JsonlTrace("trace.jsonl") as trace:
            transport = desk.world.transport()
            async with Router(desk.world.config(), transport=transport, listeners=[trace], wall=clock.wall) as router:
                for _ in range(60):
                    await router.chat("hi", chain=["a", "b"], hedge=5.0)

    clock.run(scene())
    done = desk.run("bench", "replay", "trace.jsonl", "--hedge", "none,p50,1.5", "--budget", "1")
    none, median, fixed = done.out.splitlines()[1:]

    assert 0 == done.status
    assert ("–" in none, "3.000 s" in median, "1.500 s" in fixed) == (True, True, True)
    assert "b was asked only" in done.err


def test_a_long_run_tells_how_far_it_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """On standard error, seldom: a line every few seconds where there is no terminal."""
    monkeypatch.setattr("asyncrouter.cli._bench_show.EVERY", 0.0)
    done = desk.run("bench", "run", "--scenario", "healthy", "--calls", "3", "--arm", "x: model=primary",
                    "--arm", "y: model=secondary")

    assert [f"{number} of 6 calls" for number in range(1, 7)] == [line.split(",")[0] for line in done.err.splitlines()]


def test_the_measures_are_listed(desk: Desk) -> None:
    """With what each one is."""
    done = desk.run("bench", "measures")

    assert list(bench.DEFINITIONS) == [line.split()[0] for line in done.out.splitlines()[1:]]


def test_the_scenarios_are_listed(desk: Desk) -> None:
    """With what happens in each."""
    done = desk.run("bench", "scenarios")

    assert set(bench.SCENARIOS) <= set(done.out.split())
