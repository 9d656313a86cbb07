"""A process with few descriptors makes many calls at once, and says on stdout what came of them.

Arguments: the base URL of a server, the calls, the limit of descriptors, how many of them the program itself takes
before the calls, and whether it takes all that are left before the router is closed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import sys
from collections import Counter

from asyncrouter import AiohttpTransport, Router


def take(count: int) -> list[int]:
    """Descriptors that the program takes for itself, `count` of them or as many as there are."""
    taken: list[int] = []
    while len(taken) < count:
        try:
            taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            break
    return taken


def sockets() -> int:
    """How many sockets are open, the event loop's own pair included."""
    return sum(os.readlink(f"/proc/self/fd/{name}").startswith("socket:") for name in os.listdir("/proc/self/fd")[:-1])


async def main(base_url: str, calls: int, taken: int, *, take_all: bool) -> dict[str, object]:
    """Make the calls and close."""
    tables = {
        "providers": {"sim": {"wire": "openai", "base_url": base_url}},
        "models": {name: {"provider": "sim", "id": name} for name in "ab"},
    }
    warnings: list[logging.LogRecord] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = warnings.append  # type: ignore[method-assign]
    logging.getLogger("asyncrouter").addHandler(handler)
    before = sockets()
    router = Router(tables, transport=AiohttpTransport())
    held = take(taken)
    replies = await asyncio.gather(
        *(router.chat("hello", chain=["a", "b"]) for _ in range(calls)), return_exceptions=True
    )
    breakers = {health.breaker for health in router.health().values()}
    held += take(sys.maxsize) if take_all else []
    await router.aclose()
    for descriptor in held:
        os.close(descriptor)
    outcomes = Counter(
        repr(reply)[:200] if isinstance(reply, BaseException) else f"{reply.model} {len(reply.trace.attempts)}"
        for reply in replies
    )
    return {
        "outcomes": outcomes, "breakers": sorted(breakers), "left": sockets() - before,
        "warnings": [record.getMessage() for record in warnings],
    }


if __name__ == "__main__":
    url, calls, limit, taken, take_all = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(limit), int(limit)))
    sys.stdout.write(json.dumps(asyncio.run(main(url, int(calls), int(taken), take_all=take_all == "all"))))
