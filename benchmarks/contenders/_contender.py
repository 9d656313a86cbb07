"""What a contender is asked to do, in a process of its own: one job, which comes as a line of JSON.

`day`: answer prompts at given instants from a chain of models (faults.py). `load`: answer so many at once, wave after
wave, and say what that costs. `wait`: have so many calls wait for an answer that never comes, and say how much memory
they take (peers.py). "ready" goes out when everything is imported and open, "go" comes in, and what was found goes out.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import resource
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NamedTuple

KEY = "sk-none"
WARM = 3
LEAST = 2.0
"""Seconds that waves are repeated for."""


class Job(NamedTuple):
    """`timeout` is seconds for one try, `patience` for a whole call; `words` is the length of a whole answer.

    `instants` are those of a day. `calls` is how many are open at once under load; `stream`: read token by token.
    """

    kind: str
    base_url: str
    models: list[str]
    timeout: float
    patience: float
    words: int = 0
    instants: list[float] = []  # noqa: RUF012  # a row of a file, never changed
    calls: int = 0
    stream: bool = False


class Asked(NamedTuple):
    """How a contender answers: the whole text, and the text as it comes."""

    chat: Callable[[str], Awaitable[str]]
    stream: Callable[[str], AsyncIterator[str]]


Contender = Callable[[Job], AbstractAsyncContextManager[Asked]]


def main(contender: Contender) -> None:
    """Do the job that comes on standard input."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    imported = time.process_time()
    job = Job(**json.loads(sys.stdin.readline()))
    print(json.dumps({"import": imported} | asyncio.run(_work(contender, job))), flush=True)


async def _work(contender: Contender, job: Job) -> dict[str, object]:
    async with contender(job) as asked:
        return await {"day": _day, "load": _load, "wait": _wait}[job.kind](asked, job)


async def _go() -> None:
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def _day(asked: Asked, job: Job) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    for number in range(WARM):  # what is imported or opened at the first call
        with contextlib.suppress(Exception):
            await asked.chat(f"[warm-{number}] Name a city.")
    await _go()
    began, cpu = loop.time(), time.process_time()

    async def one(number: int, due: float) -> list[object]:
        await asyncio.sleep(began + due - loop.time())
        outcome = "ok"
        try:
            async with asyncio.timeout(job.patience):
                text = await asked.chat(f"[{number}] Name a city.")
            if len(text.split()) != job.words:
                outcome = "torn"
        except Exception as error:
            outcome = type(error).__name__
        return [due, loop.time() - began, outcome]

    rows = await asyncio.gather(*(one(number, due) for number, due in enumerate(job.instants)))
    return {"rows": list(rows), "cpu": time.process_time() - cpu}


async def _load(asked: Asked, job: Job) -> dict[str, object]:
    failed = 0

    async def one(ask: Callable[[str], Awaitable[str]], words: int) -> None:
        nonlocal failed
        try:
            failed += len((await ask("hello")).split()) != words
        except Exception:
            failed += 1

    async def wave(ask: Callable[[str], Awaitable[str]], calls: int, words: int) -> None:
        await asyncio.gather(*(one(ask, words) for _ in range(calls)))

    async def read(prompt: str) -> str:
        return "".join([text async for text in asked.stream(prompt)])

    await _go()
    ticking = asyncio.ensure_future(_tick(job.base_url))
    for _ in range(2):  # connections open
        await wave(asked.chat, job.calls, 8)
    ask = read if job.stream else asked.chat
    await wave(ask, min(job.calls, 8), job.words)
    failed = 0
    waves, cpu, began = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - began < LEAST or waves == 0:
        await wave(ask, job.calls, job.words)
        waves += 1
    calls = waves * job.calls
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    ticking.cancel()
    return {"calls": calls, "failed": failed, "cpu_us": cpu / calls * 1e6, "calls_s": calls / seconds}


async def _wait(asked: Asked, job: Job) -> dict[str, object]:
    await _go()
    before = _resident()
    waiting = [asyncio.ensure_future(asked.chat("hello")) for _ in range(job.calls)]
    loop = asyncio.get_running_loop()
    while (word := (await loop.run_in_executor(None, sys.stdin.readline)).strip()) == "look":
        print(json.dumps({"bytes": (_resident() - before) / job.calls}), flush=True)
    for call in waiting:
        call.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return {"ended": word}


def _resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def _tick(base_url: str) -> None:
    """Let the server write the next event of every stream whenever the last ones are here."""
    host, port = base_url.removeprefix("http://").split("/")[0].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        while True:
            writer.write(b"GET /tick HTTP/1.1\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
