"""The socket front: the same world behind a real HTTP/1.1 server, raw enough to cut, reset and fall silent.

Written on `asyncio.Protocol`, because a server framework would mend what is to be broken, and costs more than a client.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Self, cast

from asyncrouter.sim._bodies import Beat

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from asyncrouter.sim._seen import Seen
    from asyncrouter.sim._stage import Stage
    from asyncrouter.sim.play import Play

MOST = 1 << 20
"""What is written at one go at most, in bytes."""
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_RESET = struct.pack("ii", 1, 0)


class SimServer:
    """A world behind `base_url`, from `async with` on; leaving it drops every connection.

    What a listening socket cannot do, it does as soon as it has read the request and knows the model: `connect` delays
    the answer, a connection that cannot be made is reset, one that hangs while connecting is silent.
    """

    def __init__(self, stage: Stage, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._stage = stage
        self._host, self._port, self._tls = host, port, tls
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    def __repr__(self) -> str:
        return f"<SimServer {self.origin} connections={len(self._connections)}>"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self._tls else 'http'}://{self._host}:{self._port}"

    @property
    def base_url(self) -> str:
        """For `world.config(base_url=…)`."""
        return f"{self.origin}/v1"

    async def __aenter__(self) -> Self:
        """Listen. Raises `OSError` when the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self._stage, self.origin, self._connections),
            self._host, self._port, ssl=self._tls, backlog=4096,
        )
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._server is not None:
            self._server.close()
            for connection in list(self._connections):
                connection.drop()
            await self._server.wait_closed()


class _Connection(asyncio.Protocol):
    """One client's connection, one request at a time; the next ones wait in the buffer."""

    def __init__(self, stage: Stage, origin: str, connections: set[_Connection]) -> None:
        self._stage = stage
        self._origin = origin
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        self._answer: _Answer | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._over(gone=True)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._answer is None:
            self._read_request()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._answer is not None and self._timer is None:
            self._play()

    def drop(self) -> None:
        """Reset the connection."""
        sock: socket.socket = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def _read_request(self) -> None:
        head, found, _ = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        line, *fields = head.decode("latin-1").split("\r\n")
        pairs = (field.partition(":") for field in fields)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        start = len(head) + 4
        end = start + int(headers.get("content-length", 0))
        if len(self._buffer) < end:
            return
        body = bytes(self._buffer[start:end])
        del self._buffer[:end]
        target = line.split(" ")[1]
        now = self._loop.time()
        seen, play = self._stage.begin(f"{self._origin}{target}", headers, body, now)
        self._answer = _Answer(seen, play, now, last=headers.get("connection", "").lower() == "close")
        self._play()

    def _play(self) -> None:
        """Send what is due and set the timer for what comes next."""
        self._timer = None
        answer = self._answer
        if answer is None or self._full:
            return
        data, ending = answer.due(self._loop.time())
        if data:
            self._transport.write(data)
        if ending is not None:
            self._end(ending)
        elif not self._full and (at := answer.next_at()) < math.inf:
            self._timer = self._loop.call_at(at, self._play)

    def _end(self, ending: str) -> None:
        last = self._answer is not None and self._answer.last
        self._over(gone=False)
        if ending == "reset":
            self.drop()
        elif ending == "cut" or last:
            self._transport.close()
        elif self._buffer:
            self._read_request()

    def _over(self, *, gone: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._answer is not None:
            self._stage.end(self._answer.seen, self._loop.time(), gone=gone)
            self._answer = None


class _Answer:
    """A play as the bytes of HTTP: its head, then its body, chunked where it has no Content-Length."""

    def __init__(self, seen: Seen, play: Play, now: float, *, last: bool) -> None:
        self.seen = seen
        self.last = last
        self._play = play
        self._began = now + play.connect
        self._chunked = "content-length" not in play.headers
        self._steps = self._score()
        self._next = next(self._steps, None)
        seen.connected = now

    def next_at(self) -> float:
        """The instant of the next step; `inf` = none."""
        return math.inf if self._next is None else self._next.at

    def due(self, now: float) -> tuple[bytes, str | None]:
        """The bytes to send by now, and how it ends, if it does."""
        written: list[bytes] = []
        size = 0
        while (step := self._next) is not None and step.at <= now and size < MOST:
            written.append(step.data)
            if step.ending is not None:
                return b"".join(written), step.ending
            size += len(step.data)
            self.seen.contents += step.contents
            self._next = next(self._steps, None)
            if self._play.bitwise:
                break
        return b"".join(written), None

    def _score(self) -> Iterator[Beat]:
        """Everything in order, at instants of the loop's clock."""
        play = self._play
        if play.broken is not None or play.lost is not None:
            at = self._began + (0.0 if play.broken is not None else play.headers_at)
            yield Beat(at, ending="cut" if play.lost == "cut" else "reset")
            return
        yield Beat(self._began + play.headers_at, self._head())
        self.seen.status = play.status
        for beat in play.beats:
            yield Beat(self._began + beat.at, self._framed(beat), beat.contents, beat.ending)

    def _framed(self, beat: Beat) -> bytes:
        if not self._chunked:
            return beat.data
        if beat.ending == "end":
            return b"0\r\n\r\n"
        return b"%x\r\n%b\r\n" % (len(beat.data), beat.data) if beat.data else b""

    def _head(self) -> bytes:
        play = self._play
        framing = [("transfer-encoding", "chunked")] if self._chunked else []
        fields = chain(play.headers.items(), framing, [("connection", "close")] if self.last else [])
        lines = [f"HTTP/1.1 {play.status} {_REASONS.get(play.status, 'Unknown')}", *(f"{k}: {v}" for k, v in fields)]
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1")
