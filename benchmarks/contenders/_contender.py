"""Runs a contender in a process of its own: one job, which comes as a line of JSON on standard input.

`scenario`: answer prompts at given instants from a chain of models (faults.py). `load`: make rounds of concurrent
calls, and measure what a call costs. `wait`: let calls wait for an answer that never comes, and measure their memory
(peers.py). The process prints "ready" when everything is imported and open, reads "go", and prints its result.
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
WARM_UP_CALLS = 3
"""Calls before a scenario, for what a library imports or opens at its first call."""
LOAD_SECONDS = 2.0
"""Seconds for which rounds are repeated, at least."""


class Job(NamedTuple):
    """`timeout` is seconds for one try, `call_timeout` for a whole call; `words` is the length of a whole answer.

    `instants` are those of a scenario's calls, in seconds. `calls` is how many are in flight at once; with `stream`
    they are read token by token.
    """

    kind: str
    base_url: str
    models: list[str]
    timeout: float
    call_timeout: float
    words: int = 0
    instants: list[float] = []  # noqa: RUF012  # one line of JSON, never changed
    calls: int = 0
    stream: bool = False


class Client(NamedTuple):
    """How a contender makes a call: for the whole text, and for the text as it comes."""

    chat: Callable[[str], Awaitable[str]]
    stream: Callable[[str], AsyncIterator[str]]


Contender = Callable[[Job], AbstractAsyncContextManager[Client]]


def main(contender: Contender) -> None:
    """Do the job that comes on standard input."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    import_seconds = time.process_time()
    job = Job(**json.loads(sys.stdin.readline()))
    print(json.dumps({"import": import_seconds} | asyncio.run(_work(contender, job))), flush=True)


async def _work(contender: Contender, job: Job) -> dict[str, object]:
    async with contender(job) as client:
        return await {"scenario": _scenario, "load": _load, "wait": _wait}[job.kind](client, job)


async def _wait_for_go() -> None:
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def _scenario(client: Client, job: Job) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    for number in range(WARM_UP_CALLS):
        with contextlib.suppress(Exception):
            await client.chat(f"[warm-{number}] Name a city.")
    await _wait_for_go()
    began, cpu = loop.time(), time.process_time()

    async def one(number: int, due: float) -> list[object]:
        await asyncio.sleep(began + due - loop.time())
        outcome = "ok"
        try:
            async with asyncio.timeout(job.call_timeout):
                text = await client.chat(f"[{number}] Name a city.")
            if len(text.split()) != job.words:
                outcome = "torn"  # truncated, and returned as complete
        except Exception as error:
            outcome = type(error).__name__
        return [due, loop.time() - began, outcome]

    rows = await asyncio.gather(*(one(number, due) for number, due in enumerate(job.instants)))
    return {"rows": list(rows), "cpu": time.process_time() - cpu}


async def _load(client: Client, job: Job) -> dict[str, object]:
    failed = 0

    async def one(ask: Callable[[str], Awaitable[str]], words: int) -> None:
        nonlocal failed
        try:
            failed += len((await ask("hello")).split()) != words
        except Exception:
            failed += 1

    async def one_round(ask: Callable[[str], Awaitable[str]], calls: int, words: int) -> None:
        await asyncio.gather(*(one(ask, words) for _ in range(calls)))

    async def read(prompt: str) -> str:
        return "".join([text async for text in client.stream(prompt)])

    await _wait_for_go()
    ticking = asyncio.ensure_future(_tick(job.base_url))
    for _ in range(2):  # connections open
        await one_round(client.chat, job.calls, 8)
    ask = read if job.stream else client.chat
    await one_round(ask, min(job.calls, 8), job.words)
    failed = 0
    rounds, cpu, began = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - began < LOAD_SECONDS or rounds == 0:
        await one_round(ask, job.calls, job.words)
        rounds += 1
    calls = rounds * job.calls
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    ticking.cancel()
    return {"calls": calls, "failed": failed, "cpu_us": cpu / calls * 1e6, "calls_s": calls / seconds}


async def _wait(client: Client, job: Job) -> dict[str, object]:
    await _wait_for_go()
    before = _resident_bytes()
    waiting = [asyncio.ensure_future(client.chat("hello")) for _ in range(job.calls)]
    loop = asyncio.get_running_loop()
    while (line := (await loop.run_in_executor(None, sys.stdin.readline)).strip()) == "measure":
        print(json.dumps({"bytes": (_resident_bytes() - before) / job.calls}), flush=True)
    for call in waiting:
        call.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return {"ended": line}


def _resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def _tick(base_url: str) -> None:
    """Let the server write the next event of every stream whenever the last ones have been read."""
    host, port = base_url.removeprefix("http://").split("/")[0].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        while True:
            writer.write(b"GET /tick HTTP/1.1\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
