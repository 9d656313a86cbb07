"""Lines appended to a file in the order in which they come, so that a kill at any instant leaves a file to go on from.

A line is written in the turn of the event loop after the one it came in, with all others of that turn, in one write:
there is no timer and no buffer that a kill could take along.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from typing import TYPE_CHECKING

from asyncrouter.batch._errors import BatchError, WriteFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]  # asked before it is used

BLOCK = 1 << 16


class Journal:
    """One file that is appended to. `path` `None` is standard output. Raises `BatchError` where it cannot be opened.

    Nothing in it is touched before `begin`, and nobody else may write to it meanwhile. With `sync` every write is also
    forced onto the disk, in a thread.
    """

    def __init__(self, path: Path | None, *, sync: bool = False) -> None:
        self.name = "standard output" if path is None else str(path)
        self.failed: WriteFailed | None = None
        self.on_failure: Callable[[WriteFailed], None] = lambda failure: None
        self._path = path
        self._pending: list[bytes] = []
        self._lost = 0
        self._syncing: asyncio.Future[None] | None = None
        self._unsynced = False
        try:
            self._file = 1 if path is None else os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise BatchError(f"{self.name}: cannot be written: {error.strerror}") from None
        self.regular = path is not None and stat.S_ISREG(os.fstat(self._file).st_mode)
        self._sync = sync and self.regular
        self._size = os.fstat(self._file).st_size if self.regular else 0
        if self.regular and not _locked(self._file):
            os.close(self._file)
            raise BatchError(f"{self.name}: another run is writing to it")

    def __repr__(self) -> str:
        return f"<Journal {self.name}, {self._size} bytes, {len(self._pending)} lines to write>"

    @property
    def unwritten(self) -> int:
        """Lines that have come and could not be written."""
        return self._lost + sum(lines.count(b"\n") for lines in self._pending)

    @property
    def size(self) -> int:
        """Bytes that have been written, those of earlier runs included."""
        return self._size

    def begin(self, *, empty: bool = False) -> None:
        """Get ready to append: to nothing, or to its last whole line, when its last writer was killed in one."""
        if self.regular:
            self._size = 0 if empty else _whole(self._file)
            os.ftruncate(self._file, self._size)

    def append(self, line: bytes) -> None:
        """Write a line (or several), with what else comes in this turn of the loop."""
        self._pending.append(line)
        if len(self._pending) == 1:
            asyncio.get_running_loop().call_soon(self._flush)

    async def aclose(self, *, remove_empty: bool = False) -> None:
        """Write what is left, and close. Raises `WriteFailed` if anything could not be written."""
        self._flush()
        if self._sync and self.failed is None:
            while self._unsynced or self._syncing is not None:
                await (self._syncing or self._begin_sync())
        self.close(remove_empty=remove_empty)
        if self.failed is not None:
            raise self.failed

    def close(self, *, remove_empty: bool = False) -> None:
        """Write what is left, as far as it can be, and close; idempotent."""
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
        written = 0
        try:
            while written < len(lines):
                written += os.write(self._file, lines[written:] if written else lines)
        except OSError as error:
            kept = self._keep_whole_lines(lines[:written])
            self._lost += lines.count(b"\n", kept)
            self._fail(error)
            return
        self._size += written
        if self._sync:
            self._unsynced = True
            if self._syncing is None:
                self._begin_sync()

    def _keep_whole_lines(self, written: bytes) -> int:
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


def _locked(file: int) -> bool:
    """Whether the file is ours alone, as far as this can be told."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system without locks
    return True


def _whole(file: int) -> int:
    """The length of a file up to the end of its last whole line."""
    end = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - BLOCK)
        os.lseek(file, start, os.SEEK_SET)
        found = os.read(file, end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
