"""Tail latency with hedging, over real sockets: 1 % of the first model's answers take 20 times as long.

    python benchmarks/tail.py [--calls 10000] [--rate 40] [--json FILE] [--out DIRECTORY]

Every arm has a server of its own, in a process of its own, which treats the same prompts alike. All arms make their
calls at the same instants, which do not depend on the answers (open loop). The measures are those of
`asyncrouter.bench`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from contextlib import ExitStack
from pathlib import Path

from _scenario_server import serving

from asyncrouter import bench

CHAIN = ["primary", "secondary"]
ARMS: dict[str, dict[str, object]] = {
    "no hedge": {"chain": CHAIN},
    "hedge p95": {"chain": CHAIN, "hedge": {"after": "p95"}},
    "hedge 0.2 s": {"chain": CHAIN, "hedge": {"after": 0.2}},
}
PRICE = {"input": 3.0, "output": 15.0}
SHOWN = ("success", "p50_e2e", "p95_e2e", "p99_e2e", "p99.9_e2e", "saved_p99_e2e", "hedges_fired", "hedges_won",
         "extra_load", "usd_per_1000", "usd_per_second_saved")


def main(calls: int, rate: float, kept: Path | None, out: Path | None) -> None:
    logging.getLogger("asyncrouter").setLevel(logging.ERROR)
    warmup = min(500, calls // 10)
    with ExitStack() as stack:
        arms = []
        for name, call in ARMS.items():
            server = stack.enter_context(serving("tail", calls / rate, rate, 0))
            server.begin()
            providers = {"sim": {"base_url": server.base_url}}
            models = {model: {"provider": "sim", "id": model, "usd_per_mtok": PRICE} for model in CHAIN}
            arms.append(bench.Arm(name, call, {"default_provider": "sim", "providers": providers, "models": models}))
        load = bench.Load.poisson(rate, calls=calls + warmup)
        run = asyncio.run(bench.run_real(arms, load, bench.Settings(warmup=warmup)))
    report = run.report()
    for arm in report.arms:
        print(arm.name)
        for name in SHOWN:
            print(f"  {name:14} {bench.figure(name, arm.measures.get(name), interval=True)}")
    for warning in report.warnings:
        print(f"warning: {warning}")
    if kept is not None:
        kept.write_bytes(report.json())
    if out is not None:
        print(run.write(out) / "report.html")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=10_000, help="calls of each arm (default: 10000)")
    parser.add_argument("--rate", type=float, default=40.0, help="calls a second (default: 40)")
    parser.add_argument("--json", type=Path, dest="kept", help="file to write the report to")
    parser.add_argument("--out", type=Path, help="directory to write report.html and its data to")
    main(**vars(parser.parse_args()))
