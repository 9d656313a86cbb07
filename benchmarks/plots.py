"""Writes the results page, results/README.md, from the JSON files that the benchmarks have written to results/.

    python -m pip install matplotlib && python benchmarks/plots.py

A benchmark without a file has no section. The first section is a table that is written into the README, too;
each of the others ends with the command that measures it again.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import _charts
from _page import circumstances, command, image, interval, table
from _peer_sections import failover_bench, faults, harness, peers
from _peer_summary import summary
from _pool_sections import pools, shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _page import Document

RESULTS = Path(__file__).parent / "results"
ELSEWHERE = {
    "batch_vendors": "python -m benchmarks.batch_vendors", "batch_outages": "python -m benchmarks.batch_outages",
    "batch_window": "python -m benchmarks.batch_window", "capacity": "python -m benchmarks.capacity",
    "coverage": "python -m benchmarks.coverage", "judgement": "python -m benchmarks.judgement",
    "structured": "python benchmarks/structured.py", "which_model": "python benchmarks/which_model.py",
}
"""Files of results that are not drawn here, and the commands that write them."""


def overhead(document: Document) -> Iterable[str]:
    figures: dict[str, Document] = document["figures"]
    yield "## What asyncrouter adds to a careful hand-written aiohttp call"
    yield ("Ratios of CPU time (or memory) unless a unit is named; rounds of 64 concurrent calls alternate in one "
           "process, against a server on the other core. The goals were set beforehand.")
    yield image(_charts.goals(figures), "Each figure as a share of its goal")
    yield table(("", "goal", "measured", "quartiles", "", "on"), (
        (one["what"], f"≤ {one['goal']:g}", f"**{one['measured']:g}**", interval(*one["quartiles"], "{:g}"),
         "met" if one["kept"] else "missed", one.get("date", document["date"])) for one in figures.values()
    ))
    yield command(document, "python benchmarks/overhead.py --json benchmarks/results/overhead.json")


def tail(document: Document) -> Iterable[str]:
    names = {"success": "answered", "p50_e2e": "p50", "p99_e2e": "p99", "p99.9_e2e": "p99.9", "hedges_fired": "hedged",
             "extra_load": "extra requests", "usd_per_1000": "$ for 1,000"}
    shares = {"success", "hedges_fired", "extra_load"}
    yield "## Tail latency with hedging"
    yield ("Over real sockets; 1 % of the first model's answers take 20 times as long. Seconds from the scheduled "
           "start (open loop), with 95 % intervals.")
    yield image(_charts.tail(document["arms"]), "Latency by quantile, with and without a hedge")
    yield table(("", *names.values()), (
        (arm["name"], *(_estimate(arm["measures"].get(name), share=name in shares) for name in names))
        for arm in document["arms"]
    ))
    yield from (f"Warning of the harness: {warning}." for warning in document["warnings"])
    machine = {"machine": document["environment"]}
    yield command(machine, "python benchmarks/tail.py --json benchmarks/results/tail.json")


def in_time(document: Document) -> Iterable[str]:
    cells: list[Document] = list(document["cells"].values())
    yield "## In time, to the last word"
    yield ("Virtual time. A chain of three models is asked five times a second for answers of 60 contents; the first "
           "model is late in some way. *No rules* waits for it; *known beforehand* knows which of its answers will be "
           "bad, and asks the second model instead: nobody can do better at no price.")
    yield image(_charts.in_time([one for one in cells if one["group"] == "the usual day"]),
                 "p99 of the whole answer on bad days, beside no rules and what could be known")
    yield ("Ratios to *known beforehand* (to no rules where all models are slow): medians over the seeds, the worst of "
           "them in brackets. *Extra*: requests of hedges and rescues. *Exchanged*: the answers that who knows "
           "beforehand exchanges. *Found*: calls until a slow model was known to be.")
    yield table(("", "day", "hedge", "seeds", "p95", "p99", "p99, s", "known, s", "no rules, s", "worst, s", "extra",
                  "exchanged", "found", "goals missed"), map(_in_time_row, cells))
    yield command(document, "python benchmarks/in_time.py --json benchmarks/results/in_time.json")


def pace(document: Document) -> Iterable[str]:
    yield "## By what a slow pace is told"
    yield ("Virtual time, `hedge=\"auto\"`; the days of the section above with contents that vary in size. An answer "
           "is judged by the seconds between its contents, by those for five characters, or, as the router does, both. "
           "*Wasted*: races with healthy answers. *Found*: calls until the model was known to be slow; where it is "
           "healthy it never should be.")
    yield table(("contents", "day", "by", "p95", "p99", "wasted", "found"), (
        (*(part for part in name.split(" · ") if part != "auto"),
         *(f"{median(figures[key]):{form}}" if key in figures else "–"
           for key, form in (("p95", ".2f"), ("p99", ".2f"), ("wasted", ".2%"), ("found", ".0f"))))
        for name, figures in document["cells"].items()
    ))
    yield command(document, "python benchmarks/pace.py --json benchmarks/results/pace.json")


def false_alarms(document: Document) -> Iterable[str]:
    yield "## False alarms"
    yield ("Healthy answers of several laws: how often a model that never changes is taken for a slow one, and an "
           "answer for a dead one (its first content, or a silence in it, is longer than the \"auto\" limit). In a "
           "chain such an answer is raced, and cut only where nobody could be. *Memory alone*: without the 30 s that "
           "hold until 500 samples are known. Bounds are 95 %.")
    head = "law", "answers judged", "demotions", "cut", "at most, of 100,000", "memory alone", "at most, of 100,000"
    yield table(head, (
        (name, f"{one['judged']:,}", one["demoted"], one["cut"], f"{one['cut_bound']:.2f}", one["beyond"],
         f"{one['beyond_bound']:.2f}") for name, one in document["laws"].items()
    ))
    yield command(document, f"python benchmarks/false_alarms.py --answers {document['answers']} "
                             "--json benchmarks/results/false_alarms.json")


def replay(document: Document) -> Iterable[str]:
    yield "## Are the estimates of `bench replay` right?"
    yield (f"{document['seeds']} simulated recordings of {document['calls']:,} calls: the share of the 95 % intervals "
           "that held what the router really did under the other policy. The goal is 90 %.")
    yield image(_charts.coverage(document["hits"], document["stated"]), "Coverage of the intervals")
    yield command(document, "python benchmarks/replay.py --json benchmarks/results/replay.json")


def simulation(document: Document) -> Iterable[str]:
    yield "## The policies in simulation"
    yield table(("", "", "goal", "measured", "", ""), (
        (part, one["what"], "–" if one["goal"] is None else f"{'≥' if one['at_least'] else '≤'} {one['goal']:g}",
         f"{one['measured']:.4g}", {True: "met", False: "missed", None: ""}[one["passed"]], _details(one))
        for part, figures in document["parts"].items() for one in figures
    ))
    yield command(document, "python benchmarks/simulation.py --json benchmarks/results/simulation.json")


def batch(document: Document) -> Iterable[str]:
    yield "## Files of prompts"
    yield table(("figure", "value"), (
        (f"{name}: {key}".replace("_", " "), json.dumps(value) if isinstance(value, list | dict) else value)
        for name, figures in document["figures"].items() for key, value in figures.items() if key != "ratios"
    ))
    yield command(document, "python benchmarks/batch.py --json benchmarks/results/batch.json")


def serve(document: Document) -> Iterable[str]:
    yield "## The server beside other proxies"
    yield ("A hand-written aiohttp proxy reads the same JSON; each server has a core, and rounds alternate. Latencies "
           f"are of an open loop at 30 % of a core. LiteLLM's proxy is {document.get('litellm', 'not measured')}, "
           f"the newest that PyPI has with all its parts; {document['published']}. The load average of the machine was "
           f"{document['load']} meanwhile.")
    yield table(("", "goal", "median", "quartiles", ""), (
        (name, "–" if (goal := one["goal"]) is None else f"≤ {goal}", f"{one['median']:,.3f}",
         interval(*one["quartiles"], "{:,.3f}"), "" if goal is None else "met" if one["median"] <= goal else "missed")
        for name, one in document["figures"].items()
    ))
    yield command(document, "python benchmarks/serve.py --litellm DIR --json benchmarks/results/serve.json")


SECTIONS: dict[str, Callable[[Document], Iterable[str]]] = {
    "overhead": overhead, "peers": peers, "faults": faults, "failover_bench": failover_bench, "tail": tail,
    "in_time": in_time, "pace": pace, "false_alarms": false_alarms, "harness": harness, "replay": replay,
    "simulation": simulation, "batch": batch, "serve": serve, "pools": pools, "shared": shared,
}


def others() -> Iterable[str]:
    """The files without a section of their own: what writes them, and when and with what they were measured."""
    yield "## Other files"
    found = ((name, text, path) for name, text in ELSEWHERE.items() if (path := RESULTS / f"{name}.json").exists())
    yield table(("file", "printed and written by", "measured"), (
        (f"[{path.name}]({path.name})", f"`{text} --json benchmarks/results/{path.name}`", circumstances(
            (document := json.loads(path.read_text(encoding="utf-8"))) | document.get("environment", {})))
        for name, text, path in found
    ))


def _details(figure: Document) -> str:
    """The details of a figure of the simulation; results of earlier versions have them under another name."""
    details: str = figure["details"] if "details" in figure else figure["told"]
    return details


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
    return form.format(one["value"]) + (f" ({interval(one['low'], one['high'], form)})" if bounded else "")


def main() -> None:
    page = ["# Results",
            "Written by `python benchmarks/plots.py` from the JSON files beside it. [The benchmarks' README]"
            "(../README.md) says how to measure, what the contenders are, and how we may be biased."]
    if (RESULTS / "peers.json").exists() and (RESULTS / "faults.json").exists():
        page += summary(*(json.loads((RESULTS / f"{name}.json").read_text()) for name in ("peers", "faults")))
    for name, section in SECTIONS.items():
        if (path := RESULTS / f"{name}.json").exists():
            page += section(json.loads(path.read_text(encoding="utf-8")))
    page += others()
    (RESULTS / "README.md").write_text("\n\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
