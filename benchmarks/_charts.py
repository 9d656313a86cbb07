"""The charts of the results page, as SVG that is readable on white and on black; drawn with matplotlib."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

PLOTS = Path(__file__).parent / "results" / "plots"
INK, OURS, HAND, PEER, MISSED = "#7d8590", "#3b82f6", "#10b981", "#a1a9b4", "#ef4444"
"""Colours: text and axes, asyncrouter, the hand-written client, other libraries, a goal that was missed."""
ARMS = ("#7d8590", "#3b82f6", "#10b981", "#f97316")
EDGES = (26.0, 78.0)
"""Seconds at which an axis of `faults` ends: the first that all times fit into; they end with a call's timeout."""
NEVER = 0.85
"""The share of the axis' end at which a p99 without a number is drawn: beyond the timeout."""
LONGEST = 100.0
"""Seconds at which an answer is drawn that takes longer, or never comes, in `in_time`."""
TAIL = {"p50_e2e": 0.5, "p90_e2e": 0.9, "p95_e2e": 0.95, "p99_e2e": 0.99, "p99.9_e2e": 0.999}
mpl.use("svg")
mpl.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "asyncrouter", "font.family": "sans-serif", "font.size": 10,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": INK, "grid.alpha": 0.2,
    "axes.axisbelow": True, "legend.frameon": False, "figure.constrained_layout.use": True,
})
GONE = {"tensorzero_embedded": "TensorZero (discontinued)"}
"""Contenders that are maintained no more."""
Figures = dict[str, dict[str, Any]]


def shown(name: str) -> str:
    """A contender's name as it is shown."""
    return GONE.get(name, name)


def goals(figures: Figures) -> str:
    """Each figure as a share of its goal, with the quartiles of its pairs: left of the line the goal is met."""
    fig, ax = plt.subplots(figsize=(8, 0.6 + 0.34 * len(figures)))
    for place, one in enumerate(reversed(figures.values())):
        share, (low, high) = one["measured"] / one["goal"], (cut / one["goal"] for cut in one["quartiles"])
        colour = OURS if one["kept"] else MISSED
        ax.plot([low, high], [place, place], color=colour, linewidth=5, alpha=0.35, solid_capstyle="round")
        ax.plot(share, place, "o", color=colour, markersize=8)
    ax.axvline(1.0, color=INK, linewidth=1.2, linestyle="--")
    ax.set_yticks(range(len(figures)), [one["what"] for one in reversed(figures.values())])
    ax.set_xlim(min(0.0, ax.get_xlim()[0]), max(1.4, ax.get_xlim()[1]))
    ax.set_xlabel("measured / goal (the bar: quartiles of the pairs)")
    return save(fig, "goals")


def costs(found: Figures, loads: dict[str, str], count: str) -> str:
    """CPU time of a call, to that of the hand-written client, on a log scale, in one panel for each load."""
    fig, panels = plt.subplots(1, len(loads), figsize=(3.6 * len(loads), 0.9 + 0.36 * len(found)), sharey=True,
                               squeeze=False)
    names = list(reversed(found))
    for ax, (load, title) in zip(panels[0], loads.items(), strict=True):
        base = found["handwritten"].get(f"{load}/{count}", {}).get("cpu_us")
        for place, name in enumerate(names):
            cell = found[name].get(f"{load}/{count}", {})
            if "cpu_us" not in cell or base is None:
                ax.text(1.05, place, "–", va="center")
                continue
            ratio = cell.get("ratio", cell["cpu_us"] / base)
            ax.barh(place, ratio, color=_colour(name), height=0.66)
            ax.text(ratio * 1.06, place, f"{ratio:.2f}" if ratio < 2 else f"{ratio:.1f}", va="center", fontsize=9)
        ax.set_xscale("log")
        ax.set_xlim(0.5, 120.0)
        ax.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1×", "2×", "5×", "10×", "20×", "50×", "100×"], fontsize=8)
        ax.minorticks_off()
        ax.set_title(title, fontsize=10, color=INK)
    panels[0][0].set_yticks(range(len(names)), [shown(name) for name in names])
    return save(fig, "peers")


