"""Measures as text: with their unit, their interval, or the reason why there is no number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter.bench.definitions import SCORE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asyncrouter.bench.report import ArmReport
    from asyncrouter.bench.stats import Estimate

SHARES = {
    "success", "fallback_rate", "hedges_fired", "hedges_won", "hedges_denied", "extra_load", "wasted_share",
    "estimated_share", "goodput_share", "saved_success",
}
"""Measures that are shown in percent."""
N_TOO_SMALL = "n too small"
"""What stands in place of a number that rests on too few samples."""

COLUMNS = {
    "success": "success", "quality": "quality", "goodput_share": "goodput", "mean_answered": "mean answered",
    "p50_e2e": "p50", "p95_e2e": "p95", "p99_e2e": "p99", "p99.9_e2e": "p99.9", "p50_ttft": "ttft p50",
    "p99_ttft": "ttft p99", "p50_tpot": "tpot p50", "p95_itl": "itl p95", "p50_tokens_per_second": "tokens / s, a call",
    "output_tokens_per_second": "tokens / s, in all", "offered_rate": "offered / s", "achieved_rate": "answered / s",
    "goodput": "goodput / s",
    "hedges_fired": "hedged", "hedges_won": "hedges won", "extra_load": "extra load", "usd_per_1000": "$ / 1,000",
    "wasted_share": "wasted", "saved_p99_e2e": "p99 saved", "usd_per_second_saved": "$ / s saved",
}
"""The measures of the short table, and their labels; after the quality stands the score of each scorer."""


def columns(arms: Iterable[ArmReport]) -> dict[str, str]:
    """The measures of the short table of these arms, and their labels."""
    found = {}
    for name, label in COLUMNS.items():
        found[name] = label
        if name == "quality":
            scored = dict.fromkeys(one for arm in arms for one in arm.measures if one.startswith(SCORE))
            found |= {one: one.removeprefix(SCORE) for one in scored}
    return found


def figure(name: str, estimate: Estimate | None, *, interval: bool = False) -> str:
    """One measure as text, with its 95 % interval if asked for. Times are in seconds.

    In place of a number: "never" for a latency that is infinite (too many calls got no answer), "∞" for seconds saved
    against such a one, "free" for seconds saved without extra dollars, "n too small", and "–" where there is no such
    measure.
    """
    if estimate is None:
        return "–"
    if not estimate.enough:
        return N_TOO_SMALL if estimate.n else "–"
    if estimate.value is None:
        timed = name.endswith(("_e2e", "_ttft")) and estimate.n
        return "–" if not timed else "∞" if name.startswith("saved") else "never"
    if name == "usd_per_second_saved" and estimate.value <= 0.0:
        return "free"
    text = _number(name, estimate.value)
    if interval and (estimate.low is not None or estimate.high is not None):
        highest = "100.00%" if name == "success" else "∞"
        text += f" [{_bound(name, estimate.low, '−∞')}, {_bound(name, estimate.high, highest)}]"
    return text


def _bound(name: str, value: float | None, unbounded: str) -> str:
    return unbounded if value is None else _number(name, value)


def _number(name: str, value: float) -> str:
    if name == "quality" or name.startswith(SCORE):
        return f"{value:.1%}"  # of some hundred calls, a second decimal would say nothing
    if name in SHARES:
        return f"{value:.4%}" if 0.9995 <= value < 1.0 - 1e-9 else f"{value:.2%}"
    if "usd" in name:
        return f"{value:.3g}" if abs(value) < 0.1 else f"{value:,.4f}" if abs(value) < 1.0 else f"{value:,.2f}"
    if name.endswith("_tokens_per_second"):
        return f"{value:,.1f}"
    if name in {"calls", "max_attempts", "p99_attempts", "peak_in_flight"}:
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) < 0.1 else f"{value:.3f}"
