"""A transport that answers each request with what a test has written."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asyncrouter import Request

Answer = tuple[int, str, bytes]
"""Status, content type, body."""


class CannedResponse:
    """A response whose body is there at once, or in pieces of `size` bytes."""

    reused = False

    def __init__(self, answer: Answer, size: int) -> None:
        self.status, kind, self._rest = answer
        self.headers: Mapping[str, str] = {"content-type": kind}
        self.connected_at = asyncio.get_running_loop().time()
        self._size = size

    async def read(self, rest: float = 0.0) -> bytes:
        """The next piece."""
        data, self._rest = self._rest[: self._size], self._rest[self._size :]
        return data

    def close(self) -> None:
        """Drop the rest."""
        self._rest = b""


class CannedTransport:
    """Answers with `reply(request)`; `seen` are the requests with their JSON bodies."""

    def __init__(self, reply: Callable[[Request], Answer], size: int = 1 << 20) -> None:
        self._reply = reply
        self._size = size
        self.seen: list[tuple[str, dict[str, object]]] = []

    async def send(self, request: Request) -> CannedResponse:
        """The answer to a request."""
        self.seen.append((request.url, orjson.loads(request.body)))
        return CannedResponse(self._reply(request), self._size)

    async def aclose(self) -> None:
        """Nothing is open."""
