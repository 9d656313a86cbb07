"""Bad days through each contender: who gets an answer, how late, and how many requests that takes.

    python -m pip install --group bench          # the peers, best in an environment of their own
    python benchmarks/faults.py [--scenario outage,brown-out] [--only handwritten] [--json FILE] [--python PEERS_PYTHON]

The days are the scenarios of `asyncrouter.bench`, in real time behind real sockets: a server in a process of its own
for each contender, in which the same prompts meet the same fates. Contenders (one file each in contenders/) are
processes of their own as well, two at a time; a chain of two models, 10 s for one try, 20 s for a call, buffered
replies, retries as each does them by default. *torn* answers are those that were taken for whole ones and are not.

On bias: we wrote the scenarios, and asyncrouter is the one we know best. The peers are set up as their documentation
shows it, not tuned; LiteLLM, for one, has more knobs than are turned here. Mend a contender, and the table changes.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from _serving import DAYS, Server, serving

from asyncrouter.bench import Load
from asyncrouter.bench.scenarios import TOKENS

HERE = Path(__file__).parent / "contenders"
MODELS = ["primary", "secondary"]
TIMEOUT, PATIENCE = 10.0, 20.0
STARTING = 120.0
SEEDS = {"heavy-tail": 2}
"""Where seed 0 is no example: four of its 611 calls are stragglers, where twelve are to be expected."""
PACKAGES = ("asyncrouter", "aiohttp", "openai", "haystack-ai", "langchain-core", "langchain-openai", "litellm",
            "pydantic-ai-slim", "tensorzero")


class Runner(NamedTuple):
    """A contender at work, and the server that it asks."""

    name: str
    process: subprocess.Popen[str]
    server: Server


def main(scenarios: list[str], only: list[str], together: int, seconds: float, rate: float, seed: int | None,
         python: str, kept: Path | None) -> None:
    names = [path.stem for path in sorted(HERE.glob("[a-z]*.py")) if not only or path.stem in only]
    found: dict[str, dict[str, dict]] = {}
    print(f"{'':16}{'contender':22}{'answered':>10}{'torn':>6}{'p50':>8}{'p95':>8}{'p99':>8}{'requests':>10}{'CPU':>8}")
    for scenario in scenarios:
        found[scenario] = {}
        for first in range(0, len(names), together):
            drawn = SEEDS.get(scenario, 0) if seed is None else seed
            told = day(scenario, names[first : first + together], seconds, rate, drawn, python)
            found[scenario] |= told
            for name, figures in told.items():
                print(f"{scenario:16}{name:22}{_line(figures)}", flush=True)
        if kept is not None:
            before = json.loads(kept.read_text())["days"] if kept.exists() else {}
            days = {name: before.get(name, {}) | found.get(name, {}) for name in DAYS if name in {**before, **found}}
            told = {"machine": machine(python), "days": days}
            kept.write_text(json.dumps(told, indent=1) + "\n")


def day(scenario: str, names: list[str], seconds: float, rate: float, seed: int, python: str) -> dict[str, dict]:
    """What became of every contender on this day."""
    instants = Load.poisson(rate, seconds=seconds).arrivals(seed)
    with ExitStack() as stack:
        runners = [_start(stack, name, scenario, instants, seconds, rate, seed, python) for name in names]
        ready = [runner for runner in runners if runner.process.stdout.readline().strip() == "ready"]
        for runner in ready:
            runner.server.go()
            runner.process.stdin.write("go\n")
            runner.process.stdin.flush()
        told = {}
        for runner in ready:
            out, _ = runner.process.communicate(timeout=STARTING + seconds)
            runner.server.end()
            load = {"seconds": seconds, "rate": rate, "seed": seed}
            told[runner.name] = load | figures(json.loads(out), runner.server.told)
        return told | {runner.name: {"failed": "did not start"} for runner in runners if runner not in ready}


def figures(done: dict, server: dict[str, float]) -> dict[str, object]:
    rows = done["rows"]
    taken = sorted(ended - due if outcome == "ok" else float("inf") for due, ended, outcome in rows)
    errors: dict[str, int] = {}
    for _, _, outcome in rows:
        errors[outcome] = errors.get(outcome, 0) + 1
    at = lambda share: taken[min(len(taken) - 1, int(share * len(taken)))]  # noqa: E731
    seconds = {f"p{share * 100:g}": None if at(share) == float("inf") else round(at(share), 3)
               for share in (0.5, 0.95, 0.99)}
    return {"calls": len(rows), "outcomes": errors, **seconds, "requests": server.get("requests"),
            "cpu_ms": round(done["cpu"] * 1000 / len(rows), 3)}


def machine(python: str) -> dict[str, object]:
    """Where, when and with what; the peers' versions are those of their interpreter."""
    code = f"from importlib.metadata import distributions as d; t = {{x.name.lower(): x.version for x in d()}}; " \
           f"import json; print(json.dumps({{n: t.get(n) for n in {PACKAGES!r}}}))"
    versions = json.loads(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout)
    return {"at": datetime.now(UTC).isoformat(timespec="seconds"), "python": platform.python_version(),
            "system": platform.platform(), "versions": versions}


def _start(stack: ExitStack, name: str, scenario: str, instants: list[float], seconds: float, rate: float, seed: int,
           python: str) -> Runner:
    server = stack.enter_context(serving(scenario, seconds, rate, seed))
    process = subprocess.Popen([python, str(HERE / f"{name}.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    stack.callback(process.kill)
    job = {"kind": "day", "base_url": server.base_url, "models": MODELS, "instants": instants, "timeout": TIMEOUT,
           "patience": PATIENCE, "words": TOKENS}
    process.stdin.write(json.dumps(job) + "\n")
    process.stdin.flush()
    return Runner(name, process, server)


def _line(one: dict) -> str:
    if "failed" in one:
        return f"  {one['failed']}"
    calls = one["calls"]
    answered, torn = (one["outcomes"].get(outcome, 0) / calls for outcome in ("ok", "torn"))
    times = "".join(f"{'never' if one[name] is None else f'{one[name]:.2f}':>8}" for name in ("p50", "p95", "p99"))
    return f"{answered:10.1%}{torn:6.1%}{times}{one['requests'] / calls:10.2f}{one['cpu_ms']:6.1f}ms"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: [part for part in text.split(",") if part]  # noqa: E731
    parser.add_argument("--scenario", dest="scenarios", type=names, default=[n for n in DAYS if n != "tail"])
    parser.add_argument("--only", type=names, default=[])
    parser.add_argument("--together", type=int, default=2, help="contenders that run side by side; a core each")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--rate", type=float, default=15.0)
    parser.add_argument("--seed", type=int, help="of arrivals and fates  [default: 0, heavy-tail: 2]")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--json", type=Path, dest="kept")
    main(**vars(parser.parse_args()))
