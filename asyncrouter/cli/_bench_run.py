"""`asyncrouter bench run`: run arms under the same load, and show, write and check their measures."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import click
import orjson

from asyncrouter import Config, bench, local
from asyncrouter.bench.conditions import check_arms
from asyncrouter.cli._bench_load import load_options, make_load
from asyncrouter.cli._bench_output import print_failures, print_report, progress_display
from asyncrouter.cli._bench_prompts import judging_options, prompt_options
from asyncrouter.cli._bench_usage import COUNT, NATURAL, checked, parse_seconds
from asyncrouter.cli._configuration import config_options, make_transport
from asyncrouter.cli._exit import FAILED, INTERRUPTED, OK, USAGE, end_line
from asyncrouter.cli._json import json_line
from asyncrouter.cli._output import print_error, write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from asyncrouter.cli._bench_prompts import Judging
    from asyncrouter.cli._configuration import Configuration

JOURNAL = "calls.partial.jsonl"
"""The file in the directory of --out that keeps the calls of a run that is not over."""
LOCAL_TOKENS = 32
"""Output tokens of a call to the small local model: a short answer, so that a run of 30 calls ends soon."""


def _scenarios(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Shell completion for the names of the scenarios."""
    return [name for name in bench.SCENARIOS if name.startswith(incomplete)]


@click.command("run", short_help="Run arms under the same load.", epilog="""\b
Examples:
  asyncrouter bench run --scenario outage                  # seven standard arms, a thousand calls, no key
  asyncrouter bench run --local                            # the small real model of this machine
  asyncrouter bench run --arm "now: task=coding" --arm "hedged: task=coding hedge=p95" --calls 200 --budget-usd 1
  asyncrouter bench run --models small,large --dataset questions.jsonl --score exact --good-enough 0.9 --budget-usd 1
  asyncrouter bench run --arm "server: model=local:llama stream" --synthetic 1000:100 --shared-prefix 500 --rate 4
  asyncrouter bench run --scenario flaky --assert "fallback: success>0.999 and fallback: p95_e2e<2.5"

\b
Exit status: 0 done, 1 a condition does not hold or the run was stopped early, 2 wrong usage or configuration,
130 interrupted.
""")
@click.option("--scenario", metavar="NAME", shell_complete=_scenarios,
              help="Run against simulated models in virtual time; `bench scenarios` lists the names. "
              "The models of each are primary, secondary and tertiary.")
@click.option("--local", "on_local", is_flag=True, help="Run against the small real model of this machine.")
@config_options
@click.option("--arm", "arms", multiple=True, metavar="NAME: KEY=VALUE …",
              help="An arm to run; the first one is the baseline. Keys are arguments of a call: chain, task, tier, "
              "model, hedge (seconds, p95, auto, none; p95/0.1 with a budget), retry, deadline, max_tokens; `stream` "
              "alone. May be repeated.  [default: seven standard arms in a scenario, else the default task]")
@click.option("--models", metavar="A,B,…",
              help="An arm for each of these models, beside those of --arm: which one is good enough?")
@load_options
@click.option("--warmup", type=NATURAL, default=0, show_default=True, metavar="CALLS",
              help="First calls of each arm that are not measured.")
@click.option("--seed", type=NATURAL, metavar="N", default=0, show_default=True,
              help="Seed of arrivals and simulated faults.")
@prompt_options
@judging_options
@click.option("--slo", metavar="TTFT:1,E2E:8",
              help="Limits for a good answer, in seconds: ttft, e2e, tpot. Goodput counts the calls within all limits.")
@click.option("--budget-usd", type=float, metavar="USD",
              help="Cost limit of all arms together (in a scenario: of each); required for real providers.")
@click.option("--max-errors", type=COUNT, metavar="N", help="Stop after so many failed calls.")
@click.option("--max-error-rate", type=click.FloatRange(min=0.0, max=1.0, max_open=True), metavar="SHARE",
              help="Stop when a larger share of at least 50 calls fails; 0.05 is 5 %.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIRECTORY",
              help="Write report.html, report.json and .csv, requests.jsonl and .csv. Without a scenario, the same "
              "command goes on where a run was killed.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object, as in report.json.")
@click.option("--assert", "conditions", multiple=True, metavar="CONDITIONS",
              help='Exit with status 1 unless these hold: "p99_e2e<2.5 and success>0.999"; "ARM: …" is about one arm. '
              "`bench measures` lists the names. May be repeated.")
