"""What a contender is asked to do, in a process of its own: answer prompts at given instants from a chain of models.

The job comes as a line of JSON; "ready" goes out when everything is imported and open, "go" comes in, and the rows go
out as a line of JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

KEY = "sk-none"
WARM = 3
Ask = Callable[[str], Awaitable[str]]


class Job(NamedTuple):
    """`timeout` is seconds for one try, `patience` for a whole call; `words` is the length of a whole answer."""

    base_url: str
    models: list[str]
    instants: list[float]
    timeout: float
    patience: float
    words: int


def main(contender: Callable[[Job], AbstractAsyncContextManager[Ask]]) -> None:
    """Do the job that comes on standard input."""
    job = Job(**json.loads(sys.stdin.readline()))
    rows, cpu = asyncio.run(_work(contender, job))
    print(json.dumps({"rows": rows, "cpu": cpu}), flush=True)


async def _work(contender: Callable[[Job], AbstractAsyncContextManager[Ask]], job: Job) -> tuple[list[object], float]:
    loop = asyncio.get_running_loop()
    async with contender(job) as ask:
        for number in range(WARM):  # what is imported or opened at the first call
            with contextlib.suppress(Exception):
                await ask(f"[warm-{number}] Name a city.")
        print("ready", flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        began, cpu = loop.time(), time.process_time()

        async def one(number: int, due: float) -> list[object]:
            await asyncio.sleep(began + due - loop.time())
            outcome = "ok"
            try:
                async with asyncio.timeout(job.patience):
                    text = await ask(f"[{number}] Name a city.")
                if len(text.split()) != job.words:
                    outcome = "torn"
            except Exception as error:
                outcome = type(error).__name__
            return [due, loop.time() - began, outcome]

        rows = await asyncio.gather(*(one(number, due) for number, due in enumerate(job.instants)))
        return list(rows), time.process_time() - cpu
