"""A job over several worker processes: this process gives out the rows, and gets back counts and lines to write."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import orjson

from asyncrouter.batch._divided import divided_options
from asyncrouter.batch._errors import BatchError
from asyncrouter.batch._messages import ABORT, ANSWERS, END, FAILURES, STOP, WARNING, MessageReader
from asyncrouter.batch._tally import Tally

if TYPE_CHECKING:
    from pathlib import Path

    from asyncrouter.batch._job import Write
    from asyncrouter.batch._job_options import JobOptions
    from asyncrouter.batch._source import Source
    from asyncrouter.batch._worker_processes import WorkerProcesses

logger = logging.getLogger("asyncrouter")


class ParallelJob:
    """Like a `Job`, but over worker processes that are started already.

    `files` are the paths and sizes of the results of earlier runs: each process reads their ids itself. A reason to
    stop that holds for all rows stops all processes; a spent budget stops only the one whose part it was, and the run
    is out of budget when all have ended.
    """

    def __init__(
        self, processes: WorkerProcesses, source: Source, options: JobOptions, files: tuple[tuple[Path, int], ...],
        answers: Write, failures: Write,
    ) -> None:
        self.stopped: str | None = None
        self._rules = options.rules
        self._out_of_budget = False
        count = len(processes)
        self._processes = processes
        self._writers = {ANSWERS: answers, FAILURES: failures}
        self._task = source, divided_options(options, count), files
        self._tallies = [Tally() for _ in range(count)]
        self._in_flight = [0] * count
        self._waiting_for: list[str | None] = [None] * count
        self._lines = [{ANSWERS: 0, FAILURES: 0} for _ in range(count)]

    def __repr__(self) -> str:
        return f"<ParallelJob of {len(self._tallies)} processes, {self.in_flight} rows in flight>"

    @property
    def in_flight(self) -> int:
        """Rows that are being asked, or wait to be asked again, as of the processes' last messages."""
        return sum(self._in_flight)

    @property
    def waiting_for(self) -> str | None:
        """What the rows of the first process wait for that gets no answers."""
        return next((reason for reason in self._waiting_for if reason is not None), None)

    @property
    def tally(self) -> Tally:
        """The counts of all processes together, as of their last messages."""
        together = Tally()
        for tally in self._tallies:
            together.merge(tally)
        return together

    async def run(self) -> None:
        """Run until every row has its result, or until stopped. Raises `BatchError` when a process reports an error."""
        count = len(self._processes)
        source, options, files = self._task
        for number in range(count):
            self._processes.send_task(number, source, replace(options, share=(number, count)), files)
        if self.stopped is not None:
            self._send_to_all(STOP)
        results = await asyncio.gather(*(self._read_messages(number) for number in range(count)))
        if errors := [error for error in results if error is not None]:
            raise BatchError(errors[0])
        if self._out_of_budget:
            self.stopped = self.stopped or self._rules.out_of_budget(self.tally)

    def stop(self, reason: str) -> None:
        """Begin no more rows; those in flight are finished."""
        self.stopped = self.stopped or reason
        self._send_to_all(STOP)

    def abort(self, reason: str) -> None:
        """Begin no more rows, and cancel those in flight."""
        self.stopped = self.stopped or reason
        self._send_to_all(ABORT)

    async def _read_messages(self, number: int) -> str | None:
        """Read what a process sends until it has ended; its error, if it had one."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[str | None] = loop.create_future()
        reader = MessageReader(partial(self._received, number, ended), partial(self._closed, number, ended))
        transport, _ = await loop.create_connection(lambda: reader, sock=self._processes.sockets[number].dup())
        try:
            return await ended
        finally:
            transport.close()

    def _received(self, number: int, ended: asyncio.Future[str | None], kind: int, payload: bytes) -> None:
        if kind in self._writers:
            self._writers[kind](payload)
            self._lines[number][kind] += payload.count(b"\n")
            return
        if kind == WARNING:
            logger.warning("%s", payload.decode())
            return
        state = orjson.loads(payload)
        self._tallies[number] = Tally.from_dict(state["tally"])
        self._in_flight[number] = state["in_flight"]
        self._waiting_for[number] = state["waiting_for"]
        if kind == END and not ended.done():
            self._process_ended(state["stopped"], state["error"], final=state["final"])
            ended.set_result(state["error"])

    def _closed(self, number: int, ended: asyncio.Future[str | None]) -> None:
        if not ended.done():
            self._in_flight[number] = 0
            self._waiting_for[number] = None
            # What it has written since its last message about its counts is in the files.
            self._tallies[number].done = self._lines[number][ANSWERS]
            self._tallies[number].failed = self._lines[number][FAILURES]
            self.stop("a process died")
            ended.set_result(None)

    def _process_ended(self, stopped: str | None, error: str | None, *, final: bool) -> None:
        if final:  # the reason holds for every process
            self.stop(stopped or error or "")
        elif stopped is not None:
            self._out_of_budget = True  # reported with the whole budget, once every process has spent its part

    def _send_to_all(self, command: bytes) -> None:
        for end in self._processes.sockets:
            with contextlib.suppress(OSError):  # that process has ended
                end.send(command)
