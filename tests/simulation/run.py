"""One run of a seed: faults, quiet, recovery, the end, and then every check."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from math import inf
from typing import TYPE_CHECKING

from asyncrouter._config.plan import resolve
from asyncrouter.shared import InProcess
from asyncrouter.sim.clock import VirtualLoop

from .behaviour import Behaviour
from .callers import Caller
from .checks import NEAR, check_all
from .key_days import draw_key_day
from .ledger import Ledger
from .live_checks import Pace
from .pool_days import draw_pool_day
from .record import CallRecord, Record, digest
from .response import wait
from .scenario import RECOVERY_CALLS, draw_scenario
from .shared_days import draw_shared_day
from .side import Side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter._config.plan import Plan

    from .scenario import Scenario


AGAIN = (draw_pool_day, draw_key_day, draw_shared_day)
"""The days that a seed may be lived again."""
SPARE = 0.25
"""The part of a second's requests by which a limit that two routers share may be exceeded in a second."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one seed."""

    seed: int
    calls: int
    requests: int
    digest: str
    violations: tuple[tuple[str, str], ...]
    lines: tuple[str, ...] = ()
    met: frozenset[tuple[str, str]] = frozenset()
    """The kinds of faults that its requests met, and on which wires."""
    story: tuple[str, ...] = ()
    """How the first violation came about."""


def freeze() -> None:
    """Put what the imports made out of the garbage collector's sight: there is a collection after each seed.

    It is not in `__main__`, for a process of a pool could not find it there.
    """
    gc.collect()
    gc.freeze()


def run_seed(seed: int, *, keep_log: bool = False) -> Result:
    """Run the scenario of this seed; the same result every time."""
    days = [draw_scenario(seed), *(again for draw in AGAIN if (again := draw(seed)) is not None)]
    records = [Record(seed) for _ in days]
    for scenario, record in zip(days, records, strict=True):
        if scenario.pools:
            record.log(0.0, f"the day again, with pools: {scenario.config['models']!r}")
        with _nothing_unnoticed(record):
            _live(scenario, record)
    violations = [violation for record in records for violation in record.violations]
    lines = [line for record in records for line in record.lines]
    return Result(
        seed, sum(len(record.calls) for record in records), sum(len(record.exchanges) for record in records),
        digest(lines), tuple(violations), tuple(lines) if keep_log or violations else (),
        frozenset(
            (one.script.kind, scenario.models[one.model].wire)
            for scenario, record in zip(days, records, strict=True) for one in record.exchanges
        ),
        next((tuple(record.story) for record in records if record.violations), ()),
    )


def _live(scenario: Scenario, record: Record) -> None:
    try:
        loop = VirtualLoop()
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            run = Run(scenario, record, loop)
            runner.run(run.live())
    except Exception as error:  # a deadlock, or anything that should not have come out
        record.flag("alive", f"{type(error).__name__}: {error}")
        return
    check_all(scenario, record, run.world, run.router.config)


