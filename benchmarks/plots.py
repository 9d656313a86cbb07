"""Writes the results page, results/README.md, from the JSON files that the benchmarks have written to results/.

    python -m pip install matplotlib && python benchmarks/plots.py

A benchmark without a file has no section. Each section ends with the command that measures it again.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import _charts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

RESULTS = Path(__file__).parent / "results"
LOADS = {"buffered": "one JSON body", "50": "streamed, 50 tokens", "500": "streamed, 500 tokens"}
SHORT = {"50": "50 tokens", "500": "500 tokens"}
Document = dict[str, Any]
"""The content of a file of results."""


def overhead(document: Document) -> Iterable[str]:
    figures: dict[str, Document] = document["figures"]
    yield "## What asyncrouter adds to a careful hand-written aiohttp call"
    yield ("Ratios of CPU time (or memory) unless a unit is named; rounds of 64 concurrent calls alternate in one "
           "process, against a server on the other core. The goals were set beforehand.")
    yield _image(_charts.goals(figures), "Each figure as a share of its goal")
    yield _table(("", "goal", "measured", "quartiles", ""), (
        (one["what"], f"≤ {one['goal']:g}", f"**{one['measured']:g}**", _interval(*one["quartiles"], "{:g}"),
         "met" if one["kept"] else "missed") for one in figures.values()
    ))
    yield _command(document, "python benchmarks/overhead.py --json benchmarks/results/overhead.json")


def peers(document: Document) -> Iterable[str]:
    contenders: dict[str, Document] = document["contenders"]
    found = {name: contenders[name] for name in sorted(contenders, key=lambda name: (_rank(name), name))}
    counts = sorted({key.split("/")[1] for one in found.values() for key in one if "/" in key}, key=int)
    measured = {key.split("/")[0] for key in found["handwritten"]}
    loads = {load: title for load, title in LOADS.items() if load in measured}
    yield "## What a call costs with other libraries"
    yield (f"CPU time of a call, {counts[0]} at once, to that of the hand-written client (1×). Every contender is a "
           "process of its own on one core; processes differ by 20 %, so read factors, not percents.")
    yield _image(_charts.costs(found, loads, counts[0]), "CPU time of a call with each contender")
    if len(counts) > 1:
        yield _image(_charts.rates(found, loads), "Calls a second against concurrent calls")
    yield _image(_charts.footprint(found), "Memory per waiting call, CPU time of the import")
    cells = [(load, count) for load in loads for count in counts]
    titles = (f"{SHORT.get(load, load)}, {int(count):,} at once" for load, count in cells)
    yield _table(("µs of CPU a call", *titles), (
        (name, *(_cell(one.get(f"{load}/{count}")) for load, count in cells)) for name, one in found.items()
    ))
    yield "\"Too slow\": the warm-up and two seconds of rounds did not end within 60 to 150 s. A dash: not measured."
    versions = ", ".join(f"{name} {version}" for name, version in document["peers"].items() if version)
    yield f"Versions: {versions}."
    yield _command(document, "python benchmarks/peers.py --calls 64,1000,10000 --json benchmarks/results/peers.json")


def tail(document: Document) -> Iterable[str]:
    names = {"success": "answered", "p50_e2e": "p50", "p99_e2e": "p99", "p99.9_e2e": "p99.9", "hedges_fired": "hedged",
             "extra_load": "extra requests", "usd_per_1000": "$ for 1,000"}
    shares = {"success", "hedges_fired", "extra_load"}
    yield "## Tail latency with hedging"
    yield ("Over real sockets; 1 % of the first model's answers take 20 times as long. Seconds from the scheduled "
           "start (open loop), with 95 % intervals.")
    yield _image(_charts.tail(document["arms"]), "Latency by quantile, with and without a hedge")
    yield _table(("", *names.values()), (
        (arm["name"], *(_estimate(arm["measures"].get(name), share=name in shares) for name in names))
        for arm in document["arms"]
    ))
    yield from (f"Warning of the harness: {warning}." for warning in document["warnings"])
    machine = {"machine": document["environment"]}
    yield _command(machine, "python benchmarks/tail.py --json benchmarks/results/tail.json")


def faults(document: Document) -> Iterable[str]:
    yield "## Success rate under faults"
    yield ("The scenarios of `asyncrouter bench scenarios`, behind real sockets, with a chain of two models in each "
           "contender. A line goes from p50 to p99 of the latency; a cross means that more than 1 % of the calls got "
           "no answer. Truncated answers were returned as complete.")
    yield _image(_charts.faults(document["days"]), "Every contender in every scenario")
    yield _table(("scenario", "contender", "answered", "truncated", "p50", "p95", "p99", "requests a call"), (
        (scenario, name, *_fault_cells(one))
        for scenario, found in document["days"].items() for name, one in found.items() if "calls" in one
    ))
    yield _command(document, "python benchmarks/faults.py --json benchmarks/results/faults.json")


def in_time(document: Document) -> Iterable[str]:
    cells: list[Document] = list(document["cells"].values())
    yield "## In time, to the last word"
    yield ("Virtual time. A chain of three models is asked five times a second for answers of 60 contents; the first "
           "model is late in some way. *No rules* waits for it; *known beforehand* knows which of its answers will be "
           "bad, and asks the second model instead: nobody can do better at no price.")
    yield _image(_charts.in_time([one for one in cells if one["group"] == "the usual day"]),
                 "p99 of the whole answer on bad days, beside no rules and what could be known")
    yield ("Ratios to *known beforehand* (to no rules where all models are slow): medians over the seeds, the worst of "
           "them in brackets. *Extra*: requests of hedges and rescues. *Exchanged*: the answers that who knows "
           "beforehand exchanges. *Found*: calls until a slow model was known to be.")
    yield _table(("", "day", "hedge", "seeds", "p95", "p99", "p99, s", "known, s", "no rules, s", "worst, s", "extra",
                  "exchanged", "found", "goals missed"), map(_in_time_row, cells))
    yield _command(document, "python benchmarks/in_time.py --json benchmarks/results/in_time.json")


def false_alarms(document: Document) -> Iterable[str]:
    yield "## False alarms"
    yield ("Healthy answers of several laws: how often a model that never changes is taken for a slow one, and an "
           "answer for a dead one (its first content, or a silence in it, is longer than the \"auto\" limit). In a "
           "chain such an answer is raced, and cut only where nobody could be. *Memory alone*: without the 30 s that "
           "hold until 500 samples are known. Bounds are 95 %.")
    head = "law", "answers judged", "demotions", "cut", "at most, of 100,000", "memory alone", "at most, of 100,000"
    yield _table(head, (
        (name, f"{one['judged']:,}", one["demoted"], one["cut"], f"{one['cut_bound']:.2f}", one["beyond"],
         f"{one['beyond_bound']:.2f}") for name, one in document["laws"].items()
    ))
    yield _command(document, f"python benchmarks/false_alarms.py --answers {document['answers']} "
                             "--json benchmarks/results/false_alarms.json")


def replay(document: Document) -> Iterable[str]:
    yield "## Are the estimates of `bench replay` right?"
    yield (f"{document['seeds']} simulated recordings of {document['calls']:,} calls: the share of the 95 % intervals "
           "that held what the router really did under the other policy. The goal is 90 %.")
    yield _image(_charts.coverage(document["hits"], document["stated"]), "Coverage of the intervals")
    yield _command(document, "python benchmarks/replay.py --json benchmarks/results/replay.json")


def simulation(document: Document) -> Iterable[str]:
    yield "## The policies in simulation"
    yield _table(("", "", "goal", "measured", "", ""), (
        (part, one["what"], "–" if one["goal"] is None else f"{'≥' if one['at_least'] else '≤'} {one['goal']:g}",
         f"{one['measured']:.4g}", {True: "met", False: "missed", None: ""}[one["passed"]], _details(one))
        for part, figures in document["parts"].items() for one in figures
    ))
    yield _command(document, "python benchmarks/simulation.py --json benchmarks/results/simulation.json")


def batch(document: Document) -> Iterable[str]:
    yield "## Files of prompts"
    yield _table(("figure", "value"), (
        (f"{name}: {key}".replace("_", " "), json.dumps(value) if isinstance(value, list | dict) else value)
        for name, figures in document["figures"].items() for key, value in figures.items() if key != "ratios"
    ))
    yield _command(document, "python benchmarks/batch.py --json benchmarks/results/batch.json")


def serve(document: Document) -> Iterable[str]:
    yield "## The server beside other proxies"
    yield ("A hand-written aiohttp proxy reads the same JSON; each server has a core, and rounds alternate. Latencies "
           f"are of an open loop at 30 % of a core. LiteLLM's proxy is {document.get('litellm', 'not measured')}; "
           f"{document['published']}. The load average of the machine was {document['load']} meanwhile.")
    yield _table(("", "goal", "median", "quartiles", ""), (
        (name, "–" if (goal := one["goal"]) is None else f"≤ {goal}", f"{one['median']:,.3f}",
         _interval(*one["quartiles"], "{:,.3f}"), "" if goal is None else "met" if one["median"] <= goal else "missed")
        for name, one in document["figures"].items()
    ))
    yield _command(document, "python benchmarks/serve.py --litellm DIR --json benchmarks/results/serve.json")


SECTIONS: dict[str, Callable[[Document], Iterable[str]]] = {
    "overhead": overhead, "peers": peers, "tail": tail, "faults": faults, "in_time": in_time,
    "false_alarms": false_alarms, "replay": replay, "simulation": simulation, "batch": batch, "serve": serve,
}


def _rank(name: str) -> int:
    return 0 if name == "handwritten" else 1 if name.startswith("asyncrouter") else 2


def _cell(cell: Document | None) -> str:
    if cell is None or "cpu_us" not in cell:
        return "–" if cell is None else str(cell["why"])
    failed = f" ({cell['failed'] / cell['calls']:.0%} failed)" if cell["failed"] else ""
    return f"{cell['cpu_us']:,.0f}{failed}"


def _details(figure: Document) -> str:
    """The details of a figure of the simulation; results of earlier versions have them under another name."""
    details: str = figure["details"] if "details" in figure else figure["told"]
    return details


def _fault_cells(one: Document) -> Iterable[str]:
    calls = one["calls"]
    times = ("never" if one[name] is None else f"{one[name]:.2f}" for name in ("p50", "p95", "p99"))
    shares = (f"{one['outcomes'].get(name, 0) / calls:.1%}" for name in ("ok", "torn"))
    return (*shares, *times, f"{one['requests'] / calls:.2f}")


def _in_time_row(cell: Document) -> Iterable[object]:
    figures: dict[str, list[float]] = cell["figures"]

    def middle(name: str, form: str) -> str:
        values = figures.get(name)
        if not values:
            return "–"
        return "never" if median(values) >= 1e9 else f"{median(values):{form}}"

    yield from (cell["group"], cell["day"], cell["hedge"], len(figures["p95"]))
    yield from (f"{middle(name, '.2f')} ({max(figures[name]):.2f})" for name in ("p95", "p99"))
    no_rules = median(figures["p99_no_rules"])
    yield from (middle("p99_seconds", ".1f"), middle("p99_known", ".1f"))
    yield "never" if no_rules > 1e4 else f"{no_rules:.1f}"
    yield f"{max(figures['worst']):.1f}"
    yield from (middle("extra", ".2%"), middle("exchanged", ".1%"), middle("found", ".0f"))
    yield "; ".join(cell["missed"]) or "none"


def _estimate(one: Document | None, *, share: bool) -> str:
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


def _image(path: str, what: str) -> str:
    return f"![{what}]({path})"


def _command(document: Document, command: str) -> str:
    """The command that measures a section again, and below it when and with what it was measured."""
    parts = [str(document[key]) for key in ("date", "python", "circumstances") if key in document]
    machine = document.get("machine", {})
    parts += [f"{name} {value}" for name, value in machine.items() if isinstance(value, str | int | float)]
    versions = document.get("versions") or machine.get("versions") or {}
    parts += [f"{name} {value}" for name, value in versions.items() if value]
    return f"`{command}`" + (f"  \n<sub>{', '.join(parts)}</sub>" if parts else "")


def main() -> None:
    page = ["# Results",
            "Written by `python benchmarks/plots.py` from the JSON files beside it. [The benchmarks' README]"
            "(../README.md) says how to measure, what the contenders are, and how we may be biased."]
    for name, section in SECTIONS.items():
        if (path := RESULTS / f"{name}.json").exists():
            page += section(json.loads(path.read_text(encoding="utf-8")))
    (RESULTS / "README.md").write_text("\n\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
