"""Records the calls of a service for `replay`, one JSON line each: attempts with their times and costs, no texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import orjson

from asyncrouter import CallEnded
from asyncrouter.bench.rows import AttemptRow, attempt_from, attempt_row

if TYPE_CHECKING:
    import os

    from asyncrouter import Event

SCHEMA = 1
"""The version of a line. Raise it when an older asyncrouter must not read what this one records."""


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
    Prompts, answers, headers, tags and the words of errors are left out. `close()` closes the file; a later call opens
    it again. Raises `OSError` when the file cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file = self.path.open("ab", buffering=0)

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
        if self._file.closed:
            self._file = self.path.open("ab", buffering=0)
        self._file.write(orjson.dumps(line) + b"\n")

    def close(self) -> None:
        """Close the file; idempotent."""
        self._file.close()


def read_trace(path: str | os.PathLike[str]) -> list[CallRow]:
    """The recorded calls, in the order in which they began. Raises `ValueError` with the line that cannot be read.

    A last line that is incomplete is ignored: its process was killed while it was written.
    """
    return sorted(_calls(Path(path)), key=lambda call: call.started)


def _calls(path: Path) -> Iterator[CallRow]:
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line:
            continue
        try:
            yield _call(orjson.loads(line), f"{path}:{number}")
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            if isinstance(error, orjson.JSONDecodeError) and not path.read_bytes().endswith(b"\n"):
                return
            raise ValueError(f"{path}:{number}: no recorded call of schema {SCHEMA} ({error})") from None


def _call(given: object, where: str) -> CallRow:
    version = given.get("schema_version") if isinstance(given, Mapping) else None
    if isinstance(version, int) and version > SCHEMA:
        raise ValueError(
            f"{where}: was recorded in version {version} by a newer asyncrouter, and this one reads versions up to "
            f"{SCHEMA}: upgrade asyncrouter"
        )
    if not isinstance(given, Mapping) or version != SCHEMA:
        raise TypeError("another kind of line")
    attempts = [attempt_from(attempt) for attempt in given["attempts"]]
    return CallRow(given["started"], given["seconds"], given["task"], given["error"], attempts)
