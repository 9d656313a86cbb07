"""The socket front of a world: an HTTP/1.1 server that can also cut, reset and leave silent.

It is written on `asyncio.Protocol`: a server framework would repair what is meant to be broken, and would cost more
than the clients that are measured against it.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Self, cast

from asyncrouter.sim._bodies import TimedBytes

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from asyncrouter.sim._request_log import LoggedRequest
    from asyncrouter.sim._world_api import WorldApi
    from asyncrouter.sim.play import Play

MAX_WRITE = 1 << 20
"""Bytes that are written at once before other tasks run, so that a huge body does not block the event loop."""
BACKLOG = 4096
"""Connections that may wait to be accepted: enough for thousands of callers that begin at one instant."""
_REASONS = {status.value: status.phrase for status in HTTPStatus}
"""The reason phrases of HTTP statuses."""
_LINGER_ZERO = struct.pack("ii", 1, 0)
"""The value of SO_LINGER with which closing a socket resets its connection (socket(7))."""


class SimServer:
    """A world behind `base_url`, while the `async with` block lasts; leaving it resets every connection.

    A listening socket cannot refuse or delay single connections, so an act's `connect` and its faults happen once the
    request has been read: the response is delayed, the connection is reset or stays silent.
    """

    def __init__(
        self, world: WorldApi, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self._world = world
        self._host, self._port, self._tls = host, port, tls
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    def __repr__(self) -> str:
        return f"<SimServer {self.origin} connections={len(self._connections)}>"

    @property
    def origin(self) -> str:
        """Scheme, host and port; the port is known inside the block."""
        return f"{'https' if self._tls else 'http'}://{self._host}:{self._port}"

    @property
    def base_url(self) -> str:
        """The address for `world.config(base_url=…)`."""
        return f"{self.origin}/v1"

    async def __aenter__(self) -> Self:
        """Start listening. Raises `OSError` when the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self._world, self.origin, self._connections),
            self._host, self._port, ssl=self._tls, backlog=BACKLOG,
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
    """A client's connection. It answers one request at a time; pipelined ones wait in the buffer."""

    def __init__(self, world: WorldApi, origin: str, connections: set[_Connection]) -> None:
        self._world = world
        self._origin = origin
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        self._response: _Response | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._finish(gone=True)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._response is None:
            self._read_request()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._response is not None and self._timer is None:
            self._send_due()

    def drop(self) -> None:
        """Reset the connection."""
        sock: socket.socket | None = self._transport.get_extra_info("socket")
        if sock is not None:  # TLS on a connection that the client has just closed has none
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
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
        method, target = line.split(" ")[:2]
        now = self._loop.time()
        request, play = self._world.begin(f"{self._origin}{target}", headers, body, now, method)
        self._response = _Response(request, play, now, last=headers.get("connection", "").lower() == "close")
        self._send_due()

    def _send_due(self) -> None:
        """Send what is due, and set a timer for what comes next."""
        self._timer = None
        response = self._response
        if response is None or self._paused:
            return
        data, ending = response.take_due(self._loop.time())
        if data:
            self._transport.write(data)
        if ending is not None:
            self._end(ending)
        elif not self._paused and (at := response.next_at()) < math.inf:
            self._timer = self._loop.call_at(at, self._send_due)

    def _end(self, ending: str) -> None:
        last = self._response is not None and self._response.last
        self._finish(gone=False)
        if ending == "reset":
            self.drop()
        elif ending == "cut" or last:
            self._transport.close()
        elif self._buffer:
            self._read_request()

    def _finish(self, *, gone: bool) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._response is not None:
            self._world.end(self._response.request, self._loop.time(), gone=gone)
            self._response = None


class _Response:
    """A planned response as the bytes of HTTP: a head, then the body, chunked where it has no Content-Length."""

    def __init__(self, request: LoggedRequest, play: Play, now: float, *, last: bool) -> None:
        self.request = request
        self.last = last
        self._play = play
        self._began = now + play.connect
        self._chunked = "content-length" not in play.headers
        self._parts = self._timed_parts()
        self._next = next(self._parts, None)
        request.connected = now

    def next_at(self) -> float:
        """The instant of the next bytes on the event loop's clock; `inf` for none."""
        return math.inf if self._next is None else self._next.at

    def take_due(self, now: float) -> tuple[bytes, str | None]:
        """The bytes that are due by now, at most a little over `MAX_WRITE`, and how the response ends, if it does."""
        written: list[bytes] = []
        size = 0
        while (part := self._next) is not None and part.at <= now and size < MAX_WRITE:
            written.append(part.data)
            if part.ending is not None:
                return b"".join(written), part.ending
            size += len(part.data)
            self.request.contents += part.contents
            self._next = next(self._parts, None)
            if self._play.separate_pieces:
                break
        return b"".join(written), None

    def _timed_parts(self) -> Iterator[TimedBytes]:
        """Head and body in order, at instants of the event loop's clock."""
        play = self._play
        if play.connect_fault is not None or play.headers_fault is not None:
            at = self._began + (0.0 if play.connect_fault is not None else play.headers_at)
            yield TimedBytes(at, ending="cut" if play.headers_fault == "cut" else "reset")
            return
        yield TimedBytes(self._began + play.headers_at, self._head())
        self.request.status = play.status
        for part in play.body:
            yield TimedBytes(self._began + part.at, self._chunk(part), part.contents, part.ending)

    def _chunk(self, part: TimedBytes) -> bytes:
        if not self._chunked:
            return part.data
        if part.ending == "end":
            return b"0\r\n\r\n"
        return b"%x\r\n%b\r\n" % (len(part.data), part.data) if part.data else b""

    def _head(self) -> bytes:
        play = self._play
        framing = [("transfer-encoding", "chunked")] if self._chunked else []
        fields = chain(play.headers.items(), framing, [("connection", "close")] if self.last else [])
        lines = [f"HTTP/1.1 {play.status} {_REASONS.get(play.status, 'Unknown')}", *(f"{k}: {v}" for k, v in fields)]
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1")
