"""One router over several keys, in a process of its own: `python _pool_client.py JOB` prints what its callers met.

JOB is JSON: `arm` ("asyncrouter" or "litellm") with its `options`, the `url` and the `keys` of the provider
(`_pool_server.py`), and a load: `callers` that call one after the other, or `rate` calls a second that arrive at
random, until `until` seconds; what counts begins at `begin`. A caller whose call has failed calls again after half a
second.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

MESSAGES = [{"role": "user", "content": "hello"}]
DEADLINE = 120.0
"""Seconds that a call may take."""
PAUSE = 0.5
"""Seconds until a caller whose call has failed calls again."""

Ask = Callable[[], Awaitable[object]]


def asyncrouter(job: dict[str, Any]) -> tuple[Ask, Ask]:
    """What makes one call, and what closes the router: a pool of all keys."""
    from asyncrouter import Router  # each arm runs where the other one is not installed

    url = f"{job['url']}/v1"
    places = {key: {"wire": "openai", "base_url": url, "key": lambda key=key: key} for key in job["keys"]}
    router = Router({
        "default_provider": job["keys"][0], "providers": places,
        "models": {"pool": {"any": [f"{key}:m" for key in job["keys"]], **job["options"]}},
        "defaults": {"wire_stream": False, "total": "none", "deadline": DEADLINE}, "tasks": {"default": ["pool"]},
    })
    return lambda: router.chat(MESSAGES), router.aclose  # type: ignore[arg-type]


def litellm(job: dict[str, Any]) -> tuple[Ask, Ask]:
    """The same of LiteLLM's Router; its options may say where its Redis is."""
    import litellm as library  # type: ignore[import-not-found]

    url = f"{job['url']}/v1"
    library.suppress_debug_info = True
    router = library.Router(
        model_list=[
            {"model_name": "pool", "litellm_params": {"model": "openai/m", "api_base": url, "api_key": key}}
            for key in job["keys"]
        ],
        timeout=DEADLINE, **job["options"],
    )

    async def close() -> None:
        router.discard()

    return lambda: router.acompletion(model="pool", messages=MESSAGES), close


class Callers:
    """Makes the calls, and notes of each when it began, how long it took and whether it was answered."""

    def __init__(self, ask: Ask, job: dict[str, Any]) -> None:
        self._ask = ask
        self._job = job
        self._random = Random("callers")
        self._clock = time.monotonic
        self._began = self._clock()
        self.calls: list[tuple[float, float, bool]] = []
        self.cpu = 0.0

    def _now(self) -> float:
        return self._clock() - self._began

    async def _call(self) -> None:
        began = self._now()
        try:
            await self._ask()
            answered = True
        except Exception:
            answered = False
        self.calls.append((began, self._now() - began, answered))
        if not answered:
            await asyncio.sleep(PAUSE)

    async def _caller(self) -> None:
        await asyncio.sleep(self._random.random())
        while self._now() < self._job["until"]:
            await self._call()

    async def _arrivals(self) -> None:
        async with asyncio.TaskGroup() as group:
            while self._now() < self._job["until"]:
                group.create_task(self._call())
                await asyncio.sleep(self._random.expovariate(self._job["rate"]))

    async def _watch_cpu(self) -> None:
        await asyncio.sleep(self._job["begin"])
        before = time.process_time()
        await asyncio.sleep(self._job["until"] - self._job["begin"])
        self.cpu = time.process_time() - before

    async def run(self) -> None:
        """Until the end."""
        callers = self._job.get("callers", 0)
        await asyncio.gather(
            self._watch_cpu(), *([self._caller() for _ in range(callers)] if callers else [self._arrivals()])
        )


async def main() -> None:
    job = json.loads(sys.argv[1])
    ask, close = {"asyncrouter": asyncrouter, "litellm": litellm}[job["arm"]](job)
    callers = Callers(ask, job)
    await callers.run()
    ended = [(began + took, took, ok) for began, took, ok in callers.calls if began + took >= job["begin"]]
    seconds = sorted(took for at, took, ok in ended if ok and at < job["until"])
    failed = sum(not ok and at < job["until"] for at, _, ok in ended)
    print(json.dumps({
        "answered": len(seconds), "failed": failed, "cpu": callers.cpu,
        "p50": seconds[len(seconds) // 2], "p99": seconds[int(0.99 * len(seconds))],
    }), flush=True)
    await close()


if __name__ == "__main__":
    asyncio.run(main())
