"""The figures of one arm, by name, with what each means. Shares are of 1, times seconds, money USD."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from asyncrouter.bench.stats import Estimate, average, estimates, finite, wilson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from asyncrouter.bench.result import ArmRun
    from asyncrouter.bench.rows import AttemptRow, Row
    from asyncrouter.bench.stats import Floats

Measures = dict[str, Estimate]

POINTS = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}

LATENCIES = {
    "e2e": "from the scheduled start to the whole answer; a call that failed counts as one that never answered",
    "answered": "from the scheduled start to the whole answer, of answered calls only (survivors: it flatters an arm "
                "that gives up early)",
    "service": "from the start of the call to its end, failed or not",
    "ttft": "from the scheduled start to the first content of the answer; a failed call never had one",
    "tpot": "(last content - first content) / (output tokens - 1) of the answer, tokens as its provider counted them",
    "waiting": "of a call, not covered by any attempt: queues, holds, pauses before a retry, the router itself",
}

DEFINITIONS = {
    "calls": "calls that were measured, without the warm-up",
    "success": "calls that got a whole answer from some model of the chain / calls",
    **{f"{point}_{name}": f"{point} of the seconds {text}" for name, text in LATENCIES.items() for point in POINTS},
    **{f"mean_{name}": f"mean of the seconds {text}" for name, text in LATENCIES.items()},
    **{f"max_{name}": f"largest of the seconds {text}" for name, text in LATENCIES.items()},
    "attempts": "requests sent / calls",
    "p99_attempts": "p99 of the requests sent for one call",
    "max_attempts": "most requests sent for one call",
    "fallback_rate": "calls in which a model was tried because the one before had failed / calls",
    "depth": "models asked / calls (a retry at the same model is no new model)",
    "hedges_fired": "calls with a hedge / calls",
    "hedges_won": "calls that a hedge answered / calls with a hedge",
    "hedges_denied": "hedges that were due and not allowed (budget, nobody to race with) / calls",
    "extra_load": "requests sent beyond the first / calls",
    "usd_per_1000": "dollars of all attempts for 1,000 calls, losers and failures included",
    "wasted_usd_per_1000": "dollars for 1,000 calls of attempts that were not the answer",
    "wasted_share": "wasted dollars / dollars",
    "estimated_share": "dollars that are our estimate (no usage was reported) / dollars",
    "usd_per_second_saved": "more dollars for 1,000 calls than the baseline / seconds of p99_e2e saved against it",
    "saved_p50_e2e": "p50_e2e of the baseline - p50_e2e, paired",
    "saved_p95_e2e": "p95_e2e of the baseline - p95_e2e, paired",
    "saved_p99_e2e": "p99_e2e of the baseline - p99_e2e, paired",
    "saved_mean": "mean over the calls that both arms answered of the baseline's seconds - this arm's, paired",
    "saved_success": "success - success of the baseline, paired",
    "goodput": "calls a second that were answered within every limit of --slo",
    "goodput_share": "calls that were answered within every limit of --slo / calls",
    "offered_rate": "calls a second as scheduled",
    "achieved_rate": "answered calls a second until the last one ended",
    "peak_in_flight": "most calls open at once",
    "start_lag_p99": "p99 of the seconds by which the harness started a call late",
    "cpu_ms": "processor milliseconds a call, of harness, router and (in a scenario) simulated models together",
}


def measure(arm: ArmRun, slo: Mapping[str, float], seed: int = 0) -> Measures:
    """All figures of an arm but for those against the baseline."""
    rows = arm.measured
    if not rows:
        return {"calls": Estimate(0.0)}
    found: Measures = {"calls": Estimate(float(len(rows))), "success": wilson(sum(row.ok for row in rows), len(rows))}
    for name in LATENCIES:
        found |= _latency(name, times(name, rows), seed)
    return found | _attempts(rows) | _hedges(rows) | _money(rows, seed) | _capacity(arm, rows, slo)


def times(name: str, rows: Sequence[Row]) -> Floats:
    """One kind of seconds of these calls; `inf`: never."""
    values = map(_TIMES[name], rows)
    return np.array([value for value in values if value is not None], dtype=np.float64)


def served(rows: Sequence[Row]) -> dict[str, float]:
    """The share of the answers that each model gave."""
    counts = Counter(row.model for row in rows if row.ok and row.model is not None)
    return {model: count / counts.total() for model, count in counts.most_common()}


def depths(rows: Sequence[Row]) -> dict[int, int]:
    """How many calls asked so many models."""
    return dict(sorted(Counter(len({attempt.model for attempt in row.sent}) for row in rows).items()))


def errors(rows: Sequence[Row]) -> dict[str, int]:
    """Failed calls by the class of the error their caller got, and failed attempts by theirs."""
    return dict(Counter(row.outcome for row in rows if not row.ok).most_common())


def attempt_errors(rows: Sequence[Row]) -> dict[str, int]:
    """Attempts that failed, by class; a clock by its name."""
    found: Counter[str] = Counter()
    for row in rows:
        for attempt in row.attempts:
            if attempt.error is not None:
                found[f"{attempt.error} ({attempt.clock})" if attempt.clock else attempt.error] += 1
    return dict(found.most_common())


def _latency(name: str, sample: Floats, seed: int) -> Measures:
    found = dict(zip((f"{point}_{name}" for point in POINTS), estimates(sample, list(POINTS.values()), seed),
                     strict=True))
    found[f"mean_{name}"] = average(sample, seed)
    found[f"max_{name}"] = Estimate(finite(sample.max()) if len(sample) else None, n=len(sample))
    return found


def _attempts(rows: Sequence[Row]) -> Measures:
    sent = np.array([len(row.sent) for row in rows], dtype=np.float64)
    fell = sum(any(attempt.cause in {"fallback", "escalate"} for attempt in row.sent) for row in rows)
    return {
        "attempts": _counted(sent),
        "p99_attempts": estimates(sent, [0.99])[0],
        "max_attempts": Estimate(float(sent.max()), n=len(rows)),
        "fallback_rate": wilson(fell, len(rows)),
        "depth": average(np.array([len({attempt.model for attempt in row.sent}) for row in rows], dtype=np.float64)),
        "extra_load": _counted(np.maximum(sent - 1.0, 0.0), usual=0.0),
    }


def _counted(sample: Floats, usual: float = 1.0) -> Estimate:
    """The mean of a count, no surer than the share of calls beyond the usual: equal values bootstrap to no doubt."""
    found, beyond = average(sample), wilson(int((sample > usual).sum()), len(sample))
    value, low, high = (bound or 0.0 for bound in (found.value, found.low, found.high))
    rest = value - (beyond.value or 0.0)
    return replace(found, low=min(low, rest + (beyond.low or 0.0)), high=max(high, rest + (beyond.high or 0.0)))


def _hedges(rows: Sequence[Row]) -> Measures:
    fired = sum(any(attempt.cause == "hedge" for attempt in row.sent) for row in rows)
    won = sum(row.winner is not None and row.winner.cause == "hedge" for row in rows)
    return {
        "hedges_fired": wilson(fired, len(rows)),
        "hedges_won": wilson(won, fired),
        "hedges_denied": Estimate(sum(row.denied for row in rows) / len(rows), n=len(rows)),
    }


def _money(rows: Sequence[Row], seed: int) -> Measures:
    if any(row.cost_usd is None for row in rows):
        unknown = Estimate(None)
        return dict.fromkeys(("usd_per_1000", "wasted_usd_per_1000", "wasted_share", "estimated_share"), unknown)
    cost = np.array([row.cost_usd for row in rows], dtype=np.float64)
    wasted = np.array([_wasted(row) for row in rows], dtype=np.float64)
    guessed = sum(attempt.cost_usd or 0.0 for row in rows for attempt in row.attempts if attempt.cost_estimated)
    total = float(cost.sum())
    return {
        "usd_per_1000": average(cost * 1000.0, seed),
        "wasted_usd_per_1000": average(wasted * 1000.0, seed),
        "wasted_share": Estimate(float(wasted.sum()) / total if total else 0.0, n=len(rows)),
        "estimated_share": Estimate(guessed / total if total else 0.0, n=len(rows)),
    }


def _capacity(arm: ArmRun, rows: Sequence[Row], slo: Mapping[str, float]) -> Measures:
    first, last = rows[0].scheduled, rows[-1].scheduled
    seconds = max(max(row.ended for row in rows) - first, 1e-9)
    good = sum(_good(row, slo) for row in rows)
    late = np.array([row.started - row.scheduled for row in rows if not row.capped], dtype=np.float64)
    return {
        "goodput": Estimate(good / seconds, n=len(rows)),
        "goodput_share": wilson(good, len(rows)),
        "offered_rate": Estimate((len(rows) - 1) / (last - first) if last > first else None, n=len(rows)),
        "achieved_rate": Estimate(sum(row.ok for row in rows) / seconds, n=len(rows)),
        "peak_in_flight": Estimate(float(arm.peak)),
        "start_lag_p99": Estimate(float(np.quantile(late, 0.99)) if len(late) else None, n=len(late)),
        "cpu_ms": Estimate(arm.cpu * 1000.0 / max(1, len(arm.rows)), n=len(arm.rows)),
    }


def _good(row: Row, slo: Mapping[str, float]) -> bool:
    if not row.ok:
        return False
    values = {name: _TIMES[name](row) for name in slo}
    return all(value is None or value <= slo[name] for name, value in values.items())


def _wasted(row: Row) -> float:
    return sum(attempt.cost_usd or 0.0 for attempt in row.attempts if attempt.outcome != "won")


def _per_token(row: Row) -> float | None:
    winner = row.winner
    if winner is None or winner.first is None or winner.last is None or (row.output_tokens or 0) < 2:
        return None
    assert row.output_tokens is not None
    return (winner.last - winner.first) / (row.output_tokens - 1)


def _waiting(row: Row) -> float:
    """Seconds of a call in which no request was under way."""
    idle, until = 0.0, 0.0
    for attempt in sorted(row.sent, key=_sent):
        idle += max(0.0, _sent(attempt) - until)
        until = max(until, attempt.ended if attempt.ended is not None else until)
    return idle + max(0.0, row.ended - row.started - until)


def _sent(attempt: AttemptRow) -> float:
    return attempt.sent or 0.0


_TIMES: dict[str, Callable[[Row], float | None]] = {
    "e2e": lambda row: row.ended - row.scheduled if row.ok else float("inf"),
    "answered": lambda row: row.ended - row.scheduled if row.ok else None,
    "service": lambda row: row.ended - row.started,
    "ttft": lambda row: row.first - row.scheduled if row.ok and row.first is not None else float("inf"),
    "tpot": _per_token,
    "waiting": _waiting,
}
