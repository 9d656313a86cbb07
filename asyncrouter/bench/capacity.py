"""The most load at which objectives still hold, found by bracketing: doubling, then closing in.

There are two such numbers, and they differ by design. **By streams**: how many calls may be in flight at once, each
stream sending its next call when the last one has ended; calls never queue behind more than these, so the rate at the
limit is nearly the server's full throughput. **By Poisson rate**: how many calls a second of independent users; bursts
queue, so the same server meets the same objectives only at a lower rate (8 slots: about 13 instead of 16 a second). Use
the first to size a batch job or a pool of workers, the second to size a service.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from asyncrouter.bench.capacity_settings import MAX_CALLS, WARMUP_SHARE
from asyncrouter.bench.crossing import Crossing, crossing, interval
from asyncrouter.bench.probes import BLOCKS, By, Probe, Prober, journal_of
from asyncrouter.bench.slo import parse_slo
from asyncrouter.bench.stats import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from asyncrouter.bench.arms import Arm
    from asyncrouter.bench.slo import Objective

PROBE_CALLS = 1000
"""Calls of a probe by streams at least."""
CALLS_A_STREAM = 48
"""Calls of each stream in a probe at least: so many rounds, of which the first quarter is the ramp."""
MAX_STREAMS = 4096
"""Streams that are tried at most."""
RESOLUTION = 0.05
"""The share of the best number of streams to which a search by streams closes in; at least one stream."""
SATURATED = 1.02
"""The growth of throughput over two doublings below which more streams are pointless."""
SHORT_CALLS, SHORT_LATENCIES = 400, 40
"""Calls of a probe while doubling a rate: so many, and for at least so many times the shortest mean latency."""
LONG_LATENCIES = 400
"""Length of each final probe in latencies at least: in shorter ones the queue of a large server does not show all that
it can do, and the interval missed the truth in 13 of 20 searches (32 slots, 200 latencies)."""
FEWEST = 3
"""Final probes at least: a line through fewer has no error."""
AIMS = (0.4, 2.2, 0.6, 1.6, 0.8, 1.2)
"""Shares of missed calls that the final probes by rate aim at, in multiples of the allowed one: on both sides, so that
the slope of the line between them is known."""
STEP = (0.02, 0.07)
"""How far, in ln(rate), a final probe stands from where the limit is thought to be."""
MAX_RATE = 1e6
"""Calls a second that are tried at most."""
T_95 = 2.262
"""The 97.5 % quantile of Student's distribution with 9 degrees of freedom, for the mean of ten blocks."""


@dataclass(frozen=True, slots=True)
class MaxRate:
    """The result of a search.

    `rate` is calls a second with its 95 % interval: what was answered at the most streams that met all objectives, or
    the highest Poisson rate that meets them. Its value is `None` where not even the smallest load did. `streams` is
    that number of streams, `failed_at` the smallest one that missed an objective (`None`: none did, so `rate` is a
    lower bound; both `None` by rate). `verdict` says the result in one sentence; `stopped` why the search ended early.
    """

    by: By
    slo: tuple[str, ...]
    rate: Estimate
    streams: int | None
    failed_at: int | None
    probes: tuple[Probe, ...]
    verdict: str
    stopped: str | None = None

    def described(self) -> dict[str, object]:
        """The result as plain data for JSON."""
        return asdict(self)


def max_rate(
    arm: Arm, slo: str, *, by: By = "streams", max_calls: int = MAX_CALLS, probe_calls: int | None = None,
    max_seconds: float | None = None, budget_usd: float | None = None, start: float = 1.0, seed: int = 0,
    on_probe: Callable[[Probe], object] = lambda _: None, journal: Path | None = None, **settings: object,
) -> MaxRate:
    """Find the most load at which an arm meets the objectives `slo`, such as `p95_ttft<0.5 and success>0.999`.

    `by` is "streams" or "poisson". `max_calls` are all calls of the search, `probe_calls` those of each probe by
    streams (`None`: as many as the objectives need), `start` the first level. `settings` are arguments of `run`:
    scenario, prompts, transport. With a scenario, `max_seconds` is virtual time. With `journal`, a file, the same
    search goes on where it was killed or has stopped early; other settings are a `ValueError` that names them. Raises
    `ValueError` for objectives that so few calls cannot judge, and what `run` raises.
    """
    objectives = parse_slo(slo)
    if by not in {"streams", "poisson"}:
        raise ValueError(f"by: expected streams or poisson, got {by!r}")
    if not 0.0 < start < MAX_RATE or (by == "streams" and start < 1.0):
        raise ValueError(f"start: expected a level above 0 (of streams, at least 1), got {start!r}")
    prober = Prober(arm, by, objectives, {"seed": seed, **settings}, max_seconds, budget_usd, on_probe)
    limits = {"max_calls": max_calls, "probe_calls": probe_calls, "start": start}
    with journal_of(prober, journal, limits):
        return search(prober, max_calls=max_calls, probe_calls=probe_calls, start=start, seed=seed)


