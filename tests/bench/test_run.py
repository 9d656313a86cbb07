"""Arms under one load: paired, seeded, stopped in time, and measured as the definitions say."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import asdict
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from asyncrouter import ConfigError, Router, bench
from asyncrouter.bench import Arm, Load, Scenario, Stop
from asyncrouter.sim import Act, World

if TYPE_CHECKING:
    from asyncrouter.bench import Day, Progress, Row, Run

DIRECT = Arm("direct", {"chain": ["primary"], "retry": {"attempts": 1}})
CHAIN = Arm("chain", {"chain": ["primary", "secondary"], "retry": {"attempts": 1}})
HEDGED = Arm("hedged", {"chain": ["primary", "secondary"], "hedge": {"after": 1.0, "budget": 1.0}})


def scripted(*, primary: Act, secondary: Act | None = None) -> Scenario:
    """A scenario in which the models always do the same."""

    def furnish(world: World, day: Day) -> None:
        world.model("primary", primary)
        world.model("secondary", secondary or Act(first_token=0.5))

    return Scenario("scripted", "", furnish)


def value(run: Run, arm: int, name: str) -> float | None:
    return run.report().arms[arm].measures[name].value


def test_arms_are_paired() -> None:
    """Prompts, instants and what a model does are the same for every arm, however often another arm asks it."""
    again = Arm("again", {"chain": ["primary"], "retry": {"attempts": 3}})
    run = bench.run([DIRECT, again], Load.poisson(10, calls=100), scenario="flaky", seed=3)
    plain, retried = (arm.rows for arm in run.arms)
    untouched = [(a, b) for a, b in zip(plain, retried, strict=True) if len(b.sent) == 1]

    assert [row.scheduled for row in plain] == [row.scheduled for row in retried]
    assert 50 < len(untouched) < 100
    assert all(a.first == b.first for a, b in untouched)


def test_a_seed_fixes_a_run() -> None:
    """Two runs with one seed are equal to the last digit; another seed gives another run."""
    one, same, other = (
        [asdict(row) for row in bench.run([HEDGED], Load.poisson(10, calls=40), scenario="flaky", seed=seed).rows()]
        for seed in (1, 1, 2)
    )

    assert one == same
    assert one != other


def test_latency_counts_from_the_scheduled_start() -> None:
    """Calls that wait for a cap are late by their wait, though each takes no longer than usual."""
    load = Load.constant(2, calls=4, cap=1)
    run = bench.run([DIRECT], load, scenario=scripted(primary=Act(first_token=1.0)))

    assert [row.ended - row.scheduled for row in run.rows()] == [1.0, 1.5, 2.0, 2.5]
    assert (value(run, 0, "p50_service"), value(run, 0, "p50_e2e")) == (1.0, 1.5)
    assert [row.capped for row in run.rows()] == [False, True, True, True]
    assert "waited for the cap of 1" in run.warnings[0]


def test_a_failed_call_never_answered() -> None:
    """Its latency is infinite, not left out: with one failure in four, p90 has no number."""
    day = Scenario("", "", lambda world, _: world.model("primary", Act(), Act(status=400), Act()) and None)
    run = bench.run([DIRECT], Load.constant(1, calls=4), scenario=day)
    [arm] = run.report().arms

    assert (arm.measures["success"].value, arm.measures["p90_e2e"].value) == (0.75, None)
    assert (arm.errors, arm.attempt_errors) == ({"AllModelsFailed": 1}, {"Rejected": 1})


def test_an_arm_that_names_no_chain_has_all_models_of_the_day() -> None:
    """The default task has them in the order of the scenario."""
    day = scripted(primary=Act(status=500), secondary=Act(status=500))
    run = bench.run([Arm("plain")], Load.constant(1, calls=1), scenario=day)

    models = [one.model for one in run.arms[0].rows[0].attempts]
    assert models == ["primary", "primary", "secondary", "secondary", "tertiary"]


def test_hedges_are_counted() -> None:
    """Hedges fired, won, and denied for lack of budget, and the load they add."""
    arm = Arm("hedged", {"chain": ["primary", "secondary"], "hedge": {"after": 1.0, "budget": 0.001}})
    run = bench.run([arm], Load.constant(0.1, calls=20), scenario=scripted(primary=Act(first_token=5.0)))

    assert tuple(value(run, 0, f"hedges_{name}") for name in ("fired", "won", "denied")) == (0.5, 1.0, 0.5)
    assert (value(run, 0, "extra_load"), value(run, 0, "attempts")) == (0.5, 1.5)
    assert run.report().arms[0].served_by == {"primary": 0.5, "secondary": 0.5}


def test_warm_up_is_not_measured() -> None:
    """Its calls are made and kept, and are in no measure."""
    run = bench.run([DIRECT], Load.constant(1, calls=10), scenario="healthy", warmup=4)

    assert (len(run.rows()), value(run, 0, "calls")) == (10, 6)
    assert [row.warmup for row in run.rows()] == [True] * 4 + [False] * 6


def test_saved_seconds_are_paired_with_the_baseline() -> None:
    """A hedge that answers at 1.5 s instead of 5 s saves 3.5 s in each of the calls before its model is demoted."""
    day = scripted(primary=Act(first_token=5.0))
    run = bench.run([DIRECT, HEDGED], Load.constant(1, calls=20), scenario=day)
    saved = run.report().arms[1].measures["saved_mean"]

    assert (saved.value, saved.low, saved.high) == (3.5, 3.5, 3.5)


def test_a_closed_loop_keeps_its_workers_busy() -> None:
    """Two workers and answers of a second make two calls a second, and a warning about the latencies."""
    run = bench.run([DIRECT], Load.closed(2, calls=10), scenario=scripted(primary=Act(first_token=1.0)))

    assert (len(run.rows()), max(row.ended for row in run.rows()), run.arms[0].peak) == (10, 5.0, 2)
    assert "closed loop" in run.warnings[0]


def test_streams_are_measured_too() -> None:
    """An arm that streams has its time to first token and its time per output token."""
    day = scripted(primary=Act(first_token=0.5, gap=0.25, tokens=5))
    run = bench.run([Arm("s", {"model": "primary"}, stream=True)], Load.constant(1, calls=20), scenario=day)

    assert (value(run, 0, "p50_ttft"), value(run, 0, "p50_e2e"), value(run, 0, "p50_tpot")) == (0.5, 1.5, 0.25)


@pytest.mark.parametrize(("stop", "calls"), [(Stop(errors=3), 3), (Stop(error_rate=0.5), 50)])
def test_errors_stop_a_run(stop: Stop, calls: int) -> None:
    """The run ends after so many errors, or when too large a share of at least 50 calls has failed."""
    run = bench.run([DIRECT], Load.constant(1, calls=500), scenario=scripted(primary=Act(status=400)), stop=stop)

    assert len(run.rows()) == calls
    assert "stopped early" in run.warnings[0]


def test_a_share_of_errors_is_no_percentage() -> None:
    """5 would never stop a run, so it is refused."""
    with pytest.raises(ValueError, match=r"error_rate: expected a share below 1 \(5 % is 0.05\), got 5"):
        Stop(error_rate=5)


def test_a_budget_is_never_exceeded() -> None:
    """A call is made only when the budget holds it and those in flight, each model of their chains billed in full."""
    run = bench.run([CHAIN], Load.constant(50, calls=500), scenario="healthy", budget_usd=0.1)

    assert 0 < len(run.rows()) < 500
    assert sum(row.cost_usd or 0.0 for row in run.rows()) <= 0.1
    assert "reserved for calls in flight" in (run.stopped or "")


def test_a_run_reports_its_progress() -> None:
    """After every call of every arm comes how many have ended, how many of them failed, and of how many."""
    seen: list[bench.Progress] = []
    arms = [Arm("bad", {"model": "primary"}), Arm("good", {"model": "secondary"})]
    bench.run(arms, Load.constant(1, calls=3), scenario=scripted(primary=Act(status=400)), progress=seen.append)

    assert [now.ended for now in seen] == [1, 2, 3, 4, 5, 6]
    assert [now.failed for now in seen] == [1, 2, 3, 3, 3, 3]
    assert ({now.total for now in seen}, [now.arm for now in seen]) == ({6}, ["bad"] * 3 + ["good"] * 3)


def test_real_providers_need_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent without a budget, nor to a model without a price: no budget could be kept."""
    monkeypatch.setattr(Router, "chat", lambda *_, **__: pytest.fail("a call was made"))

    with pytest.raises(ValueError, match="budget_usd"):
        bench.run([Arm("real")], Load.constant(1, calls=1))
    with pytest.raises(ValueError, match="no price"):
        bench.run([Arm("real", {"model": "openrouter:some/model"})], Load.constant(1, calls=1), budget_usd=1.0)


