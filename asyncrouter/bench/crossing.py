"""The rate at which an objective is just met: ln(share missed) fitted on ln(rate) over several probes.

Near saturation the share of late calls grows by orders of magnitude within some percent of the rate. On logarithmic
scales it is nearly a line, so probes on both sides of the limit are combined, weighted by how precise and how near they
are. The interval is a bootstrap over blocks of consecutive calls (Künsch 1989): calls that wait in one queue are late
together, and the binomial interval of independent calls would be several times too narrow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.bench.probes import Probe
    from asyncrouter.bench.resampling import Floats

NEAR = (1 / 8, 6.0)
"""Shares of missed calls, in multiples of the allowed one, between which a probe is fitted: beyond, the line bends."""
LARGEST_SHARE = 0.3
"""The largest share of missed calls that is fitted: beyond, the queue grows for as long as the probe lasts."""
NEARNESS = 1.5
"""The distance of ln(share) from ln(allowed) at which a probe's weight is down to 1/e."""
SLOPES = (1.0, 80.0)
"""Exponents of the line that are possible: from a server with one slot that is half idle to one with hundreds."""
BEYOND = 0.07
"""How far the crossing may lie outside the fitted probes, in ln(rate): a line is not extrapolated further."""
LEAST_SPREAD = 0.01
"""The distance between fitted probes, in ln(rate), from which on they have a slope."""
STEP_OUT = 0.1
"""How far outside all long probes the limit is looked for, in ln(rate), where they all lie on one side of it."""
USUAL_SLOPE = 10.0
"""The slope that is taken where no two probes can be fitted: that of a server with about eight slots."""
LONG = 0.6
"""Probes of this share of the longest one's calls are fitted alone, once there are three: short ones start empty."""
RESAMPLES = 400
"""Bootstrap samples of the interval."""


class Crossing(NamedTuple):
    """ln(rate) at which the allowed share is missed, and the slope of the line there.

    `fitted` is False where no line could be made, and `at` is the middle between the nearest probes.
    """

    at: float
    slope: float
    fitted: bool = True


def crossing(probes: Sequence[Probe], objective: int, allowed: float) -> Crossing:
    """Where the share of missed calls crosses the allowed one; between the nearest probes where no line can be made."""
    x, missed, sizes = _arrays(probes, objective)
    return _crossing(x, missed.sum(1), sizes.sum(1), allowed)


def interval(probes: Sequence[Probe], allowed: Sequence[float], seed: int) -> tuple[float, float]:
    """The 95 % interval of the largest ln(rate) that meets all objectives: blocks of each probe are resampled."""
    generator = np.random.default_rng(seed)
    arrays = [_arrays(probes, number) for number in range(len(allowed))]
    draws = []
    for _ in range(RESAMPLES):
        index = generator.integers(0, arrays[0][1].shape[1], arrays[0][1].shape)
        draws.append(min(
            _crossing(x, np.take_along_axis(missed, index, 1).sum(1), np.take_along_axis(sizes, index, 1).sum(1),
                      share).at
            for (x, missed, sizes), share in zip(arrays, allowed, strict=True)
        ))
    draws.sort()
    edge = round(0.025 * RESAMPLES)
    return draws[edge - 1], draws[-edge]


def _arrays(probes: Sequence[Probe], objective: int) -> tuple[Floats, Floats, Floats]:
    x = np.log([probe.level for probe in probes])
    missed = np.array([probe.missed[objective] for probe in probes], dtype=np.float64)
    return x, missed, np.array([probe.sizes for probe in probes], dtype=np.float64)


def _crossing(x: Floats, missed: Floats, n: Floats, allowed: float) -> Crossing:
    long, share = n >= LONG * n.max(), missed / n
    found = _line(x[long], missed[long], n[long], allowed) if long.sum() >= 3 else None  # three
    found = found or _line(x, missed, n, allowed)
    if found is None or not _is_bracketed(found, x, share, n, allowed):
        return _between(x, share, n, allowed)
    return found


def _is_bracketed(found: Crossing, x: Floats, share: Floats, n: Floats, allowed: float) -> bool:
    """Whether a line agrees with the probes that are too far from the limit to be fitted, as far as they are long."""
    long = n >= LONG * n.max()
    met, exceeded = x[long & (share < NEAR[0] * allowed)], x[long & (share > min(LARGEST_SHARE, NEAR[1] * allowed))]
    return not (len(met) and found.at < met.min()) and not (len(exceeded) and found.at > exceeded.max())


def _line(x: Floats, missed: Floats, n: Floats, allowed: float) -> Crossing | None:
    share = missed / n
    used = (share >= allowed * NEAR[0]) & (share <= min(LARGEST_SHARE, allowed * NEAR[1]))
    x, share, n = x[used], share[used], n[used]
    if len(x) < 2 or float(np.ptp(x)) < LEAST_SPREAD:  # a line has two points
        return None
    y = np.log(share) - np.log(allowed)
    weight = n * share / (1.0 - share) * np.exp(-((y / NEARNESS) ** 2))
    x0, y0 = np.average(x, weights=weight), np.average(y, weights=weight)
    slope = float(np.clip((weight * (x - x0) * (y - y0)).sum() / (weight * (x - x0) ** 2).sum(), *SLOPES))
    return Crossing(float(np.clip(x0 - y0 / slope, x.min() - BEYOND, x.max() + BEYOND)), slope)


def _between(x: Floats, share: Floats, n: Floats, allowed: float) -> Crossing:
    """The middle between the largest rate that meets the limit and the smallest that misses it.

    Where two probes contradict one another, the one with more calls is believed; where all long ones are on one side,
    the limit is beyond them, whatever short ones have met by luck.
    """
    long = n >= LONG * n.max()
    if 2 <= long.sum() < len(x) and len(set((share[long] <= allowed).tolist())) == 1:
        outside = x[long].max() + STEP_OUT if share[long][0] <= allowed else x[long].min() - STEP_OUT
        return Crossing(float(outside), USUAL_SLOPE, fitted=False)
    good, bad = -np.inf, np.inf
    for at in np.argsort(-n, kind="stable"):
        if not good < x[at] < bad:
            continue
        good, bad = (x[at], bad) if share[at] <= allowed else (good, x[at])
    if not np.isfinite(bad):
        return Crossing(float(x.max()), USUAL_SLOPE, fitted=False)
    if not np.isfinite(good):
        return Crossing(float(x.min()), USUAL_SLOPE, fitted=False)
    return Crossing(float(good + bad) / 2.0, USUAL_SLOPE, fitted=False)
