"""One batch over several processes: each has a router and a share of the rows, this one does all the writing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

import orjson

from asyncrouter import Config, Router
from asyncrouter.batch._errors import BatchError
from asyncrouter.batch._share import ABORT, ANSWERS, END, FAILURES, STOP, WARNING, Ear
from asyncrouter.batch._tally import Tally

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter.batch._crew import Crew
    from asyncrouter.batch._job import Orders, Write
    from asyncrouter.batch._source import Source

logger = logging.getLogger("asyncrouter")


class Crowd:
    """Several processes at work; to its user it is one `Job`."""

    def __init__(
        self, crew: Crew, source: Source, orders: Orders, output: tuple[Path, int] | None, answers: Write,
        failures: Write,
    ) -> None:
        self.stopped: str | None = None
        self._rules = orders.rules
        self._poor = False
        count = len(crew)
        self._crew = crew
        self._write = {ANSWERS: answers, FAILURES: failures}
        self._given = source, divided_orders(orders, count), output
        self._tallies = [Tally() for _ in range(count)]
        self._busy = [0] * count

    def __repr__(self) -> str:
        return f"<Crowd of {len(self._tallies)}, {self.busy} rows on their way>"

    @property
    def busy(self) -> int:
        """Rows on their way, as far as it is known."""
        return sum(self._busy)

    @property
    def tally(self) -> Tally:
        """What has come of all rows, as far as it is known."""
        together = Tally()
        for tally in self._tallies:
            together.add(tally)
        return together

    async def run(self) -> None:
        """To the end, or until stopped. Raises `BatchError` when a process fails."""
        count = len(self._crew)
        source, orders, output = self._given
        for number in range(count):
            self._crew.give(number, source, replace(orders, share=(number, count)), output)
        if self.stopped is not None:
            self._tell(STOP)
        errors = await asyncio.gather(*(self._listen(number) for number in range(count)))
        if told := [error for error in errors if error is not None]:
            raise BatchError(told[0])
        if self._poor:
            self.stopped = self.stopped or self._rules.spent(self.tally)

    def stop(self, reason: str) -> None:
        """Begin no more rows; those on their way are finished."""
        self.stopped = self.stopped or reason
        self._tell(STOP)

    def abort(self, reason: str) -> None:
        """Begin no more rows, and cancel those on their way."""
        self.stopped = self.stopped or reason
        self._tell(ABORT)

    async def _listen(self, number: int) -> str | None:
        """Take what a process sends until it has done; why it failed, if it did."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[str | None] = loop.create_future()
        ear = Ear(partial(self._heard, number, ended), partial(self._hung_up, number, ended))
        transport, _ = await loop.create_connection(lambda: ear, sock=self._crew.lines[number].dup())
        try:
            return await ended
        finally:
            transport.close()

    def _heard(self, number: int, ended: asyncio.Future[str | None], kind: int, data: bytes) -> None:
        if kind in self._write:
            self._write[kind](data)
            return
        if kind == WARNING:
            logger.warning("%s", data.decode())
            return
        told = orjson.loads(data)
        self._tallies[number] = Tally.of_dict(told["tally"])
        self._busy[number] = told["busy"]
        if kind == END and not ended.done():
            ended.set_result(self._one_ended(told["stopped"], told["error"], final=told["final"]))

    def _hung_up(self, number: int, ended: asyncio.Future[str | None]) -> None:
        if not ended.done():
            self._busy[number] = 0
            self.stop("a process died")
            ended.set_result(None)

    def _one_ended(self, stopped: str | None, error: str | None, *, final: bool) -> str | None:
        if final:  # what holds for one holds for all; a share of the budget is each one's own
            self.stop(stopped or error or "")
        elif stopped is not None:
            self._poor = True  # told of the whole budget, once all have spent their shares
        return error

    def _tell(self, word: bytes) -> None:
        for line in self._crew.lines:
            with contextlib.suppress(OSError):
                line.send(word)


def router_of(config: Config, number: int, count: int) -> Router:
    """A router for one of the processes."""
    return Router(config)


def divided(config: Config, count: int) -> Config:
    """A configuration with its limits divided by so many: what the router of one process of them may use."""
    models = {
        name: replace(
            model,
            rpm=None if model.rpm is None else model.rpm / count,
            tpm=None if model.tpm is None else model.tpm / count,
            max_concurrent=None if model.max_concurrent is None else max(1, model.max_concurrent // count),
        )
        for name, model in config.models.items()
    }
    return replace(config, models=models)


def divided_orders(orders: Orders, count: int) -> Orders:
    """The orders of one process of so many."""
    rules = orders.rules
    budget = None if rules.budget_usd is None else rules.budget_usd / count
    return replace(
        orders, concurrency=ceil(orders.concurrency / count),
        rules=replace(rules, budget_usd=budget, min_rows=max(1, rules.min_rows // count)),
    )
