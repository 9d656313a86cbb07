"""The options that say when calls are made, and the load that they describe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from asyncrouter import bench

if TYPE_CHECKING:
    from collections.abc import Callable

POSITIVE, COUNT = click.FloatRange(min=0, min_open=True), click.IntRange(min=1)
NATURAL = click.IntRange(min=0)
_OPTIONS = (
    click.option("--rate", type=POSITIVE, help="Calls a second.  [default: 10; 1 with --local]"),
    click.option("--arrival", type=click.Choice(["poisson", "constant", "gamma"]),
                 help="How they are spaced.  [default: poisson]"),
    click.option("--burstiness", type=POSITIVE, help="Shape of gamma; 1 is poisson.  [default: 0.5]"),
    click.option("--ramp-to", type=POSITIVE, metavar="RATE",
                 help="Go from --rate to this one over --duration (60 s)."),
    click.option("--recorded", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="TRACE",
                 help="At the instants of recorded calls."),
    click.option("--concurrency", type=COUNT, metavar="WORKERS",
                 help="Closed loop: each asks again when it has its answer; for throughput."),
    click.option("--cap", type=COUNT, help="Most calls of an arm open at once."),
    click.option("--calls", type=COUNT, help="Of each arm.  [default, without --duration: 1000; 30 with --local]"),
    click.option("--duration", type=POSITIVE, metavar="SECONDS", help="No call is due after that."),
)
_EITHER = {
    "recorded": ("rate", "arrival", "ramp_to", "concurrency", "calls", "duration"),
    "concurrency": ("rate", "arrival", "ramp_to", "cap"),
    "ramp_to": ("calls", "arrival"),
}
"""What one option has said already."""


def loaded(command: Callable[..., object]) -> Callable[..., object]:
    """Give a command the options of a load; it gets them for `load`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def load(
    *, rate: float | None, arrival: str | None, burstiness: float | None, ramp_to: float | None, recorded: Path | None,
    concurrency: int | None, cap: int | None, calls: int | None, duration: float | None, on_local: bool,
) -> bench.Load:
    """The load that the options describe. Raises `ValueError` where they contradict one another."""
    given = {"rate": rate, "arrival": arrival, "ramp_to": ramp_to, "recorded": recorded,
             "concurrency": concurrency, "cap": cap, "calls": calls, "duration": duration}
    for one, others in _EITHER.items():
        if given[one] is not None and (second := [name for name in others if given[name] is not None]):
            raise ValueError(f"--{one} and --{second[0]}: one or the other".replace("_", "-"))
    if burstiness is not None and arrival != "gamma":
        raise ValueError("--burstiness is for --arrival gamma")
    if recorded is not None:
        return bench.Load.recorded([call.started for call in bench.read_trace(recorded)], cap=cap)
    usual_rate, usual_calls = (1.0, 30) if on_local else (10.0, 1000)
    rate = usual_rate if rate is None else rate
    if ramp_to is not None:
        return bench.Load.ramp(rate, ramp_to, seconds=60.0 if duration is None else duration, cap=cap)
    if calls is None and duration is None:
        calls = usual_calls
    if concurrency is not None:
        return bench.Load.closed(concurrency, calls=calls, seconds=duration)
    if arrival == "gamma":
        return bench.Load.gamma(rate, burstiness or 0.5, calls=calls, seconds=duration, cap=cap)
    kind = bench.Load.constant if arrival == "constant" else bench.Load.poisson
    return kind(rate, calls=calls, seconds=duration, cap=cap)