@pytest.mark.parametrize(("arms", "options", "match"), [
    ([], {}, "at least one"), ([DIRECT, DIRECT], {}, "a name of its own"), ([DIRECT], {"scenario": "sunny"}, "healthy"),
    ([DIRECT], {"slo": {"speed": 1.0}}, "slo"), ([DIRECT], {"warmup": 5}, "warmup"),
    ([DIRECT], {"slo": {"e2e": -1.0}}, "slo: e2e: expected seconds above 0, got -1.0"),
    ([DIRECT], {"warmup": -1}, "warmup: expected 0 calls or more, got -1"),
])
def test_a_run_that_could_measure_nothing_is_refused(arms: list[Arm], options: dict[str, object], match: str) -> None:
    """It is a `ValueError` before anything is sent."""
    with pytest.raises(ValueError, match=match):
        bench.run(arms, Load.constant(1, calls=5), **{"scenario": "healthy", **options})  # type: ignore[arg-type]


def test_a_wrong_arm_is_a_config_error() -> None:
    """It is raised as the router raises it, not inside an exception group."""
    with pytest.raises(ConfigError, match="hedge"):
        bench.run([Arm("a", {"chain": ["primary"], "hedge": -1.0})], Load.constant(1, calls=1), scenario="healthy")


def test_arms_run_together_in_real_time() -> None:
    """Over real sockets every arm is called at each instant, and the harness measures its own loop lag."""
    async def main() -> Run:
        world = World()
        world.model("m", Act())
        async with world.server() as server:
            config = world.config(base_url=server.base_url)
            arms = [Arm(name, {"model": "m"}, config) for name in "ab"]
            return await bench.run_real(arms, Load.constant(200, calls=20), bench.Settings())

    run = asyncio.run(main())

    assert [len(arm.rows) for arm in run.arms] == [20, 20]
    assert all(row.ok and row.started >= row.scheduled for row in run.rows())
    assert run.lag is not None


