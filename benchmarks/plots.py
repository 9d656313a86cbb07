"""Draws the results page, results/README.md, from the JSON that the benchmarks have kept in results/.

    python -m pip install matplotlib && python benchmarks/plots.py

What was not measured has no section. Each section ends with the command that measures it again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _draw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

RESULTS = Path(__file__).parent / "results"
LOADS = {"buffered": "one JSON body", "50": "streamed, 50 tokens", "500": "streamed, 500 tokens"}
SHORT = {"50": "50 tokens", "500": "500 tokens"}
Told = dict[str, Any]


def overhead(told: Told) -> Iterable[str]:
    figures: dict[str, Told] = told["figures"]
    yield "## What asyncrouter adds to a careful hand-written aiohttp call"
    yield ("Ratios of processor time (or memory) unless a unit is named; waves of 64 calls take turns in one process, "
           "against a server on the other core. The goals were set beforehand.")
    yield _picture(_draw.goals(figures), "Each figure as a share of its goal")
    yield _table(("", "goal", "measured", "quartiles", ""), (
        (one["what"], f"≤ {one['goal']:g}", f"**{one['measured']:g}**", _interval(*one["quartiles"], "{:g}"),
         "kept" if one["kept"] else "missed") for one in figures.values()
    ))
    yield _measured(told, "python benchmarks/overhead.py --json benchmarks/results/overhead.json")


def peers(told: Told) -> Iterable[str]:
    found: dict[str, Told] = dict(sorted(told["contenders"].items(), key=lambda item: (_rank(item[0]), item[0])))
    counts = sorted({key.split("/")[1] for one in found.values() for key in one if "/" in key}, key=int)
    measured = {key.split("/")[0] for key in found["handwritten"]}
    loads = {load: title for load, title in LOADS.items() if load in measured}
    yield "## The same call with others"
    yield (f"Processor time of a call, {counts[0]} at once, beside the hand-written one (1×). Every contender is a "
           "process of its own on one core; processes differ by 20 %, so read factors, not percents.")
    yield _picture(_draw.costs(found, loads, counts[0]), "Processor time of a call with each contender")
    if len(counts) > 1:
        yield _picture(_draw.rates(found, loads), "Calls a second against calls at once")
    yield _picture(_draw.footprint(found), "Memory of a waiting call, time of the import")
    cells = [(load, count) for load in loads for count in counts]
    titles = (f"{SHORT.get(load, load)}, {int(count):,} at once" for load, count in cells)
    yield _table(("µs of processor a call", *titles), (
        (name, *(_cell(one.get(f"{load}/{count}")) for load, count in cells)) for name, one in found.items()
    ))
    yield ("\"Too slow\" did not end within its time, 60 to 150 s: a warm-up and at least two seconds of waves. "
           "What has a dash was not asked.")
    versions = ", ".join(f"{name} {version}" for name, version in told["peers"].items() if version)
    yield f"Versions: {versions}."
    yield _measured(told, "python benchmarks/peers.py --calls 64,1000,10000 --json benchmarks/results/peers.json")


def tail(told: Told) -> Iterable[str]:
    names = {"success": "answered", "p50_e2e": "p50", "p99_e2e": "p99", "p99.9_e2e": "p99.9", "hedges_fired": "hedged",
             "extra_load": "more requests", "usd_per_1000": "$ for 1,000"}
    shares = {"success", "hedges_fired", "extra_load"}
    yield "## What a hedge does to the tail"
    yield ("Real sockets; one call in a hundred takes the first model 20 times as long. Seconds from the scheduled "
           "start (open loop), with 95 % intervals.")
    yield _picture(_draw.tail(told["arms"]), "Latency towards the tail, with and without a hedge")
    yield _table(("", *names.values()), (
        (arm["name"], *(_estimate(arm["measures"].get(name), share=name in shares) for name in names))
        for arm in told["arms"]
    ))
    yield from (f"Warning of the harness: {warning}." for warning in told["warnings"])
    yield _measured({"machine": told["environment"]}, "python benchmarks/tail.py --json benchmarks/results/tail.json")


def faults(told: Told) -> Iterable[str]:
    yield "## Bad days"
    yield ("The simulated days of `asyncrouter bench scenarios`, behind real sockets, through each contender with a "
           "chain of two models. A line goes from p50 to p99 of the seconds to the answer; a cross stands for never.")
    yield _picture(_draw.faults(told["days"]), "Every contender on every bad day")
    yield _table(("day", "contender", "answered", "torn", "p50", "p95", "p99", "requests a call"), (
        (day, name, *_day(one)) for day, found in told["days"].items() for name, one in found.items() if "calls" in one
    ))
    yield _measured(told, "python benchmarks/faults.py --json benchmarks/results/faults.json")


def replay(told: Told) -> Iterable[str]:
    yield "## Does `bench replay` tell the truth?"
    yield (f"{told['seeds']} simulated recordings of {told['calls']:,} calls: how often the 95 % interval of an "
           "estimate held what the router really did under the other policy. The goal is 90 %.")
    yield _picture(_draw.coverage(told["hits"], told["stated"]), "Coverage of the intervals")
    yield _measured(told, "python benchmarks/replay.py --json benchmarks/results/replay.json")


def simulation(told: Told) -> Iterable[str]:
    yield "## The policies, in virtual time"
    yield _table(("", "", "goal", "measured", "", ""), (
        (part, one["what"], "–" if one["goal"] is None else f"{'≥' if one['at_least'] else '≤'} {one['goal']:g}",
         f"{one['measured']:.4g}", {True: "kept", False: "missed", None: ""}[one["passed"]], one["told"])
        for part, figures in told["parts"].items() for one in figures
    ))
    yield _measured(told, "python benchmarks/simulation.py --json benchmarks/results/simulation.json")


def batch(told: Told) -> Iterable[str]:
    yield "## Files of prompts"
    yield _table(("figure", "value"), (
        (f"{name}: {key}".replace("_", " "), json.dumps(value) if isinstance(value, list | dict) else value)
        for name, figures in told["figures"].items() for key, value in figures.items() if key != "ratios"
    ))
    yield _measured(told, "python benchmarks/batch.py --json benchmarks/results/batch.json")


SECTIONS: dict[str, Callable[[Told], Iterable[str]]] = {
    "overhead": overhead, "peers": peers, "tail": tail, "faults": faults, "replay": replay, "simulation": simulation,
    "batch": batch,
}


def _rank(name: str) -> int:
    return 0 if name == "handwritten" else 1 if name.startswith("asyncrouter") else 2


def _cell(told: Told | None) -> str:
    if told is None or "cpu_us" not in told:
        return "–" if told is None else str(told["why"])
    failed = f" ({told['failed'] / told['calls']:.0%} failed)" if told["failed"] else ""
    return f"{told['cpu_us']:,.0f}{failed}"


def _day(one: Told) -> Iterable[str]:
    calls = one["calls"]
    times = ("never" if one[name] is None else f"{one[name]:.2f}" for name in ("p50", "p95", "p99"))
    shares = (f"{one['outcomes'].get(name, 0) / calls:.1%}" for name in ("ok", "torn"))
    return (*shares, *times, f"{one['requests'] / calls:.2f}")


def _estimate(one: Told | None, *, share: bool) -> str:
    if one is None or one["value"] is None or not one["enough"]:
        return "–" if one is None or one["enough"] else "n too small"
    form = "{:.2%}" if share else "{:.3f}"
    bounded = one["low"] is not None and one["high"] is not None
    return form.format(one["value"]) + (f" ({_interval(one['low'], one['high'], form)})" if bounded else "")


def _interval(low: float, high: float, form: str) -> str:
    return f"{form.format(low)} – {form.format(high)}"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in lines)


def _picture(path: str, what: str) -> str:
    return f"![{what}]({path})"


def _measured(told: Told, command: str) -> str:
    parts = [str(told[key]) for key in ("date", "python", "circumstances") if key in told]
    machine = told.get("machine", {})
    parts += [f"{name} {value}" for name, value in machine.items() if isinstance(value, str | int | float)]
    versions = told.get("versions") or machine.get("versions") or {}
    parts += [f"{name} {value}" for name, value in versions.items() if value]
    return f"`{command}`" + (f"  \n<sub>{', '.join(parts)}</sub>" if parts else "")


def main() -> None:
    page = ["# What was measured",
            "Made by `python benchmarks/plots.py` from the JSON files beside it. How to measure, what the contenders "
            "are and where we are biased is in [the benchmarks' README](../README.md)."]
    for name, section in SECTIONS.items():
        if (path := RESULTS / f"{name}.json").exists():
            page += section(json.loads(path.read_text(encoding="utf-8")))
    (RESULTS / "README.md").write_text("\n\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
