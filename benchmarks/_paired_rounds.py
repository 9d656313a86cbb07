"""Two arms measured in pairs of rounds in one process: each round is a number of concurrent calls of one arm."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import aiohttp

    from asyncrouter import Router

CALLS = 64
"""Concurrent calls of a round, unless another number is given: enough that a round takes some milliseconds."""
ROUND_TIMEOUT = 120.0
"""Seconds after which a round counts as hung."""
MESSAGES: list[dict[str, object]] = [{"role": "user", "content": "hello"}]

Ask = Callable[[], Awaitable[object]]
"""Makes one call."""


class Bench(NamedTuple):
    """The server's URL, and both clients, open: ours and the hand-written one's session."""

    url: str
    router: Router
    session: aiohttp.ClientSession

    @property
    def completions(self) -> str:
        return f"{self.url}/v1/chat/completions"


class Round(NamedTuple):
    """CPU seconds of this process, and the seconds of each call."""

    cpu: float
    seconds: list[float]


async def paired(pairs: int, ours: Ask, theirs: Ask, *, calls: int = CALLS, warm: int = 2) -> list[tuple[Round, Round]]:
    """So many pairs of rounds, ours and theirs, after `warm` rounds of each. Which one goes first alternates."""
    for ask in (ours, theirs) * warm:  # connections open, caches warm
        await run_round(ask, calls)
    found = []
    for pair in range(pairs):
        if pair % 2:
            found.append((await run_round(ours, calls), await run_round(theirs, calls)))
        else:
            second = await run_round(theirs, calls)
            found.append((await run_round(ours, calls), second))
    return found


async def run_round(ask: Ask, calls: int) -> Round:
    """Make so many calls at once."""
    loop = asyncio.get_running_loop()

    async def one() -> float:
        began = loop.time()
        await ask()
        return loop.time() - began

    async with asyncio.timeout(ROUND_TIMEOUT):
        began = time.process_time()
        seconds = await asyncio.gather(*(one() for _ in range(calls)))
        return Round(time.process_time() - began, seconds)


@asynccontextmanager
async def ticking(url: str) -> AsyncIterator[None]:
    """Let the server write the next event of every stream whenever the last ones have been read."""
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
