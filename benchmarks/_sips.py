"""`chat()` on the streaming wire beside a reader that takes every token as it comes: 500 tokens, 10 ms apart."""

from __future__ import annotations

import asyncio
import statistics
from typing import TYPE_CHECKING

import _handwritten
from _waves import LIMIT, MESSAGES, Bench, paired

from asyncrouter import AllModelsFailed, DeadlineExceeded, Step

if TYPE_CHECKING:
    from collections.abc import Awaitable

TOGETHER = 100
MODEL = "t500@0.01"
SILENT = "t500@0.01!100"
"""Falls silent after a second."""


async def sips(bench: Bench, pairs: int) -> dict[str, list[float]]:
    """Per pair of waves: CPU to CPU, median reply to median reply, and how much later our latest reply is (seconds).

    The replies of the two waves are put side by side in the order in which they ended.
    """
    body = {"model": MODEL, "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
    found = await paired(
        pairs, lambda: bench.router.chat(MESSAGES, task="sips"),
        lambda: _handwritten.stream(bench.session, bench.completions, body), calls=TOGETHER, warm=1,
    )
    return {
        "cpu": [ours.cpu / theirs.cpu for ours, theirs in found],
        "median": [statistics.median(ours.seconds) / statistics.median(theirs.seconds) for ours, theirs in found],
        "latest": [
            max(mine - other for mine, other in zip(sorted(ours.seconds), sorted(theirs.seconds), strict=True))
            for ours, theirs in found
        ],
    }


async def clocks(bench: Bench, pairs: int) -> dict[str, list[float]]:
    """The worst error, in seconds, of every clock that ends a reply while 100 are being read."""
    chain = lambda **clock: [Step(model=SILENT if "idle" in clock else MODEL, **clock)]  # noqa: E731

    async def error(due: float, ask: Awaitable[object]) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await ask
        except (AllModelsFailed, DeadlineExceeded):
            return abs(loop.time() - began - due)
        raise AssertionError("no clock has fired")

    async def wave() -> float:
        chat = bench.router.chat
        quarter = TOGETHER // 4
        others = [asyncio.ensure_future(chat(MESSAGES, task="sips")) for _ in range(TOGETHER - 3 * quarter)]
        async with asyncio.timeout(LIMIT):
            errors = await asyncio.gather(*(
                clock for _ in range(quarter) for clock in (
                    error(1.5, chat(MESSAGES, chain=chain(total=1.5))),
                    error(1.7, chat(MESSAGES, task="sips", deadline=1.7)),
                    error(2.0, chat(MESSAGES, chain=chain(idle=1.0))),
                )
            ))
            await asyncio.gather(*others)
        return max(errors)

    return {"clocks": [await wave() for _ in range(pairs)]}