def test_a_provider_that_no_arm_asks_needs_no_budget() -> None:
    """An arm that asks only a server of this machine runs, though the default provider is a real one."""
    config = {"providers": {"here": {"base_url": "http://127.0.0.1:9/v1"}}}
    run = bench.run([Arm("a", {"model": "here:m", "retry": {"attempts": 1}}, config)], Load.constant(100, calls=1))

    assert run.report().arms[0].errors == {"AllModelsFailed": 1}


def test_inside_a_running_loop_another_function_is_named() -> None:
    """Inside an event loop `run` is a `RuntimeError` that names `run_real`."""
    async def main() -> None:
        bench.run([DIRECT], Load.constant(1, calls=1))

    with pytest.raises(RuntimeError, match=r"await bench\.run_real"):
        asyncio.run(main())


def test_a_model_that_a_scenario_does_not_have_is_named() -> None:
    """Without the warning, a typo in a name would look like a failing model."""
    run = bench.run([Arm("a", {"chain": ["primray", "primary"]})], Load.constant(1, calls=1), scenario="healthy")

    assert run.warnings == ["a: this scenario has no model 'primray', but primary, secondary, tertiary"]


def test_ctrl_c_keeps_what_was_measured() -> None:
    """The first Ctrl-C ends a run in real time; its result is what was measured until then, and says so."""
    world, at = World(), Queue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]]()
    world.model("m", Act())

    async def serve() -> None:
        over = asyncio.Event()
        async with world.server() as server:
            at.put((server.base_url, asyncio.get_running_loop(), over))
            await over.wait()

    def interrupt(progress: Progress) -> None:
        if progress.ended == 5:
            signal.raise_signal(signal.SIGINT)

    serving = Thread(target=lambda: asyncio.run(serve()))
    serving.start()
    url, loop, over = at.get()
    try:
        arms = [Arm("a", {"model": "m"}, world.config(base_url=url))]
        run = bench.run(arms, Load.closed(1, calls=1000), progress=interrupt)
    finally:
        loop.call_soon_threadsafe(over.set)
        serving.join()

    assert (len(run.arms[0].rows), run.stopped) == (5, bench.INTERRUPTED)
    assert run.report().arms[0].measures["calls"].value == 5


def test_a_row_has_what_happened_and_no_text() -> None:
    """A row has attempts with causes and classes of errors; neither the prompt nor a provider's message is in it."""
    day = scripted(primary=Act(status=500, message="secret words"))
    row: Row = bench.run([CHAIN], Load.constant(1, calls=1), scenario=day, prompts=["secret prompt"]).rows()[0]
    text = repr(row)

    assert [(attempt.cause, attempt.outcome, attempt.error) for attempt in row.attempts] == [
        ("first", "failed", "ServerFailed"), ("fallback", "won", None),
    ]
    assert "secret" not in text
