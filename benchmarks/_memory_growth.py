"""`python _memory_growth.py URL CALLS` prints the bytes by which a process grows from the first tenth of its calls on.

Counted is resident memory after a garbage collection (Linux); 64 calls are in flight, every eighth of them streamed.
"""

from __future__ import annotations

import asyncio
import sys

from _paired_rounds import CALLS, MESSAGES
from _waiting_memory import resident_bytes

from asyncrouter import Router


async def measure(url: str, calls: int) -> int:
    """The growth in bytes."""
    config = {
        "default_provider": "local", "providers": {"local": {"base_url": f"{url}/v1"}},
        "defaults": {"wire_stream": False}, "tasks": {"default": {"models": ["t5@0", "n"], "hedge": {"after": "p95"}}},
    }
    async with Router(config) as router:

        async def make_calls(numbers: range) -> None:
            left = iter(numbers)

            async def worker() -> None:
                for number in left:
                    if number % 8:
                        await router.chat(MESSAGES, temperature=0.2)
                    else:
                        async with router.stream(MESSAGES) as stream:
                            async for _ in stream:
                                pass

            await asyncio.gather(*(worker() for _ in range(CALLS)))

        await make_calls(range(calls // 10))
        before = resident_bytes()
        await make_calls(range(calls // 10, calls))
        return resident_bytes() - before


if __name__ == "__main__":
    print(asyncio.run(measure(sys.argv[1], int(sys.argv[2]))))
