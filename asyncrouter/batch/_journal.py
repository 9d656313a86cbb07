"""An append-only file of JSON lines that a batch can be resumed from after a kill at any instant.

Theory of operation. `append` only collects a line in memory. All lines collected in one iteration of the event loop
are written by one `write` at the beginning of the next: there is no timer and no larger buffer.

What survives, by when the end comes:

- before that `write`: the line is lost. Its row has no answer in the file and is asked again by the next run.
- during it: the file may end in the middle of a line. `begin` cuts that part off; its row is asked again too.
- after it: the kernel has the line. It survives a kill of the process, but not a power cut.
- after the `fsync` that follows with `sync=True`: it survives a power cut as well. One `fsync` runs at a time, in a
  thread; lines written meanwhile are covered by the one after it. `append` never waits for either.

Somebody who deletes the file or cuts it short while a run writes to it takes answers away that nobody would miss. So
before a write, once in `CHECK_INTERVAL`, and at the end the file is looked at, and such a change is a failed write.

A `write` that fails (a full disk) keeps the whole lines that were written, cuts the rest, calls `on_failure` once and
drops every later line; `unwritten` counts the dropped ones. An exclusive `flock` keeps a second run out of the file.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
import time
from typing import TYPE_CHECKING

from asyncrouter.batch._errors import BatchError, WriteFailed
from asyncrouter.files import open_to_append

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]  # asked before it is used

CHECK_INTERVAL = 1.0
"""Seconds between two looks at whether the file is still there, and as long as it should be."""
TAIL_BLOCK = 1 << 16
"""Bytes that are read at a time, backwards from the end of a file, to find its last line end: more than most lines."""


class Journal:
    """One file that lines are appended to; `path` `None` is standard output.

    `sync` forces every write onto the disk with `fsync`; it does nothing where the file is not a regular one. Opening
    changes nothing in the file: `begin` does. `on_failure` is called with the error when a write fails, at most once.

    Raises `BatchError` when the file cannot be opened for writing (a symbolic link is not), or another run has it open.
    """

    def __init__(self, path: Path | None, *, sync: bool = False) -> None:
        self.name = "standard output" if path is None else str(path)
        self.failed: WriteFailed | None = None
        self.on_failure: Callable[[WriteFailed], None] = lambda failure: None
        self._path = path
        self._pending: list[bytes] = []
        self._lost_lines = 0
        self._syncing: asyncio.Future[None] | None = None
        self._unsynced = False
        self._checked_at = 0.0
        try:
            self._file = 1 if path is None else open_to_append(path)
        except OSError as error:
            raise BatchError(f"{self.name}: cannot be written: {error.strerror}") from None
        self.regular = path is not None and stat.S_ISREG(os.fstat(self._file).st_mode)
        self._sync = sync and self.regular
        self._size = os.fstat(self._file).st_size if self.regular else 0
        if self.regular and not _lock(self._file):
            os.close(self._file)
            raise BatchError(f"{self.name}: another run is writing to it")

    def __repr__(self) -> str:
        return f"<Journal {self.name}, {self._size} bytes, {len(self._pending)} lines to write>"

    @property
    def unwritten(self) -> int:
        """How many lines were appended but are not in the file."""
        return self._lost_lines + sum(lines.count(b"\n") for lines in self._pending)

    @property
    def size(self) -> int:
        """Bytes in the file, those of earlier runs included; 0 for standard output, a pipe or a device."""
        return self._size

    def begin(self, *, empty: bool = False) -> None:
        """Make the file ready: empty it, or cut off a last line that is not whole."""
        if self.regular:
            self._size = 0 if empty else _end_of_last_line(self._file)
            os.ftruncate(self._file, self._size)

    def append(self, line: bytes) -> None:
        """Write one or more lines, each with its line end, in the next iteration of the event loop."""
        self._pending.append(line)
        if len(self._pending) == 1:
            asyncio.get_running_loop().call_soon(self._flush)

    async def aclose(self, *, remove_empty: bool = False) -> None:
        """Write all lines, wait for a pending `fsync`, and close. Raises `WriteFailed` if any line was not written.

        `remove_empty` deletes the file if nothing is in it.
        """
        self._flush()
        self._was_changed()
        if self._sync and self.failed is None:
            while self._unsynced or self._syncing is not None:
                await (self._syncing or self._begin_sync())
        self.close(remove_empty=remove_empty)
        if self.failed is not None:
            raise self.failed

    def close(self, *, remove_empty: bool = False) -> None:
        """Write all lines without waiting for `fsync`, and close; idempotent. Failures show in `failed`.

        `remove_empty` deletes the file if nothing is in it.
        """
        self._flush()
        file, self._file = self._file, -1
        if file > 1:
            os.close(file)
            if remove_empty and self.regular and self._size == 0 and self._path is not None:
                self._path.unlink(missing_ok=True)

    def _flush(self) -> None:
        if not self._pending or self.failed is not None or self._file < 0:
            return
        lines, self._pending = b"".join(self._pending), []
        if (now := time.monotonic()) >= self._checked_at + CHECK_INTERVAL:
            self._checked_at = now
            if self._was_changed():
                self._lost_lines += lines.count(b"\n")
                return
        written = 0
        try:
            while written < len(lines):
                written += os.write(self._file, lines[written:] if written else lines)
        except OSError as error:
            kept = self._keep_whole_lines(lines[:written])
            self._lost_lines += lines.count(b"\n", kept)
            self._fail(error)
            return
        self._size += written
        if self._sync:
            self._unsynced = True
            if self._syncing is None:
                self._begin_sync()

    def _was_changed(self) -> bool:
        """Fail if somebody has deleted the file or changed its length."""
        if not self.regular or self._file < 0 or self.failed is not None:
            return False
        state = os.fstat(self._file)
        if state.st_nlink and state.st_size == self._size:
            return False
        what = "was changed by somebody else" if state.st_nlink else "was deleted"
        self._fail(OSError(errno.ESTALE, f"{what} while the run was writing to it"))
        return True

    def _keep_whole_lines(self, written: bytes) -> int:
        """Cut a line that was only partly written; how many of these bytes stay in the file."""
        whole = written.rfind(b"\n") + 1
        if self.regular:
            self._size += whole
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size)
        return whole

    def _fail(self, error: OSError) -> None:
        self.failed = WriteFailed(self.name, error)
        self.on_failure(self.failed)

    def _begin_sync(self) -> asyncio.Future[None]:
        self._unsynced = False
        self._syncing = asyncio.get_running_loop().run_in_executor(None, os.fsync, self._file)
        self._syncing.add_done_callback(self._synced)
        return self._syncing

    def _synced(self, done: asyncio.Future[None]) -> None:
        self._syncing = None
        if not done.cancelled() and isinstance(error := done.exception(), OSError):
            if self.failed is None:
                self._fail(error)
        elif self._unsynced and self._file >= 0:
            self._begin_sync()


def _lock(file: int) -> bool:
    """Lock the file against other runs; `False` if another run has it. `True` where locks are not supported."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks, such as some network mounts
    return True


def _end_of_last_line(file: int) -> int:
    """The length of a file up to and including its last line end."""
    end = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - TAIL_BLOCK)
        os.lseek(file, start, os.SEEK_SET)
        found = os.read(file, end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
