"""How does asyncrouter do in somebody else's crash test: the sixteen scenarios of Failover Bench?

    git clone https://github.com/failoverbench/failoverbench BENCH
    python benchmarks/failover_bench.py --bench BENCH [--systems "asyncrouter; litellm-router"] [--json FILE]

The bench (MIT; methodology v0.1) is a provider over HTTP that fails in sixteen ways, a runner, and rules that judge
both what the caller got and what the provider saw: *pass* (the whole answer, every check), *partial* (the answer, but
not every piece of advice), *safe* (no answer, but a clean error in time), *fail*. Its systems have the same means: two
retries, 30 s for a request or a silence, one more model. `asyncrouter` has just these, else its default settings;
`asyncrouter, 10 s` waits 10 s for a first word and in a silence, as the bench's own reference client does. Others are
those of the bench, as its `systems/` set them up, with the versions that are installed. A system takes four minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from _machine import environment

BUDGET = {"retry": {"attempts": 3}, "total": 30.0, "idle": 30.0}
"""What every system of the bench is given: two retries, and 30 s for a request or a silence within a stream."""
OURS: dict[str, dict[str, object]] = {
    "asyncrouter": BUDGET,
    "asyncrouter, 10 s": {**BUDGET, "first_token": 10.0, "idle": 10.0},
}
PACKAGES = ("asyncrouter", "aiohttp", "httpx", "langchain-core", "langchain-openai", "litellm", "openai")
WALL_START_SECONDS = 20.0
"""Seconds that the bench's server, "the wall", may take to start."""


def main(bench: Path, systems: list[str], profile: str, kept: Path | None) -> None:
    for name in systems:
        print(name)
        row = run(bench, name, profile)
        counts = ", ".join(f"{count} {verdict}" for verdict, count in row["summary"].items() if count)
        print(f"  {counts}", flush=True)
        if kept is not None:
            write(kept, name, row, profile)


def run(bench: Path, name: str, profile: str) -> dict[str, dict[str, object]]:
    """Run a system through all scenarios against a wall of its own."""
    from _failover_adapter import AsyncRouterAdapter  # stands on the bench's package
    from failoverbench import __version__, adapters, runner

    adapters.REGISTRY[AsyncRouterAdapter.name] = AsyncRouterAdapter
    with tempfile.TemporaryDirectory() as out, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        unused.close()
        system = bench / "systems" / f"{name}.yaml"
        if name in OURS:
            system = Path(out) / "system.yaml"  # JSON is YAML
            described = {"name": "ours", "label": name, "adapter": "asyncrouter", "params": OURS[name]}
            system.write_text(json.dumps(described))
        command = [sys.executable, "-m", "failoverbench", "wall", "--port", str(port), "--profile", profile]
        wall = subprocess.Popen(command, cwd=bench, stderr=subprocess.DEVNULL)
        try:
            _wait_for(port)
            path = asyncio.run(runner.run_system(
                str(system), str(bench / "scenarios" / "catalogue.yaml"), f"http://127.0.0.1:{port}", profile, None, out
            ))
            found = json.loads(Path(path).read_text())
        finally:
            wall.kill()
            wall.wait()
    return {"label": found["system"]["label"], "params": found["system"]["params"], "at": found["run_started_at"],
            "versions": _versions(), "failoverbench": __version__, "methodology": found["methodology"],
            "summary": found["summary"], "scenarios": {one["id"]: _condensed(one) for one in found["scenarios"]}}


def write(kept: Path, name: str, row: dict[str, object], profile: str) -> None:
    """Put a system's row into the file; the rows of others stay."""
    before = json.loads(kept.read_text()) if kept.exists() else {}
    systems = {**before.get("systems", {}), name: row}
    kept.write_text(json.dumps({**environment(), "profile": profile, "systems": systems}, indent=1) + "\n")


def _condensed(scenario: dict) -> dict[str, object]:
    """What is kept of a scenario: the verdict and why, requests that the wall saw, seconds, checks that failed."""
    measured = scenario["metrics"]
    return {"title": scenario["title"], "verdict": scenario["verdict"], "reason": scenario["reason"],
            "first_model": measured["attempts_primary"], "second_model": measured["attempts_fallback"],
            "seconds": round(measured["elapsed_s"], 1), "error": measured["error"],
            "failed_checks": [one["id"] for one in scenario["checks"] if one["status"] == "fail"]}


def _wait_for(port: int) -> None:
    until = time.monotonic() + WALL_START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, required=True, help="a clone of github.com/failoverbench/failoverbench")
    parser.add_argument("--systems", type=lambda text: [part.strip() for part in text.split(";")], metavar="NAMES",
                        default=[*OURS, "reference"], help="separated by semicolons: ours, or those of the bench's "
                        f"systems/ (default: {'; '.join(OURS)}; reference)")
    parser.add_argument("--profile", choices=("full", "fast"), default="full",
                        help="length of the faults (default: full)")
    parser.add_argument("--json", type=Path, dest="kept", help="file to write the verdicts to; other systems are kept")
    options = parser.parse_args()
    sys.path.insert(0, str(options.bench.resolve()))
    main(**vars(options))