def run(
    configuration: Configuration, scenario: str | None, on_local: bool, arms: Sequence[str], models: str | None,
    prompts: Sequence[str | bench.Sample], judging: Judging, out: Path | None, conditions: Sequence[str],
    slo: str | None, seed: int, warmup: int, budget_usd: float | None, max_errors: int | None,
    max_error_rate: float | None, as_json: bool, **load: object,
) -> int:
    """Run arms under the same load: the same prompts at the same instants, against the same simulated faults."""
    wanted = checked(lambda: [one for text in conditions for one in bench.parse_conditions(text)])
    chosen = checked(lambda: [bench.parse_arm(text) for text in arms]) + _of_models(models)
    if scenario in bench.SCENARIOS and not prompts:
        prompts = bench.SCENARIOS[scenario].samples
    load["calls"] = judging.calls(prompts, load)
    calls = checked(lambda: make_load(**load, on_local=on_local))  # type: ignore[arg-type]  # as the options name them
    if scenario is not None and on_local:
        raise click.UsageError("--scenario and --local: one or the other")
    stop = checked(lambda: bench.Stop(errors=max_errors, error_rate=max_error_rate, budget_usd=budget_usd))
    settings = {"scenario": scenario, "prompts": prompts, "seed": seed, "warmup": warmup, "stop": stop,
                "slo": _slo(slo), **judging.settings()}
    execute = partial(_execute, calls, settings, wanted, out)
    try:
        if scenario is not None:
            done = checked(lambda: execute(chosen or bench.standard()))
        elif on_local:
            done = _execute_on_local(execute, chosen)
        else:
            config = configuration.router().config
            done = checked(lambda: execute(_with_config(config, chosen or [bench.Arm("as configured")])))
    except KeyboardInterrupt:
        end_line()
        print_error("stopped: a scenario that is not over has no result" if scenario is not None
                    else "stopped before every arm had an answer: there is nothing to show")
        return INTERRUPTED
    return _finish(done, wanted, out, as_json=as_json)


def _execute(
    load: bench.Load, settings: Mapping[str, object], wanted: Sequence[bench.Condition], out: Path | None,
    arms: list[bench.Arm],
) -> bench.Run:
    _prepare(arms, wanted, out)
    journal = None if out is None or settings["scenario"] is not None else out / JOURNAL
    with progress_display() as show:
        return bench.run(arms, load, progress=show, transport=make_transport, journal=journal, **settings)  # type: ignore[arg-type]  # as run() names them


def _execute_on_local(execute: Callable[[list[bench.Arm]], bench.Run], chosen: list[bench.Arm]) -> bench.Run:
    with local.serve() as server:
        usual = [bench.Arm(server.alias, {"model": server.alias, "max_tokens": LOCAL_TOKENS})]
        return checked(lambda: execute(_with_config(server.config(), chosen or usual)))


def _prepare(arms: Sequence[bench.Arm], wanted: Sequence[bench.Condition], out: Path | None) -> None:
    """Fail before anything is spent where the results could not be shown, written or checked."""
    import asyncrouter.bench.resampling  # whether numpy, which is optional, is there

    check_arms(wanted, [arm.name for arm in arms])
    if out is not None:
        import asyncrouter.bench.html  # noqa: F401  -- whether plotly, which is optional, is there

        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass


def _finish(done: bench.Run, wanted: list[bench.Condition], out: Path | None, *, as_json: bool) -> int:
    """Show, write and check the results; the exit status."""
    report = done.report()
    if as_json:
        write(json_line(orjson.loads(report.json())))
    else:
        print_report(report)
        print_failures(report)
    if out is not None:
        written = done.write(out) / "report.html"
        if done.stopped is None:
            (out / JOURNAL).unlink(missing_ok=True)
        elif (out / JOURNAL).exists():
            print_error(f"the same command goes on from here; to begin anew, delete {out / JOURNAL}")
        if not as_json:
            write(f"\n{written}\n")
    failed = checked(lambda: bench.broken(report, wanted))
    for reason in failed:
        print_error(reason)
    if done.stopped == bench.INTERRUPTED:
        return INTERRUPTED
    if done.stopped is None and not any(arm.measured for arm in done.arms):
        print_error("nothing was measured: no call came after the warm-up")
        return USAGE
    return FAILED if failed or done.stopped is not None else OK


def _of_models(models: str | None) -> list[bench.Arm]:
    """An arm for each model of --models."""
    names = [] if models is None else [name.strip() for name in models.split(",")]
    if not all(names):
        raise click.UsageError(f"--models: expected names with commas between them, got {models!r}")
    return [bench.Arm(name, {"model": name}) for name in names]


def _with_config(config: Config | Mapping[str, object], arms: list[bench.Arm]) -> list[bench.Arm]:
    return [bench.Arm(arm.name, arm.call, config, arm.stream) for arm in arms]


def _slo(text: str | None) -> dict[str, float]:
    """{"ttft": 0.5, "e2e": 8.0} of "ttft:500ms,e2e:8s"."""
    pairs = (map(str.strip, part.partition(":")) for part in (text or "").split(",") if part.strip())
    return {name.lower(): parse_seconds(f"--slo {name}", value) for name, _, value in pairs}
