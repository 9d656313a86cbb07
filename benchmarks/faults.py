"""Success rate, latency and requests under faults, for asyncrouter and for other libraries.

    python -m pip install --group bench          # the peers, best in an environment of their own
    python benchmarks/faults.py [--scenario outage,brown-out] [--only handwritten] [--json FILE] [--python PEERS_PYTHON]

The faults are the scenarios of `asyncrouter.bench`, and crowds and blame (`_own_scenarios.py`), in real time behind
real sockets: each contender has a server of its own, which treats the same prompts alike. Contenders (one file each in
contenders/) are processes of their own, two at a time, with a chain of two models, 10 s for one try, 20 s for a call
("thinking": 30 and 60), buffered replies, and their default retries. A *truncated* answer is one that was returned as
complete and is not.
*Known beforehand* is no contender: somebody who knows which answers of the first model will be bad, and asks the second
one instead, in virtual time. *Stayed* is the share of the sound calls of the scenario "blame" that the healthy first
model was asked for.

On bias: we wrote the scenarios, and we know asyncrouter best. The others are set up as their documentation shows it,
not tuned; LiteLLM, for one, has more settings than are used here. Corrections of contenders are welcome.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from _own_scenarios import ALL_SCENARIOS, CROWDED, OWN_SCENARIOS, arrivals, blamed
from _scenario_server import Server, serving

from asyncrouter import bench
from asyncrouter.bench import Arm, Load

HERE = Path(__file__).parent / "contenders"
MODELS = ["primary", "secondary"]
TIMEOUTS, PATIENT = (10.0, 20.0), {"thinking": (30.0, 60.0)}
"""Seconds for one try, and for a whole call; more of them where models think for longer than that."""
START_TIMEOUT = 120.0
"""Seconds that a contender may take to start, to stop, and to import its packages."""
SEEDS = {"heavy-tail": 2}
"""Seeds of scenarios for which 0 is not typical: four of its 611 calls are stragglers, where twelve are expected."""
KNOWN = "known beforehand"
USUAL = [name for name in ALL_SCENARIOS if name not in {"one-server", "tail"}]
"""The scenarios that are run: not that of a queue, whose answers have no known length, nor that of tail.py."""
PACKAGES = ("asyncrouter", "aiohttp", "openai", "haystack-ai", "langchain-core", "langchain-openai", "litellm",
            "pydantic-ai-slim", "tensorzero")


class Runner(NamedTuple):
    """A running contender, and its server."""

    name: str
    process: subprocess.Popen[str]
    server: Server


def main(scenarios: list[str], only: list[str], together: int, seconds: float, rate: float, seed: int | None,
         python: str, kept: Path | None) -> None:
    names = [path.stem for path in sorted(HERE.glob("[a-z]*.py")) if not only or path.stem in only]
    found: dict[str, dict[str, dict]] = {}
    print(f"{'':16}{'contender':22}{'answered':>10}{'truncated':>10}{'p50':>8}{'p95':>8}{'p99':>8}{'requests':>10}{'CPU':>8}")
    for scenario in scenarios:
        drawn = SEEDS.get(scenario, 0) if seed is None else seed
        found[scenario] = {} if scenario in OWN_SCENARIOS else {KNOWN: known_beforehand(scenario, seconds, rate, drawn)}
        for first in range(0, len(names), together):
            done = run_scenario(scenario, names[first : first + together], seconds, rate, drawn, python)
            found[scenario] |= done
            for name, one in done.items():
                print(f"{scenario:16}{name:22}{_line(one)}", flush=True)
        if kept is not None:
            before = json.loads(kept.read_text())["days"] if kept.exists() else {}
            names_in_order = [name for name in ALL_SCENARIOS if name in {**before, **found}]
            days = {name: before.get(name, {}) | found.get(name, {}) for name in names_in_order}
            said = f"{together} contenders side by side, load average {os.getloadavg()[0]:.1f}"
            document = {"machine": machine(python), "circumstances": said, "days": days}
            kept.write_text(json.dumps(document, indent=1) + "\n")


def run_scenario(
    scenario: str, names: list[str], seconds: float, rate: float, seed: int, python: str
) -> dict[str, dict]:
    """Run a scenario with these contenders side by side; the figures of each."""
    instants = arrivals(scenario, seconds, rate, seed)
    with ExitStack() as stack:
        runners = [_start(stack, name, scenario, instants, seconds, rate, seed, python) for name in names]
        ready = [runner for runner in runners if runner.process.stdout.readline().strip() == "ready"]
        for runner in ready:
            runner.server.begin()
            runner.process.stdin.write("go\n")
            runner.process.stdin.flush()
        done = {}
        for runner in ready:
            out, _ = runner.process.communicate(timeout=START_TIMEOUT + seconds)
            runner.server.end()
            load = {"date": datetime.now(UTC).date().isoformat(), "seconds": seconds, "seed": seed}
            load |= {} if scenario in CROWDED else {"rate": rate}
            done[runner.name] = load | figures(json.loads(out), runner.server.counts)
            if scenario == "blame":
                sound = sum(not blamed(number) for number in range(len(instants)))
                done[runner.name]["stayed"] = round(runner.server.counts["stayed"] / sound, 4)
        return done | {runner.name: {"failed": "did not start"} for runner in runners if runner not in ready}


def known_beforehand(scenario: str, seconds: float, rate: float, seed: int) -> dict:
    """What somebody reaches who knows which answers will be bad."""
    arm = Arm(KNOWN, {"chain": MODELS, "deadline": PATIENT.get(scenario, TIMEOUTS)[1]}, beforehand=True)
    load = Load.poisson(rate, seconds=seconds)
    [run] = bench.run([arm], load, scenario=scenario, seed=seed).arms
    rows = [(row.scheduled, row.ended, row.outcome) for row in run.rows]
    done = {"rows": rows, "cpu": 0.0}
    return {"seconds": seconds, "rate": rate, "seed": seed} | figures(done, {"requests": sum(
        len(row.sent) for row in run.rows)})


def figures(done: dict, server: dict[str, float]) -> dict[str, object]:
    """What is kept of a contender's calls; a quantile is null where it falls on a call without an answer."""
    rows = done["rows"]
    latencies = sorted(ended - due if outcome == "ok" else float("inf") for due, ended, outcome in rows)
    errors: dict[str, int] = {}
    for _, _, outcome in rows:
        errors[outcome] = errors.get(outcome, 0) + 1
    at = lambda share: latencies[min(len(latencies) - 1, int(share * len(latencies)))]  # noqa: E731
    seconds = {f"p{share * 100:g}": None if at(share) == float("inf") else round(at(share), 3)
               for share in (0.5, 0.95, 0.99)}
    return {"calls": len(rows), "outcomes": errors, **seconds, "requests": server.get("requests"),
            "cpu_ms": round(done["cpu"] * 1000 / len(rows), 3)}


