"""`asyncrouter bench`: arms side by side, two reports, and calls of the past played again."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, TypeVar

import click

from asyncrouter import Config, ConfigError, bench, local
from asyncrouter.cli._bench_load import COUNT, NATURAL, load, loaded
from asyncrouter.cli._bench_show import failures, progress, table
from asyncrouter.cli._endings import INTERRUPTED, USAGE, end_the_line
from asyncrouter.cli._say import tell, write
from asyncrouter.cli._screen import write_table
from asyncrouter.cli._setup import configured, transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from asyncrouter.bench.trace import CallRow
    from asyncrouter.cli._setup import Setup

T = TypeVar("T")
FAILED = 1


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
    """Measure chains: does this one with this hedge beat that one, and what does it cost?

    It needs the extra `bench`: pip install 'asyncrouter[bench]'.
    """


@command.command("scenarios")
def scenarios() -> None:
    """List the simulated scenarios."""
    write_table(["scenario", "what happens"], [(name, one.what) for name, one in bench.SCENARIOS.items()])


@command.command("measures")
def measures() -> None:
    """List what is measured, for --assert and report.json."""
    _checked(lambda: write_table(["measure", "what it is"], bench.DEFINITIONS.items()))


@command.command("run", short_help="Run arms under the same load.", epilog="""\b
Examples:
  asyncrouter bench run --scenario outage                  # five usual arms, a thousand calls, no key
  asyncrouter bench run --local                            # the small real model of this machine
  asyncrouter bench run --arm "now: task=coding" --arm "hedged: task=coding hedge=p95" --calls 200 --budget-usd 1
  asyncrouter bench run --scenario flaky --assert "fallback: success>0.999 and fallback: p95_e2e<2.5"
