"""Dispatches the calls of a load to the drivers of the arms: at the load's instants, or whenever a worker is free."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from asyncrouter.bench.driver import Driver
    from asyncrouter.bench.load import Load
    from asyncrouter.bench.settings import Settings
    from asyncrouter.bench.stop import Ledger


async def dispatch(drivers: Sequence[Driver], load: Load, settings: Settings, ledger: Ledger) -> None:
    """Make all calls of the load, until it or the ledger ends the run; each driver gets its share of the CPU time.

    A call that fails in an unexpected way ends the run; its exception is raised, not a group of them.
    """
    cpu = time.process_time()
    budgeted = settings.stop.budget_usd is not None
    try:
        async with anyio.create_task_group() as group:
            if load.open:
                await _on_schedule(drivers, load, settings, ledger, group.start_soon, budgeted=budgeted)
            else:
                for driver in drivers:
                    numbers = (number for number in (count() if load.calls is None else range(load.calls))
                               if number not in driver.done)
                    for _ in range(load.concurrency or 1):
                        group.start_soon(_work, driver, load, ledger, numbers, budgeted)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None  # all calls of an arm fail for the same reason: the first one is enough
    finally:
        for driver in drivers:
            driver.cpu = (time.process_time() - cpu) / len(drivers)


async def _on_schedule(
    drivers: Sequence[Driver], load: Load, settings: Settings, ledger: Ledger, start: Callable[..., object], *,
    budgeted: bool,
) -> None:
    """An open loop: every arm is called at each instant, whichever was first last time comes last."""
    loop, began = asyncio.get_running_loop(), drivers[0].began
    for number, due in enumerate(load.arrivals(settings.seed)):
        if all(number in driver.done for driver in drivers):
            continue
        if (pause := began + due - loop.time()) > 0:
            await asyncio.sleep(pause)
        first = number % len(drivers)
        for driver in (*drivers[first:], *drivers[:first]):
            if number in driver.done:
                continue
            reserved = driver.reserve(number) if budgeted else 0.0
            if not ledger.admit(reserved):
                return
            start(driver.call, number, due, reserved)


async def _work(driver: Driver, load: Load, ledger: Ledger, numbers: Iterator[int], budgeted: bool) -> None:
    """One worker of a closed loop: the next call when the last one has ended."""
    loop = asyncio.get_running_loop()
    for number in numbers:
        now = loop.time() - driver.began
        reserved = driver.reserve(number) if budgeted else 0.0
        if (load.seconds is not None and now >= load.seconds) or not ledger.admit(reserved):
            return
        await driver.call(number, now, reserved)
