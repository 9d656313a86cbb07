"""The charts of a report over all arms, as plotly figures: latency by quantile, time line, cost against p99."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    import plotly.graph_objects as go
    from plotly.offline import get_plotlyjs
    from plotly.subplots import make_subplots
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError("a written report needs plotly: pip install 'asyncrouter[bench]'") from _missing

from asyncrouter.bench.chart_style import (
    arm_colours,
    as_text,
    attempt_text,
    error_bars,
    log_seconds,
    nested_sizes,
    styled,
)
from asyncrouter.bench.formatting import N_TOO_SMALL
from asyncrouter.bench.measures import times
from asyncrouter.bench.resampling import rank
from asyncrouter.bench.stats import SAMPLES_BEYOND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.bench.arm_run import ArmRun
    from asyncrouter.bench.report import Report
    from asyncrouter.bench.rows import Row

MARKS: dict[str, dict[str, Any]] = {
    "answered": {"symbol": "circle", "size": 4, "opacity": 0.6, "color": "#94a3b8"},
    "fallback": {"symbol": "triangle-up", "size": 7, "opacity": 0.85, "color": "#f59e0b"},
    "hedged": {"symbol": "diamond-open", "size": 8, "color": "#3b82f6", "line": {"width": 1.5}},
    "hedge won": {"symbol": "diamond", "size": 9, "color": "#10b981"},
    "failed": {"symbol": "x", "size": 7, "opacity": 0.85, "color": "#ef4444"},
}
"""The markers of the time line, by what happened to a call. Ordinary calls are grey in every arm."""
LINES = {"e2e": "", "ttft": ", first content", "service": ", service"}
"""What is appended to the name of an arm for each kind of seconds in the latency chart."""
NEVER = ", p99 never"
"""What is appended to the name of an arm whose p99 is infinite."""
_SYMBOLS = {"": "circle", NEVER: "triangle-up"}
"""The marker of an arm in the cost chart, by what is appended to its name; anything else is a hollow circle."""
TICKS = ((0.5, "p50"), (0.9, "p90"), (0.95, "p95"), (0.99, "p99"), (0.999, "p99.9"), (0.9999, "p99.99"))
"""The labelled quantiles of the latency chart."""
MAX_POINTS = 1200
"""Ordinary calls drawn for one arm in the time line, so that the page stays small; all others are always drawn."""
TAIL_HEIGHT = 440
"""Height of the latency chart in pixels."""
ROW_HEIGHT = 150
"""Height of one arm's part of the time line in pixels."""
SHORTEST = 1e-4
"""Seconds at which shorter calls are drawn: a logarithmic axis has no 0."""


def script() -> str:
    """The source of plotly.js, for the page that shows the charts."""
    text: str = get_plotlyjs()
    return text


def tail(arms: Sequence[ArmRun]) -> go.Figure:
    """Latency at every quantile, the axis stretched towards the tail.

    A line ends where calls got no answer, or where so few calls lie beyond that no quantile is stated.
    """
    chart = go.Figure()
    for arm, colour, width in zip(arms, arm_colours(arms), nested_sizes(arms, 2.2, 1.3), strict=True):
        for name, dash, thick in (("e2e", "solid", width), ("ttft", "dash", 1.6), ("service", "dot", 1.2)):
            sample = sorted(times(name, arm.measured))
            shares = [share for share in _shares(len(sample)) if sample[rank(share, len(sample))] < float("inf")]
            chart.add_scatter(
                x=[1.0 / (1.0 - share) for share in shares], y=[sample[rank(share, len(sample))] for share in shares],
                mode="lines", line={"color": colour, "dash": dash, "width": thick},
                name=as_text(f"{arm.name}{LINES[name]}"), legendgroup=arm.name,
                visible=True if name == "e2e" else "legendonly", customdata=[f"{share:.3%}" for share in shares],
                hovertemplate="%{y:.3f} s at %{customdata}",
            )
    ticks = [(1.0 / (1.0 - share), text) for share, text in TICKS]
    chart.update_xaxes(type="log", tickvals=[at for at, _ in ticks], ticktext=[text for _, text in ticks],
                       title="share of the calls answered within")
    drawn = [at for line in chart.data if line.visible is True for at in line.y]
    chart.update_yaxes(title="seconds, logarithmic", **log_seconds(drawn, TAIL_HEIGHT))
    return styled(chart, TAIL_HEIGHT)


