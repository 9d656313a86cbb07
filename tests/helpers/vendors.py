"""A world with the batch APIs of four vendors, runs through them in virtual time, and kills of these runs."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import orjson

from asyncrouter import Router, batch
from asyncrouter.batch._journal import Journal
from asyncrouter.batch._vendors.journal import LaneJournal
from asyncrouter.sim import Act, Clock, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from random import Random

    from asyncrouter.batch import Report
    from asyncrouter.sim import Batches, LoggedRequest

HOUR = 3600.0
PRICE = {"input": 1.0, "output": 2.0}
MODELS = {"openai": "gpt", "anthropic": "claude", "gemini": "gem", "openrouter": "orm"}
"""The model of each vendor."""
ALL_FAULTS: dict[str, float] = {
    "upload_lost": 0.1, "upload_unanswered": 0.1, "fresh_file": 0.05, "create_lost": 0.1, "create_unanswered": 0.1,
    "create_429": 0.1, "token_limit": 0.1, "fails": 0.05, "late_batch": 0.2, "late_results": 0.2, "stuck": 0.15,
    "stuck_cancelling": 0.3, "expires": 0.1, "nothing_out": 0.05, "row_errors": 0.02, "row_zero": 0.01, "half": 0.2,
    "cut": 0.2, "torn": 0.1, "inline": 0.3, "duplicates": 0.3, "reordered": 0.5, "wrong_ids": 0.2, "look_429": 0.1,
    "look_500": 0.05,
}
"""Every fault of the batch APIs, each often enough to be met."""


class Killed(BaseException):
    """Ends a run as SIGKILL does: nothing is written any more."""


class Bill(NamedTuple):
    """What the lines say, beside what the vendors have billed; US dollars."""

    told: float
    billed: float


class VendorWorld:
    """A world with four vendors, and one live provider, "plain", whose model is "live".

    `wasted` is what the journals say was wasted, by all runs.
    """

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.clock = Clock()
        self.world = World(seed, keep=1000)
        self.folder = folder
        self.seed = seed
        self.output = folder / "out.jsonl"
        self.errors = folder / "out.errors.jsonl"
        self.wasted = 0.0
        self.reports: list[Report] = []
        self.records: list[dict[str, object]] = []
        """Every record that was written to a journal, by all runs."""
        for name in (*MODELS.values(), "live"):
            self.world.model(name, answer).price(**PRICE)
        os.environ.setdefault("VENDOR_KEY", "sk-vendors")
        self.world.batches()

    @property
    def dead(self) -> bool:
        """Whether the last run was killed."""
        return _Death.dead

    @property
    def batches(self) -> Batches:
        return self.world.batches()

    def config(self, **tables: object) -> dict[str, object]:
        """A configuration with a task for each vendor, of its model and the live one."""
        base = "http://sim.test/v1"
        wires = {"openai": "openai", "anthropic": "anthropic", "gemini": "gemini", "openrouter": "openai"}
        urls = {"gemini": "http://sim.test/v1beta", "openrouter": "http://sim.test/api/v1"}
        providers: dict[str, object] = {
            name: {"base_url": urls.get(name, base), "wire": wire, "batch": name, "key": "env:VENDOR_KEY"}
            for name, wire in wires.items()
        }
        providers["plain"] = {"base_url": base, "wire": "openai"}
        models: dict[str, object] = {
            model: {"provider": name, "id": model, "usd_per_mtok": PRICE, "max_output": 100}
            for name, model in MODELS.items()
        }
        models["live"] = {"provider": "plain", "id": "live", "usd_per_mtok": PRICE}
        tasks = {name: [model, "live"] for name, model in MODELS.items()}
        return {"providers": providers, "models": models, "tasks": {**tasks, "default": ["gpt", "live"]}, **tables}

    def rows(self, count: int, *, vendors: tuple[str, ...] = tuple(MODELS)) -> Path:
        """Write an input whose rows go to these vendors in turn."""
        path = self.folder / "in.jsonl"
        with path.open("wb") as file:
            for number in range(count):
                task = vendors[number % len(vendors)]
                file.write(orjson.dumps({"id": f"r{number}", "prompt": f"say {number}", "task": task}) + b"\n")
        return path

    def run(
        self, *, kill_at: float | None = None, config: dict[str, object] | None = None, **options: object
    ) -> Report:
        """Run the batch, until it is killed at this instant if it is."""

        async def scenario() -> Report:
            loop, task = asyncio.get_running_loop(), asyncio.current_task()
            assert task is not None
            if kill_at is not None:
                loop.call_at(kill_at, self._kill, task)
            router = Router(
                config or self.config(), transport=self.world.transport(), seed=self.seed, wall=self.clock.wall
            )
            async with router:
                arguments = {"via": "provider", "deadline": 6 * HOUR, **options}
                return await batch.run(router, self.folder / "in.jsonl", self.output, **arguments)  # type: ignore[arg-type]

        try:
            report = self.clock.run(scenario())
        except asyncio.CancelledError:
            raise Killed from None
        self.reports.append(report)
        return report

    def settle(self, **options: object) -> Report:
        """Run until nothing is left at the vendors, with pauses in which batches end; the last report."""
        while True:
            with self.watched():
                report = self.run(**options)  # type: ignore[arg-type]
            if not self.output.with_name("out.jsonl.vendors").exists():
                return report
            self.clock.run(asyncio.sleep(24 * HOUR))

    def _kill(self, task: asyncio.Task[object]) -> None:
        _Death.dead = True
        task.cancel()

    # What came of it.

    def lines(self) -> list[dict[str, object]]:
        """The lines of the output."""
        return [orjson.loads(line) for line in self.output.read_bytes().splitlines()]

    def failures(self) -> list[dict[str, object]]:
        """The lines of the errors file."""
        return [orjson.loads(line) for line in self.errors.read_bytes().splitlines()] if self.errors.exists() else []

    def violations(self, count: int) -> list[str]:
        """What should not have come of `count` rows: rows lost or written twice, money not told, things left behind."""
        found = []
        ids = Counter(str(line["id"]) for line in [*self.lines(), *self.failures()])
        if missing := [f"r{number}" for number in range(count) if not ids[f"r{number}"]]:
            found.append(f"{len(missing)} rows without a result: {missing[:3]}")
        if twice := [each for each, times in ids.items() if times > 1]:
            found.append(f"{len(twice)} rows written twice: {twice[:3]}")
        bill = self.bill()
        if abs(bill.told - bill.billed) > 1e-9 * max(1.0, bill.billed):
            found.append(f"${bill.told:.9f} told, ${bill.billed:.9f} billed")
        if self.batches.left:
            found.append(f"left behind: {self.batches.left[:5]}")
        if self.output.with_name("out.jsonl.vendors").exists():
            found.append("the journal is still there")
        return found

    def bill(self) -> Bill:
        """What batches cost, by the lines and the waste in the journals, and by the vendors."""
        told = sum(
            float(str(attempt["cost_usd"] or 0.0))
            for attempts in map(_attempts, [*self.lines(), *self.failures()]) for attempt in attempts
            if attempt["cause"] == "batch"
        )
        return Bill(told + self.wasted, self.batches.usd)

    @contextmanager
    def watched(self, kill_at_record: int | None = None, *, after: bool = False) -> Iterator[None]:
        """Count the waste in the journals; die at the record of this number, from 0, before or after it is written."""
        write, flush, close = LaneJournal.write, Journal._flush, LaneJournal.close
        count = -1
        _Death.dead = False
        world = self

        def mortal_write(journal: LaneJournal, do: str, chunk: object = None, **fields: object) -> object:
            nonlocal count
            if _Death.dead:
                raise Killed
            count += 1
            if count == kill_at_record and not after:
                _Death.dead = True
                raise Killed
            record = write(journal, do, chunk, **fields)  # type: ignore[arg-type]
            world.records.append(record)
            if do == "merged":
                world.wasted += float(str(fields["waste_usd"]))
            if count == kill_at_record:
                _Death.dead = True
                raise Killed
            return record

        def mortal_flush(journal: Journal) -> None:
            if _Death.dead:
                journal._pending.clear()
            flush(journal)

        def mortal_close(journal: LaneJournal, *, remove: bool = False) -> None:
            close(journal, remove=remove and not _Death.dead)

        LaneJournal.write, Journal._flush, LaneJournal.close = mortal_write, mortal_flush, mortal_close  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            LaneJournal.write, Journal._flush, LaneJournal.close = write, flush, close  # type: ignore[method-assign]


class _Death:
    """Whether the present run is dead: nothing is written any more."""

    dead = False


def answer(request: LoggedRequest, random: Random) -> Act:
    """An answer of one to nine words."""
    return Act(tokens=random.randint(1, 9), first_token=0.5)


def _attempts(line: dict[str, object]) -> list[dict[str, object]]:
    error = line.get("_error")
    found = error.get("attempts") if isinstance(error, dict) else line.get("attempts")
    return found if isinstance(found, list) else []
