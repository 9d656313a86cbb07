"""`asyncrouter bench compare`: what is better or worse in the second of two reports."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from asyncrouter import bench
from asyncrouter.cli._bench_usage import checked
from asyncrouter.cli._console import write_table
from asyncrouter.cli._exit import FAILED, OK
from asyncrouter.cli._json import JsonObject, json_line, json_option
from asyncrouter.cli._output import write


@click.command("compare", short_help="Compare two reports.", epilog="""\b
Example:
  asyncrouter bench compare before/ after/ --fail-if-worse
""")
@click.argument("before", type=click.Path(exists=True, path_type=Path))
@click.argument("after", type=click.Path(exists=True, path_type=Path))
@click.option("--fail-if-worse", is_flag=True, help="Exit with status 1 when a measure is worse by more than chance.")
@json_option
def compare(before: Path, after: Path, fail_if_worse: bool, as_json: bool) -> int:
    """Compare two reports. BEFORE and AFTER are report.json files, or the directories that hold them.

    Arms are matched by name. A measure is called better or worse when the 95 % interval of its difference does not hold
    0, and unsure where a figure is missing or rests on too few calls.
    """
    changes = checked(lambda: bench.compare(bench.Report.read(before), bench.Report.read(after)))
    if as_json:
        write(json_line({"changes": [_change(one) for one in changes]}))
    else:
        write_table(["arm", "measure", "before", "after", "difference, 95 %", ""], [_row(one) for one in changes])
    return FAILED if fail_if_worse and any(one.verdict == "worse" for one in changes) else OK


def _change(change: bench.Change) -> JsonObject:
    before, after = (None if one is None else asdict(one) for one in (change.before, change.after))
    return {**change._asdict(), "before": before, "after": after}


def _row(change: bench.Change) -> tuple[str, ...]:
    before, after = (bench.figure(change.name, estimate) for estimate in (change.before, change.after))
    known = change.low is not None and change.high is not None
    difference = f"[{change.low:+.4g}, {change.high:+.4g}]" if known else "–"
    return change.arm, change.name, before, after, difference, "" if change.verdict == "same" else change.verdict