def search(
    prober: Prober, *, max_calls: int = MAX_CALLS, probe_calls: int | None = None, start: float = 1.0, seed: int = 0
) -> MaxRate:
    """The search of `max_rate` with probes of any kind. Raises `ValueError` as it does."""
    objectives = prober.objectives
    needed = max(math.ceil(one.calls / (1.0 - WARMUP_SHARE)) for one in objectives)
    if prober.by == "streams":
        calls = max(PROBE_CALLS, needed) if probe_calls is None else probe_calls
        _check_calls(objectives, calls, needed, "a probe (probe_calls, --calls)")
        return _by_streams(prober, round(start), calls, max_calls)
    _check_calls(objectives, max_calls // len(AIMS), needed, f"each of {len(AIMS)} final probes (max_calls, "
                 "--max-calls, in all)")
    return _by_rate(prober, start, max_calls, seed)


def _check_calls(objectives: Sequence[Objective], calls: int, needed: int, where: str) -> None:
    if calls < needed:
        hardest = max(objectives, key=lambda one: one.calls)
        raise ValueError(f"{hardest.text} needs at least {needed:,} calls (a quarter is warm-up) in {where}, got "
                         f"{calls:,}")


def _holds(probe: Probe, objectives: Sequence[Objective]) -> bool:
    return all(probe.share(number) <= one.allowed for number, one in enumerate(objectives))


# ── By streams


def _by_streams(prober: Prober, start: int, calls: int, max_calls: int) -> MaxRate:
    best: Probe | None = None
    failed: Probe | None = None
    level: int | None = start
    while level is not None:
        needed = max(calls, CALLS_A_STREAM * level)
        if sum(one.calls for one in prober.probes) / (1.0 - WARMUP_SHARE) + needed > max_calls:
            prober.stopped = f"the {max_calls:,} calls of --max-calls are used up"
            break
        probe = prober.probe(level, needed)
        if probe is None:
            break
        if _holds(probe, prober.objectives):
            best = probe
        else:
            failed = probe
        level = _next_level(prober.probes, best, failed)
    streams = None if best is None else round(best.level)
    failed_at = None if failed is None else round(failed.level)
    rate = Estimate(None) if best is None else _rate_of(best)
    verdict = _streams_verdict(prober, rate, streams, failed_at)
    slo = tuple(one.text for one in prober.objectives)
    return MaxRate("streams", slo, rate, streams, failed_at, tuple(prober.probes), verdict, prober.stopped)


def _next_level(probes: Sequence[Probe], best: Probe | None, failed: Probe | None) -> int | None:
    """The next number of streams to try, `None` when the best one is known closely enough."""
    if best is None:
        assert failed is not None
        return round(failed.level) // 2 or None
    if failed is None:
        rates = [probe.rate for probe in probes]
        if len(rates) > 2 and rates[-1] < SATURATED * rates[-3]:  # two doublings
            return None
        return round(2 * best.level) if 2 * best.level <= MAX_STREAMS else None
    if failed.level - best.level <= max(1.0, RESOLUTION * best.level):
        return None
    return round((best.level + failed.level) / 2.0)


def _rate_of(probe: Probe) -> Estimate:
    """The answered rate with the interval of its block means, which are taken to be independent."""
    spread = math.sqrt(sum((one - probe.rate) ** 2 for one in probe.rates) / (BLOCKS - 1) / BLOCKS)
    return Estimate(probe.rate, max(0.0, probe.rate - T_95 * spread), probe.rate + T_95 * spread, probe.calls)


def _streams_verdict(prober: Prober, rate: Estimate, streams: int | None, failed_at: int | None) -> str:
    wanted = " and ".join(one.text for one in prober.objectives)
    if rate.value is None:
        return f"No number of streams was seen to meet {wanted}" + (
            f"; {failed_at} missed it." if failed_at is not None else ".")
    found = f"{streams:,} streams at once meet {wanted}, and {rate.value:.4g} calls a second are answered then"
    if failed_at is not None:
        return f"Up to {found}; {failed_at:,} streams miss it."
    if prober.stopped is not None:
        return f"At least {found}; more were not tried."
    return f"At least {found}; more streams add no calls a second."


