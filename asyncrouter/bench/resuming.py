"""Runs against real providers that go on after a kill: calls that have ended are read back, the others are made."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from asyncrouter.bench.journal import Journal
from asyncrouter.bench.rows import row_from

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from asyncrouter.bench.arms import Arm
    from asyncrouter.bench.driver import Driver
    from asyncrouter.bench.load import Load
    from asyncrouter.bench.settings import Settings
    from asyncrouter.bench.stop import Ledger


def open_journal(path: Path, arms: Sequence[Arm], load: Load, settings: Settings) -> Journal:
    """The journal of a run with these settings. Raises `ValueError` where another run was begun in it, `OSError`.

    What ends a run early (budget, errors, Ctrl-C) may change from one time to the next.
    """
    prompts = "\0".join(one.written for one in settings.samples())
    return Journal(path, {
        "arms": {arm.name: arm.described() for arm in arms}, "load": load.described(), "seed": settings.seed,
        "warmup": settings.warmup, "slo": dict(settings.slo), "keep_answers": settings.keeping,
        "scorers": {one.name: one.described for one in settings.scorers},
        "prompts": hashlib.sha256(prompts.encode("utf-8", "surrogatepass")).hexdigest()[:16],
    })


def take_back(journal: Journal, drivers: Sequence[Driver], load: Load, settings: Settings, ledger: Ledger) -> float:
    """Give each driver the calls that it has made before; the seconds of the run that are over.

    The clock of an open loop goes on at the first call that is missing: those in flight at the kill are made again.
    """
    by_name = {driver.arm.name: driver for driver in drivers}
    for part in journal.parts:
        row = row_from(part)
        if (driver := by_name.get(row.arm)) is not None and row.number not in driver.done:
            driver.rows.append(row)
            driver.done.add(row.number)
            ledger.settle(row, 0.0)
    if not journal.parts:
        return 0.0
    latest = max((row.ended for driver in drivers for row in driver.rows), default=0.0)
    if not load.open:
        return latest
    missing = (at for number, at in enumerate(load.arrivals(settings.seed))
               if any(number not in driver.done for driver in drivers))
    return next(missing, latest)