def rates(found: Figures, loads: dict[str, str]) -> str:
    """Calls a second against concurrent calls."""
    counts = sorted({int(key.split("/")[1]) for cells in found.values() for key in cells if "/" in key})
    fig, panels = plt.subplots(1, len(loads), figsize=(3.6 * len(loads), 4.4), squeeze=False)
    for ax, (load, title) in zip(panels[0], loads.items(), strict=True):
        ends: list[tuple[float, int, str]] = []
        for name, cells in found.items():
            points = sorted((int(key.split("/")[1]), cell["calls_s"]) for key, cell in cells.items()
                            if key.split("/")[0] == load and "calls_s" in cell)
            if points:
                ax.plot(*zip(*points, strict=True), marker="o", markersize=4, color=_colour(name),
                        linewidth=2.2 if _colour(name) != PEER else 1.2)
                ends.append((points[-1][1], points[-1][0], name))
        heights: dict[int, float] = {}
        for rate, count, name in sorted(ends):  # names that would overlap are moved up
            heights[count] = max(rate, heights.get(count, 0.0) * 1.35)
            at = (count, heights[count])
            ax.annotate(shown(name), at, xytext=(5, 0), textcoords="offset points", fontsize=7, va="center")
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xticks(counts, [f"{count:,}" for count in counts])
        ax.set_yticks([1, 10, 100, 1000, 10_000], ["1", "10", "100", "1,000", "10,000"])
        ax.minorticks_off()
        ax.set_xlim(0.6 * counts[0], 10.0 * counts[-1])
        ax.set_ylim(2, 20_000)
        ax.set_title(title, fontsize=10, color=INK)
        ax.set_xlabel("concurrent calls")
    panels[0][0].set_ylabel("calls a second, one core")
    return save(fig, "rates")


