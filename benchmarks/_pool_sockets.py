"""Pools over real sockets: asyncrouter and LiteLLM's Router on the same traffic, each in a process of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from _machine import HERE
from _proxy_processes import environment_of, litellm_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

BEGIN, UNTIL = 20.0, 50.0
"""Seconds of a run that count; before that the limits are searched for."""
SLOW_AT = 20.0
CALLERS, RATE = 150, 30.0
STRATEGIES = ("simple-shuffle", "least-busy", "latency-based-routing", "usage-based-routing-v2")
PATIENT = {"num_retries": 10, "retry_after": 1, "cooldown_time": 1}
"""LiteLLM's retries with back-off, and a deployment that is left out for a second instead of five."""


class Traffic(NamedTuple):
    """The keys of a provider as `_pool_server.py` takes them, and what LiteLLM is measured with."""

    name: str
    keys: Mapping[str, Mapping[str, float]]
    settings: tuple[str, ...]

    @property
    def limit(self) -> float:
        """Answers a second that all keys give together; 0 where they have no limits."""
        return sum(one.get("rate", 0.0) for one in self.keys.values())

    @property
    def load(self) -> dict[str, float]:
        """The load of a client."""
        return {"callers": CALLERS} if self.limit else {"rate": RATE}


TRAFFIC = (
    Traffic("4 keys of 20/s", {f"k{number}": {"rate": 20.0} for number in range(4)}, ("defaults", "retries")),
    Traffic("10, 40 and 5/s", {"k0": {"rate": 10.0}, "k1": {"rate": 40.0}, "k2": {"rate": 5.0}}, ("retries",)),
    Traffic("one of three becomes slow", {"k0": {"factor": 3.0, "after": SLOW_AT}, "k1": {}, "k2": {}}, ("retries",)),
)


class Row(NamedTuple):
    """What one router made of one traffic.

    `share` of the limits was served, with so many `rejections` and `failed` calls an answer; seconds of an answer, its
    retries included; milliseconds of CPU an answer. `slow` is the slow deployment's share of the requests.
    """

    traffic: str
    router: str
    share: float | None
    rejections: float
    failed: float
    p50: float
    p99: float
    cpu_ms: float
    slow: float | None


def rows(folder: Path) -> Iterator[Row]:
    """Measure all; LiteLLM is in the environment `folder`, and is put there if it is not."""
    python = environment_of(folder)
    with redis() as port:
        its_redis = {"redis_host": "127.0.0.1", "redis_port": port}
        for traffic in TRAFFIC:
            for pick in ("least-busy",) if traffic.limit else ("least-busy", "fastest"):
                yield run(traffic, "asyncrouter", pick, {"pick": pick}, sys.executable)
            for settings in traffic.settings:
                for strategy in STRATEGIES:
                    options = {"routing_strategy": strategy, **its_redis, **(PATIENT if settings == "retries" else {})}
                    yield run(traffic, "litellm", f"{strategy}, {settings}", options, str(python))


def version_of_litellm(folder: Path) -> str:
    """The version that was measured."""
    return litellm_version(folder)


def run(traffic: Traffic, arm: str, name: str, options: Mapping[str, object], python: str) -> Row:
    """One router, a provider of its own, one load."""
    with provider(traffic) as url:
        job = {"arm": arm, "options": options, "url": url, "keys": list(traffic.keys), "begin": BEGIN, "until": UNTIL,
               **traffic.load}
        done = subprocess.run(
            [python, str(HERE / "_pool_client.py"), json.dumps(job)], check=True, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL, timeout=UNTIL + 300.0,
        )
        met: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        with urllib.request.urlopen(f"{url}/counts", timeout=10.0) as answer:
            counts: dict[str, dict[str, list[float]]] = json.load(answer)
    served, rejected = (
        {key: sum(BEGIN <= at < UNTIL for at in one[kind]) for key, one in counts.items()}
        for kind in ("served", "rejected")
    )
    total = sum(served.values())
    return Row(
        traffic.name, f"{arm}: {name}", total / (traffic.limit * (UNTIL - BEGIN)) if traffic.limit else None,
        sum(rejected.values()) / total, met["failed"] / met["answered"], met["p50"], met["p99"],
        1e3 * met["cpu"] / met["answered"], None if traffic.limit else served["k0"] / total,
    )


@contextmanager
def provider(traffic: Traffic) -> Iterator[str]:
    """The provider in a process of its own; it ends with its stdin."""
    command = [sys.executable, str(HERE / "_pool_server.py"), json.dumps(dict(traffic.keys))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


@contextmanager
def redis() -> Iterator[int]:
    """The port of a `redis-server` that keeps nothing on disk."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield port
    finally:
        process.terminate()
        process.wait()


def cells(row: Row) -> tuple[Any, ...]:
    """A row of the table."""
    share = "" if row.share is None else f"{row.share:.3f}"
    slow = "" if row.slow is None else f"{row.slow:.1%}"
    return (row.traffic, row.router, share, f"{row.rejections:.3f}", f"{row.failed:.3f}", f"{row.p50:.2f}",
            f"{row.p99:.2f}", f"{row.cpu_ms:.2f}", slow)
