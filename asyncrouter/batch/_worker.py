"""A worker process: runs the job of its share of the rows, and sends every line to the process that writes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import signal
import socket
from typing import TYPE_CHECKING

import orjson

from asyncrouter.batch._job import Job
from asyncrouter.batch._messages import ANSWERS, END, FAILURES, STATE, STOP, TASK_LENGTH, WARNING, MessageWriter
from asyncrouter.batch._resume import ended_ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from asyncrouter import Router
    from asyncrouter.batch._job_options import JobOptions
    from asyncrouter.batch._source import Source

    MakeRouter = Callable[[int, int], Router]

STATE_INTERVAL = 0.25
"""Seconds between two messages with the counts so far: as often as the progress is reported."""


def run_worker(end: socket.socket, make_router: MakeRouter) -> None:
    """The main function of a worker process: waits for its task, runs it, and returns.

    It returns at once when the socket is closed before a task has come.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the one that writes decides
    with end, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        if head := end.recv(TASK_LENGTH.size, socket.MSG_WAITALL):
            (length,) = TASK_LENGTH.unpack(head)
            task = pickle.loads(end.recv(length, socket.MSG_WAITALL))  # noqa: S301  # from our parent process
            messages = MessageWriter(end)
            logging.getLogger("asyncrouter").addHandler(_WarningForwarder(messages))
            asyncio.run(_run_job(end, messages, make_router, *task))


async def _run_job(
    end: socket.socket, messages: MessageWriter, make_router: MakeRouter, source: Source, options: JobOptions,
    files: tuple[tuple[Path, int], ...],
) -> None:
    """Run the job to its end. `files` are the paths and sizes of the results of earlier runs."""
    error: str | None = None
    answered = await ended_ids(files) if files else None
    async with make_router(*options.share) as router:
        job = Job(router, source, options, answered, messages.line_writer(ANSWERS), messages.line_writer(FAILURES))
        messages.on_hang_up = lambda: job.abort("the process that writes the answers is gone")
        loop = asyncio.get_running_loop()
        loop.add_reader(end.fileno(), _obey, end, job)
        reporting = asyncio.create_task(_report_state(messages, job))
        try:
            await job.run()
        except Exception as failed:  # the process that writes reports it
            error = f"{type(failed).__name__}: {failed}"
        finally:
            loop.remove_reader(end.fileno())
            reporting.cancel()
    messages.flush()
    final = error is not None or (job.stopped is not None and job.within_budget)
    messages.send(END, orjson.dumps({**_state(job), "stopped": job.stopped, "error": error, "final": final}))


def _obey(end: socket.socket, job: Job) -> None:
    """Do what the process that writes has sent; a closed socket aborts."""
    if end.recv(1) == STOP:
        job.stop("stopped by the process that writes the answers")
    else:
        job.abort("aborted by the process that writes the answers")


async def _report_state(messages: MessageWriter, job: Job) -> None:
    while True:
        messages.send(STATE, orjson.dumps(_state(job)))
        await asyncio.sleep(STATE_INTERVAL)


def _state(job: Job) -> dict[str, object]:
    return {"tally": job.tally.as_dict(), "in_flight": job.in_flight, "waiting_for": job.waiting_for}


class _WarningForwarder(logging.Handler):
    """Sends warnings to the process that has a terminal or a log."""

    def __init__(self, messages: MessageWriter) -> None:
        super().__init__(logging.WARNING)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        """Send its text."""
        self._messages.send(WARNING, record.getMessage().encode("utf-8", "replace"))
