"""Computes the measures of one arm from its calls; `definitions` says what each one means.

Latencies count from the scheduled start, not from the real one: a call that the harness or a cap kept waiting is late
by that wait (no coordinated omission). A failed call has an infinite latency, so an arm cannot look fast by failing.
Quantiles, means and shares are estimated as `stats` describes; sums and maxima have no interval.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from asyncrouter.bench.definitions import LATENCIES, POINTS
from asyncrouter.bench.stats import Estimate, estimate_mean, estimate_quantiles, estimate_share, finite

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from asyncrouter.bench.arm_run import ArmRun
    from asyncrouter.bench.resampling import Floats
    from asyncrouter.bench.rows import AttemptRow, Row

Measures = dict[str, Estimate]


def measure(arm: ArmRun, slo: Mapping[str, float], seed: int = 0) -> Measures:
    """All measures of an arm but those against the baseline. `slo` are limits in seconds, by the kind of seconds."""
    rows = arm.measured
    if not rows:
        return {"calls": Estimate(0.0)}
    found: Measures = {"calls": Estimate(float(len(rows))), "success": estimate_share([row.ok for row in rows])}
    for name in LATENCIES:
        found |= _latency(name, times(name, rows), seed)
    found |= _tokens(rows, seed)
    return found | _attempts(rows) | _hedges(rows) | _money(rows, seed) | _capacity(arm, rows, slo)


def times(name: str, rows: Sequence[Row]) -> Floats:
    """One kind of seconds of these calls, `inf` where a call failed; calls that have no such time are left out.

    Of "itl" there are as many as a call has gaps between its contents.
    """
    if name == "itl":
        return np.array([gap for row in rows if row.ok for gap in row.gaps], dtype=np.float64)
    values = map(_TIMES[name], rows)
    return np.array([value for value in values if value is not None], dtype=np.float64)


def seconds_of(name: str, row: Row) -> float | None:
    """One kind of seconds of a call, as `times` has it, but for "itl"; `None` where the call has no such time."""
    return _TIMES[name](row)


def answered_by(rows: Sequence[Row]) -> dict[str, float]:
    """The share of the answers that each model gave, largest first."""
    counts = Counter(row.model for row in rows if row.ok and row.model is not None)
    return {model: count / counts.total() for model, count in counts.most_common()}


def depths(rows: Sequence[Row]) -> dict[int, int]:
    """How many calls sent requests to so many models."""
    return dict(sorted(Counter(len({attempt.model for attempt in row.sent}) for row in rows).items()))


def call_errors(rows: Sequence[Row]) -> dict[str, int]:
    """Failed calls by the class of the error that their caller got."""
    return dict(Counter(row.outcome for row in rows if not row.ok).most_common())


def attempt_errors(rows: Sequence[Row]) -> dict[str, int]:
    """Failed attempts by the class of their error; a timeout with its name: "AttemptTimeout (idle)"."""
    found: Counter[str] = Counter()
    for row in rows:
        for attempt in row.attempts:
            if attempt.error is not None:
                found[f"{attempt.error} ({attempt.clock})" if attempt.clock else attempt.error] += 1
    return dict(found.most_common())


def _latency(name: str, sample: Floats, seed: int) -> Measures:
    found = dict(zip((f"{point}_{name}" for point in POINTS),
                     estimate_quantiles(sample, list(POINTS.values())), strict=True))
    found[f"mean_{name}"] = estimate_mean(sample, seed)
    found[f"max_{name}"] = Estimate(finite(sample.max()) if len(sample) else None, n=len(sample))
    return found


def _tokens(rows: Sequence[Row], seed: int) -> Measures:
    answered = [row for row in rows if row.ok and row.output_tokens is not None]
    if not answered:
        return {}
    paces = times("tpot", answered)
    speeds = 1.0 / paces[paces > 0.0]
    counts = np.array([row.output_tokens for row in answered], dtype=np.float64)
    return {
        "p50_tokens_per_second": estimate_quantiles(speeds, [0.5])[0],
        "mean_tokens_per_second": estimate_mean(speeds, seed),
        "output_tokens_per_second": Estimate(float(counts.sum()) / _duration(rows), n=len(answered)),
        "mean_output_tokens": estimate_mean(counts, seed),
    }


def _duration(rows: Sequence[Row]) -> float:
    """Seconds from the first scheduled start until the last call ended."""
    return max(max(row.ended for row in rows) - rows[0].scheduled, 1e-9)


def _attempts(rows: Sequence[Row]) -> Measures:
    sent = np.array([len(row.sent) for row in rows], dtype=np.float64)
    fell_back = [any(attempt.cause in {"fallback", "escalate"} for attempt in row.sent) for row in rows]
    models = np.array([len({attempt.model for attempt in row.sent}) for row in rows], dtype=np.float64)
    return {
        "attempts": _mean_count(sent),
        "p99_attempts": estimate_quantiles(sent, [0.99])[0],
        "max_attempts": Estimate(float(sent.max()), n=len(rows)),
        "fallback_rate": estimate_share(fell_back),
        "depth": estimate_mean(models),
        "extra_load": _mean_count(np.maximum(sent - 1.0, 0.0), usual=0.0),
    }


def _mean_count(sample: Floats, usual: float = 1.0) -> Estimate:
    """The mean of a count, with an interval at least as wide as Wilson's for the share of calls above the usual count.

    A sample of equal values bootstraps to an interval of width 0, though the next call may well need a second request.
    """
    found, above = estimate_mean(sample), estimate_share(sample > usual)
    value, low, high = (bound or 0.0 for bound in (found.value, found.low, found.high))
    rest = value - (above.value or 0.0)
    return replace(found, low=min(low, rest + (above.low or 0.0)), high=max(high, rest + (above.high or 0.0)))


def _hedges(rows: Sequence[Row]) -> Measures:
    fired = [any(attempt.cause == "hedge" for attempt in row.sent) for row in rows]
    won = [row.winner is not None and row.winner.cause == "hedge"
           for row, hedged in zip(rows, fired, strict=True) if hedged]
    return {
        "hedges_fired": estimate_share(fired),
        "hedges_won": estimate_share(won),
        "hedges_denied": Estimate(sum(row.denied for row in rows) / len(rows), n=len(rows)),
    }


def _money(rows: Sequence[Row], seed: int) -> Measures:
    if any(row.cost_usd is None for row in rows):
        unknown = Estimate(None)
        return dict.fromkeys(("usd_per_1000", "wasted_usd_per_1000", "wasted_share", "estimated_share"), unknown)
    cost = np.array([row.cost_usd for row in rows], dtype=np.float64)
    wasted = np.array([_wasted_usd(row) for row in rows], dtype=np.float64)
    guessed = sum(attempt.cost_usd or 0.0 for row in rows for attempt in row.attempts if attempt.cost_estimated)
    total = float(cost.sum())
    return {
        "usd_per_1000": estimate_mean(cost * 1000.0, seed),
        "wasted_usd_per_1000": estimate_mean(wasted * 1000.0, seed),
        "wasted_share": Estimate(float(wasted.sum()) / total if total else 0.0, n=len(rows)),
        "estimated_share": Estimate(guessed / total if total else 0.0, n=len(rows)),
    }


def _capacity(arm: ArmRun, rows: Sequence[Row], slo: Mapping[str, float]) -> Measures:
    first, last = rows[0].scheduled, rows[-1].scheduled
    seconds, good = _duration(rows), [within(row, slo) for row in rows]
    late = np.array([row.started - row.scheduled for row in rows if not row.capped], dtype=np.float64)
    return ({} if not slo else {
        "goodput": Estimate(sum(good) / seconds, n=len(rows)), "goodput_share": estimate_share(good),
    }) | {
        "offered_rate": Estimate((len(rows) - 1) / (last - first) if last > first else None, n=len(rows)),
        "achieved_rate": Estimate(sum(row.ok for row in rows) / seconds, n=len(rows)),
        "peak_in_flight": Estimate(float(arm.peak)),
        "start_lag_p99": Estimate(float(np.quantile(late, 0.99)) if len(late) else None, n=len(late)),
        "cpu_ms": Estimate(arm.cpu * 1000.0 / max(1, len(arm.rows)), n=len(arm.rows)),
    }


def within(row: Row, slo: Mapping[str, float]) -> bool:
    """Whether a call was answered within every limit; a time that it does not have breaks none."""
    if not row.ok:
        return False
    values = {name: _TIMES[name](row) for name in slo}
    return all(value is None or value <= slo[name] for name, value in values.items())


def _wasted_usd(row: Row) -> float:
    return sum(attempt.cost_usd or 0.0 for attempt in row.attempts if attempt.outcome != "won")


def _per_token(row: Row) -> float | None:
    winner = row.winner
    if winner is None or winner.first is None or winner.last is None or (row.output_tokens or 0) < 2:
        return None
    assert row.output_tokens is not None
    return (winner.last - winner.first) / (row.output_tokens - 1)


def _waiting(row: Row) -> float:
    """Seconds of a call without a request in flight: its length less the union of its attempts."""
    idle, until = 0.0, 0.0
    for attempt in sorted(row.sent, key=_sent_at):
        idle += max(0.0, _sent_at(attempt) - until)
        until = max(until, attempt.ended if attempt.ended is not None else until)
    return idle + max(0.0, row.ended - row.started - until)


def _sent_at(attempt: AttemptRow) -> float:
    return attempt.sent or 0.0


_TIMES: dict[str, Callable[[Row], float | None]] = {
    "e2e": lambda row: row.ended - row.scheduled if row.ok else float("inf"),
    "answered": lambda row: row.ended - row.scheduled if row.ok else None,
    "service": lambda row: row.ended - row.started,
    "ttft": lambda row: row.first - row.scheduled if row.ok and row.first is not None else float("inf"),
    "tpot": _per_token,
    "waiting": _waiting,
}
"""How each kind of seconds is read from a call; `None` where the call has no such time."""
