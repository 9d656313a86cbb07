"""`python _loop_lag.py ARM URL STREAMS SECONDS` prints the p99 event-loop lag in ms: how late timers run.

ARM is "asyncrouter" or "handwritten"; meanwhile it reads so many streams of three tokens a second each.
"""

from __future__ import annotations

import asyncio
import statistics
import sys

import _handwritten
from _machine import raise_file_limit
from _paired_rounds import MESSAGES

from asyncrouter import Router

SAMPLE_SECONDS = 0.01
"""Seconds between two samples of the lag."""
GAP = 1.0 / 3.0
"""Seconds between two tokens of a stream: 2,000 streams make 6,000 tokens a second."""
OPENING = 4.0
"""Seconds over which the streams are opened, so that they do not run in step."""


async def measure(arm: str, url: str, streams: int, seconds: float) -> float:
    """The p99 lag in ms over so many seconds."""
    model = f"t{round((seconds + 2.0 * OPENING) / GAP)}@{GAP:.4f}"
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
            await asyncio.sleep(number * OPENING / streams)
            if arm == "asyncrouter":
                await ours()
            else:
                await _handwritten.stream(session, f"{url}/v1/chat/completions", body)

        tasks = [asyncio.ensure_future(one(number)) for number in range(streams)]
        await asyncio.sleep(OPENING + 1.0)
        lags = await _sample(seconds)
        if broken := [task for task in tasks if task.done()]:
            raise RuntimeError(f"{len(broken)} streams ended early: {broken[0]}")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return statistics.quantiles(lags, n=100)[98] * 1000.0


async def _sample(seconds: float) -> list[float]:
    loop = asyncio.get_running_loop()
    until, lags = loop.time() + seconds, []
    while (due := loop.time() + SAMPLE_SECONDS) < until:
        await asyncio.sleep(SAMPLE_SECONDS)
        lags.append(loop.time() - due)
    return lags


if __name__ == "__main__":
    raise_file_limit()
    print(asyncio.run(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
