"""Runs arms under a load: each in a simulated world of its own in virtual time, or together against real providers."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio

from asyncrouter import AiohttpTransport, Config, Router
from asyncrouter.bench.driver import Driver
from asyncrouter.bench.lag import Lag
from asyncrouter.bench.progress import Tally
from asyncrouter.bench.result import ArmRun, Run
from asyncrouter.bench.scenarios import PRICES, SCENARIOS, Day, Scenario
from asyncrouter.bench.settings import Settings, check
from asyncrouter.bench.stop import Ledger, Stop
from asyncrouter.sim import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from asyncrouter import Transport
    from asyncrouter.bench.arms import Arm
    from asyncrouter.bench.load import Load
    from asyncrouter.bench.progress import Progress
    from asyncrouter.bench.rows import Row

INTERRUPTED = "interrupted"
HOSTS_OF_OUR_OWN = {"127.0.0.1", "localhost", "::1"}


def run(
    arms: Sequence[Arm],
    load: Load,
    *,
    scenario: str | Scenario | None = None,
    prompts: Sequence[str] = (),
    seed: int = 0,
    warmup: int = 0,
    stop: Stop | None = None,
    budget_usd: float | None = None,
    slo: Mapping[str, float] | None = None,
    progress: Callable[[Progress], object] | None = None,
    transport: Callable[[], Transport] = AiohttpTransport,
) -> Run:
    """Run every arm under the same load: the same prompts, at the same instants, against the same simulated faults.

    With a `scenario` (a name of `SCENARIOS` or one of your own) time is virtual: an hour takes seconds. Without, the
    arms' own configurations are used in real time, and every arm is asked at each instant; real providers need
    `budget_usd`, for all arms together. The first `warmup` calls of each arm are not measured. `slo` are limits in
    seconds for "ttft", "e2e" and "tpot". The first arm is the baseline. `progress` is called whenever a call has ended.
    `transport` makes what an arm sends with, in real time. There, Ctrl-C ends the run with what was measured until then
    (`stopped` says so); before the first answer it is a `KeyboardInterrupt`.

    Raises `ValueError` for what cannot be run, `ConfigError` for a wrong arm, `RuntimeError` inside a running event
    loop: there, `await run_real(…)`, and for a scenario `await asyncio.to_thread(run, …)`.
    """
    settings = Settings(seed=seed, warmup=warmup, stop=_stop(stop, budget_usd), slo=dict(slo or {}), prompts=prompts,
                        progress=progress, transport=transport)
    check(arms, load, settings)
    _check_loop()
    if scenario is None:
        return asyncio.run(run_real(arms, load, settings, until_interrupted=True))
    if isinstance(scenario, str):
        if scenario not in SCENARIOS:
            raise ValueError(f"no scenario {scenario!r}: there are {', '.join(SCENARIOS)}")
        scenario = SCENARIOS[scenario]
    return _run_simulated(arms, load, settings, scenario)


async def run_real(
    arms: Sequence[Arm], load: Load, settings: Settings, *, until_interrupted: bool = False
) -> Run:
    """Against real providers, in real time: at each instant every arm is asked, in an order that rotates.

    With `until_interrupted` a cancellation ends the run with what was measured until then. Raises as `run` does.
    """
    check(arms, load, settings)
    ledger = Ledger(settings.stop)
    ended = _counting(arms, load, settings)
    drivers = [Driver(arm, load, settings, ledger, ended) for arm in arms]
    async with AsyncExitStack() as stack, Lag() as lag:
        began = asyncio.get_running_loop().time()
        for driver in drivers:
            router = Router(driver.arm.config, transport=settings.transport(), listeners=[driver.listen],
                            seed=settings.seed)
            driver.drive(await stack.enter_async_context(router), began)
            if settings.stop.budget_usd is None and (name := _real_provider(router.config, driver.providers)):
                raise ValueError(f"{name} is a real provider: say what the run may cost (budget_usd, --budget-usd)")
        try:
            await _drive(drivers, load, settings, ledger)
        except asyncio.CancelledError:
            if not (until_interrupted and all(driver.rows for driver in drivers)):
                raise
            ledger.why = INTERRUPTED
        seconds = asyncio.get_running_loop().time() - began
    return Run.of(load, settings, [_arm_run(driver, seconds) for driver in drivers], lag=lag.p99, stopped=ledger.why)


def _check_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("bench.run() needs an event loop of its own, and one is running: here, "
                       "`await bench.run_real(arms, load, bench.Settings(…))`, and for a scenario "
                       "`await asyncio.to_thread(bench.run, …)`")


def _run_simulated(arms: Sequence[Arm], load: Load, settings: Settings, scenario: Scenario) -> Run:
    ledgers, ended = [Ledger(settings.stop) for _ in arms], _counting(arms, load, settings)
    runs = [_simulate(arm, load, settings, scenario, ledger, ended) for arm, ledger in zip(arms, ledgers, strict=True)]
    why = next((ledger.why for ledger in ledgers if ledger.why is not None), None)
    return Run.of(load, settings, runs, scenario=scenario.name, stopped=why)


def _simulate(
    arm: Arm, load: Load, settings: Settings, scenario: Scenario, ledger: Ledger, ended: Callable[[Row], None]
) -> ArmRun:
    clock, world = Clock(), scenario.world(_day(load, settings.seed))
    models = {name: {"provider": "sim", "id": name, "usd_per_mtok": {"input": price[0], "output": price[1]}}
              for name, price in PRICES.items()}
    if isinstance(arm.config, Config):
        raise ValueError(f"arm {arm.name!r}: in a scenario the configuration is a mapping, laid over the scenario's")
    given = dict(arm.config or {})
    named = given.pop("models", {})
    models |= named if isinstance(named, dict) else {}
    config = {**world.config(), "tasks": {"default": [*PRICES]}, **given, "models": models}

    async def scene() -> ArmRun:
        driver = Driver(arm, load, settings, ledger, ended)
        listeners = [driver.listen]
        async with Router(config, transport=world.transport(), listeners=listeners, seed=settings.seed,
                          wall=clock.wall) as router:
            driver.drive(router, clock.now)
            await _drive([driver], load, settings, ledger)
        done = _arm_run(driver, clock.now)
        done.warnings = [f"{arm.name}: this scenario has no model {name!r}, but {', '.join(world.models)}"
                         for name in driver.models(router.config) if name not in world.models]
        return done

    began = time.process_time()
    done = clock.run(scene())
    done.cpu = time.process_time() - began
    return done


async def _drive(drivers: Sequence[Driver], load: Load, settings: Settings, ledger: Ledger) -> None:
    cpu = time.process_time()
    priced = settings.stop.budget_usd is not None
    try:
        async with anyio.create_task_group() as group:
            if load.open:
                await _on_time(drivers, load, settings, ledger, group.start_soon, priced=priced)
            else:
                for driver in drivers:
                    numbers = iter(range(load.calls or 10**9))
                    for _ in range(load.concurrency or 1):
                        group.start_soon(_worker, driver, load, ledger, numbers, priced)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None  # no call raises what a caller could go on with: the first says it
    finally:
        for driver in drivers:
            driver.cpu = (time.process_time() - cpu) / len(drivers)


async def _on_time(
    drivers: Sequence[Driver], load: Load, settings: Settings, ledger: Ledger, start: Callable[..., object], *,
    priced: bool,
) -> None:
    loop, began = asyncio.get_running_loop(), drivers[0].began
    for number, due in enumerate(load.arrivals(settings.seed)):
        if (pause := began + due - loop.time()) > 0:
            await asyncio.sleep(pause)
        turn = number % len(drivers)
        for driver in (*drivers[turn:], *drivers[:turn]):
            set_aside = driver.reserve(number) if priced else 0.0
            if not ledger.admit(set_aside):
                return
            start(driver.call, number, due, set_aside)


async def _worker(driver: Driver, load: Load, ledger: Ledger, numbers: Iterator[int], priced: bool) -> None:
    loop = asyncio.get_running_loop()
    for number in numbers:
        now = loop.time() - driver.began
        set_aside = driver.reserve(number) if priced else 0.0
        if (load.seconds is not None and now >= load.seconds) or not ledger.admit(set_aside):
            return
        await driver.call(number, now, set_aside)


def _counting(arms: Sequence[Arm], load: Load, settings: Settings) -> Callable[[Row], None]:
    if settings.progress is None:
        return lambda _: None
    calls = len(load.arrivals(settings.seed)) if load.open else load.calls
    return Tally(None if calls is None else calls * len(arms), settings.progress).add


def _arm_run(driver: Driver, seconds: float) -> ArmRun:
    rows = sorted(driver.rows, key=lambda row: row.number)
    return ArmRun(driver.arm.name, driver.arm.described(), rows, seconds, driver.peak, driver.cpu)


def _day(load: Load, seed: int) -> Day:
    if not load.open:
        seconds = load.seconds or (load.calls or 1) / (load.concurrency or 1) * 1.3  # a call takes about as long
        return Day(seconds, (load.concurrency or 1) / 1.3, seed)
    instants = load.arrivals(seed)
    seconds = max(load.seconds or 0.0, instants[-1] if instants else 0.0) or 1.0
    return Day(seconds, len(instants) / seconds, seed)


def _stop(stop: Stop | None, budget_usd: float | None) -> Stop:
    given = stop or Stop()
    return Stop(errors=given.errors, error_rate=given.error_rate,
                budget_usd=given.budget_usd if budget_usd is None else budget_usd)


def _real_provider(config: Config, names: Iterable[str]) -> str | None:
    """The first of these providers that is not on this machine."""
    return next((name for name in names
                 if urlsplit(config.provider(name).base_url).hostname not in HOSTS_OF_OUR_OWN), None)
