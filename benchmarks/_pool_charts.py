"""The charts of pools and of shared limits."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
from _charts import HAND, INK, MISSED, OURS, PEER, save

CURVES = {"least-busy": (OURS, "-"), "fastest": (HAND, "-"), "random": (PEER, "-"), "round robin": (PEER, "--"),
          "peak-EWMA, best of two": (MISSED, "-")}
"""The colour and the line of each rule."""
TROUBLE = {"stopped": "Redis stopped for 10 s and started", "paused": "paused for 10 s",
           "flushed": "emptied three times, scripts too"}


def slow_member(curves: dict[str, list[list[float]]], slow_at: float) -> str:
    """The p99 over time by rule, as one of three deployments becomes slow."""
    fig, ax = plt.subplots(figsize=(8, 3.6))
    for name, points in curves.items():
        colour, line = CURVES[name]
        ax.plot(*zip(*points, strict=True), color=colour, linestyle=line, marker="o", markersize=3, label=name)
    ax.axvline(slow_at, color=INK, linewidth=1.2, linestyle=":")
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel("seconds; at the dotted line one of three deployments becomes three times slower")
    ax.set_ylabel("p99 of each ten seconds, s")
    ax.legend(labelcolor=INK, fontsize=8, loc="upper left", ncols=2)
    return save(fig, "slow_member")


def outages(document: dict[str, Any]) -> str:
    """Requests in each second of eight processes together, a panel for each trouble of Redis."""
    fig, panels = plt.subplots(len(TROUBLE), 1, figsize=(8, 5.0), sharex=True)
    limit, whole = document["limit_a_second"], document["seconds"]
    settled = whole - len(document["stopped"]["by_second"])
    when = {"flushed": [(0.3 * whole,), (0.5 * whole,), (0.7 * whole,)]}
    for ax, (name, title) in zip(panels, TROUBLE.items(), strict=True):
        counts = document[name]["by_second"]
        ax.step([settled + second for second in range(len(counts))], counts, where="post", color=OURS)
        ax.axhline(limit, color=INK, linewidth=1.2, linestyle="--")
        ax.axhline(1.25 * limit, color=MISSED, linewidth=1.2, linestyle="--")
        for span in when.get(name, [(whole / 3, whole / 3 + 10.0)]):
            if len(span) == 2:
                ax.axvspan(*span, color=INK, alpha=0.15, linewidth=0)
            else:
                ax.axvline(*span, color=INK, linewidth=1.2, linestyle=":")
        ax.set_ylim(0.0, 1.4 * limit)
        ax.set_title(title, fontsize=10, color=INK, loc="left")
    panels[1].set_ylabel("requests in a second; dashed: the limit, and the goal for the worst second")
    panels[1].yaxis.label.set_size(8)
    panels[-1].set_xlabel("seconds")
    return save(fig, "outages")
