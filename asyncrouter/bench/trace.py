"""Records the calls of a service for `replay`, one JSON line each: attempts with their times and costs, no texts."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import orjson

from asyncrouter import CallEnded
from asyncrouter.bench.rows import AttemptRow, attempt_from, attempt_row
from asyncrouter.files import ascii_json, open_to_append

if TYPE_CHECKING:
    from asyncrouter import Event

SCHEMA = 1
"""The version of a line. Raise it when an older asyncrouter must not read what this one records."""
_BEGINNING = b'{"schema_version":'
"""How every line begins."""

logger: Final = logging.getLogger("asyncrouter")


@dataclass(slots=True)
class CallRow:
    """A recorded call: when it began (seconds since the epoch), how long it took in seconds, its attempts.

    `task` is the name that was asked for, `None` without one. `error` is the class of the error that the caller got,
    `None` for an answer.
    """

    started: float
    seconds: float
    task: str | None
    error: str | None
    attempts: list[AttemptRow]


class JsonlTrace:
    """A listener that appends every ended call to a file: `Router(listeners=[JsonlTrace("trace.jsonl")])`.

    A line is one write of a file opened for appending, so several processes may share it and a crash loses nothing.
    After half a line, which a full disk leaves, the next one begins on a line of its own. Prompts, answers, headers,
    tags and the words of errors are left out. `close()` closes the file; a later call opens it again. Raises `OSError`
    when the file cannot be opened: a symbolic link is not.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Path = Path(path)
        self._file = -1
        self._torn = False  # whether the file may end in the middle of a line
        self._open()

    def __repr__(self) -> str:
        return f"<JsonlTrace {str(self.path)!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __call__(self, event: Event) -> None:
        """Write a call that has ended; other events are ignored. Raises `OSError`."""
        if not isinstance(event, CallEnded):
            return
        trace = event.trace
        line = {
            "schema_version": SCHEMA,
            "started": trace.started,
            "seconds": trace.seconds,
            "task": trace.task,
            "error": None if event.error is None else type(event.error).__name__,
            "attempts": [attempt_row(attempt) for attempt in trace.attempts],
        }
        if self._file < 0:
            self._open()
        self._write(b"\n" * self._torn + ascii_json(line) + b"\n")

    def close(self) -> None:
        """Close the file; idempotent."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def __del__(self) -> None:
        self.close()

    def _open(self) -> None:
        self._file = open_to_append(self.path)
        status = os.fstat(self._file)
        if stat.S_ISREG(status.st_mode) and status.st_size:
            os.lseek(self._file, -1, os.SEEK_END)
            self._torn = os.read(self._file, 1) != b"\n"

    def _write(self, line: bytes) -> None:
        if os.write(self._file, line) < len(line):
            self._torn = True
            raise OSError(errno.ENOSPC, "only a part of a recorded call could be written", str(self.path))
        self._torn = False


class Recording(list[CallRow]):
    """The calls of a recording, in the order in which they began.

    `skipped` counts the lines of which only a part is there: a full disk or a kill cut them.
    """

    skipped = 0


def read_trace(path: str | os.PathLike[str]) -> Recording:
    """The recorded calls. Raises `ValueError` with the line that is no recorded call.

    Half a line, which a full disk or a kill leaves, is skipped, counted, and warned about once; a whole one that was
    written right behind it is read.
    """
    file = Path(path)
    calls = Recording()
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            given, cut = _read(line)
            calls.skipped += cut
            if given is None and not (line.startswith(_BEGINNING) or _BEGINNING.startswith(line.rstrip())):
                raise ValueError(f"{file}:{number}: no recorded call of schema {SCHEMA} (it is no part of one)")
            if given is not None:
                calls.append(_call_at(given, f"{file}:{number}"))
    if calls.skipped:
        logger.warning("%s: %d incomplete line(s) skipped: the disk was full, or a process killed", file, calls.skipped)
    calls.sort(key=lambda call: call.started)
    return calls


def _read(line: bytes) -> tuple[object, int]:
    """What a line holds (`None`: only a part of a call), and how many parts of calls were skipped."""
    try:
        return orjson.loads(line), 0
    except orjson.JSONDecodeError:
        begins = line.rfind(_BEGINNING, 1)
    if begins < 0:
        return None, 1
    try:
        return orjson.loads(line[begins:]), 1
    except orjson.JSONDecodeError:
        return None, 2


def _call_at(given: object, where: str) -> CallRow:
    try:
        return _call(given, where)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{where}: no recorded call of schema {SCHEMA} ({error})") from None


def _call(given: object, where: str) -> CallRow:
    version = given.get("schema_version") if isinstance(given, Mapping) else None
    if isinstance(version, int) and version > SCHEMA:
        raise ValueError(
            f"{where}: was recorded in version {version} by a newer asyncrouter, and this one reads versions up to "
            f"{SCHEMA}: upgrade asyncrouter"
        )
    if not isinstance(given, Mapping) or version != SCHEMA:
        raise TypeError("another kind of line; a listener `JsonlTrace` writes such a file")
    attempts = [attempt_from(attempt) for attempt in given["attempts"]]
    return CallRow(given["started"], given["seconds"], given["task"], given["error"], attempts)
