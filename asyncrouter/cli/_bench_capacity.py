"""`asyncrouter bench max-rate` and `bench sweep`: how much load an arm can take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from asyncrouter import bench, visible
from asyncrouter.bench.capacity_settings import MAX_CALLS, WARMUP_SHARE
from asyncrouter.bench.capacity_table import COLUMNS, level_name, rows
from asyncrouter.cli._bench_prompts import prompt_options
from asyncrouter.cli._bench_usage import COUNT, NATURAL, POSITIVE, checked
from asyncrouter.cli._configuration import config_options, make_transport
from asyncrouter.cli._console import write_table
from asyncrouter.cli._exit import FAILED, INTERRUPTED, OK, end_line
from asyncrouter.cli._json import json_line, json_option
from asyncrouter.cli._output import print_error, write
from asyncrouter.files import json_bytes, replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asyncrouter.bench.probes import By, Probe
    from asyncrouter.cli._configuration import Configuration

JOURNAL = "capacity.partial.jsonl"
"""The file in the directory of --out that keeps the levels that were measured until a search is over."""
_OPTIONS = (
    click.option("--scenario", metavar="NAME", help="Search against simulated models in virtual time; `one-server` has "
                 "a known capacity: 8 slots, 16 answers a second."),
    click.option("--arm", "arm_text", metavar="NAME: KEY=VALUE …",
                 help="The arm, as in `bench run`. `stream` measures the first token.  [default: the default task, or "
                 "a scenario's first model, streamed]"),
    config_options,
    click.option("--max-seconds", type=POSITIVE, metavar="SECONDS",
                 help="Stop after so many seconds of runs; the result then says what is known."),
    click.option("--budget-usd", type=float, metavar="USD",
                 help="Cost limit of all calls together; required for real providers."),
    click.option("--seed", type=NATURAL, metavar="N", default=0, show_default=True,
                 help="Seed of arrivals and simulated faults."),
    click.option("--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIRECTORY",
                 help="Write capacity.html, capacity.json and capacity.csv. The same command goes on where a search "
                 "was killed or stopped early."),
    json_option,
)


def _options(command: Callable[..., object]) -> Callable[..., object]:
    command = prompt_options(command)
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command("max-rate", short_help="Find the most load that meets an SLO.", epilog="""\b
Examples:
  asyncrouter bench max-rate --scenario one-server --slo "p95_ttft<0.5 and success>0.99"
  asyncrouter bench max-rate --arm "server: model=local:llama stream retry=1" --slo "p95_ttft<0.5" --max-seconds 900
  asyncrouter bench max-rate --synthetic 1000:100 --shared-prefix 500 --slo "p95_ttft<2"
  asyncrouter bench max-rate --by poisson --slo "p95_e2e<8" --max-calls 30000 --budget-usd 20

\b
Exit status: 0 found, 1 not found (see the verdict), 2 wrong usage, or too few calls for the SLO, 130 interrupted.
""")
@click.option("--slo", required=True, metavar="CONDITIONS",
              help='What must hold: "p95_ttft<0.5 and success>0.999"; quantiles p50 to p99.9 of ttft, e2e, tpot and '
              "service in seconds, and success.")
@click.option("--by", type=click.Choice(["streams", "poisson"]), default="streams", show_default=True,
              help="streams: calls in flight at once, near the full throughput, to size a pool of workers. poisson: "
              "calls a second of independent users, whose bursts queue, so fewer; to size a service.")
@click.option("--calls", type=COUNT, metavar="N",
              help="Calls of each probe by streams at least.  [default: 1000, or as many as the SLO needs]")
@click.option("--max-calls", type=COUNT, metavar="N", default=MAX_CALLS, show_default=True,
              help="Calls of the whole search; by poisson all are used.")
@click.option("--start", type=POSITIVE, metavar="LEVEL", default=1.0, show_default=True,
              help="The first level: streams, or calls a second.")
@_options
def max_rate(
    configuration: Configuration, slo: str, by: By, calls: int | None, max_calls: int, start: float,
    scenario: str | None, arm_text: str | None, out: Path | None, as_json: bool, **limits: object,
) -> int:
    """Find the most load at which an SLO still holds: by doubling, then closing in.

    The two measures of load give two different numbers for one server: see --by. Each level is measured after a
    warm-up of a quarter of its calls. An SLO that so few calls cannot judge is refused.
    """
    checked(lambda: _check_packages(out))
    arm = _arm(configuration, scenario, arm_text)
    try:
        found = checked(lambda: bench.max_rate(
            arm, slo, by=by, max_calls=max_calls, probe_calls=calls, start=start, scenario=scenario,
            transport=make_transport, on_probe=_show(by), journal=_journal(out),
            **limits,  # type: ignore[arg-type]  # as the options name them
        ))
    except KeyboardInterrupt:
        return _interrupted()
    described = {**found.described(), "arm": arm.described(), "scenario": scenario}
    _finish(described, by, found.probes, found.verdict, found.stopped, out, f"Most load of {arm.name}",
            " and ".join(found.slo), found.rate.value, as_json=as_json)
    return OK if found.rate.value is not None else FAILED


@click.command("sweep", short_help="Measure an arm at several levels of load.", epilog="""\b
Examples:
  asyncrouter bench sweep --scenario one-server --out report
  asyncrouter bench sweep --arm "server: model=local:llama stream" --concurrency 1,2,4,8,16,32
  asyncrouter bench sweep --scenario one-server --rates 4,8,12,14,15
