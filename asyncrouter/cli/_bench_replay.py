"""`asyncrouter bench replay`: estimate other policies from recorded calls."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asyncrouter import bench, visible
from asyncrouter.cli._bench_usage import NATURAL, checked, parse_seconds
from asyncrouter.cli._console import write_table
from asyncrouter.cli._json import JsonObject, json_line, json_option
from asyncrouter.cli._output import print_warning, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.bench.trace import CallRow

SHOWN = ("success", "p50_e2e", "p95_e2e", "p99_e2e", "hedges_fired", "attempts", "usd_per_1000")
"""The measures of the table."""


@click.command("replay", short_help="Estimate from recorded calls.", epilog="""\b
Examples:
  asyncrouter bench replay trace.jsonl
  asyncrouter bench replay trace.jsonl --hedge none,1.5,p95 --order a,b --order b,a --deadline 20
""")
@click.argument("trace", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--hedge", "hedges", default="none,p90,p95,p98", show_default=True, metavar="AFTER,…",
              help="Hedge delays to try: seconds, quantiles of the first model's times, or none.")
@click.option("--order", "orders", multiple=True, metavar="A,B,…",
              help="An order of models to try. May be repeated.  [default: as recorded]")
@click.option("--task", metavar="NAME", help="Only the calls of this task.  [default: each task apart]")
@click.option("--budget", type=float, metavar="SHARE", default=0.05, show_default=True, help="Hedges a call, at most.")
@click.option("--first-token", type=float, metavar="SECONDS", help="Timeout until the first content of each model.")
@click.option("--total", type=float, metavar="SECONDS", help="Timeout until the whole answer of each model.")
@click.option("--deadline", type=float, metavar="SECONDS", help="Time limit of the whole call.")
@click.option("--seed", type=NATURAL, metavar="N", default=0, show_default=True,
              help="Seed of what is imputed and resampled.")
@json_option
def replay(
    trace: Path, hedges: str, orders: Sequence[str], task: str | None, seed: int, as_json: bool,
    **limits: float | None,
) -> None:
    """Estimate from recorded calls how other hedges, timeouts and orders of models would have done.

    TRACE is a file that `Router(listeners=[JsonlTrace("trace.jsonl")])` has written (`from asyncrouter.bench import
    JsonlTrace`). Each task is estimated apart, beside its calls as they were recorded. Unobserved outcomes are imputed
    repeatedly from observed ones, breakers and rescues of silent models are played as the router has them; intervals
    are 95 %, and "≥" means that the recording reaches no further.
    """
    policies = checked(lambda: [
        bench.Policy(order=order, hedge=after, **limits)  # type: ignore[arg-type]  # as the options name them
        for order in ([tuple(map(str.strip, text.split(","))) for text in orders] if orders else [None])
        for after in map(_hedge_delay, hedges.split(","))
    ])
    calls = _of_task(checked(lambda: bench.read_trace(trace)), task)
    done = [*bench.as_recorded(calls), *_estimate(calls, policies, seed)]
    if as_json:
        write(json_line({"policies": [_estimate_json(one) for one in done]}))
    else:
        _write_tables(done)
    for warning in dict.fromkeys(warning for one in done for warning in one.warnings):
        print_warning(f"not enough data: {warning}")


def _of_task(calls: Sequence[CallRow], task: str | None) -> Sequence[CallRow]:
    """The calls of a task, all of them without one. Raises `click.UsageError` for a task that was not recorded."""
    if task is None:
        return calls
    chosen = [call for call in calls if call.task == task]
    if not chosen:
        known = ", ".join(sorted({str(call.task) for call in calls if call.task is not None})) or "none"
        raise click.UsageError(visible(f"--task {task}: no call of this task was recorded, but of: {known}"))
    return chosen


def _write_tables(done: Sequence[bench.Replayed]) -> None:
    """A table for each task, the recorded calls first."""
    tasks = list(dict.fromkeys(one.task for one in done))
    for number, task in enumerate(tasks):
        if len(tasks) > 1:
            write("\n" * (number > 0) + (f"task {visible(task)}\n" if task is not None else "calls without a task\n"))
        write_table(["policy", "hedge after", *SHOWN], [_row(one) for one in done if one.task == task])


def _estimate(calls: Sequence[CallRow], policies: Sequence[bench.Policy], seed: int) -> list[bench.Replayed]:
    """Estimate each policy by itself: one that the recording cannot answer for does not prevent the others."""
    done: list[bench.Replayed] = []
    wrong: dict[str, None] = {}
    for policy in policies:
        try:
            done += checked(lambda policy=policy: bench.replay(calls, [policy], seed=seed))  # type: ignore[misc]  # now
        except click.UsageError as error:
            wrong[error.message] = None
    if not done:
        raise click.UsageError("\n".join(wrong))
    for reason in wrong:
        print_warning(f"left out: {reason}")
    return done


def _estimate_json(one: bench.Replayed) -> JsonObject:
    measures = {name: asdict(estimate) for name, estimate in one.measures.items()}
    return {
        "task": one.task, "policy": str(one.policy), **asdict(one.policy), "hedge_after": one.after,
        "unknown": one.unknown, "measures": measures, "warnings": one.warnings,
    }


def _row(one: bench.Replayed) -> tuple[str, ...]:
    after = "–" if one.after is None else f"{one.after:.3f} s"
    return str(one.policy), after, *(_figure(one, name) for name in SHOWN)


def _figure(one: bench.Replayed, name: str) -> str:
    estimate = one.measures[name]
    unbounded = one.unknown > 0.0 and estimate.high is None and estimate.value is not None and estimate.enough
    return ("≥ " if unbounded else "") + bench.figure(name, estimate, interval=True)


def _hedge_delay(text: str) -> float | str | None:
    """Seconds, a quantile like "p95", or `None` of "none"."""
    word = text.strip()
    return None if word == "none" else word if word.startswith("p") else parse_seconds("--hedge", word)