def machine(python: str) -> dict[str, object]:
    """Date, system and versions; those of the other libraries are read by their own interpreter."""
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
    attempt, call = PATIENT.get(scenario, TIMEOUTS)
    job = {"kind": "scenario", "base_url": server.base_url, "models": MODELS, "instants": instants,
           "timeout": attempt, "call_timeout": call, "words": ALL_SCENARIOS[scenario].tokens}
    process.stdin.write(json.dumps(job) + "\n")
    process.stdin.flush()
    return Runner(name, process, server)


def _line(one: dict) -> str:
    if "failed" in one:
        return f"  {one['failed']}"
    calls = one["calls"]
    answered, truncated = (one["outcomes"].get(outcome, 0) / calls for outcome in ("ok", "torn"))
    times = "".join(f"{'never' if one[name] is None else f'{one[name]:.2f}':>8}" for name in ("p50", "p95", "p99"))
    stayed = f"{one['stayed']:8.1%} stayed" if "stayed" in one else ""
    return f"{answered:10.1%}{truncated:10.1%}{times}{one['requests'] / calls:10.2f}{one['cpu_ms']:6.1f}ms{stayed}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = lambda text: [part for part in text.split(",") if part]  # noqa: E731
    parser.add_argument("--scenario", dest="scenarios", type=names, metavar="NAMES", default=USUAL,
                        help=f"some of {','.join(ALL_SCENARIOS)} (default: all but one-server and tail)")
    parser.add_argument("--only", type=names, default=[], metavar="NAMES", help="some of the contenders (default: all)")
    parser.add_argument("--together", type=int, default=2, help="contenders side by side, on a core each (default: 2)")
    parser.add_argument("--seconds", type=float, default=40.0, help="length of a scenario (default: 40)")
    parser.add_argument("--rate", type=float, default=15.0, help="calls a second (default: 15)")
    parser.add_argument("--seed", type=int, help="seed of arrivals and faults (default: 0; of heavy-tail: 2)")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the contenders (default: this one)")
    parser.add_argument("--json", type=Path, dest="kept", help="file to write the figures to; others are kept")
    main(**vars(parser.parse_args()))
