"""What one process of several does: its share of the rows, and everything it has to tell down one socket.

A message is a byte that says what it is, a length, and lines or JSON. The other way come its share (a length, and what
is pickled) and then single bytes; the end of the socket means that whoever would write the answers is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import signal
import socket
from struct import Struct
from typing import TYPE_CHECKING

import orjson

from asyncrouter.batch._job import Job
from asyncrouter.batch._resume import finished

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from asyncrouter import Router
    from asyncrouter.batch._job import Orders
    from asyncrouter.batch._source import Source

    MakeRouter = Callable[[int, int], Router]

HEAD = Struct("!BI")
JOB = Struct("!I")
ANSWERS, FAILURES, STATE, END, WARNING = range(5)
STOP, ABORT = b"s", b"a"
READ = 65_536
"""Bytes read at once: a new buffer for each read, as large as asyncio's, costs more than what comes in it."""
TELL = 0.25
"""Seconds between two states."""


def work_on_share(line: socket.socket, make_router: MakeRouter) -> None:
    """The whole life of such a process. What it is to do is the first that it is told, or nothing comes at all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of them; the one that writes says what to do
    with line, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        if head := line.recv(JOB.size, socket.MSG_WAITALL):
            (length,) = JOB.unpack(head)
            share = pickle.loads(line.recv(length, socket.MSG_WAITALL))  # noqa: S301  # our parent's
            told = _Line(line)
            logging.getLogger("asyncrouter").addHandler(_Warnings(told))
            asyncio.run(_work(told, make_router, *share))


async def _work(
    line: _Line, make_router: MakeRouter, source: Source, orders: Orders, output: tuple[Path, int] | None
) -> None:
    """`output` is where, and how long, the answers of earlier runs are."""
    error: str | None = None
    done = await finished(*output) if output is not None else None
    async with make_router(*orders.share) as router:
        job = line.job = Job(router, source, orders, done, line.writer(ANSWERS), line.writer(FAILURES))
        loop = asyncio.get_running_loop()
        loop.add_reader(line.fileno(), line.heard)
        telling = asyncio.create_task(_tell(line, job))
        try:
            await job.run()
        except Exception as failed:  # told to whoever has a screen
            error = f"{type(failed).__name__}: {failed}"
        finally:
            loop.remove_reader(line.fileno())
            telling.cancel()
    line.flush()
    final = error is not None or (job.stopped is not None and job.affordable)
    line.send(END, orjson.dumps({**_state(job), "stopped": job.stopped, "error": error, "final": final}))


async def _tell(line: _Line, job: Job) -> None:
    while True:
        line.send(STATE, orjson.dumps(_state(job)))
        await asyncio.sleep(TELL)


def _state(job: Job) -> dict[str, object]:
    tally = job.tally.as_dict()
    return {"tally": {**tally, "latencies": {str(key): n for key, n in job.tally.latencies.items()}}, "busy": job.busy}


class _Line:
    """The socket; what is written in one turn of the loop goes at once."""

    def __init__(self, end: socket.socket) -> None:
        self.job: Job | None = None
        self._end = end
        self._pending: dict[int, list[bytes]] = {ANSWERS: [], FAILURES: []}

    def fileno(self) -> int:
        return self._end.fileno()

    def writer(self, kind: int) -> Callable[[bytes], None]:
        """Takes lines of this kind."""

        def write(data: bytes) -> None:
            if not any(self._pending.values()):
                asyncio.get_running_loop().call_soon(self.flush)
            self._pending[kind].append(data)

        return write

    def flush(self) -> None:
        """Send all lines that are ready."""
        for kind, lines in self._pending.items():
            if lines:
                self.send(kind, b"".join(lines))
                lines.clear()

    def send(self, kind: int, data: bytes) -> None:
        """Send one message; waits, and everything here with it, while the other side has too much to do."""
        try:
            self._end.sendall(HEAD.pack(kind, len(data)) + data)
        except OSError:
            if self.job is not None:
                self.job.abort("nobody is there to write the answers")

    def heard(self) -> None:
        """Do as the other side says."""
        assert self.job is not None
        word = self._end.recv(1)
        if word == STOP:
            self.job.stop("told to")
        else:
            self.job.abort("told to")


class _Warnings(logging.Handler):
    """Passes warnings on to the process that has a screen, or a log."""

    def __init__(self, line: _Line) -> None:
        super().__init__(logging.WARNING)
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        """Pass it on."""
        self._line.send(WARNING, record.getMessage().encode("utf-8", "replace"))


class Ear(asyncio.BufferedProtocol):
    """The other end of the socket: it takes the messages apart. `gone` is called when no more will come."""

    def __init__(self, heard: Callable[[int, bytes], None], gone: Callable[[], None]) -> None:
        self._heard = heard
        self._gone = gone
        self._room = bytearray(READ)
        self._rest = b""

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where what comes next is put."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """So much has come; what is not a whole message waits for its end."""
        data, at = self._rest + self._room[:nbytes], 0
        while len(data) >= (begin := at + HEAD.size):
            kind, length = HEAD.unpack_from(data, at)
            if len(data) < begin + length:
                break
            at = begin + length
            self._heard(kind, data[begin:at])
        self._rest = data[at:]

    def connection_lost(self, error: Exception | None) -> None:
        """No more will come."""
        self._gone()
