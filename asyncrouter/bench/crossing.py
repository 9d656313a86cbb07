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

NEAR = (1 / 8, 4.0)
"""Shares of missed calls, in multiples of the allowed one, between which a probe is fitted: beyond, the line bends."""
LARGEST_SHARE = 0.3
"""The largest share of missed calls that is fitted: beyond, the queue grows for as long as the probe lasts."""
NEARNESS = 1.5
"""The distance of ln(share) from ln(allowed) at which a probe's weight is down to 1/e."""
SLOPES = (1.0, 80.0)
"""Exponents of the line that are possible: from a server with one slot that is half idle to one with hundreds."""
BEYOND = 0.03
"""How far the crossing may lie outside the fitted probes, in ln(rate): a line is not extrapolated."""
USUAL_SLOPE = 10.0
"""The slope that is taken where no two probes can be fitted: that of a server with about eight slots."""
LONG = 0.6
"""Probes of this share of the longest one's calls are fitted alone, once there are three: short ones start empty."""
RESAMPLES = 400
"""Bootstrap samples of the interval."""


class Crossing(NamedTuple):
    """ln(rate) at which the allowed share is missed, and the slope of the line there."""

    at: float
    slope: float


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
    long = n >= LONG * n.max()
    found = _line(x[long], missed[long], n[long], allowed) if long.sum() >= 3 else None  # three
    return found or _line(x, missed, n, allowed) or _between(x, missed / n, allowed)


def _line(x: Floats, missed: Floats, n: Floats, allowed: float) -> Crossing | None:
    share = missed / n
    used = (share >= allowed * NEAR[0]) & (share <= min(LARGEST_SHARE, allowed * NEAR[1]))
    x, share, n = x[used], share[used], n[used]
    if len(x) < 2 or float(np.ptp(x)) < BEYOND / 3:  # a line has two points
        return None
    y = np.log(share) - np.log(allowed)
    weight = n * share / (1.0 - share) * np.exp(-((y / NEARNESS) ** 2))
    x0, y0 = np.average(x, weights=weight), np.average(y, weights=weight)
    slope = float(np.clip((weight * (x - x0) * (y - y0)).sum() / (weight * (x - x0) ** 2).sum(), *SLOPES))
    return Crossing(float(np.clip(x0 - y0 / slope, x.min() - BEYOND, x.max() + BEYOND)), slope)


def _between(x: Floats, share: Floats, allowed: float) -> Crossing:
    good, bad = x[share <= allowed], x[share > allowed]
    if not len(bad):
        return Crossing(float(x.max()), USUAL_SLOPE)
    if not len(good):
        return Crossing(float(x.min()), USUAL_SLOPE)
    return Crossing(float(good.max() + bad.min()) / 2.0, USUAL_SLOPE)
