"""`asyncrouter bench compare`: what is better or worse in the second of two reports."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from asyncrouter import bench, visible
from asyncrouter.bench.comparability import remarks, unlike
from asyncrouter.bench.verdicts import method, verdicts
from asyncrouter.cli._bench_usage import checked
from asyncrouter.cli._console import write_table
from asyncrouter.cli._exit import FAILED, OK
from asyncrouter.cli._json import JsonObject, json_line, json_option
from asyncrouter.cli._output import print_warning, write


@click.command("compare", short_help="Compare two reports.", epilog="""\b
Example:
  asyncrouter bench compare before/ after/ --fail-if-worse
""")
@click.argument("before", type=click.Path(exists=True, path_type=Path))
@click.argument("after", type=click.Path(exists=True, path_type=Path))
@click.option("--fail-if-worse", is_flag=True, help="Exit with status 1 when a measure is worse by more than chance.")
@click.option("--anyway", is_flag=True, help="Compare runs that were made under other conditions, too.")
@json_option
def compare(before: Path, after: Path, fail_if_worse: bool, anyway: bool, as_json: bool) -> int:
    """Compare two reports. BEFORE and AFTER are report.json files, or the directories that hold them.

    Arms are matched by name. A measure is called better or worse when its difference is more than chance among all
    comparisons of the table together (Holm's correction, 5 %), and unsure where a figure is missing or rests on too few
    calls. Runs under other conditions (load, scenario, SLO) are refused.
    """
    old, new = checked(lambda: (bench.Report.read(before), bench.Report.read(after)))
    apart, said = unlike(old, new), remarks(old, new)
    if apart and not anyway:
        raise click.UsageError(visible(f"other conditions: {'; '.join(apart)}. To compare all the same: --anyway"))
    changes = bench.compare(old, new, anyway=True)
    sentences = verdicts(changes, "before")
    if as_json:
        write(json_line({"changes": [_change(one) for one in changes], "verdicts": sentences,
                         "method": method(changes, paired=False), "remarks": [*apart, *said]}))
    else:
        write_table(["arm", "measure", "before", "after", "difference, 95 %", ""], [_row(one) for one in changes])
        write("\n" + "".join(f"{visible(text)}\n" for text in (*sentences, method(changes, paired=False)) if text))
        for text in (*apart, *said):
            print_warning(f"differs: {text}")
    return FAILED if fail_if_worse and any(one.verdict == "worse" for one in changes) else OK


def _change(change: bench.Change) -> JsonObject:
    before, after = (None if one is None else asdict(one) for one in (change.before, change.after))
    return {**change._asdict(), "before": before, "after": after}


def _row(change: bench.Change) -> tuple[str, ...]:
    before, after = (bench.figure(change.name, estimate) for estimate in (change.before, change.after))
    low, high = ("∞" if end is None else f"{end:+.4g}" for end in (change.low, change.high))
    difference = "–" if (low, high) == ("∞", "∞") else f"[{'−' * (low == '∞')}{low}, {high}]"
    return change.arm, change.name, before, after, difference, "" if change.verdict == "same" else change.verdict
