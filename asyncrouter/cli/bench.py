"""`asyncrouter bench`: run arms side by side, compare two reports, estimate from recorded calls.

Each subcommand is a module `_bench_….py` of its own.
"""

from __future__ import annotations

import click

from asyncrouter import bench
from asyncrouter.cli._bench_compare import compare
from asyncrouter.cli._bench_replay import replay
from asyncrouter.cli._bench_run import run
from asyncrouter.cli._console import write_table


@click.group(
    "bench",
    epilog="""\b
Examples:
  asyncrouter bench run --scenario heavy-tail --rate 20 --calls 5000 --out report
  asyncrouter bench run --arm "plain: chain=a,b" --arm "hedged: chain=a,b hedge=p95" --budget-usd 0.50
  asyncrouter bench compare before/ after/
  asyncrouter bench replay trace.jsonl --hedge none,p90,p95,p98
""",
)
def command() -> None:
    """Compare chains: is this one, with this hedge, better than that one, and what does it cost?

    Needs the extra `bench`: pip install 'asyncrouter[bench]'.
    """


@command.command("scenarios")
def scenarios() -> None:
    """List the simulated scenarios."""
    write_table(["scenario", "what happens"], [(name, one.what) for name, one in bench.SCENARIOS.items()])


@command.command("measures")
def measures() -> None:
    """List what is measured, by the names in report.json and --assert."""
    write_table(["measure", "definition"], bench.DEFINITIONS.items())


for _subcommand in (run, compare, replay):
    command.add_command(_subcommand)
