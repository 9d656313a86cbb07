"""Batched reads: `chat()` on the streaming wire, 100 replies of 500 tokens, beside a client that reads each token.

With 16 or more concurrent replies asyncrouter reads sockets every 0.2 s. This measures the CPU that saves, and what it
may cost: later replies, and timeouts that fire late.
"""

from __future__ import annotations

import asyncio
import statistics
from typing import TYPE_CHECKING

import _handwritten
from _paired_rounds import MESSAGES, ROUND_TIMEOUT, Bench, paired

from asyncrouter import AllModelsFailed, DeadlineExceeded, Step

if TYPE_CHECKING:
    from collections.abc import Awaitable

REPLIES = 100
"""Concurrent replies of a round."""
TASK = "batched"
"""The router's task whose model is `MODEL`."""
MODEL = "t500@0.01"
STOPS_WRITING = "t500@0.01!100"
"""The same model, but it stops writing after a second."""


async def batched_reads(bench: Bench, pairs: int) -> dict[str, list[float]]:
    """For each pair: the ratio of CPU, the ratio of the median replies, and by how many seconds our latest is later.

    The replies of the two rounds are compared in the order in which they ended.
    """
    body = {"model": MODEL, "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
    found = await paired(
        pairs, lambda: bench.router.chat(MESSAGES, task=TASK),
        lambda: _handwritten.stream(bench.session, bench.completions, body), calls=REPLIES, warm=1,
    )
    return {
        "cpu": [ours.cpu / theirs.cpu for ours, theirs in found],
        "median": [statistics.median(ours.seconds) / statistics.median(theirs.seconds) for ours, theirs in found],
        "latest": [
            max(mine - other for mine, other in zip(sorted(ours.seconds), sorted(theirs.seconds), strict=True))
            for ours, theirs in found
        ],
    }


async def timeouts(bench: Bench, rounds: int) -> dict[str, list[float]]:
    """For each round: the worst error, in seconds, of every timeout that ends a reply while 100 are being read."""
    chain = lambda **limit: [Step(model=STOPS_WRITING if "idle" in limit else MODEL, **limit)]  # noqa: E731

    async def error(due: float, ask: Awaitable[object]) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            await ask
        except (AllModelsFailed, DeadlineExceeded):
            return abs(loop.time() - began - due)
        raise AssertionError("no timeout has fired")

    async def one_round() -> float:
        chat = bench.router.chat
        quarter = REPLIES // 4
        others = [asyncio.ensure_future(chat(MESSAGES, task=TASK)) for _ in range(REPLIES - 3 * quarter)]
        async with asyncio.timeout(ROUND_TIMEOUT):
            errors = await asyncio.gather(*(
                one for _ in range(quarter) for one in (
                    error(1.5, chat(MESSAGES, chain=chain(total=1.5))),
                    error(1.7, chat(MESSAGES, task=TASK, deadline=1.7)),
                    error(2.0, chat(MESSAGES, chain=chain(idle=1.0))),
                )
            ))
            await asyncio.gather(*others)
        return max(errors)

    return {"clocks": [await one_round() for _ in range(rounds)]}