class Run:
    """The router, the world and the callers of one scenario."""

    def __init__(self, scenario: Scenario, record: Record, loop: VirtualLoop) -> None:
        self._scenario = scenario
        self._record = record
        self._loop = loop
        self._callers: dict[int, Caller] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._plans: dict[str, Plan] = {}
        self._leaving: asyncio.Task[None] | None = None
        record.has_listener = scenario.listeners != "none"
        self._sides: list[Side] = []
        pace, store = Pace(record, spare=SPARE * (scenario.routers - 1)), InProcess()
        stores = [None] if scenario.routers == 1 else [store, *(InProcess(store) for _ in range(1, scenario.routers))]
        for one in stores:
            self._sides.append(Side(scenario, record, loop, pace, self._cancel, list(self._sides), one))
        self.world, self.router = self._sides[0].world, self._sides[0].router
        self.ledger: Ledger | None = None
        if (spending := self.router._life.spending()) is not None:
            self.ledger = spending.accounts = Ledger(spending.accounts, record)
        loop.set_exception_handler(self._unhandled)

    async def live(self) -> None:
        """Run from the first call to the last task."""
        loop, scenario = self._loop, self._scenario
        for behaviour in scenario.calls:
            loop.call_at(behaviour.at, self._start, behaviour)
        for begins, ends in scenario.blocked:
            loop.call_at(begins, self._block, begins, ends)
        for instant in scenario.health_checks:
            for side in self._sides:
                loop.call_at(instant, side.checks.check_health)
        if scenario.leaves_at < inf:
            loop.call_at(scenario.leaves_at, self._leave)
        if scenario.ends.endswith("early"):
            await sleep_until(loop, scenario.ends_at)
            await self._close()
        await sleep_until(loop, scenario.calls[-1].at + 0.001)
        await asyncio.wait(self._tasks)
        await asyncio.sleep(3.0)
        self._check_idle("after the faults")
        if not scenario.ends.endswith("early"):
            await self._recover()
            await self._close()
        await asyncio.sleep(0)
        self._check_idle("at the end")
        if self.ledger is not None:
            await self.ledger.check()
            self._record.books = dict(self.ledger.spent)
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            self._record.flag("tasks", f"{len(left)} left")
        for side in self._sides:
            if side.world.keys_used and not side.world.closed:  # a router that has sent nothing was never opened
                self._record.flag("connections", "the transport was not closed")

    def _check_idle(self, when: str) -> None:
        for side in self._sides:
            side.checks.check_idle(when)

    def _cancel(self, call: CallRecord) -> None:
        self._callers[call.number].cancel()

    def _leave(self) -> None:
        """Let the second router leave the calls to the first."""
        self._sides[1].has_left = True
        self._leaving = self._loop.create_task(self._sides[1].router.drain())

    def _block(self, begins: float, ends: float) -> None:
        """Block the event loop, as a program does that computes, or waits without `await`; never after the faults."""
        if not self.world.faults.over:
            self._record.log(self._loop.time(), f"blocked until {ends!r}")
            self._record.blocked.append((begins, ends))
            self._loop._now = max(self._loop._now, ends)
            self._loop._sharpen()

    async def _close(self) -> None:
        """Close the routers: at once, within two seconds, or when its calls have ended."""
        began, drains = self._loop.time(), self._scenario.ends.startswith("drain")
        self._record.closed_at = began
        for side in self._sides:
            asked = self._loop.time()
            await (side.router.drain() if drains else side.router.aclose())
            took = self._loop.time() - asked
            if not drains and asked + took > self._record.late(asked + 2.0) + NEAR:
                self._record.flag("closing", f"took {took:.3f} s")
        # A stream has ended with its last chunk, whatever its reader does then; only events tell.
        late = [call.number for call in self._record.calls if call.began < began and not (call.over or call.end_events)]
        if drains and late and self._record.has_listener:
            self._record.flag("closing", f"drained, and calls {late} had not ended")

    async def _recover(self) -> None:
        """End the faults and make calls of each task, at intervals."""
        self.world.faults.over = True
        self._record.recovered_at = begun = self._loop.time()
        for after in RECOVERY_CALLS:
            await sleep_until(self._loop, begun + after)
            for router, task in product(range(len(self._sides)), self.router.config.tasks):
                options: dict[str, object] = {"deadline": 60.0, "hedge": None}
                self._start(Behaviour(self._loop.time(), task, options=options, router=router), after_recovery=True)
                await self._tasks[-1]
        for side in self._sides:
            side.checks.check_health()
            side.checks.check_recovered()

    def _start(self, behaviour: Behaviour, *, after_recovery: bool = False) -> None:
        """Start a caller."""
        record = self._record
        given = {name: behaviour.options[name] for name in ("hedge", "retry") if name in behaviour.options}
        plan = self._plans.get(behaviour.task) if not given else None
        if plan is None:
            plan = resolve(self.router.config, task=behaviour.task, **given)  # type: ignore[arg-type]  # drawn
        if not given:
            self._plans[behaviour.task] = plan
        made_by = 0 if self._sides[behaviour.router].has_left else behaviour.router
        call = CallRecord(len(record.calls), plan, behaviour, after_recovery=after_recovery, router=made_by)
        record.calls.append(call)
        caller = self._callers[call.number] = Caller(self._sides[made_by].router, record, call)
        caller.task = self._loop.create_task(caller.run(), name=f"call {call.number}")
        self._tasks.append(caller.task)

    def _unhandled(self, _: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        self._record.flag("unhandled", f"{context.get('message')}: {context.get('exception')!r}")


async def sleep_until(loop: asyncio.AbstractEventLoop, at: float) -> None:
    """Sleep until this instant, exactly."""
    await wait(loop, loop.create_future(), at)


@contextmanager
def _nothing_unnoticed(record: Record) -> Iterator[None]:
    """Turn warnings, unretrieved exceptions and errors in finalizers into violations; logging is off."""
    logger = logging.getLogger("asyncrouter")
    level, hook, collects = logger.level, sys.unraisablehook, gc.isenabled()
    logger.setLevel(logging.CRITICAL + 1)
    sys.unraisablehook = lambda told: record.flag("unraisable", f"{told.exc_value!r} in {told.object!r}")
    gc.disable()
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield
            gc.collect()
        for warning in warned:
            record.flag("warning", str(warning.message))
    finally:
        logger.setLevel(level)
        sys.unraisablehook = hook
        if collects:
            gc.enable()
