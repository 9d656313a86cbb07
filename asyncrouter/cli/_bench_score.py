"""`asyncrouter bench score`: judge the answers of a finished run again, without asking again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from asyncrouter import bench
from asyncrouter.cli._bench_output import print_report
from asyncrouter.cli._bench_prompts import good_enough_option, score_option
from asyncrouter.cli._bench_usage import checked
from asyncrouter.cli._json import json_line, json_option
from asyncrouter.cli._output import write

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command("score", short_help="Judge the answers of a finished run again.", epilog="""\b
Examples:
  asyncrouter bench score report/ --score exact --score "short=checks.py:is_short"
  asyncrouter bench score report/ --score contains --good-enough 0.9
""")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@score_option
@good_enough_option
@json_option
def score(directory: Path, scorers: Sequence[str], good_enough: float | None, as_json: bool) -> None:
    """Judge the answers of a finished run again, without asking again. DIRECTORY is the --out of a `bench run`.

    The run must have kept its answers (--score or --keep-answers). The files in the directory are replaced.
    """
    if not scorers:
        raise click.UsageError("--score: expected at least one")
    read = checked(lambda: [bench.parse_scorer(text) for text in scorers])
    run = checked(lambda: bench.rescore(directory, read, good_enough=good_enough))
    report = run.report()
    written = run.write(directory) / "report.html"
    if as_json:
        write(json_line(orjson.loads(report.json())))
        return
    print_report(report)
    write(f"\n{written}\n")
