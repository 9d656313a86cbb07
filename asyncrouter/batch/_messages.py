"""The protocol between the process of a batch that writes the files and its worker processes.

Each worker process has one socket. What is sent to it is first its task, a length and pickled arguments, and later
single bytes, `STOP` or `ABORT`. What it sends are messages: a byte that says the kind, a length, and a payload of lines
or of JSON. A closed socket means that the other process has ended.
"""

from __future__ import annotations

import asyncio
from struct import Struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

HEAD = Struct("!BI")
"""The head of a message from a worker process: its kind and the length of its payload in bytes."""
TASK_LENGTH = Struct("!I")
"""The length, in bytes, of the pickled arguments that are a worker process's task."""
ANSWERS, FAILURES, STATE, END, WARNING = range(5)
"""The kinds of messages: lines for the output, lines for the errors file, the counts so far, the last message with the
final counts, a log record's text.
"""
STOP, ABORT = b"s", b"a"
"""The commands to a worker process: begin no more rows; begin no more rows and cancel those in flight."""
BUFFER_SIZE = 65_536
"""Bytes that are read at once. The buffer is kept: asyncio's own allocates a larger one for each read, which costs more
than what comes in it.
"""


class MessageWriter:
    """A worker process's end: lines that come in one iteration of the event loop go out in one message.

    `send` blocks the event loop while the socket is full: a worker process that answers faster than the other process
    writes has to slow down. `on_hang_up` is called when the other process is gone.
    """

    def __init__(self, end: socket.socket, on_hang_up: Callable[[], None] = lambda: None) -> None:
        self.on_hang_up = on_hang_up
        self._socket = end
        self._pending: dict[int, list[bytes]] = {ANSWERS: [], FAILURES: []}

    def line_writer(self, kind: int) -> Callable[[bytes], None]:
        """A function that takes lines of this kind and sends them in the next iteration of the event loop."""

        def write(line: bytes) -> None:
            if not any(self._pending.values()):
                asyncio.get_running_loop().call_soon(self.flush)
            self._pending[kind].append(line)

        return write

    def flush(self) -> None:
        """Send all pending lines now."""
        for kind, lines in self._pending.items():
            if lines:
                self.send(kind, b"".join(lines))
                lines.clear()

    def send(self, kind: int, payload: bytes) -> None:
        """Send one message now."""
        try:
            self._socket.sendall(HEAD.pack(kind, len(payload)) + payload)
        except OSError:
            self.on_hang_up()


class MessageReader(asyncio.BufferedProtocol):
    """The other end: calls `received` with kind and payload of each message, and `closed` after the last one."""

    def __init__(self, received: Callable[[int, bytes], None], closed: Callable[[], None]) -> None:
        self._received = received
        self._closed = closed
        self._buffer = bytearray(BUFFER_SIZE)
        self._rest = b""

    def get_buffer(self, sizehint: int) -> bytearray:
        """The buffer that asyncio reads into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Split what has come into messages; one that is not whole waits for its rest."""
        data, at = self._rest + self._buffer[:nbytes], 0
        while len(data) >= (begin := at + HEAD.size):
            kind, length = HEAD.unpack_from(data, at)
            if len(data) < begin + length:
                break
            at = begin + length
            self._received(kind, data[begin:at])
        self._rest = data[at:]

    def connection_lost(self, error: Exception | None) -> None:
        """The worker process has closed its end, or has died."""
        self._closed()
