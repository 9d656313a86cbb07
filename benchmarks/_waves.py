"""Two arms that take turns, a wave of calls each, in one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import aiohttp

    from asyncrouter import Router

WAVE = 64
LIMIT = 120.0
"""Seconds after which a wave has hung."""
MESSAGES: list[dict[str, object]] = [{"role": "user", "content": "hello"}]

Ask = Callable[[], Awaitable[object]]


class Bench(NamedTuple):
    """Where the server is, and both arms, open."""

    url: str
    router: Router
    session: aiohttp.ClientSession

    @property
    def completions(self) -> str:
        return f"{self.url}/v1/chat/completions"


class Wave(NamedTuple):
    """CPU seconds of this process, and how long each call took."""

    cpu: float
    seconds: list[float]


async def paired(pairs: int, ours: Ask, theirs: Ask, *, calls: int = WAVE, warm: int = 2) -> list[tuple[Wave, Wave]]:
    """Ours and theirs, pair by pair; who goes first takes turns, too."""
    for ask in (ours, theirs) * warm:  # connections open, caches warm
        await wave(ask, calls)
    found = []
    for pair in range(pairs):
        if pair % 2:
            found.append((await wave(ours, calls), await wave(theirs, calls)))
        else:
            second = await wave(theirs, calls)
            found.append((await wave(ours, calls), second))
    return found


async def wave(ask: Ask, calls: int) -> Wave:
    loop = asyncio.get_running_loop()

    async def one() -> float:
        began = loop.time()
        await ask()
        return loop.time() - began

    async with asyncio.timeout(LIMIT):
        began = time.process_time()
        seconds = await asyncio.gather(*(one() for _ in range(calls)))
        return Wave(time.process_time() - began, seconds)


@asynccontextmanager
async def ticking(url: str) -> AsyncIterator[None]:
    """Let the server write the next event of every stream whenever the last ones are here."""
    task = asyncio.ensure_future(_tick(url))
    try:
        yield
    finally:
        task.cancel()


async def _tick(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        while True:
            writer.write(b"GET /tick HTTP/1.1\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
