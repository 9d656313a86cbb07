"""`python _lag.py ARM URL STREAMS SECONDS` prints the p99, in ms, of how late the event loop's timers are.

ARM is "asyncrouter" or "handwritten"; so many streams of three tokens a second are being read all the while.
"""

from __future__ import annotations

import asyncio
import statistics
import sys

import _handwritten
from _machine import every_file
from _waves import MESSAGES

from asyncrouter import Router

EVERY = 0.01
GAP = 1.0 / 3.0


async def measure(arm: str, url: str, streams: int, seconds: float) -> float:
    opening = 4.0
    model = f"t{round((seconds + 2.0 * opening) / GAP)}@{GAP:.4f}"
    config = {
        "default_provider": "local", "providers": {"local": {"base_url": f"{url}/v1"}},
        "tasks": {"default": {"models": [model]}},
    }
    async with Router(config) as router, _handwritten.open_session() as session:
        body = {"model": model, "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}

        async def ours() -> None:
            words: list[str] = []
            async with router.stream(MESSAGES) as reply:
                async for chunk in reply:
                    words.append(chunk.text)  # noqa: PERF401  # the hand-written arm does the same
            "".join(words)

        async def one(number: int) -> None:
            await asyncio.sleep(number * opening / streams)
            if arm == "asyncrouter":
                await ours()
            else:
                await _handwritten.stream(session, f"{url}/v1/chat/completions", body)

        reading = [asyncio.ensure_future(one(number)) for number in range(streams)]
        await asyncio.sleep(opening + 1.0)
        late = await _late(seconds)
        if broken := [task for task in reading if task.done()]:
            raise RuntimeError(f"{len(broken)} streams ended early: {broken[0]}")
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    return statistics.quantiles(late, n=100)[98] * 1000.0


async def _late(seconds: float) -> list[float]:
    loop = asyncio.get_running_loop()
    until, late = loop.time() + seconds, []
    while (due := loop.time() + EVERY) < until:
        await asyncio.sleep(EVERY)
        late.append(loop.time() - due)
    return late


if __name__ == "__main__":
    every_file()
    print(asyncio.run(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
