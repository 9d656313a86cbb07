"""One batch over several processes: each has a router and a share of the rows, this one does all the writing."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import ceil
from pickle import PicklingError
from typing import TYPE_CHECKING

import orjson

from asyncrouter import Config, Router
from asyncrouter.batch._errors import BatchError
from asyncrouter.batch._share import ABORT, ANSWERS, END, FAILURES, HEAD, STOP, work_on_share
from asyncrouter.batch._tally import Tally

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess
    from pathlib import Path

    from asyncrouter.batch._job import Orders, Write
    from asyncrouter.batch._source import Source

PATIENCE = 5.0
"""Seconds for a process to end after it has been told to."""
MakeRouter = Callable[[int, int], Router]


class Crowd:
    """Several processes at work; to its user it is one `Job`."""

    def __init__(
        self, config: Config, make_router: MakeRouter | None, source: Source, orders: Orders,
        output: tuple[Path, int] | None, answers: Write, failures: Write, count: int,
    ) -> None:
        self.stopped: str | None = None
        self._write = {ANSWERS: answers, FAILURES: failures}
        self._make = make_router or partial(router_of, divided(config, count))
        self._given = source, divided_orders(orders, count), output
        self._tallies = [Tally() for _ in range(count)]
        self._busy = [0] * count
        self._lines: list[socket.socket] = []

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
        processes: list[SpawnProcess] = []
        try:
            for number in range(len(self._tallies)):
                processes.append(self._start(number))  # noqa: PERF401  # those begun are ended if the next one fails
            if self.stopped is not None:
                self._tell(STOP)
            errors = await asyncio.gather(*(self._listen(number) for number in range(len(processes))))
        finally:
            for line in self._lines:
                line.close()
            await asyncio.shield(_ended(processes))
        if told := [error for error in errors if error is not None]:
            raise BatchError(told[0])

    def stop(self, reason: str) -> None:
        """Begin no more rows; those on their way are finished."""
        self.stopped = self.stopped or reason
        self._tell(STOP)

    def abort(self, reason: str) -> None:
        """Begin no more rows, and cancel those on their way."""
        self.stopped = self.stopped or reason
        self._tell(ABORT)

    def _start(self, number: int) -> SpawnProcess:
        ours, theirs = socket.socketpair()
        self._lines.append(ours)
        source, orders, output = self._given
        orders = replace(orders, share=(number, len(self._tallies)))
        process = multiprocessing.get_context("spawn").Process(
            target=work_on_share, args=(theirs, self._make, source, orders, output), daemon=True
        )
        try:
            process.start()
        except (AttributeError, TypeError, PicklingError) as error:
            raise BatchError(f"processes: something here cannot be handed to another process: {error}") from None
        finally:
            theirs.close()
        return process

    async def _listen(self, number: int) -> str | None:
        """Take what a process sends until it has done; why it failed, if it did."""
        reader, writer = await asyncio.open_connection(sock=self._lines[number].dup())
        try:
            while True:
                kind, length = HEAD.unpack(await reader.readexactly(HEAD.size))
                data = await reader.readexactly(length)
                if kind in self._write:
                    self._write[kind](data)
                    continue
                told = orjson.loads(data)
                self._tallies[number] = Tally.of_dict(told["tally"])
                self._busy[number] = told["busy"]
                if kind == END:
                    return self._one_ended(told["stopped"], told["error"], final=told["final"])
        except asyncio.IncompleteReadError:
            self._busy[number] = 0
            self.stop("a process died")
            return None
        finally:
            writer.close()

    def _one_ended(self, stopped: str | None, error: str | None, *, final: bool) -> str | None:
        if final:  # what holds for one holds for all; a share of the budget is each one's own
            self.stop(stopped or error or "")
        elif stopped is not None:
            self.stopped = self.stopped or stopped
        return error

    def _tell(self, word: bytes) -> None:
        for line in self._lines:
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


async def _ended(processes: list[SpawnProcess]) -> None:
    """Until all have ended, the hard way if need be."""
    for process in processes:
        await asyncio.to_thread(process.join, PATIENCE)
        if process.is_alive():
            process.kill()
            await asyncio.to_thread(process.join)
        process.close()
