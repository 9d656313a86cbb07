"""The cells of `in_time.py`: one factor at a time around the usual day, and what each cell is to reach."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from _answers import all_of, now_and_then, slower, stalls, stragglers
from _in_time_days import Cell, Law

if TYPE_CHECKING:
    from collections.abc import Iterator

HEDGES = ("p95", "auto", "none")
USUAL = Law()
KEY_DAYS = ("healthy", "stragglers 5 %", "first x10", "pace x20", "stall 2 %")
"""The days of the cells that change the law."""
LAWS: dict[str, Law] = {
    "first contents sigma 0.6": USUAL.with_sigma(0.6),
    "first contents sigma 1.2": USUAL.with_sigma(1.2),
    "20 contents": replace(USUAL, contents=20),
    "600 contents": replace(USUAL, contents=600),
    "lengths sigma 0.8": replace(USUAL, lengths=0.8),
    "paces sigma 0.5": replace(USUAL, paces=0.5),
    "20 % calls in one piece": replace(USUAL, one_piece=0.2, lengths=0.6),
    "20 s of silence in 5 %": replace(USUAL, silent=0.05),
    "thinking": replace(USUAL, models=(("a", 6.0, 0.6), ("b", 7.0, 0.6), ("c", 3.0, 0.5)), contents=120, lengths=0.6),
}
"""Laws of healthy answers that differ in one thing. "thinking": nothing comes while a model thinks."""


class Goal(NamedTuple):
    """What a cell is to reach; `None`: it is only shown.

    `p95` and `p99` are ratios to those of the one who knows, or who has no rules (`to`); `extra` is a share of the
    calls, beside a number of requests for each router; `worst` are seconds more than the other's worst call.
    """

    p95: float | None
    p99: float | None
    extra: float | None = 0.058
    requests: int = 25
    worst: float | None = 12.0
    to: str = "known"


def cells() -> Iterator[Cell]:
    """All of them."""
    for hedge in HEDGES:
        for day in ("healthy", "stragglers 2 %", "stragglers 5 %", "first x10", "first x3", "first and pace x3",
                    "outage", "pace x20", "crawl 3 %", "stall 2 %", "mixed"):
            yield Cell("the usual day", day, hedge)
    for hedge in HEDGES:
        for day in ("healthy", "stragglers 5 %", "first x10", "first x3", "pace x20", "crawl 3 %", "stall 2 %"):
            yield Cell("0.5 calls a second", day, hedge, rate=0.5)
            yield Cell("50 calls a second", day, hedge, rate=50.0, calls=9000)
    for hedge in HEDGES:
        for day in ("first x10", "first x3", "stragglers 5 %"):
            yield Cell("0.1 calls a second", day, hedge, rate=0.1, lives=10)
        yield Cell("0.1 a second for 8 hours", "first x10", hedge, rate=0.1)
        for day in ("healthy", "stragglers 5 %"):
            yield Cell("the first 140 calls", day, hedge, calls=140 * 22, lives=22)
        for day in ("first x3", "first x10", "pace x20", "stall 2 %"):
            yield Cell("all models", day, hedge, everybody=True)
        yield Cell("all models", "x5 for 20 s in 100", hedge, everybody=True, trouble=now_and_then(5.0))
    for name, law in LAWS.items():
        for hedge in HEDGES:
            for day in KEY_DAYS:
                yield Cell(name, day, hedge, law=law)
    for hedge in HEDGES:
        for seconds in (20.0, 60.0, 200.0):
            yield Cell("an outage", f"of {seconds:g} s", hedge,
                       trouble=slower(1e5, begin=1 / 3, end=1 / 3 + seconds / 600.0))
        yield Cell("two kinds at once", "stragglers 2 %, stalls 2 %, x10", hedge,
                   trouble=all_of(stragglers(0.02), stalls(0.02), slower(10.0)))


def goal_of(cell: Cell, exchanged: float) -> Goal:
    """What a cell is to reach, if the one who knows exchanges such a share of the answers."""
    p95, p99 = (1.10, 1.5) if exchanged <= 0.04 else (1.35, 1.6)
    extra = 0.07 if exchanged >= 0.05 and cell.day != "healthy" else 0.058
    if cell.everybody:
        return Goal(1.15, 1.35, 0.065, 0, inf, "no rules")
    if cell.law not in (USUAL, LAWS["first contents sigma 0.6"], LAWS["20 contents"]):
        return Goal(None, None, None, worst=None)
    if cell.rate < 0.5 or cell.lives > 1:
        p95, p99 = 1.5, 2.5
    if cell.hedge == "none":
        p95, p99 = max(p95, 2.0), max(p99, 4.0)
    if cell.law == LAWS["20 contents"] and cell.day.startswith("stall"):
        p99 = max(p99, 1.75)
    if cell.day == "healthy" and cell.hedge == "auto" and cell.lives == 1:
        return Goal(p95, 1.2 if cell.law == LAWS["first contents sigma 0.6"] else 1.03, 0.005, 0)
    return Goal(p95, p99, extra)
