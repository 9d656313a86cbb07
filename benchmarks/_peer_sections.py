"""The sections of the results page on other libraries: costs, faults, Failover Bench, and bench beside guidellm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import _charts
from _page import command, image, table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _page import Document

LOADS = {"buffered": "one JSON body", "50": "streamed, 50 tokens", "500": "streamed, 500 tokens"}
SHORT = {"50": "50 tokens", "500": "500 tokens"}
OURS = {"asyncrouter_chain", "asyncrouter_hedged"}
NO_PEERS = {"handwritten", "known beforehand"}
"""What is no library: the lower bounds of cost and of latency."""
GONE = "TensorZero was discontinued in July 2026; its last version is measured."
SAME = 1.05
"""Two figures that differ by less are taken as equal: the p99 of 600 calls, or a process's CPU, is not exact to 5 %."""


def peers(document: Document) -> Iterable[str]:
    contenders: dict[str, Document] = document["contenders"]
    found = {name: contenders[name] for name in sorted(contenders, key=lambda name: (_rank(name), name))}
    counts = sorted({key.split("/")[1] for one in found.values() for key in one if "/" in key}, key=int)
    measured = {key.split("/")[0] for key in found["handwritten"]}
    loads = {load: title for load, title in LOADS.items() if load in measured}
    yield "## What a call costs with other libraries"
    yield (f"CPU time of a call, {counts[0]} at once, to that of the hand-written client (1×) in the same turn. Every "
           "contender is a process of its own on one core; the least and the greatest of its turns stand in brackets. "
           f"{GONE}")
    yield image(_charts.costs(found, loads, counts[0]), "CPU time of a call with each contender")
    if len(counts) > 1:
        yield image(_charts.rates(found, loads), "Calls a second against concurrent calls")
    yield image(_charts.footprint(found), "Memory per waiting call, CPU time of the import")
    cells = [(load, count) for load in loads for count in counts]
    titles = (f"{SHORT.get(load, load)}, {int(count):,} at once" for load, count in cells)
    yield table(("times the hand-written call's CPU", *titles, "KB a waiting call", "s to start and import"), (
        (_charts.shown(name), *(_cell(one.get(f"{load}/{count}")) for load, count in cells), *_waiting(one["wait"]))
        for name, one in found.items()
    ))
    yield "\"Too slow\": the warm-up and two seconds of rounds did not end within 60 to 150 s. A dash: not measured."
    yield _ahead(dict(_peer_columns(found, cells)))
    yield command(document, "python benchmarks/peers.py --calls 64,1000 --json benchmarks/results/peers.json")


def faults(document: Document) -> Iterable[str]:
    days: dict[str, Document] = document["days"]
    yield "## Success rate under faults"
    yield ("The scenarios of `asyncrouter bench scenarios`, crowds and blame, behind real sockets, with a chain of two "
           "models in each contender. A line goes from p50 to p99 of the latency; a cross means that more than 1 % of "
           "the calls got no answer. Truncated answers were returned as complete. *Stayed*: sound calls that the "
           f"healthy first model was asked for, where it refuses one call in thirty for what is in it. {GONE}")
    yield image(_charts.faults(days), "Every contender in every scenario")
    yield table(("scenario", "contender", "answered", "truncated", "p50", "p95", "p99", "requests a call", "stayed"), (
        (scenario, _charts.shown(name), *_fault_cells(one))
        for scenario, found in days.items() for name, one in found.items() if "calls" in one
    ))
    yield _ahead({f"{scenario}: {what}": cells for scenario, found in days.items()
                  for what, cells in _fault_columns(found)})
    yield command({**document, **document["machine"]},
                  "python benchmarks/faults.py --json benchmarks/results/faults.json")


def failover_bench(document: Document) -> Iterable[str]:
    systems: dict[str, Document] = dict(sorted(document["systems"].items(), key=lambda item: (_rank(item[0]), item[0])))
    ids = list(next(iter(systems.values()))["scenarios"])
    yield "## Failover Bench"
    yield ("The sixteen scenarios of [Failover Bench](https://github.com/failoverbench/failoverbench) (its methodology "
           "0.1, profile \"full\"), judged by its own rules. *pass*: the whole answer, and every check of what the "
           "provider saw; *partial*: the answer, but not every piece of advice; *safe*: no answer, a clean error in "
           "time; *fail*: neither. Requests to the first and the second model, and seconds, stand beside it. The "
           "reference client is the bench's own, written to pass; other systems are set up as its `systems/` say, with "
           "today's versions.")
    yield table(("", *systems), (
        (f"{key} {next(iter(systems.values()))['scenarios'][key]['title']}",
         *(_verdict(one["scenarios"][key]) for one in systems.values())) for key in ids
    ))
    yield table(("", "pass", "partial", "safe", "fail"), (
        (name, *(one["summary"][verdict] for verdict in ("pass", "partial", "safe", "fail")))
        for name, one in systems.items()
    ))
    versions = {name: text for one in systems.values() for name, text in one["versions"].items()}
    yield command({**document, "versions": versions},
                  "python benchmarks/failover_bench.py --bench BENCH --json benchmarks/results/failover_bench.json")


