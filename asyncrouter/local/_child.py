"""A child process that says when it is ready, keeps its output back unless it fails, and never outlives its parent."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MAX_LOG_TAIL = 2000
"""Bytes of a child's output, from its end, that a `ChildFailed` quotes."""


class ChildFailed(Exception):
    """A child ended, or was killed, before it was ready. The message has the last lines it wrote."""


class Child:
    """A Python script in a process of its own, started at once.

    Protocol: the script reads its options, one line of JSON, from its standard input, and writes one line to its
    standard output when it is ready. (The command line would show the options, and a key among them, to everybody on
    the machine.) The standard input then stays open, and empty, for as long as the parent lives: the script ends when
    it is closed, which happens however the parent dies. (A parent-death signal would not do: Linux sends it when the
    *thread* that started the child ends.)
    """

    def __init__(self, script: Path, options: Mapping[str, object]) -> None:
        # A file and not a pipe, which would have to be read for the child to go on.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  -- closed in end()
        # In a session of its own it does not get the Ctrl-C of our terminal: the parent decides.
        self._process = subprocess.Popen(  # noqa: S603  -- our interpreter, our script
            [sys.executable, "-P", str(script)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        with contextlib.suppress(BrokenPipeError):  # it has ended already, and ready() says why
            self._input.write(json.dumps(dict(options)).encode() + b"\n")
            self._input.flush()

    @property
    def pid(self) -> int:
        """The id of the process, also after it has ended."""
        return self._process.pid

    def ready(self, timeout: float) -> str:
        """Block this thread until the child is ready, and return the line it wrote.

        Raises `ChildFailed` when it ends instead, or after `timeout` seconds.
        """
        began = time.monotonic()
        alarm = threading.Timer(timeout, self._process.kill)
        alarm.daemon = True
        alarm.start()
        try:
            line = self._output.readline()
        finally:
            alarm.cancel()
        if line:
            return line.decode().strip()
        status = self._process.wait()
        timed_out = time.monotonic() - began >= timeout
        reason = f"not ready in {timeout:g} s" if timed_out else f"exit status {status}"
        raise ChildFailed(f"{reason}{self._log_tail()}")

    def wait(self) -> int:
        """Block until the child has ended, and return its exit status."""
        return self._process.wait()

    def end(self) -> None:
        """Kill the child and close its files: it has nothing to save, and only a kill ends a stopped process too."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        self._output.close()
        self._log.close()

    def _log_tail(self) -> str:
        self._log.seek(0)
        text = self._log.read()[-_MAX_LOG_TAIL:].decode(errors="replace").strip()
        return f"\n{text}" if text else ""
