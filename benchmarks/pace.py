"""By what is it best to tell that an answer comes slowly: by its contents, or by its characters? Days in virtual time.

    python benchmarks/pace.py [--only "sent every"] [--rule contents,both] [--hedge p95] [--seeds 3] [--json FILE]

The days are those of `in_time.py`: a chain of three models, five calls a second, 3,000 calls; but the contents of an
answer vary in size. Each day is played with three rules. `contents`: seconds from content to content. `characters`:
seconds for five characters. `both`: what the router does, which is to take the one that is less slow, unless the
contents are too small for any kind of text (`Usual.pace_of`). The time still to come is reckoned in characters with
each of them.

- `p95`, `p99`: ratios to somebody who knows beforehand which answers will be bad, and asks the second model instead.
- `wasted`: races with healthy answers, as a share of all calls; those for a late first content are among them.
- `found`: calls until the model was known to be slow; on a healthy day it should never be. `back`: seconds until it
  was used again.

Each figure is the median over the seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from _answers import JSON, NUMBERS, PROSE, VARIED, crawls, healthy, larger, slower
from _in_time_days import Cell, Law, play
from _machine import environment
from in_time import measured

from asyncrouter._policies.memory import Usual

if TYPE_CHECKING:
    from collections.abc import Callable

    from _answers import Trouble
    from in_time import Figures

    from asyncrouter._policies.estimate import Estimate
    from asyncrouter._policies.memory import Answer

    Judged = tuple[Estimate, float] | None

USUAL = Law()
TEXTS = tuple((share, tuple(kind.items())) for share, kind in ((0.7, PROSE), (0.2, JSON), (0.1, NUMBERS)))
"""An application whose answers are prose, tool calls and tables."""
HEALTHY: dict[str, Trouble] = {"healthy": healthy}
BAD: dict[str, Trouble] = {"3 % crawl": crawls(0.03), "pace x3": slower(gap=3.0)}
DAYS: dict[str, tuple[Law, dict[str, Trouble]]] = {
    "one size": (USUAL, HEALTHY | BAD),
    "one token a content": (replace(USUAL, texts=TEXTS), HEALTHY | BAD),
    "the same, then larger": (
        replace(USUAL, texts=TEXTS), {f"{times} tokens a content": larger(times) for times in (2, 4, 8)},
    ),
    "1, 2, 4 or 8 tokens": (replace(USUAL, together=((1,), (2,), (4,), (8,))), HEALTHY | BAD),
    "1 to 8 tokens in turn": (replace(USUAL, together=(VARIED,)), HEALTHY | BAD),
    "sent every 0.2 s": (replace(USUAL, contents=240, every=0.2), HEALTHY | BAD | {"pace x6": slower(gap=6.0)}),
    "few large contents": (
        replace(USUAL, contents=400, gap=0.005, every=0.25, texts=TEXTS), HEALTHY | {"pace x6": slower(gap=6.0)},
    ),
}
"""Laws of contents, and the days of each: which tokens a server puts into one content, and what is wrong then."""


def by_contents(usual: Usual, answer: Answer) -> Judged:
    """Judge by seconds from content to content."""
    return None if answer.pace is None else (usual.pace, answer.pace)


def by_characters(usual: Usual, answer: Answer) -> Judged:
    """Judge by seconds for five characters."""
    return None if answer.word_pace is None else (usual.word_pace, answer.word_pace)


RULES: dict[str, Callable[[Usual, Answer], Judged]] = {
    "contents": by_contents, "characters": by_characters, "both": Usual.pace_of,
}
CELLS = [(law, day, rule) for law, (_, days) in DAYS.items() for day in days for rule in RULES]
HEAD = "contents · day · hedge · rule"


def line(name: str, found: Figures) -> str:
    """A line of the table."""
    def show(figure: str, form: str) -> str:
        return f"{statistics.median(found[figure]):{form}}" if figure in found else "–"

    return (f"{name:<64}{show('p95', '.2f'):>6} {show('p99', '.2f'):>6} {show('worst', '.1f'):>7} "
            f"{show('wasted', '.2%'):>7} {show('found', '.0f'):>5} {show('back', '.0f'):>5}")


def main() -> None:
    """Play the days with each rule, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="part of the name of a law (default: all)")
    parser.add_argument("--rule", default=",".join(RULES), help="rules, with commas (default: all)")
    parser.add_argument("--hedge", default="auto", help="p95, auto or none (default: auto)")
    parser.add_argument("--seeds", type=int, default=3, help="how often each day is played (default: 3)")
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args()
    cells: dict[str, Figures] = {}
    print(f"{HEAD:<64}{'p95':>6} {'p99':>6} {'worst':>7} {'wasted':>7} {'found':>5} {'back':>5}")
    for law_name, day, rule in CELLS:
        if options.only in law_name and rule in options.rule.split(","):
            law, days = DAYS[law_name]
            Usual.pace_of = RULES[rule]  # type: ignore[method-assign]
            cell = Cell(law_name, day, options.hedge, law=law, trouble=days[day])
            found = measured(cell, (play(cell, seed) for seed in range(options.seeds)))
            name = f"{law_name} · {day} · {options.hedge} · {rule}"
            print(line(name, found), flush=True)
            cells[name] = found
    if options.json is not None:
        document = {**environment(), "cells": cells}
        options.json.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
