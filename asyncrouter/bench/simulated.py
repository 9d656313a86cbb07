"""Runs one arm in a simulated world and in virtual time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from asyncrouter import Config, Router
from asyncrouter.bench.beforehand import Beforehand
from asyncrouter.bench.dispatch import dispatch
from asyncrouter.bench.scenarios import PRICES, Day, Scenario
from asyncrouter.bench.unbatched import Unbatched
from asyncrouter.sim import Clock

if TYPE_CHECKING:
    from asyncrouter.bench.arms import Arm
    from asyncrouter.bench.driver import Driver
    from asyncrouter.bench.load import Load
    from asyncrouter.bench.settings import Settings
    from asyncrouter.bench.stop import Ledger
    from asyncrouter.sim import World

USUAL_CALL_SECONDS = 1.3
"""Seconds of an ordinary call in a scenario (0.6 s to the first content, 20 contents 0.03 s apart, some retries). A
closed loop has no schedule: this gives the length of its day and its rate, which scenarios are scaled by."""


class Simulated(NamedTuple):
    """How an arm's run in a simulated world went: virtual seconds, CPU seconds, warnings."""

    seconds: float
    cpu: float
    warnings: list[str]


def simulate(driver: Driver, load: Load, settings: Settings, scenario: Scenario, ledger: Ledger) -> Simulated:
    """Make all calls of an arm in a new world of the scenario. Raises `ValueError`, `ConfigError` for a wrong arm."""
    day = _day(load, settings.seed)
    clock, world = Clock(), scenario.world(day)
    config = _config(driver.arm, world)

    async def main() -> tuple[float, list[str]]:
        async with Router(config, transport=Unbatched(world.transport()), listeners=[driver.listen],
                          seed=settings.seed, wall=clock.wall) as router:
            driver.use(router, clock.now)
            if driver.arm.beforehand:
                driver.known = Beforehand(scenario, day, driver.models(router.config)[0])
            await dispatch([driver], load, settings, ledger)
        unknown = [name for name in driver.models(router.config) if name not in world.models]
        known = ", ".join(world.models)
        return clock.now, [f"{driver.arm.name}: this scenario has no model {name!r}, but {known}" for name in unknown]

    began = time.process_time()
    seconds, warnings = clock.run(main())
    return Simulated(seconds, time.process_time() - began, warnings)


def _config(arm: Arm, world: World) -> dict[str, object]:
    """The scenario's configuration, overridden by the arm's."""
    if isinstance(arm.config, Config):
        raise ValueError(f"arm {arm.name!r}: in a scenario the configuration is a mapping, which overrides the "
                         "scenario's")
    models = {name: {"provider": "sim", "id": name, "usd_per_mtok": {"input": price[0], "output": price[1]}}
              for name, price in PRICES.items()}
    given = dict(arm.config or {})
    named = given.pop("models", {})
    models |= named if isinstance(named, dict) else {}
    return {**world.config(), "tasks": {"default": [*PRICES]}, **given, "models": models}


def _day(load: Load, seed: int) -> Day:
    """The length and the rate of the simulated day."""
    if not load.open:
        workers = load.concurrency or 1
        seconds = load.seconds or (load.calls or 1) / workers * USUAL_CALL_SECONDS
        return Day(seconds, workers / USUAL_CALL_SECONDS, seed)
    instants = load.arrivals(seed)
    seconds = max(load.seconds or 0.0, instants[-1] if instants else 0.0) or 1.0
    return Day(seconds, len(instants) / seconds, seed)
