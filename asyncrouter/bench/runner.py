"""Runs arms under a load: in simulated worlds and virtual time, or together against real providers in real time."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from asyncrouter import AiohttpTransport, Router
from asyncrouter.bench.arm_run import ArmRun
from asyncrouter.bench.dispatch import dispatch
from asyncrouter.bench.driver import Driver
from asyncrouter.bench.lag import LoopLag
from asyncrouter.bench.progress import ProgressCounter
from asyncrouter.bench.result import Run
from asyncrouter.bench.resuming import open_journal, take_back
from asyncrouter.bench.rows import row_from
from asyncrouter.bench.scenarios import SCENARIOS, Scenario
from asyncrouter.bench.scoring import score_run
from asyncrouter.bench.settings import Settings, check
from asyncrouter.bench.simulated import simulate
from asyncrouter.bench.stop import Ledger, Stop
from asyncrouter.bench.unbatched import Unbatched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from asyncrouter import Config, Transport
    from asyncrouter.bench.arms import Arm
    from asyncrouter.bench.journal import Journal
    from asyncrouter.bench.load import Load
    from asyncrouter.bench.progress import Progress
    from asyncrouter.bench.rows import Row
    from asyncrouter.bench.sample import Sample
    from asyncrouter.bench.scorers import Scorer

INTERRUPTED = "interrupted"
"""`Run.stopped` of a run that Ctrl-C has ended."""
LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1"}
"""Hosts whose models cost nothing: only other ones need a budget."""


def run(
    arms: Sequence[Arm],
    load: Load,
    *,
    scenario: str | Scenario | None = None,
    prompts: Sequence[str | Sample] = (),
    scorers: Sequence[Scorer] = (),
    keep_answers: bool = False,
    good_enough: float | None = None,
    seed: int = 0,
    warmup: int = 0,
    stop: Stop | None = None,
    budget_usd: float | None = None,
    slo: Mapping[str, float] | None = None,
    progress: Callable[[Progress], object] | None = None,
    transport: Callable[[], Transport] = AiohttpTransport,
    journal: Path | None = None,
) -> Run:
    """Run every arm under the same load: the same prompts, at the same instants, against the same simulated faults.

    With a `scenario` (a name in `SCENARIOS`, or one of your own) time is virtual: an hour takes seconds. Without one,
    the arms' own configurations are used in real time, and every arm is called at each instant; real providers need
    `budget_usd`, for all arms together. The first `warmup` calls of each arm are not measured. `slo` are limits in
    seconds for "ttft", "e2e" and "tpot". The first arm is the baseline. `progress` is called whenever a call has ended.
    Call k asks prompt k modulo their number: with `calls=3 * len(prompts)` each is asked three times (three epochs). A
    text is made unique for each call, against caches; a `Sample` is sent as it stands. With `scorers` the answers are
    judged after the last call, and the report says which arm to choose: the cheapest whose quality is at least
    `good_enough`, or not shown to be below the best one's. `keep_answers` keeps the answers' texts without scorers.
    `transport` makes what an arm sends with, in real time. There, Ctrl-C ends the run with what was measured until then
    (`stopped` says so); before every arm has an answer it is a `KeyboardInterrupt`. With `journal`, a file, the same
    call goes on where a run was killed or has stopped early; other settings are a `ValueError` that names them.

    Raises `ValueError` for what cannot be run, `ConfigError` for a wrong arm, `RuntimeError` inside a running event
    loop: there, `await run_real(…)`, and for a scenario `await asyncio.to_thread(run, …)`.
    """
    world = _scenario(scenario) if isinstance(scenario, str) else scenario
    settings = Settings(seed=seed, warmup=warmup, stop=_stop(stop, budget_usd), slo=dict(slo or {}),
                        prompts=prompts or (world.samples if world is not None else ()), scorers=scorers,
                        keep_answers=keep_answers, good_enough=good_enough, progress=progress, transport=transport,
                        journal=journal)
    check(arms, load, settings)
    _check_no_loop()
    if world is None:
        for arm in arms:
            if arm.beforehand:
                raise ValueError(f"arm {arm.name!r}: only in a scenario can an answer be known beforehand")
        return asyncio.run(run_real(arms, load, settings, until_interrupted=True))
    return _run_simulated(arms, load, settings, world)


async def run_real(
    arms: Sequence[Arm], load: Load, settings: Settings, *, until_interrupted: bool = False
) -> Run:
    """Run against real providers in real time: at each instant every arm is called, in an order that rotates.

    With `until_interrupted` a cancellation ends the run with what was measured until then. Raises as `run` does.
    """
    check(arms, load, settings)
    ledger = Ledger(settings.stop)
    async with AsyncExitStack() as stack, LoopLag() as lag:
        journal = None if settings.journal is None else stack.enter_context(
            open_journal(settings.journal, arms, load, settings))
        on_ended = _progress(arms, load, settings, journal)
        drivers = [Driver(arm, load, settings, ledger, on_ended) for arm in arms]
        over = 0.0 if journal is None else take_back(journal, drivers, load, settings, ledger)
        began = asyncio.get_running_loop().time() - over
        for driver in drivers:
            router = Router(driver.arm.config, transport=Unbatched(settings.transport()),
                            listeners=[driver.listen], seed=settings.seed)
            driver.use(await stack.enter_async_context(router), began)
            if settings.stop.budget_usd is None and (name := _real_provider(router.config, driver.providers)):
                raise ValueError(f"{name} is a real provider: say what the run may cost (budget_usd, --budget-usd)")
        try:
            await dispatch(drivers, load, settings, ledger)
        except asyncio.CancelledError:
            if not (until_interrupted and all(driver.rows for driver in drivers)):
                raise
            ledger.stop_reason = INTERRUPTED
        seconds = asyncio.get_running_loop().time() - began
    runs = [_arm_run(driver, seconds) for driver in drivers]
    done = Run.of(load, settings, runs, lag=lag.p99, stopped=ledger.stop_reason)
    if journal is not None and journal.parts:
        done.warnings.append(f"the run was resumed after {len(journal.parts):,} calls; a router that begins anew has "
                             "no memory of them")
    await score_run(done, settings.scorers)
    return done


def _scenario(name: str) -> Scenario:
    if name not in SCENARIOS:
        raise ValueError(f"no scenario {name!r}: there are {', '.join(SCENARIOS)}")
    return SCENARIOS[name]


def _check_no_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("bench.run() needs an event loop of its own, and one is running: here, "
                       "`await bench.run_real(arms, load, bench.Settings(…))`, and for a scenario "
                       "`await asyncio.to_thread(bench.run, …)`")


def _run_simulated(arms: Sequence[Arm], load: Load, settings: Settings, scenario: Scenario) -> Run:
    """Each arm in a world of its own, one after the other; each has the whole budget."""
    ledgers, on_ended = [Ledger(settings.stop) for _ in arms], _progress(arms, load, settings)
    runs = []
    for arm, ledger in zip(arms, ledgers, strict=True):
        driver = Driver(arm, load, settings, ledger, on_ended)
        done = simulate(driver, load, settings, scenario, ledger)
        runs.append(_arm_run(driver, done.seconds, cpu=done.cpu, warnings=done.warnings))
    reason = next((ledger.stop_reason for ledger in ledgers if ledger.stop_reason is not None), None)
    result = Run.of(load, settings, runs, scenario=scenario.name, stopped=reason)
    asyncio.run(score_run(result, settings.scorers))
    return result


def _progress(
    arms: Sequence[Arm], load: Load, settings: Settings, journal: Journal | None = None
) -> Callable[[Row], None]:
    """What is done with the row of each call that has ended: it is kept in the journal, and counted."""
    calls = len(load.arrivals(settings.seed)) if load.open else load.calls
    counter = None if settings.progress is None else ProgressCounter(
        None if calls is None else calls * len(arms), settings.progress)

    def on_ended(row: Row) -> None:
        if journal is not None:
            journal.add(row)
        if counter is not None:
            counter.add(row)

    for part in () if journal is None else journal.parts:
        if counter is not None:
            counter.add(row_from(part))
    return on_ended


def _arm_run(
    driver: Driver, seconds: float, *, cpu: float | None = None, warnings: Sequence[str] = ()
) -> ArmRun:
    rows = sorted(driver.rows, key=lambda row: row.number)
    cpu = driver.cpu if cpu is None else cpu
    return ArmRun(driver.arm.name, driver.arm.described(), rows, seconds, driver.peak, cpu, list(warnings))


def _stop(stop: Stop | None, budget_usd: float | None) -> Stop:
    given = stop or Stop()
    return Stop(errors=given.errors, error_rate=given.error_rate,
                budget_usd=given.budget_usd if budget_usd is None else budget_usd)


def _real_provider(config: Config, names: Iterable[str]) -> str | None:
    """The first of these providers that is not on this machine."""
    return next((name for name in names
                 if urlsplit(config.provider(name).base_url).hostname not in LOCAL_HOSTS), None)