def harness(document: Document) -> Iterable[str]:
    figures: dict[str, Document] = document["figures"]
    yield "## What `asyncrouter bench` measures, beside guidellm"
    yield (f"One paced server, the same file of prompts, {document['streams']} streams at once, {document['tokens']} "
           f"tokens an answer, {document['rounds']} rounds of each in turn. Means with 95 % intervals; *server* is "
           "what the server itself noted meanwhile.")
    names = {"ttft": "TTFT, s", "itl": "ITL, s", "e2e": "e2e, s", "calls_s": "calls a second"}
    yield table(("", *(f"{who}{what}" for who in figures for what in ("", ", server")), "intervals"), (
        (title, *(_mean(one[prefix + name]) for one in figures.values() for prefix in ("", "server_")),
         "overlap" if document["overlap"][name] else "apart") for name, title in names.items()
    ))
    counted = "; ".join(f"{who} has {one['calls']:,} calls, the server counted {one['served']:,}, each prompt "
                        f"{one['each_prompt']} times a round" for who, one in figures.items())
    yield f"{counted[0].upper()}{counted[1:]}."
    yield command(document, "python benchmarks/harness.py --guidellm GUIDELLM --json benchmarks/results/harness.json")


def _ahead(columns: dict[str, dict[str, float]]) -> str:
    """Where a library is ahead of the better of our arms by more than 5 %; less is better in every column."""
    found = []
    for title, values in columns.items():
        ours = min((value for name, value in values.items() if name in OURS), default=None)
        others = {name: value for name, value in values.items() if name not in OURS | NO_PEERS}
        if ours is None or not others:
            continue
        name = min(others, key=others.__getitem__)
        if others[name] * SAME < ours:
            found.append(f"{title}: {name} {others[name]:.3g}, asyncrouter {ours:.3g}")
    if not found:
        return f"No library is ahead of asyncrouter by more than 5 % in any of these {len(columns)} columns."
    return (f"Of these {len(columns)} columns, a library is ahead of asyncrouter (the better of its arms) by more than "
            f"5 % in {len(found)}: {'; '.join(found)}.")


def _peer_columns(found: Document, cells: list[tuple[str, str]]) -> Iterable[tuple[str, dict[str, float]]]:
    for load, count in cells:
        key = f"{load}/{count}"
        yield (f"CPU, {SHORT.get(load, load)}, {int(count):,} at once",
               {name: one[key]["cpu_us"] for name, one in found.items() if "cpu_us" in one.get(key, {})})
    for key, title in (("bytes", "bytes a waiting call"), ("import", "s to start and import")):
        yield title, {name: one["wait"][key] for name, one in found.items() if key in one["wait"]}


def _fault_columns(found: Document) -> Iterable[tuple[str, dict[str, float]]]:
    rows = {name: one for name, one in found.items() if "calls" in one}
    yield "failed, %", {name: 100.0 - 100.0 * one["outcomes"].get("ok", 0) / one["calls"] for name, one in rows.items()}
    yield "p99, s", {name: float("inf") if one["p99"] is None else one["p99"] for name, one in rows.items()}


def _rank(name: str) -> int:
    return 0 if name == "handwritten" else 1 if name.startswith("asyncrouter") else 2


def _cell(cell: Document | None) -> str:
    if cell is None or "cpu_us" not in cell:
        return "–" if cell is None else str(cell["why"])
    failed = f", {cell['failed'] / cell['calls']:.0%} failed" if cell["failed"] else ""
    if "ratio" not in cell:
        return f"{cell['cpu_us']:,.0f} µs{failed}"
    form = "{:.2f}" if cell["ratio"] < 10 else "{:.1f}"
    low, high = map(form.format, cell["ratios"])
    return f"{form.format(cell['ratio'])} ({low} – {high}; {cell['cpu_us']:,.0f} µs){failed}"


def _waiting(cell: Document) -> Iterable[str]:
    return (f"{cell['bytes'] / 1024:.1f}", f"{cell['import']:.2f}") if "bytes" in cell else ("–", "–")


def _fault_cells(one: Document) -> Iterable[str]:
    calls = one["calls"]
    times = ("never" if one[name] is None else f"{one[name]:.2f}" for name in ("p50", "p95", "p99"))
    shares = (f"{one['outcomes'].get(name, 0) / calls:.1%}" for name in ("ok", "torn"))
    stayed = f"{one['stayed']:.1%}" if "stayed" in one else "–"
    return (*shares, *times, f"{one['requests'] / calls:.2f}", stayed)


def _verdict(scenario: Document) -> str:
    checks = f": {', '.join(scenario['failed_checks'])}" if scenario["failed_checks"] else ""
    return (f"**{scenario['verdict']}**{checks} {scenario['first_model']}/{scenario['second_model']}, "
            f"{scenario['seconds']:g} s")


def _mean(estimate: list[float]) -> str:
    value, low, high = estimate
    form = "{:.2f}" if value > 3 else "{:.4f}"
    return f"{form.format(value)} ({form.format(low)} – {form.format(high)})"