""")
@click.option("--scenario", metavar="NAME", help="A simulated day, in virtual time: `bench scenarios` lists them.")
@click.option("--local", "on_local", is_flag=True, help="The small real model of this machine.")
@configured
@click.option("--arm", "arms", multiple=True, metavar="NAME: KEY=VALUE …",
              help="What to compare; the first one is the baseline. Keys are arguments of a call: chain, task, tier, "
              "model, hedge (seconds, p95, none; p95/0.1 with a budget), retry, deadline, max_tokens; `stream`.  "
              "[default: five usual ones in a scenario, else the default task]")
@loaded
@click.option("--warmup", type=NATURAL, default=0, show_default=True, metavar="CALLS", help="Not measured.")
@click.option("--seed", type=NATURAL, default=0, show_default=True, help="Of arrivals and simulated faults.")
@click.option("--prompts", type=click.File(encoding="utf-8"), help="One a line; each call gets a mark of its own.")
@click.option("--slo", metavar="TTFT:1,E2E:8", help="Limits in seconds that make a good answer: ttft, e2e, tpot.")
@click.option("--budget-usd", type=float,
              help="For all arms together, in a scenario for each; needed for real providers.")
@click.option("--max-errors", type=COUNT, help="Stop after so many failed calls.")
@click.option("--max-error-rate", type=click.FloatRange(min=0.0, max=1.0, max_open=True), metavar="SHARE",
              help="Stop when a larger share of the calls fails (of 50 at least); 0.05 is 5 %.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIRECTORY",
              help="Write report.html, report.json and requests.jsonl.")
@click.option("--assert", "conditions", multiple=True, metavar="CONDITIONS",
              help='Exit 1 where they do not hold: "p99_e2e<2.5 and success>0.999"; "ARM: …" for one arm; '
              "`bench measures` lists the names.")
def run(
    setup: Setup, scenario: str | None, on_local: bool, arms: Sequence[str], prompts: Sequence[str] | None,
    out: Path | None, conditions: Sequence[str], slo: str | None, seed: int, warmup: int, budget_usd: float | None,
    max_errors: int | None, max_error_rate: float | None, **when: object,
) -> int:
    """Run arms under the same load: the same prompts at the same instants, against the same simulated faults."""
    wanted = _checked(lambda: [one for text in conditions for one in bench.parse_conditions(text)])
    chosen = _checked(lambda: [bench.parse_arm(text) for text in arms])
    calls = _checked(lambda: load(**when, on_local=on_local))  # type: ignore[arg-type]  # as the options are declared
    if scenario is not None and on_local:
        raise click.UsageError("--scenario and --local: one or the other")
    stop = _checked(lambda: bench.Stop(errors=max_errors, error_rate=max_error_rate, budget_usd=budget_usd))
    given = {"scenario": scenario, "prompts": _lines(prompts), "seed": seed, "warmup": warmup, "stop": stop,
             "slo": _slo(slo)}

    def begin(ready: list[bench.Arm]) -> bench.Run:
        _prepare(ready, wanted, out)
        with progress() as show:
            return bench.run(ready, calls, progress=show, transport=transport, **given)  # type: ignore[arg-type]  # as run() names them

    try:
        if scenario is not None:
            done = _checked(lambda: begin(chosen or bench.standard()))
        elif on_local:
            with local.serve() as server:
                config = server.config()
                ready = _with(config, chosen or [bench.Arm(server.alias, {"model": server.alias, "max_tokens": 32})])
                done = _checked(lambda: begin(ready))
        else:
            done = _checked(lambda: begin(_with(setup.router().config, chosen or [bench.Arm("as configured")])))
    except KeyboardInterrupt:
        end_the_line()
        tell("stopped: a scenario that is not over tells nothing" if scenario is not None
             else "stopped before every arm had an answer: there is nothing to show")
        return INTERRUPTED
    report = done.report()
    table(report)
    failures(report)
    if out is not None:
        write(f"\n{done.write(out) / 'report.html'}\n")
    failed = _checked(lambda: bench.broken(report, wanted))
    for why in failed:
        tell(why)
    if done.stopped == bench.INTERRUPTED:
        return INTERRUPTED
    if done.stopped is None and not any(arm.measured for arm in done.arms):
        tell("nothing was measured: no call came after the warm-up")
        return USAGE
    return FAILED if failed or done.stopped is not None else 0


@command.command("compare", short_help="Hold two reports against each other.")
@click.argument("before", type=click.Path(exists=True, path_type=Path))
@click.argument("after", type=click.Path(exists=True, path_type=Path))
@click.option("--fail-if-worse", is_flag=True, help="Exit 1 when a measure is worse by more than chance.")
def compare(before: Path, after: Path, fail_if_worse: bool) -> int:
    """Hold two reports (files, or their directories) against each other."""
    changes = _checked(lambda: bench.compare(bench.Report.read(before), bench.Report.read(after)))
    write_table(
        ["arm", "measure", "before", "after", "difference, 95 %", ""],
        [(one.arm, one.name, bench.figure(one.name, one.before), bench.figure(one.name, one.after),
          "–" if one.low is None or one.high is None else f"[{one.low:+.4g}, {one.high:+.4g}]",
          one.verdict if one.verdict != "same" else "") for one in changes],
    )
    return FAILED if fail_if_worse and any(one.verdict == "worse" for one in changes) else 0


@command.command("replay", short_help="Play recorded calls again with other hedges, clocks and orders.")
@click.argument("trace", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--hedge", "hedges", default="none,p90,p95,p98", show_default=True, metavar="AFTER,…",
              help="Seconds, quantiles of the first model's, or none.")
@click.option("--order", "orders", multiple=True, metavar="A,B,…", help="A chain.  [default: as recorded]")
@click.option("--budget", type=float, default=0.05, show_default=True, help="Hedges a call.")
@click.option("--first-token", type=float, metavar="SECONDS", help="Until a model has spoken.")
@click.option("--total", type=float, metavar="SECONDS", help="Until its answer is whole.")
@click.option("--deadline", type=float, metavar="SECONDS", help="For the whole call.")
@click.option("--seed", type=NATURAL, default=0, show_default=True, help="Of what is drawn.")
def replay(trace: Path, hedges: str, orders: Sequence[str], seed: int, **clocks: float | None) -> None:
    """Estimate how other hedges, clocks and orders would have done with recorded calls.

    TRACE is what `Router(listeners=[JsonlTrace("trace.jsonl")])` has written. Intervals are of 95 %; "≥" means that the
    recording does not reach further.
    """
    policies = _checked(lambda: [
        bench.Policy(order=order, hedge=after, **clocks)  # type: ignore[arg-type]  # as the options name them
        for order in ([tuple(map(str.strip, text.split(","))) for text in orders] if orders else [None])
        for after in map(_after, hedges.split(","))
    ])
    done = _played(_checked(lambda: bench.read_trace(trace)), policies, seed)
    names = ("success", "p50_e2e", "p95_e2e", "p99_e2e", "hedges_fired", "attempts", "usd_per_1000")
    write_table(
        ["policy", "hedge after", *names],
        [(str(one.policy), "–" if one.after is None else f"{one.after:.3f} s", *(_told(one, name) for name in names))
         for one in done],
    )
    for warning in dict.fromkeys(warning for one in done for warning in one.warnings):
        tell(f"too little to go by: {warning}", style="yellow")


def _played(calls: Sequence[CallRow], policies: Sequence[bench.Policy], seed: int) -> list[bench.Replayed]:
    """Each policy by itself: a hedge delay that was not seen is no reason to tell nothing about the others."""
    done: list[bench.Replayed] = []
    wrong: dict[str, None] = {}
    for policy in policies:
        try:
            done += _checked(lambda policy=policy: bench.replay(calls, [policy], seed=seed))  # type: ignore[misc]  # now
        except click.UsageError as error:
            wrong[error.message] = None
    if not done:
        raise click.UsageError("\n".join(wrong))
    for why in wrong:
        tell(f"left out: {why}", style="yellow")
    return done


def _told(one: bench.Replayed, name: str) -> str:
    estimate = one.measures[name]
    bounded = estimate.high is not None or estimate.value is None
    return ("" if bounded else "≥ ") + bench.figure(name, estimate, interval=True)


def _with(config: Config | Mapping[str, object], arms: list[bench.Arm]) -> list[bench.Arm]:
    return [bench.Arm(arm.name, arm.call, config, arm.stream) for arm in arms]


def _lines(prompts: Iterable[str] | None) -> list[str]:
    """The prompts of a file, one a line."""
    file = getattr(prompts, "name", "")
    try:
        found = [line.strip() for line in prompts or () if line.strip()]
    except UnicodeDecodeError as wrong:
        raise click.UsageError(f"--prompts {file}: expected UTF-8 ({wrong})") from None
    if prompts is not None and not found:
        raise click.UsageError(f"--prompts {file}: expected a prompt a line, found none")
    return found


def _prepare(arms: Sequence[bench.Arm], wanted: Sequence[bench.Condition], out: Path | None) -> None:
    """Fail before anything is spent where the results could not be shown, written or judged."""
    import asyncrouter.bench.stats  # whether numpy is there

    if wanted:
        from asyncrouter.bench.conditions import check_arms

        check_arms(wanted, [arm.name for arm in arms])
    if out is not None:
        import asyncrouter.bench.html  # noqa: F401  -- whether plotly is there

        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass


def _slo(text: str | None) -> dict[str, float]:
    """{"ttft": 0.5, "e2e": 8.0} of "ttft:500ms,e2e:8s"."""
    pairs = (map(str.strip, part.partition(":")) for part in (text or "").split(",") if part.strip())
    return {name.lower(): _seconds(f"--slo {name}", value) for name, _, value in pairs}


def _after(text: str) -> float | str | None:
    """A hedge's delay: seconds, a quantile, or none."""
    word = text.strip()
    return None if word == "none" else word if word.startswith("p") else _seconds("--hedge", word)


def _seconds(option: str, text: str) -> float:
    """2.0 of "2", "2s" or "2000ms"."""
    number, scale = (text.removesuffix("ms"), 1000.0) if text.endswith("ms") else (text.removesuffix("s"), 1.0)
    try:
        return float(number) / scale
    except ValueError:
        raise click.UsageError(f"{option}: expected seconds, got {text!r}") from None


def _checked(make: Callable[[], T]) -> T:
    """What it makes; a `ValueError` is the command line's fault, a package that is not there has a cure."""
    try:
        return make()
    except ConfigError:
        raise
    except ValueError as wrong:
        raise click.UsageError(str(wrong)) from None
    except ModuleNotFoundError as missing:
        raise click.UsageError(str(missing)) from None
