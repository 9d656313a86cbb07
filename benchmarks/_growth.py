"""`python _growth.py URL CALLS` prints the bytes by which a process grows from its first tenth of so many calls to all.

Resident memory, after a collection, as Linux counts it; 64 calls at once, every eighth of them streamed.
"""

from __future__ import annotations

import asyncio
import sys

from _waiting import resident
from _waves import MESSAGES, WAVE

from asyncrouter import Router


async def measure(url: str, calls: int) -> int:
    config = {
        "default_provider": "local", "providers": {"local": {"base_url": f"{url}/v1"}},
        "defaults": {"wire_stream": False}, "tasks": {"default": {"models": ["t5@0", "n"], "hedge": {"after": "p95"}}},
    }
    async with Router(config) as router:

        async def many(numbers: range) -> None:
            left = iter(numbers)

            async def worker() -> None:
                for number in left:
                    if number % 8:
                        await router.chat(MESSAGES, temperature=0.2)
                    else:
                        async with router.stream(MESSAGES) as stream:
                            async for _ in stream:
                                pass

            await asyncio.gather(*(worker() for _ in range(WAVE)))

        await many(range(calls // 10))
        before = resident()
        await many(range(calls // 10, calls))
        return resident() - before


if __name__ == "__main__":
    print(asyncio.run(measure(sys.argv[1], int(sys.argv[2]))))