def timeline(arms: Sequence[ArmRun]) -> go.Figure:
    """Every call at its scheduled start, marked with what happened to it; a row for each arm, all on one scale."""
    names = [as_text(arm.name) for arm in arms]
    chart = make_subplots(rows=len(arms), cols=1, shared_xaxes=True, shared_yaxes="all", subplot_titles=names,
                          vertical_spacing=26 / (ROW_HEIGHT * len(arms)))
    in_legend: set[str] = set()
    for number, arm in enumerate(arms, 1):
        for kind, rows in _by_kind(arm.measured).items():
            chart.add_scatter(
                x=[row.scheduled for row in rows], y=[_seconds(row) for row in rows], mode="markers", name=kind,
                legendgroup=kind, showlegend=kind not in in_legend, row=number, col=1, marker=MARKS[kind],
                text=[_call_text(row) for row in rows], hovertemplate="%{text}<extra></extra>",
            )
            in_legend.add(kind)
    for title, colour in zip(chart.layout.annotations, arm_colours(arms), strict=True):
        title.update(x=0, xanchor="left", font={"size": 13, "color": colour})
    seconds = [_seconds(row) for arm in arms for row in arm.measured]
    chart.update_yaxes(title="seconds, log.", **log_seconds(seconds, ROW_HEIGHT))
    chart.update_xaxes(title="seconds since the run began", row=len(arms), col=1)
    return styled(chart, 130 + ROW_HEIGHT * len(arms), legend_px=34)


def cost(report: Report) -> go.Figure:
    """Dollars for 1,000 calls against p99: down and to the left is better. Bars are 95 % intervals.

    An arm whose p99 is infinite stands at the upper edge, one with too few calls for a p99 is hollow; the names say so.
    """
    chart = go.Figure()
    pairs = [(arm.measures.get("usd_per_1000"), arm.measures.get("p99_e2e")) for arm in report.arms]
    top = 1.15 * max((slow.high or slow.value for _, slow in pairs if slow is not None and slow.value), default=1.0)
    sizes = nested_sizes(report.arms, 12, 4)
    for arm, (money, slow), colour, size in zip(report.arms, pairs, arm_colours(report.arms), sizes, strict=True):
        if money is None or slow is None or money.value is None:
            continue
        at, note = (top, NEVER) if slow.value is None else (slow.value, "" if slow.enough else f", {N_TOO_SMALL}")
        p99 = "never" if slow.value is None else f"{at:.3f} s"
        chart.add_scatter(
            x=[money.value], y=[at], mode="markers", name=as_text(arm.name) + note, showlegend=True,
            marker={"color": colour, "size": size, "symbol": _SYMBOLS.get(note, "circle-open"),
                    "line": {"width": 2, "color": colour}},
            error_x=error_bars(money.value, money.low, money.high),
            error_y=error_bars(at, slow.low, top if slow.high is None else slow.high),
            hovertemplate=f"$%{{x:.4f}} for 1,000 calls, p99 {p99}",
        )
    chart.update_xaxes(title="USD for 1,000 calls", tickprefix="$", rangemode="tozero")
    chart.update_yaxes(title="p99 latency, seconds", range=[0.0, 1.1 * top])
    return styled(chart, 400)


def _by_kind(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {kind: [] for kind in MARKS}
    for row in rows:
        found[_kind(row)].append(row)
    ordinary = found["answered"]
    step = max(1, -(-len(ordinary) // MAX_POINTS))
    found["answered"] = ordinary[::step]
    return {kind: chosen for kind, chosen in found.items() if chosen}


def _kind(row: Row) -> str:
    causes = {attempt.cause for attempt in row.sent}
    if not row.ok:
        return "failed"
    if "hedge" in causes:
        return "hedge won" if row.winner is not None and row.winner.cause == "hedge" else "hedged"
    return "fallback" if causes & {"fallback", "escalate"} else "answered"


def _call_text(row: Row) -> str:
    text = f"call {row.number}: {as_text(row.model or row.outcome)} after {row.ended - row.scheduled:.3f} s"
    return text + "".join(f"<br>{attempt_text(attempt)}" for attempt in row.attempts)


def _shares(n: int) -> list[float]:
    """Quantiles to draw: 120 of them, denser towards the tail, up to the last one that is stated."""
    most = max(2.0, n / SAMPLES_BEYOND)
    return [1.0 - most ** (-step / 120.0) for step in range(121)] if n else []


def _seconds(row: Row) -> float:
    return max(row.ended - row.scheduled, SHORTEST)