# ── By Poisson rate


def _by_rate(prober: Prober, start: float, max_calls: int, seed: int) -> MaxRate:
    _bracket(prober, start)
    for _ in range(2):
        at = _limit(prober).at
        if prober.stopped is None:
            prober.probe(math.exp(at), 2 * _short(prober, math.exp(at)))
    _close_in(prober, max_calls)
    estimate = _rate_estimate(prober, seed)
    slo = tuple(one.text for one in prober.objectives)
    verdict = _rate_verdict(prober, estimate)
    return MaxRate("poisson", slo, estimate, None, None, tuple(prober.probes), verdict, prober.stopped)


def _bracket(prober: Prober, rate: float) -> None:
    """Double the rate until an objective is missed, or halve it until all are met."""
    probe = prober.probe(rate, SHORT_CALLS)
    if probe is None:
        return
    held = _holds(probe, prober.objectives)
    factor = 2.0 if held else 0.5
    while probe is not None and _holds(probe, prober.objectives) is held and 1.0 / MAX_RATE < rate < MAX_RATE:
        rate *= factor
        probe = prober.probe(rate, _short(prober, rate))


def _close_in(prober: Prober, max_calls: int) -> None:
    """Spend the calls that are left on long probes on both sides of the limit."""
    if prober.stopped is not None:
        return
    left = max_calls - sum(round(one.calls / (1.0 - WARMUP_SHARE)) for one in prober.probes)
    at = _limit(prober).at
    needed = _calls_for(prober, math.exp(at), LONG_LATENCIES)
    count = min(len(AIMS), left // max(1, needed))
    if count < FEWEST:
        prober.stopped = (f"{max_calls:,} calls are too few for a server that takes about {math.exp(at):.3g} calls a "
                          f"second: --max-calls {max_calls - left + FEWEST * needed:,} would do")
        return
    calls = left // count
    for aim in AIMS[:count]:
        at, slope, fitted = _limit(prober)
        step = math.log(aim) / slope
        step = math.copysign(min(max(abs(step), STEP[0]), STEP[1]), step) if fitted else 0.0
        if prober.probe(math.exp(at + step), calls) is None:
            return


def _limit(prober: Prober) -> Crossing:
    """ln(rate) at which the first objective is missed, and the slope there; nan without a probe."""
    if not prober.probes:
        return Crossing(math.nan, math.nan)
    return min(crossing(prober.probes, number, one.allowed) for number, one in enumerate(prober.objectives))


def _short(prober: Prober, rate: float) -> int:
    return max(SHORT_CALLS, _calls_for(prober, rate, SHORT_LATENCIES))


def _calls_for(prober: Prober, rate: float, latencies: int) -> int:
    fastest = min(one.figures["mean_service"] or 0.0 for one in prober.probes)
    return round(latencies * fastest * rate)


def _rate_estimate(prober: Prober, seed: int) -> Estimate:
    held = {_holds(one, prober.objectives) for one in prober.probes}
    if held != {True, False} or prober.stopped is not None:
        return Estimate(None, n=sum(one.calls for one in prober.probes), enough=False)
    low, high = interval(prober.probes, [one.allowed for one in prober.objectives], seed)
    at = _limit(prober).at
    return Estimate(math.exp(at), math.exp(min(low, at)), math.exp(max(high, at)),
                    sum(one.calls for one in prober.probes))


def _rate_verdict(prober: Prober, rate: Estimate) -> str:
    wanted = " and ".join(one.text for one in prober.objectives)
    if rate.value is not None:
        return (f"Poisson arrivals of up to {rate.value:.4g} calls a second (95 % interval {rate.low:.4g} to "
                f"{rate.high:.4g}) meet {wanted}.")
    good = max((one.level for one in prober.probes if _holds(one, prober.objectives)), default=None)
    bad = min((one.level for one in prober.probes if not _holds(one, prober.objectives)), default=None)
    known = " and ".join([f"{good:.4g} a second met it"] * (good is not None) +
                         [f"{bad:.4g} missed it"] * (bad is not None))
    return f"No Poisson rate can be stated for {wanted}: {known or 'nothing was measured'}, in short probes."
