"""Is an answer in time on bad days, to its last word? Whole routers in virtual time, beside what could be known.

    python benchmarks/in_time.py [--only "usual,50 calls"] [--day stall] [--hedge p95,auto] [--seeds 5] [--json FILE]

A chain of three models is asked five times a second, 3,000 times; an answer has 60 contents. One factor at a time is
changed around that day (`_in_time_cells.py`). Times are compared with somebody who knows beforehand which answers of
the first model will be bad, and asks the second one instead, at no price: 1 is as good as that. Where all models are
slow, they are compared with a caller who has no rules at all.

- `extra`: requests of hedges and rescues, as a share of the calls. `rescued`: rescues of answers that were healthy.
- `exchanged`: the answers that the one who knows has exchanged: what an all-knowing router would have to do.
- `found`: calls made until a model that has become slow was known to be. `back`: seconds until it was used again.

Each figure is the median over the seeds, with the worst of them in brackets. A cell that was measured before stays in
the file, so that parts can be measured one at a time.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from _in_time_cells import cells, goal_of
from _in_time_days import play
from _machine import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _in_time_cells import Goal
    from _in_time_days import Cell, Played

HEAD = (f"{'':<26}{'day':<18}{'hedge':<6}{'p95':>5} {'':7}{'p99':>5} {'':7}{'worst':>6} {'':>7} {'extra':>6} "
        f"{'rescued':>7} {'exchanged':>9} {'found':>5} {'back':>5}")
Figures = dict[str, list[float]]
"""The figures of a cell: one for each seed."""


def quantile(values: list[float], q: float) -> float:
    """A quantile of values, by rank."""
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


def measured(cell: Cell, played: Iterable[Played]) -> Figures:
    """The figures of a cell."""
    found: Figures = {}

    def put(name: str, value: float) -> None:
        found.setdefault(name, []).append(round(value, 5) if math.isfinite(value) else 1e9)

    for one in played:
        count = len(one.calls)
        ours = [call.seconds for call in one.calls]
        others = [call.no_rules if cell.everybody else call.known for call in one.calls]
        for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            put(name, quantile(ours, q) / quantile(others, q))
            put(f"{name}_seconds", quantile(ours, q))
            put(f"{name}_known", quantile(others, q))
        put("p99_no_rules", quantile([call.no_rules for call in one.calls], 0.99))
        put("worst", max(ours))
        put("worst_known", max(others))
        put("extra", one.extra / count)
        put("rescued", one.healthy_rescues / count)
        put("wasted", one.wasted / count)
        put("exchanged", sum(call.exchanged for call in one.calls) / count)
        put("failed", one.failed)
        put("cut", one.cut)
        for number in one.detected:
            put("found", number)
        for seconds in one.back:
            put("back", seconds)
    return found


def missed(cell: Cell, goal: Goal, found: Figures) -> list[str]:
    """The goals that the medians miss."""
    middle = {name: statistics.median(values) for name, values in found.items()}
    calls, finds = cell.calls / cell.lives, cell.day in {"first x10", "first x3"} and cell.rate <= 5.0
    limits: list[tuple[str, float, float | None]] = [
        ("p95", middle["p95"], goal.p95), ("p99", middle["p99"], goal.p99),
        ("extra", middle["extra"], None if goal.extra is None else goal.extra + goal.requests / calls),
        ("worst", middle["worst"], None if goal.worst is None else middle["worst_known"] + goal.worst),
        ("failed", max(found["failed"]), 0.0),
        ("found", middle.get("found", 0.0), 15.0 if finds else None),
    ]
    # Ratios are goals to two digits.
    return [f"{name} {value:.4g} > {limit:.4g}" for name, value, limit in limits
            if limit is not None and round(value, 4) > limit + (0.005 if name in {"p95", "p99"} else 1e-9)]


def line(cell: Cell, found: Figures, misses: list[str]) -> str:
    """A line of the table."""
    def show(name: str, form: str, worst: Callable[[list[float]], float] | None = None, empty: int = 5) -> str:
        values = found.get(name)
        if not values:
            return f"{'–':>{empty}}"
        bracket = "" if worst is None else f" ({worst(values):{form}})"
        return f"{statistics.median(values):{form}}{bracket}"

    return (
        f"{cell.group:<26}{cell.day:<18}{cell.hedge:<6}{show('p95', '5.2f', max)} {show('p99', '5.2f', max)} "
        f"{show('worst', '5.1f', max)} {show('extra', '6.2%')} {show('rescued', '7.2%')} {show('exchanged', '9.2%')} "
        f"{show('found', '5.0f')} {show('back', '5.0f')}  {'; '.join(misses)}"
    ).rstrip()


def _chosen(options: argparse.Namespace) -> list[Cell]:
    def fits(text: str, parts: str) -> bool:
        return not parts or any(part in text for part in parts.split(","))

    return [cell for cell in cells()
            if fits(cell.group, options.only) and fits(cell.day, options.day) and fits(cell.hedge, options.hedge)]


def _write(path: Path, cell: Cell, goal: Goal, found: Figures, misses: list[str]) -> None:
    document = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"cells": {}}
    document |= environment()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False,
                            cwd=Path(__file__).parent).stdout.strip()
    document["cells"][f"{cell.group} / {cell.day} / {cell.hedge}"] = {
        "group": cell.group, "day": cell.day, "hedge": cell.hedge, "rate": cell.rate, "calls": cell.calls,
        "lives": cell.lives, "commit": commit, "goal": goal._asdict() | {"worst": goal.worst and min(goal.worst, 1e9)},
        "missed": misses, "figures": found,
    }
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Play the cells, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="parts of the names of groups, with commas (default: all)")
    parser.add_argument("--day", default="", help="parts of the names of days, with commas (default: all)")
    parser.add_argument("--hedge", default="", help="some of p95,auto,none (default: all)")
    parser.add_argument("--seeds", type=int, default=5, help="how often each cell is played (default: 5)")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    parser.add_argument("--show", type=float, default=math.inf, metavar="SECONDS",
                        help="print the traces of calls that took so long")
    options = parser.parse_args()
    print(HEAD)
    for cell in _chosen(options):
        began = time.process_time()
        played = [play(cell, seed, options.show) for seed in range(options.seeds)]
        found = measured(cell, played)
        goal = goal_of(cell, statistics.median(found["exchanged"]))
        misses = missed(cell, goal, found)
        print(line(cell, found, misses), flush=True)
        print(f"  ({time.process_time() - began:.0f} s of CPU, {dict(sum((one.ways for one in played), Counter()))})",
              file=sys.stderr, flush=True)
        if options.json is not None:
            _write(options.json, cell, goal, found, misses)


if __name__ == "__main__":
    main()
