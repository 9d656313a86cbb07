"""A child process that says when it is ready, is quiet unless it fails, and never outlives us."""

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

_LAST_WORDS = 2000


class ChildFailed(Exception):
    """It ended, or was ended, before it was ready; the message has the last lines it wrote."""


class Child:
    """A Python script, started at once.

    It reads its order, one line of JSON, from its standard input, and answers with one line on its standard output when
    it is ready. The input then stays open and empty for as long as we live: its end is the script's sign to end too,
    which reaches it however we die. (A parent-death signal would not do: Linux sends it when the *thread* that
    started the child ends.) The order travels that way too because a command line is everybody's to read.
    """

    def __init__(self, script: Path, order: Mapping[str, object]) -> None:
        # A file, not a pipe: nobody need read it for the child to go on.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  -- closed in end()
        # A session of its own: Ctrl-C in our terminal is ours to answer.
        self._process = subprocess.Popen(  # noqa: S603  -- our interpreter, our script
            [sys.executable, "-P", str(script)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        with contextlib.suppress(BrokenPipeError):  # ended already: ready() tells why
            self._input.write(json.dumps(dict(order)).encode() + b"\n")
            self._input.flush()

    @property
    def pid(self) -> int:
        """The process's id, also when it has ended."""
        return self._process.pid

    def ready(self, timeout: float) -> str:
        """Wait in this thread for the line it says when it is ready.

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
        late = time.monotonic() - began >= timeout
        raise ChildFailed(f"{f'not ready in {timeout:g} s' if late else f'exit status {status}'}{self._last_words()}")

    def wait(self) -> int:
        """Wait until it has ended, and return its exit status."""
        return self._process.wait()

    def end(self) -> None:
        """Kill it and give back what it held: it has nothing to save, and only this ends a stopped process too."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        self._output.close()
        self._log.close()

    def _last_words(self) -> str:
        self._log.seek(0)
        said = self._log.read()[-_LAST_WORDS:].decode(errors="replace").strip()
        return f"\n{said}" if said else ""