def footprint(found: Figures) -> str:
    """Memory per waiting call, and CPU seconds of the import."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 0.9 + 0.34 * len(found)), sharey=True)
    names = list(reversed(found))
    for place, name in enumerate(names):
        cell = found[name].get("wait", {})
        kilobytes, seconds = cell.get("bytes", 0) / 1024, cell.get("import", 0)
        for ax, value, label in ((left, kilobytes, f" {kilobytes:.0f} KB"), (right, seconds, f" {seconds:.2f} s")):
            ax.barh(place, value, color=_colour(name), height=0.66)
            ax.text(value, place, label, va="center", fontsize=9)
    left.set_yticks(range(len(names)), [shown(name) for name in names])
    left.set_xlabel("memory per waiting call")
    right.set_xlabel("CPU time to start and import")
    for ax in (left, right):
        ax.margins(x=0.2)
    return save(fig, "footprint")


def tail(arms: list[dict[str, Any]]) -> str:
    """Latency at every quantile, the axis stretched towards the tail, with 95 % intervals."""
    fig, ax = plt.subplots(figsize=(8, 3.6))
    for arm, colour in zip(arms, ARMS, strict=False):
        points = {1.0 / (1.0 - share): arm["measures"][name] for name, share in TAIL.items()}
        points = {at: one for at, one in points.items() if one["value"] is not None and one["enough"]}
        ax.fill_between(list(points), [one["low"] for one in points.values()], [one["high"] for one in points.values()],
                        color=colour, alpha=0.15, linewidth=0)
        ax.plot(list(points), [one["value"] for one in points.values()], marker="o", color=colour, label=arm["name"])
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks([1.0 / (1.0 - share) for share in TAIL.values()], [name.split("_")[0] for name in TAIL])
    ax.minorticks_off()
    ax.set_ylabel("seconds from the scheduled start")
    ax.legend(labelcolor=INK)
    return save(fig, "tail")


def faults(scenarios: Figures) -> str:
    """A panel for each scenario: p50 to p99 (a cross: 1 % of the calls were never answered) and requests a call."""
    names = sorted({name for found in scenarios.values() for name in found},
                   key=lambda name: (name.startswith("async"), name))
    columns = 2
    rows = -(-len(scenarios) // columns)
    fig, panels = plt.subplots(rows, columns, figsize=(9, 0.5 + rows * (0.5 + 0.22 * len(names))), sharey=True,
                               squeeze=False)
    for ax, (title, found) in zip(panels.flat, scenarios.items(), strict=False):
        slowest = max(one["p99"] or 0.0 for one in found.values() if "calls" in one)
        edge = next(end for end in EDGES if slowest < NEVER * end)
        for place, name in enumerate(names):
            one = found.get(name, {})
            if "calls" not in one:
                continue
            answered = one["outcomes"].get("ok", 0) / one["calls"]
            known = one["p99"] if one["p99"] is not None else NEVER * edge
            ax.plot([one["p50"] or known, known], [place, place], color=_colour(name), linewidth=3, alpha=0.4)
            ax.plot(known, place, "o" if one["p99"] is not None else "X", color=_colour(name), markersize=7)
            note = f"{one['requests'] / one['calls']:.2f} req"
            note += f", {answered:.1%} answered" if answered < 1 else ""
            note += f", {one['stayed']:.0%} stayed" if "stayed" in one else ""
            ax.text(edge, place, note, va="center", fontsize=7)
        ax.set_xscale("log")
        ax.set_xlim(0.5, edge)
        ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50) if tick < edge]
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks[:-1]] + [f"{ticks[-1]:g} s"])
        ax.minorticks_off()
        ax.set_title(title, fontsize=10, color=INK)
        ax.set_yticks(range(len(names)), [shown(name) for name in names], fontsize=8)
    for ax in list(panels.flat)[len(scenarios):]:
        ax.axis("off")
    return save(fig, "faults")


def in_time(cells: list[dict[str, Any]]) -> str:
    """p99 of the whole answer on each day: no rules, asyncrouter by what was asked for, and known beforehand."""
    days = list(dict.fromkeys(one["day"] for one in cells))
    fig, ax = plt.subplots(figsize=(8, 0.9 + 0.42 * len(days)))
    marks = {"none": ("o", "asyncrouter, no hedge"), "auto": ("D", 'asyncrouter, hedge="auto"'),
             "p95": ("s", 'asyncrouter, hedge="p95"')}
    for place, day in enumerate(reversed(days)):
        found = {one["hedge"]: one["figures"] for one in cells if one["day"] == day}
        one = next(iter(found.values()))
        without, known = (min(median(one[name]), LONGEST) for name in ("p99_no_rules", "p99_known"))
        ax.plot([known, without], [place, place], color=PEER, linewidth=5, alpha=0.3, solid_capstyle="butt")
        mark = "X" if without == LONGEST else "|"
        ax.plot(without, place, mark, color=MISSED, markersize=11, markeredgewidth=2,
                label="no rules (X: never)" if place == 0 else None)
        ax.plot(known, place, "|", color=INK, markersize=13, markeredgewidth=2,
                label="known beforehand" if place == 0 else None)
        for hedge, (mark, label) in marks.items():
            if hedge in found:
                ax.plot(median(found[hedge]["p99_seconds"]), place, mark, color=OURS, markersize=6, alpha=0.8,
                        label=label if place == 0 else None)
    ax.set_xscale("log")
    ax.set_xticks([2, 3, 5, 10, 20, 50, 100], ["2", "3", "5", "10", "20", "50", "100 s"])
    ax.minorticks_off()
    ax.set_yticks(range(len(days)), list(reversed(days)))
    ax.set_xlabel("p99 of the whole answer")
    ax.legend(labelcolor=INK, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3)
    return save(fig, "in_time")


def coverage(hits: dict[str, dict[str, int]], stated: dict[str, dict[str, int]]) -> str:
    """The share of the stated intervals that held the true value."""
    labels = [(f"{policy}: {name}", hit, stated[policy][name]) for policy, one in hits.items()
              for name, hit in one.items()]
    fig, ax = plt.subplots(figsize=(8, 0.6 + 0.26 * len(labels)))
    for place, (_, hit, count) in enumerate(reversed(labels)):
        share = hit / count if count else 0.0
        ax.barh(place, share, color=OURS if share >= 0.9 else MISSED, height=0.6)
        ax.text(share, place, f" {share:.1%}" if count else " n too small, no interval stated", va="center", fontsize=8)
    ax.axvline(0.9, color=INK, linestyle="--", linewidth=1.2)
    ax.set_yticks(range(len(labels)), [name for name, *_ in reversed(labels)], fontsize=8)
    ax.set_xlim(0.0, 1.1)
    ax.set_xlabel("share of the stated 95 % intervals that held the true value")
    return save(fig, "coverage")


def _colour(name: str) -> str:
    return OURS if name.startswith("asyncrouter") else HAND if name == "handwritten" else PEER


def save(fig: Any, name: str) -> str:
    """Write a figure to its file; the path to it from the page."""
    PLOTS.mkdir(parents=True, exist_ok=True)
    fig.savefig(PLOTS / f"{name}.svg", transparent=True, metadata={"Date": None})
    plt.close(fig)
    return f"plots/{name}.svg"
