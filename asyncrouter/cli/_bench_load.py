"""Options that say when calls are made, and the load that they describe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from asyncrouter import bench
from asyncrouter.cli._bench_usage import COUNT, POSITIVE

if TYPE_CHECKING:
    from collections.abc import Callable

RATE, LOCAL_RATE = 10.0, 1.0
"""Calls a second unless --rate is given; the second for the local model, which has this machine's processor only."""
CALLS, LOCAL_CALLS = 1000, 30
"""Calls of an arm unless --calls or --duration is given: a p99 needs 1,000; 30 take half a minute at one a second."""
RAMP_SECONDS = 60.0
"""Length of a ramp unless --duration is given."""
BURSTINESS = 0.5
"""Shape of gamma arrivals unless --burstiness is given: clearly burstier than Poisson, which has 1."""

_OPTIONS = (
    click.option("--rate", type=POSITIVE, metavar="N", help="Calls a second.  [default: 10; 1 with --local]"),
    click.option("--arrival", type=click.Choice(["poisson", "constant", "gamma"]),
                 help="Distribution of the gaps between calls.  [default: poisson]"),
    click.option("--burstiness", type=POSITIVE, metavar="SHAPE",
                 help="Shape of gamma arrivals: below 1 is burstier than poisson.  [default: 0.5]"),
    click.option("--ramp-to", type=POSITIVE, metavar="RATE",
                 help="Change the rate linearly from --rate to this one over --duration (60 s)."),
    click.option("--recorded", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="TRACE",
                 help="Make calls at the instants of recorded calls."),
    click.option("--concurrency", type=COUNT, metavar="WORKERS",
                 help="Closed loop: each worker makes its next call when the last one has ended; for throughput."),
    click.option("--cap", type=COUNT, metavar="N", help="Most calls of an arm in flight at once.  [default: no limit]"),
    click.option("--calls", type=COUNT, metavar="N",
                 help="Calls of each arm.  [default, without --duration: 1000; 30 with --local]"),
    click.option("--duration", type=POSITIVE, metavar="SECONDS", help="Make no calls after so many seconds."),
)
_EXCLUDED_BY = {
    "recorded": ("rate", "arrival", "ramp_to", "concurrency", "calls", "duration"),
    "concurrency": ("rate", "arrival", "ramp_to", "cap"),
    "ramp_to": ("calls", "arrival"),
}
"""Options that contradict each of these."""


def load_options(command: Callable[..., object]) -> Callable[..., object]:
    """Add the options of a load to a command, which passes them to `make_load`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def make_load(
    *, rate: float | None, arrival: str | None, burstiness: float | None, ramp_to: float | None, recorded: Path | None,
    concurrency: int | None, cap: int | None, calls: int | None, duration: float | None, on_local: bool,
) -> bench.Load:
    """The load that the options describe. Raises `ValueError` where they contradict one another."""
    given = {"rate": rate, "arrival": arrival, "ramp_to": ramp_to, "recorded": recorded,
             "concurrency": concurrency, "cap": cap, "calls": calls, "duration": duration}
    for one, others in _EXCLUDED_BY.items():
        if given[one] is not None and (second := [name for name in others if given[name] is not None]):
            raise ValueError(f"--{one} and --{second[0]}: one or the other".replace("_", "-"))
    if burstiness is not None and arrival != "gamma":
        raise ValueError("--burstiness is for --arrival gamma")
    if recorded is not None:
        return bench.Load.recorded([call.started for call in bench.read_trace(recorded)], cap=cap)
    usual_rate, usual_calls = (LOCAL_RATE, LOCAL_CALLS) if on_local else (RATE, CALLS)
    rate = usual_rate if rate is None else rate
    if ramp_to is not None:
        return bench.Load.ramp(rate, ramp_to, seconds=RAMP_SECONDS if duration is None else duration, cap=cap)
    if calls is None and duration is None:
        calls = usual_calls
    if concurrency is not None:
        return bench.Load.closed(concurrency, calls=calls, seconds=duration)
    if arrival == "gamma":
        return bench.Load.gamma(rate, burstiness or BURSTINESS, calls=calls, seconds=duration, cap=cap)
    kind = bench.Load.constant if arrival == "constant" else bench.Load.poisson
    return kind(rate, calls=calls, seconds=duration, cap=cap)
