"""Probes: short runs of one arm at one load, reduced to what a capacity search and its page need."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from asyncrouter.bench import measures as m
from asyncrouter.bench.capacity_settings import WARMUP_SHARE
from asyncrouter.bench.journal import Journal
from asyncrouter.bench.load import Load
from asyncrouter.bench.resampling import rank
from asyncrouter.bench.runner import run
from asyncrouter.bench.stats import finite, min_samples
from asyncrouter.bench.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from asyncrouter.bench.arms import Arm
    from asyncrouter.bench.rows import Row
    from asyncrouter.bench.slo import Objective

By = Literal["streams", "poisson"]
"""What a level counts: calls in flight at once (a closed loop), or calls a second that arrive as a Poisson process."""
BLOCKS = 10
"""Blocks of consecutive calls of a probe: neighbours share a queue, so intervals are made of blocks, not of calls."""
SHOWN = {"p50_ttft": 0.5, "p95_ttft": 0.95, "p50_e2e": 0.5, "p95_e2e": 0.95, "p99_e2e": 0.99, "p50_tpot": 0.5}
"""The quantiles of a probe that are kept."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The results of one arm at one level of load, after the warm-up.

    `level` is streams or calls a second. `rate` is the calls a second that were answered, `rates` the same block by
    block, both while the load was on. `missed` holds, for each objective, the missed calls of each block, whose sizes
    are `sizes`. `figures` are point estimates by the names of `bench measures`; `None` rests on too few calls or is
    infinite. `seconds` is the length of the run, `usd` what it cost as far as that is known.
    """

    level: float
    calls: int
    seconds: float
    rate: float
    rates: tuple[float, ...]
    missed: tuple[tuple[int, ...], ...]
    sizes: tuple[int, ...]
    figures: Mapping[str, float | None]
    usd: float = 0.0

    def share(self, objective: int) -> float:
        """The share of the calls that missed this objective."""
        return sum(self.missed[objective]) / max(1, sum(self.sizes))


def probe_from(given: Mapping[str, object]) -> Probe:
    """A probe from its JSON object."""
    found = Probe(**given)  # type: ignore[arg-type]  # our own file
    return replace(found, rates=tuple(found.rates), missed=tuple(map(tuple, found.missed)), sizes=tuple(found.sizes))


@dataclass(slots=True)
class Prober:
    """Runs the probes of one arm, one after the other, until `max_seconds` of runs or `budget_usd` are used up.

    `settings` are further arguments of `run`. `stopped` says why no further probe may run, `None`: it may. Probes that
    are in the `journal` are taken from it instead of run, as long as they are those that come next.
    """

    arm: Arm
    by: By
    objectives: Sequence[Objective]
    settings: Mapping[str, object] = field(default_factory=dict)
    max_seconds: float | None = None
    budget_usd: float | None = None
    on_probe: Callable[[Probe], object] = lambda _: None
    probes: list[Probe] = field(default_factory=list)
    stopped: str | None = None
    journal: Journal | None = None

    def probe(self, level: float, calls: int) -> Probe | None:
        """Run so many calls at this level, a quarter of them as warm-up; `None` where that was not possible."""
        if (kept := self._kept(level, calls)) is not None:
            self.probes.append(kept)
            return kept
        left = None if self.max_seconds is None else self.max_seconds - sum(one.seconds for one in self.probes)
        if left is not None and left <= 0.0:
            self.stopped = f"the {self.max_seconds:g} s of --max-seconds are used up"
            return None
        warmup = int(calls * WARMUP_SHARE)
        rows, seconds, self.stopped = self.run(level, calls, warmup, left)
        measured = [row for row in rows if not row.warmup]
        if self.stopped is None and len(measured) < calls - warmup:
            self.stopped = f"the {self.max_seconds:g} s of --max-seconds are used up"
        if self.stopped is not None:
            return None
        found = _reduce(level, measured, self.objectives, seconds, sum(row.cost_usd or 0.0 for row in rows))
        self.probes.append(found)
        if self.journal is not None:
            self.journal.add(found)
        self.on_probe(found)
        return found

    def _kept(self, level: float, calls: int) -> Probe | None:
        """The next probe of the journal, if it is the one that is asked for."""
        number = len(self.probes)
        if self.journal is None or number >= len(self.journal.parts):
            return None
        found = probe_from(self.journal.parts[number])
        return found if (found.level, found.calls) == (level, calls - int(calls * WARMUP_SHARE)) else None

    def run(self, level: float, calls: int, warmup: int, left: float | None) -> tuple[list[Row], float, str | None]:
        """The calls of one run within `left` seconds, its length, and why it was stopped early."""
        spent = sum(one.usd for one in self.probes)
        stop = Stop(budget_usd=None if self.budget_usd is None else max(0.0, self.budget_usd - spent))
        done = run([self.arm], _load(self.by, level, calls, left), warmup=warmup, stop=stop, **self.settings)  # type: ignore[arg-type]  # as run() names them
        return done.arms[0].rows, done.arms[0].seconds, done.stopped


@contextmanager
def journal_of(prober: Prober, path: Path | None, limits: Mapping[str, object]) -> Iterator[None]:
    """Keep the probes in a journal at `path` (`None`: in none), and go on from those that are in it.

    Raises `ValueError` where a search with other settings was begun there, `OSError`.
    """
    if path is None:
        yield
        return
    scenario = prober.settings.get("scenario")
    settings = {"arm": prober.arm.described(), "by": prober.by, "slo": [one.text for one in prober.objectives],
                "seed": prober.settings.get("seed"), "scenario": getattr(scenario, "name", scenario), **limits}
    with Journal(path, settings) as prober.journal:
        yield


def _load(by: By, level: float, calls: int, seconds: float | None) -> Load:
    if by == "streams":
        return Load.closed(round(level), calls=calls, seconds=seconds)
    return Load.poisson(level, calls=calls, seconds=seconds)


def _reduce(level: float, rows: Sequence[Row], objectives: Sequence[Objective], seconds: float, usd: float) -> Probe:
    parts = np.array_split(np.arange(len(rows)), BLOCKS)
    missed = tuple(tuple(sum(one.missed(rows[int(at)]) for at in part) for part in parts) for one in objectives)
    rate, rates = _rates(rows)
    return Probe(level, len(rows), seconds, rate, rates, missed, tuple(map(len, parts)), _figures(rows, rate), usd)


def _rates(rows: Sequence[Row]) -> tuple[float, tuple[float, ...]]:
    """Answered calls a second between the first and the last start, when the load is whole, and in each block of it."""
    began, until = rows[0].started, max(row.started for row in rows)
    ended = np.array([row.ended for row in rows if row.ok])
    counts, edges = np.histogram(ended, BLOCKS, (began, until if until > began else began + 1e-9))
    width = float(edges[1] - edges[0])
    return float(counts.sum()) / (BLOCKS * width), tuple(float(count) / width for count in counts)


def _figures(rows: Sequence[Row], rate: float) -> dict[str, float | None]:
    found: dict[str, float | None] = {"success": sum(row.ok for row in rows) / len(rows)}
    for name, q in SHOWN.items():
        sample = np.sort(m.times(name.partition("_")[2], rows))
        found[name] = finite(sample[rank(q, len(sample))]) if len(sample) >= min_samples(q) else None
    service = [row.ended - row.started for row in rows]
    found["mean_service"] = sum(service) / len(service)
    tokens = [row.output_tokens for row in rows if row.ok and row.output_tokens is not None]
    found["output_tokens_per_second"] = rate * sum(tokens) / len(tokens) if tokens else None
    return found
