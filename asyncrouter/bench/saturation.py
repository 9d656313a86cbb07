"""A saturation curve: one arm at several levels of load, one after the other, and the knee between them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from asyncrouter.bench.capacity import CALLS_A_STREAM, PROBE_CALLS, SATURATED
from asyncrouter.bench.probes import By, Probe, Prober, journal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from asyncrouter.bench.arms import Arm

DOUBLINGS = tuple(2**power for power in range(11))
"""The numbers of streams that are tried unless levels are given, as long as throughput grows."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """The probes of a sweep by rising level. `knee` is the level of the most throughput for each second of latency.

    Kleinrock's power (1979): calls a second / mean seconds of a call. Below the knee latency hardly rises with load,
    above it throughput hardly does.
    """

    by: By
    probes: tuple[Probe, ...]
    knee: float | None
    stopped: str | None = None

    def described(self) -> dict[str, object]:
        """The result as plain data for JSON."""
        return asdict(self)


def sweep(
    arm: Arm, levels: Sequence[float] | None = None, *, by: By = "streams", probe_calls: int = PROBE_CALLS,
    max_seconds: float | None = None, budget_usd: float | None = None, seed: int = 0,
    on_probe: Callable[[Probe], object] = lambda _: None, journal: Path | None = None, **settings: object,
) -> Sweep:
    """Measure an arm at each level: `by` "streams" in flight at once, or calls a second of a "poisson" process.

    Without `levels` streams are doubled while throughput grows. `settings` are arguments of `run`: scenario, prompts,
    transport. With `journal`, a file, the same sweep goes on where it was killed. Raises `ValueError` for levels that
    are not above 0, and what `run` raises.
    """
    chosen = DOUBLINGS if levels is None else tuple(sorted(set(levels)))
    if by not in {"streams", "poisson"} or (levels is None and by == "poisson"):
        raise ValueError(f"by: expected streams, or poisson with levels, got {by!r}")
    if not chosen or min(chosen) <= 0 or (by == "streams" and any(level % 1 for level in chosen)):
        raise ValueError(f"levels: expected numbers above 0, whole ones of streams, got {list(chosen)}")
    prober = Prober(arm, by, (), {"seed": seed, **settings}, max_seconds, budget_usd, on_probe)
    with journal_of(prober, journal, {"levels": list(chosen), "probe_calls": probe_calls}):
        for level in chosen:
            calls = max(probe_calls, round(CALLS_A_STREAM * level)) if by == "streams" else probe_calls
            if prober.probe(level, calls) is None or (levels is None and _saturated(prober.probes)):
                break
    return Sweep(by, tuple(prober.probes), knee(prober.probes), prober.stopped)


def _saturated(probes: Sequence[Probe]) -> bool:
    return len(probes) > 2 and probes[-1].rate < SATURATED * probes[-3].rate  # two doublings


def knee(probes: Sequence[Probe]) -> float | None:
    """The level of the most calls a second for each second of mean latency; `None` with fewer than three levels."""
    if len(probes) < 3:  # both ends and one between
        return None
    return max(probes, key=lambda one: one.rate / max(1e-9, one.figures["mean_service"] or 0.0)).level