""")
@click.option("--concurrency", metavar="N,…", help="Levels: calls in flight at once.  [default: 1, 2, 4 … while "
              "throughput grows]")
@click.option("--rates", metavar="N,…", help="Levels: calls a second of a Poisson process.")
@click.option("--calls", type=COUNT, metavar="N", default=1000, show_default=True,
              help="Calls of each level at least; a quarter of them is warm-up.")
@_options
def sweep(
    configuration: Configuration, concurrency: str | None, rates: str | None, calls: int, scenario: str | None,
    arm_text: str | None, out: Path | None, as_json: bool, **limits: object,
) -> int:
    """Measure an arm at several levels of load, one after the other: the saturation curve and its knee.

    The knee is the level of the most calls a second for each second of mean latency.
    """
    if concurrency is not None and rates is not None:
        raise click.UsageError("--concurrency and --rates: one or the other")
    by: By = "streams" if rates is None else "poisson"
    levels = _levels("--concurrency", concurrency) if rates is None else _levels("--rates", rates)
    checked(lambda: _check_packages(out))
    arm = _arm(configuration, scenario, arm_text)
    try:
        found = checked(lambda: bench.sweep(
            arm, levels, by=by, probe_calls=calls, scenario=scenario, transport=make_transport, on_probe=_show(by),
            journal=_journal(out),
            **limits,  # type: ignore[arg-type]  # as the options name them
        ))
    except KeyboardInterrupt:
        return _interrupted()
    unit = "streams at once" if by == "streams" else "calls a second"
    verdict = "Too few levels for a knee." if found.knee is None else f"The knee is at {found.knee:g} {unit}."
    at = next((one.rate for one in found.probes if one.level == found.knee), None)
    described = {**found.described(), "arm": arm.described(), "scenario": scenario}
    _finish(described, by, found.probes, verdict, found.stopped, out, f"Load on {arm.name}", "", at, as_json=as_json)
    return OK if found.stopped is None else FAILED


def _journal(out: Path | None) -> Path | None:
    """The file that keeps the levels of a search that is not over, in the directory of --out."""
    if out is None:
        return None
    out.mkdir(parents=True, exist_ok=True)
    return out / JOURNAL


def _check_packages(out: Path | None) -> None:
    """Fail before anything is spent where the results could not be computed or written."""
    import asyncrouter.bench.resampling  # whether numpy, which is optional, is there

    if out is not None:
        import asyncrouter.bench.capacity_page  # noqa: F401  -- whether plotly, which is optional, is there


def _arm(configuration: Configuration, scenario: str | None, text: str | None) -> bench.Arm:
    chosen = None if text is None else checked(lambda: bench.parse_arm(text))
    if scenario is not None:
        return chosen or bench.Arm("first model", {"chain": ["primary"], "retry": {"attempts": 1}}, stream=True)
    config = configuration.router().config
    return bench.Arm("as configured", {}, config, stream=True) if chosen is None else bench.Arm(
        chosen.name, chosen.call, config, chosen.stream)


def _levels(option: str, text: str | None) -> list[float] | None:
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise click.UsageError(f"{option}: expected numbers with commas between them, got {text!r}") from None


def _show(by: By) -> Callable[[Probe], None]:
    """Show each probe on standard error when it has ended: a search takes minutes."""
    unit = "streams" if by == "streams" else "calls / s"
    return lambda one: click.echo(
        f"{one.level:.4g} {unit}: {one.rate:.4g} answered / s, {one.calls / (1.0 - WARMUP_SHARE):,.0f} calls", err=True)


def _finish(
    described: dict[str, object], by: By, probes: Sequence[Probe], verdict: str, stopped: str | None, out: Path | None,
    title: str, slo: str, mark: float | None, *, as_json: bool,
) -> None:
    """Print the levels and the verdict, and write the files."""
    if as_json:
        write(json_line(described))
    else:
        write_table([level_name(by), *COLUMNS.values()], rows(by, probes))
        write(f"\n{visible(verdict)}\n")
    if stopped is not None:
        print_error(f"stopped early: {stopped}")
    if out is None:
        return
    from asyncrouter.bench.capacity_page import capacity_csv, capacity_page  # plotly is optional

    world = described["scenario"]
    where = f"scenario {world}, virtual time" if world else "real time"
    settings = "; ".join(part for part in (slo, f"by {level_name(by)}", where, stopped) if part)
    texts = {"capacity.html": capacity_page(title, verdict, settings, by, probes, mark).encode(),
             "capacity.json": json_bytes(described), "capacity.csv": capacity_csv(probes).encode()}
    out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        with replacing(out / name) as file:
            file.write(text)
    if stopped is None:
        (out / JOURNAL).unlink(missing_ok=True)
    if not as_json:
        write(f"\n{out / 'capacity.html'}\n")


def _interrupted() -> int:
    end_line()
    print_error("stopped: a search that is not over has no result; with --out, the same command goes on")
    return INTERRUPTED
