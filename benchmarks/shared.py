"""Limits and a budget of eight processes as one: how much of a limit is used, and what trouble of Redis costs.

    python -m benchmarks.shared [--seconds 60] [--only requests,tokens,…] [--json FILE]

Needs the extra `redis` and a `redis-server`, which this script starts, stops, pauses and empties itself. Each process
has a router over simulated models, whose answers take 0.5 s, and so many callers that they ask for twice the limit. All
instants are of the machine's monotonic clock, which processes share. Rejections are those of a provider that counts
exactly: a token bucket with a second's worth of the limit, filled at its rate, with all requests in their order.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import multiprocessing
import time
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

from asyncrouter import AllModelsFailed, Router
from asyncrouter.integrations.redis import RedisState
from asyncrouter.shared import Ask
from asyncrouter.sim import Act, World
from benchmarks._machine import environment
from tests.helpers.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable

PROCESSES = 8
RATE = 200.0
"""Requests a second of the limit."""
TOKENS = 400_000
"""Tokens a minute of the limit; a call uses 100."""
SETTLE = 3.0
"""Seconds at the beginning that do not count: the bucket is full then."""
ANSWER = 0.5
PRICE = {"input": 0.15, "output": 0.6}


@dataclass
class Job:
    """What one process is to do."""

    url: str | None
    namespace: str
    limits: dict[str, object]
    callers: int
    begin: float
    seconds: float
    reserve: int = 0
    answer: float = ANSWER
    budget: float | None = None
    run: str = "run"


@dataclass
class Done:
    """What it did: the instants at which requests were sent and had ended."""

    sent: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    failed: int = 0
    over_budget: int = 0
    notices: int = 0
    waits: list[float] = field(default_factory=list)
    cpu: float = 0.0
    bill: float = 0.0


def worker(job: Job, results: multiprocessing.Queue[Done]) -> None:
    logging.getLogger("asyncrouter").setLevel(logging.ERROR)
    results.put(asyncio.run(work(job)))


def router_of(world: World, job: Job) -> Router:
    model = {"provider": "sim", "id": "m", "usd_per_mtok": PRICE, **job.limits}
    tables: dict[str, object] = {"models": {"m": model}, "tasks": {"default": ["m"]}, "defaults": {"retry": 1}}
    if job.budget is not None:
        tables["budget"] = {"usd": job.budget, "per": "run"}
    shared = None if job.url is None else RedisState(job.url, namespace=job.namespace, run=job.run)
    return Router(world.config(**tables), transport=world.transport(), shared=shared)


async def work(job: Job) -> Done:
    done = Done()
    world = World()
    world.model("m", Act(tokens=99, headers_after=job.answer, usage={"prompt_tokens": 1, "completion_tokens": 99}))
    world.models["m"].price(**PRICE)
    options: dict[str, object] = {"max_tokens": job.reserve - 1} if job.reserve else {}
    clock, began = time.monotonic, time.process_time()
    async with router_of(world, job) as router:
        await asyncio.sleep(max(0.0, job.begin - clock()))

        async def caller() -> None:
            while clock() < job.begin + job.seconds:
                try:
                    reply = await router.chat("x", **options)  # type: ignore[arg-type]
                except AllModelsFailed as error:
                    if type(error.last).__name__ != "OverBudget":
                        done.failed += 1
                        continue
                    done.over_budget += 1
                    await asyncio.sleep(0.05)
                    continue
                except Exception:
                    done.failed += 1
                    continue
                (attempt,) = reply.trace.attempts
                if attempt.sent is not None and len(done.waits) < 20_000:
                    done.waits.append(attempt.sent - attempt.queued)

        async with asyncio.TaskGroup() as group:
            for _ in range(job.callers):
                group.create_task(caller())
    done.sent = [seen.at for seen in world.seen]
    done.ended = [seen.at + job.answer for seen in world.seen]
    done.cpu, done.bill = time.process_time() - began, world.usd
    return done


class Run:
    """Some processes at work, and what is done to them and to Redis meanwhile."""

    def __init__(self, server: RedisServer, number: int = PROCESSES, **fields: object) -> None:
        self.server = server
        self.begin = time.monotonic() + 6.0
        self.seconds = float(fields["seconds"])  # type: ignore[arg-type]
        self._context = multiprocessing.get_context("spawn")
        self._results: multiprocessing.Queue[Done] = self._context.Queue()
        namespace = f"bench-{time.monotonic_ns()}"
        self.jobs = [
            Job(server.url, namespace, begin=self.begin, **fields)  # type: ignore[arg-type]
            for _ in range(number)
        ]
        self.processes = [
            self._context.Process(target=worker, args=(job, self._results), daemon=True) for job in self.jobs
        ]
        for process in self.processes:
            process.start()

    def at(self, seconds: float, happen: Callable[[], object]) -> None:
        time.sleep(max(0.0, self.begin + seconds - time.monotonic()))
        happen()

    def results(self, number: int | None = None) -> list[Done]:
        done = [self._results.get(timeout=self.seconds + 60.0) for _ in range(number or len(self.processes))]
        for process in self.processes:
            process.join(10.0)
        return done


def rejected(instants: list[float], rate: float) -> int:
    """How many requests a provider with a bucket of one second turns down."""
    room, last, count = rate, None, 0
    for instant in instants:
        room = min(rate, room + (0.0 if last is None else (instant - last) * rate))
        last = instant
        if room >= 1.0:
            room -= 1.0
        else:
            count += 1
    return count


def use_of(run: Run, all_done: list[Done], rate: float) -> dict[str, object]:
    """How the limit was used, over the time that counts."""
    instants = sorted(at for done in all_done for at in done.sent)
    begin, end = run.begin + SETTLE, run.begin + run.seconds
    counted = [at for at in instants if begin <= at < end]
    seconds = Counter(int(at - begin) for at in counted)
    turned_down = rejected(instants, rate)
    waits = sorted(wait for done in all_done for wait in done.waits)
    return {
        "share_of_the_limit": round(len(counted) / (end - begin) / rate, 4),
        "worst_second": max(seconds.values()),
        "emptiest_second": min(seconds[second] for second in range(int(end - begin))),
        "rejections_a_success": round(turned_down / max(1, len(instants) - turned_down), 5),
        "calls": len(instants), "failed": sum(done.failed for done in all_done),
        "by_process": sorted(len(done.sent) for done in all_done),
        "median_wait_seconds": round(median(waits), 4) if waits else None,
        "by_second": [seconds[second] for second in range(int(end - begin))],
    }


def requests(server: RedisServer, seconds: float) -> dict[str, object]:
    run = Run(server, limits={"rpm": RATE * 60}, callers=25, seconds=seconds)
    return use_of(run, run.results(), RATE)


def tokens(server: RedisServer, seconds: float) -> dict[str, object]:
    run = Run(server, limits={"tpm": TOKENS}, callers=9, reserve=120, seconds=seconds)
    return use_of(run, run.results(), TOKENS / 100 / 60)


def stopped(server: RedisServer, seconds: float) -> dict[str, object]:
    run = Run(server, limits={"rpm": RATE * 60}, callers=25, seconds=seconds)
    run.at(seconds / 3, server.stop)
    run.at(seconds / 3 + 10.0, server.start)
    return use_of(run, run.results(), RATE)


def paused(server: RedisServer, seconds: float) -> dict[str, object]:
    run = Run(server, limits={"rpm": RATE * 60}, callers=25, seconds=seconds)
    run.at(seconds / 3, server.pause)
    run.at(seconds / 3 + 10.0, server.go_on)
    return use_of(run, run.results(), RATE)


def flushed(server: RedisServer, seconds: float) -> dict[str, object]:
    run = Run(server, limits={"rpm": RATE * 60}, callers=25, seconds=seconds)
    for part in (0.3, 0.5, 0.7):
        run.at(part * seconds, lambda: (server.command("FLUSHALL"), server.command("SCRIPT", "FLUSH")))
    return use_of(run, run.results(), RATE)


def killed(server: RedisServer, seconds: float) -> dict[str, object]:
    """Four of eight processes are killed with all their slots: when are these used again?"""
    most = 64
    run = Run(server, limits={"max_concurrent": most}, callers=16, seconds=seconds)
    run.at(10.0, lambda: [process.kill() for process in run.processes[:4]])
    killed_at = time.monotonic()
    all_done = run.results(4)
    spans = [span for done in all_done for span in zip(done.sent, done.ended, strict=True)]

    def running(at: float) -> int:
        return sum(begin <= at < end for begin, end in spans)

    after = next((s / 10 for s in range(400) if running(killed_at + s / 10) >= 0.9 * most), None)
    return {
        "slots": most, "of_the_others_before": running(killed_at - 0.2),
        "seconds_until_nine_tenths_are_used_again": after,
        "most_at_once_after_that": max(running(killed_at + 17.0 + s / 10) for s in range(50)),
        "failed": sum(done.failed for done in all_done),
    }


def budget(server: RedisServer, seconds: float) -> dict[str, object]:
    """Eight processes of 20 callers spend one budget. A call costs 0.00005955 dollars."""
    usd = 0.25
    run = Run(server, limits={}, callers=20, reserve=130, answer=0.2, budget=usd, seconds=min(seconds, 30.0))
    all_done = run.results()

    async def spent() -> float:
        job = run.jobs[0]
        async with router_of(World(), job) as router:
            state = await router.spending()
            assert state is not None
            return state.spent_usd

    booked, bill = asyncio.run(spent()), sum(done.bill for done in all_done)
    return {
        "budget_usd": usd, "booked_usd": booked, "bill_usd": bill, "difference_usd": abs(booked - bill),
        "share_of_the_budget": round(bill / usd, 4), "calls": sum(len(done.sent) for done in all_done),
        "refused": sum(done.over_budget for done in all_done), "failed": sum(done.failed for done in all_done),
    }


def admission(server: RedisServer, seconds: float) -> dict[str, object]:
    """One question at a time, and what a call waits for its turn."""

    async def ask() -> list[float]:
        state = RedisState(server.url, namespace="admission")
        await state.open()
        took = []
        for _ in range(2000):
            began = time.perf_counter()
            await state.admit(Ask("p", 0, [0.0], 1, 1, 1e6, None, None))
            took.append(time.perf_counter() - began)
            await asyncio.sleep(0.0005)
        await state.aclose()
        return took

    took = asyncio.run(ask())
    return {
        "question_p50_ms": round(1000 * median(took), 3),
        "question_p99_ms": round(1000 * quantiles(took, n=100)[98], 3),
    }


def cpu(server: RedisServer, seconds: float) -> dict[str, object]:
    """Processor time of this process for a call: with a limit of its own, and with one that is kept in Redis."""
    return {
        f"{name}_{where}_us": round(min(asyncio.run(_cpu(url, size)) for _ in range(3)) * 1e6, 1)
        for name, size in (("single", 1), ("burst_of_ten", 10))
        for where, url in (("alone", None), ("redis", server.url))
    }


async def _cpu(url: str | None, size: int, calls: int = 1000) -> float:
    world = World()
    world.model("m", Act(text="x"))
    job = Job(url, f"cpu-{time.monotonic_ns()}", {"rpm": 60e6}, 1, 0.0, 0.0)
    async with router_of(world, job) as router:
        await router.chat("x")
        began = time.process_time()
        for _ in range(calls // size):
            await asyncio.gather(*(router.chat("x") for _ in range(size)))
            await asyncio.sleep(0.005)
        return (time.process_time() - began) / calls


SCENARIOS = {
    one.__name__: one
    for one in (admission, cpu, requests, tokens, stopped, paused, flushed, killed, budget)
}


def main(seconds: float, only: list[str], kept: Path | None) -> None:
    logging.getLogger("asyncrouter").setLevel(logging.ERROR)
    found: dict[str, object] = {}
    with RedisServer() as server:
        server_version = server.command("INFO", "server").decode().partition("redis_version:")[2].split()[0]
        for name in only or SCENARIOS:
            found[name] = SCENARIOS[name](server, seconds)
            print(name, json.dumps(found[name], indent=2), flush=True)
    if kept is not None:
        about = {
            "environment": environment(), "redis": {"server": server_version, "client": version("redis")},
            "seconds": seconds, "processes": PROCESSES, "limit_a_second": RATE, "tokens_a_minute": TOKENS,
        }
        before = json.loads(kept.read_text()) if kept.exists() else {}
        kept.write_text(json.dumps(before | about | found, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", type=lambda text: text.split(","), default=[])
    parser.add_argument("--json", type=Path, help="file to write the figures to; others that it holds are kept")
    arguments = parser.parse_args()
    main(arguments.seconds, arguments.only, arguments.json)
