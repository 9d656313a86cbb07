"""Transports over a simulated world whose responses a test reads in its own way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from asyncrouter import ConnectionFailed, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter.sim import World


class WrappedResponse:
    """A response that passes everything on. `closed` is set when it is closed."""

    def __init__(self, inner: Response) -> None:
        self.inner = inner
        self.closed = asyncio.Event()
        self.status, self.headers = inner.status, inner.headers
        self.connected_at, self.reused = inner.connected_at, inner.reused

    async def read(self, rest: float = 0.0) -> bytes:
        return await self.inner.read(rest)

    async def closed_while_reading(self) -> bytes:
        """Wait until the response is closed, and raise what a read then raises."""
        await self.closed.wait()
        raise ConnectionFailed("closed while reading")

    def close(self) -> None:
        self.closed.set()
        self.inner.close()


class WrappingTransport:
    """A transport over a simulated world that puts `wrap` around every response."""

    def __init__(self, world: World, wrap: Callable[[Response], Response]) -> None:
        self._inner = world.transport()
        self._wrap = wrap

    async def send(self, request: Request) -> Response:
        return self._wrap(await self._inner.send(request))

    async def aclose(self) -> None:
        await self._inner.aclose()


class KeptOpen(WrappedResponse):
    """A response whose connection stays open after its last byte, until it is closed."""

    async def read(self, rest: float = 0.0) -> bytes:
        return await self.inner.read(rest) or await self.closed_while_reading()
