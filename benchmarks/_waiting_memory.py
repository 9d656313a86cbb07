"""`python _waiting_memory.py ARM URL CALLS` prints the bytes of memory that a call takes while it waits for its answer.

ARM is "asyncrouter" or "handwritten". Counted is the growth of resident memory (Linux) from the first answered call to
the moment when all calls have reached the server and wait, divided by their number.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from _machine import raise_file_limit

Ask = Callable[[str], Awaitable[object]]
"""Makes one call below a path of the server."""


async def asyncrouter_arm(stack: AsyncExitStack, url: str) -> Ask:
    from asyncrouter import Router  # as below

    router = await stack.enter_async_context(
        Router({
            "default_provider": "local",
            "providers": {"local": {"base_url": f"{url}/v1"}, "hold": {"base_url": f"{url}/hold/v1"}},
            "defaults": {"wire_stream": False},
            "tasks": {"v1": {"models": ["m", "n"]}, "hold/v1": {"models": ["hold:m", "hold:n"]}},
        })
    )
    return lambda path: router.chat("hello", task=path, temperature=0.2)


async def handwritten_arm(stack: AsyncExitStack, url: str) -> Ask:
    import _handwritten  # aiohttp alone must not count for the other arm

    session = await stack.enter_async_context(_handwritten.open_session())

    def ask(path: str) -> Awaitable[object]:
        body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "temperature": 0.2}
        return _handwritten.chat(session, f"{url}/{path}/chat/completions", body)

    return ask


async def measure(arm: str, url: str, calls: int) -> float:
    """Bytes of a waiting call."""
    async with AsyncExitStack() as stack:
        ask = await {"asyncrouter": asyncrouter_arm, "handwritten": handwritten_arm}[arm](stack, url)
        await ask("v1")
        before = resident_bytes()
        waiting = [asyncio.ensure_future(ask("hold/v1")) for _ in range(calls)]
        async with asyncio.timeout(60.0):
            while await held_requests(url) < calls:  # noqa: ASYNC110  # the event is in another process
                await asyncio.sleep(0.1)
        grown = resident_bytes() - before
        for call in waiting:
            call.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return grown / calls


def resident_bytes() -> int:
    """The resident memory of this process after a garbage collection."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def held_requests(url: str) -> int:
    """How many requests wait at the server for an answer that never comes."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(b"GET /held HTTP/1.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        return int(await reader.readexactly(int(head.rsplit(b":", 1)[1])))
    finally:
        writer.close()
        await writer.wait_closed()


if __name__ == "__main__":
    raise_file_limit()
    print(asyncio.run(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
