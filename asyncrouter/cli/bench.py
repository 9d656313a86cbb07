"""`asyncrouter bench`: run arms side by side, judge answers, compare reports, estimate from recorded calls.

Each subcommand is a module `_bench_….py` of its own.
"""

from __future__ import annotations

import click

from asyncrouter import bench
from asyncrouter.cli._bench_capacity import max_rate, sweep
from asyncrouter.cli._bench_compare import compare
from asyncrouter.cli._bench_replay import replay
from asyncrouter.cli._bench_run import run
from asyncrouter.cli._bench_score import score
from asyncrouter.cli._console import write_table
from asyncrouter.cli._json import json_line, json_option
from asyncrouter.cli._output import write


@click.group(
    "bench",
    epilog="""\b
Examples:
  asyncrouter bench run --scenario heavy-tail --rate 20 --calls 5000 --out report
  asyncrouter bench run --arm "plain: chain=a,b" --arm "hedged: chain=a,b hedge=p95" --budget-usd 0.50
  asyncrouter bench max-rate --scenario one-server --slo "p95_ttft<0.5 and success>0.99"
  asyncrouter bench run --scenario sums --models primary,secondary,tertiary --score exact
  asyncrouter bench compare before/ after/
  asyncrouter bench replay trace.jsonl --hedge none,p90,p95,p98
""",
)
def command() -> None:
    """Compare chains and models: is this one better than that one, and what does it cost?

    Needs the extra `bench`: pip install 'asyncrouter[bench]'.
    """


@command.command("scenarios")
@json_option
def scenarios(as_json: bool) -> None:
    """List the simulated scenarios."""
    if as_json:
        write(json_line({"scenarios": {name: one.what for name, one in bench.SCENARIOS.items()}}))
        return
    write_table(["scenario", "what happens"], [(name, one.what) for name, one in bench.SCENARIOS.items()])


@command.command("measures")
@json_option
def measures(as_json: bool) -> None:
    """List what is measured, by the names in report.json and --assert."""
    if as_json:
        write(json_line({"measures": dict(bench.DEFINITIONS)}))
        return
    write_table(["measure", "definition"], bench.DEFINITIONS.items())


for _subcommand in (run, max_rate, sweep, score, compare, replay):
    command.add_command(_subcommand)
