"""The pictures of a report, as plotly figures: only this module knows plotly."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

try:
    import plotly.graph_objects as go
    from plotly.offline import get_plotlyjs
    from plotly.subplots import make_subplots
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError("a written report needs plotly: pip install 'asyncrouter[bench]'") from missing

from asyncrouter.bench.measures import times
from asyncrouter.bench.stats import rank
from asyncrouter.bench.words import FEW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.bench.report import Report
    from asyncrouter.bench.result import ArmRun
    from asyncrouter.bench.rows import AttemptRow, Row

PALETTE = ("#3b82f6", "#f97316", "#10b981", "#a855f7", "#ef4444", "#eab308", "#06b6d4", "#ec4899")
"""Readable on white and on black."""
OUTCOMES = {
    "won": "#10b981", "failed": "#ef4444", "superseded": "#eab308", "cancelled": "#a3a3a3", "not_accepted": "#a855f7",
}
MARKS = {
    "answered": {"symbol": "circle", "size": 4, "opacity": 0.6, "color": "#94a3b8"},
    "fallback": {"symbol": "triangle-up", "size": 7, "opacity": 0.85, "color": "#f59e0b"},
    "hedged": {"symbol": "diamond-open", "size": 8, "color": "#3b82f6", "line": {"width": 1.5}},
    "hedge won": {"symbol": "diamond", "size": 9, "color": "#10b981"},
    "failed": {"symbol": "x", "size": 7, "opacity": 0.85, "color": "#ef4444"},
}
"""Ordinary calls are grey, whichever arm made them: colour is for those with a story."""
NEVER = ", p99 never"
_SYMBOLS = {"": "circle", NEVER: "triangle-up"}
TAILS = ((0.5, "p50"), (0.9, "p90"), (0.95, "p95"), (0.99, "p99"), (0.999, "p99.9"), (0.9999, "p99.99"))
MOST_POINTS = 1200
"""Ordinary calls drawn in the time line of one arm; those with a story are all drawn."""
SLOWEST = 8
ROW = 150
"""Pixels of one arm's part of the time line."""


def script() -> str:
    """plotly.js, for the page that shows the figures."""
    text: str = get_plotlyjs()
    return text


def tail(arms: Sequence[ArmRun]) -> go.Figure:
    """Seconds to the answer at every quantile, the axis stretched towards the tail; failed calls are never reached."""
    figure = go.Figure()
    for arm, colour, width in zip(arms, _colours(arms), _nested(arms, 2.2, 1.3), strict=True):
        for name, dash, thick in (("e2e", "solid", width), ("service", "dot", 1.2)):
            sample = sorted(times(name, arm.measured))
            shares = [share for share in _shares(len(sample)) if sample[rank(share, len(sample))] < float("inf")]
            figure.add_scatter(
                x=[1.0 / (1.0 - share) for share in shares], y=[sample[rank(share, len(sample))] for share in shares],
                mode="lines", line={"color": colour, "dash": dash, "width": thick},
                name=_said(arm.name if name == "e2e" else f"{arm.name}, service"), legendgroup=arm.name,
                visible=True if name == "e2e" else "legendonly", customdata=[f"{share:.3%}" for share in shares],
                hovertemplate="%{y:.3f} s at %{customdata}",
            )
    ticks = [(1.0 / (1.0 - share), text) for share, text in TAILS]
    figure.update_xaxes(type="log", tickvals=[at for at, _ in ticks], ticktext=[text for _, text in ticks],
                        title="share of the calls answered within")
    drawn = [at for line in figure.data if line.visible is True for at in line.y]
    figure.update_yaxes(title="seconds from the scheduled start", **_log_seconds(drawn))
    return _dressed(figure, 440)


def timeline(arms: Sequence[ArmRun]) -> go.Figure:
    """Every call at its scheduled instant, with what happened to it; one row an arm, on one scale."""
    names = [_said(arm.name) for arm in arms]
    figure = make_subplots(rows=len(arms), cols=1, shared_xaxes=True, shared_yaxes="all", subplot_titles=names,
                           vertical_spacing=26 / (ROW * len(arms)))
    shown: set[str] = set()
    for number, arm in enumerate(arms, 1):
        for kind, rows in _by_story(arm.measured).items():
            figure.add_scatter(
                x=[row.scheduled for row in rows], y=[_took(row) for row in rows], mode="markers", name=kind,
                legendgroup=kind, showlegend=kind not in shown, row=number, col=1, marker=MARKS[kind],
                text=[_told(row) for row in rows], hovertemplate="%{text}<extra></extra>",
            )
            shown.add(kind)
    for title, colour in zip(figure.layout.annotations, _colours(arms), strict=True):
        title.update(x=0, xanchor="left", font={"size": 13, "color": colour})
    figure.update_yaxes(title="seconds", **_log_seconds([_took(row) for arm in arms for row in arm.measured], ROW))
    figure.update_xaxes(title="seconds since the run began", row=len(arms), col=1)
    return _dressed(figure, 130 + ROW * len(arms), legend_px=34)


def cost(report: Report) -> go.Figure:
    """Dollars for 1,000 calls against p99: down and to the left is better. Bars are 95 % intervals.

    An arm whose p99 is "never" stands at the upper edge, one with too few calls for a p99 is hollow; both say so.
    """
    figure = go.Figure()
    pairs = [(arm.measures.get("usd_per_1000"), arm.measures.get("p99_e2e")) for arm in report.arms]
    top = 1.15 * max((slow.high or slow.value for _, slow in pairs if slow is not None and slow.value), default=1.0)
    sizes = _nested(report.arms, 12, 4)
    for arm, (money, slow), colour, size in zip(report.arms, pairs, _colours(report.arms), sizes, strict=True):
        if money is None or slow is None or money.value is None:
            continue
        at, note = (top, NEVER) if slow.value is None else (slow.value, "" if slow.enough else f", {FEW}")
        told = "never" if slow.value is None else f"{at:.3f} s"
        figure.add_scatter(
            x=[money.value], y=[at], mode="markers", name=_said(arm.name) + note, showlegend=True,
            marker={"color": colour, "size": size, "symbol": _SYMBOLS.get(note, "circle-open"),
                    "line": {"width": 2, "color": colour}},
            error_x=_bars(money.value, money.low, money.high),
            error_y=_bars(at, slow.low, top if slow.high is None else slow.high),
            hovertemplate=f"$%{{x:.4f}} for 1,000 calls, p99 {told}",
        )
    figure.update_xaxes(title="USD for 1,000 calls", tickprefix="$")
    figure.update_yaxes(title="p99 of the seconds to the answer", range=[0.0, 1.1 * top])
    return _dressed(figure, 400)


def waterfall(arm: ArmRun) -> go.Figure:
    """The slowest calls of an arm (failed ones first), each attempt a bar: light until it spoke, solid after."""
    rows = sorted(arm.measured, key=lambda row: (row.ok, row.scheduled - row.ended))
    failed = [row for row in rows if not row.ok][: SLOWEST // 2]
    chosen = [*failed, *[row for row in rows if row.ok][: SLOWEST - len(failed)]]
    figure, shown = go.Figure(), set[str]()
    for row in chosen:
        for index, attempt in enumerate(row.sent):
            outcome = attempt.outcome or "cancelled"
            for part, (began, ended), opacity in _parts(attempt, row):
                figure.add_bar(
                    x=[ended - began], base=[began], y=[_line(row, index, attempt)], orientation="h", name=outcome,
                    legendgroup=outcome, showlegend=outcome not in shown,
                    marker={"color": OUTCOMES.get(outcome, "#a3a3a3"), "opacity": opacity}, width=0.72,
                    hovertext=_attempt_told(attempt, part), hovertemplate="%{hovertext}<extra></extra>",
                )
                shown.add(outcome)
    figure.update_layout(barmode="overlay")
    figure.update_xaxes(title="seconds since the call was due")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return _dressed(figure, 120 + 22 * sum(len(row.sent) for row in chosen))


def _by_story(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {kind: [] for kind in MARKS}
    for row in rows:
        found[_story(row)].append(row)
    plain = found["answered"]
    step = max(1, -(-len(plain) // MOST_POINTS))
    found["answered"] = plain[::step]
    return {kind: chosen for kind, chosen in found.items() if chosen}


def _story(row: Row) -> str:
    causes = {attempt.cause for attempt in row.sent}
    if not row.ok:
        return "failed"
    if "hedge" in causes:
        return "hedge won" if row.winner is not None and row.winner.cause == "hedge" else "hedged"
    return "fallback" if causes & {"fallback", "escalate"} else "answered"


def _told(row: Row) -> str:
    said = f"call {row.number}: {_said(row.model or row.outcome)} after {row.ended - row.scheduled:.3f} s"
    return said + "".join(f"<br>{_attempt_told(attempt, '')}" for attempt in row.attempts)


def _attempt_told(attempt: AttemptRow, part: str) -> str:
    told = f"{attempt.cause} {_said(attempt.model)}: {attempt.outcome}"
    if attempt.error is not None:
        told += f" ({attempt.error}{f', {attempt.clock}' if attempt.clock else ''})"
    if attempt.cost_usd:
        told += f", ${attempt.cost_usd:.6f}"
    return f"{told}, {part}" if part else told


def _parts(attempt: AttemptRow, row: Row) -> list[tuple[str, tuple[float, float], float]]:
    late = row.started - row.scheduled
    sent, ended = (attempt.sent or 0.0) + late, (attempt.ended or row.ended - row.started) + late
    spoke = ended if attempt.first is None else attempt.first + late
    parts = [("silent", (sent, spoke), 0.4), ("answering", (spoke, ended), 1.0)]
    return [part for part in parts if part[1][1] > part[1][0]]


def _line(row: Row, index: int, attempt: AttemptRow) -> str:
    return f"#{row.number}/{index + 1} {_said(attempt.model)} ({attempt.cause})"


def _shares(n: int) -> list[float]:
    """Quantiles to draw: dense towards the tail, up to the largest value but one."""
    most = max(2.0, float(n))
    return [1.0 - most ** (-step / 120.0) for step in range(121)] if n else []


def _took(row: Row) -> float:
    return max(row.ended - row.scheduled, 1e-4)


def _log_seconds(values: Sequence[float], height: int = 440) -> dict[str, Any]:
    """A log axis whose labels are whole numbers of seconds: plotly writes 0.2 as a bare "2"."""
    low, high = min(values, default=1.0), max(values, default=1.0)
    decade = height / max(0.1, math.log10(high / low))
    steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8) if decade > 700 else (1, 2, 5) if decade > 110 else (1,)
    ticks = [step * 10.0**power for power in range(-4, 6) for step in steps]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{at:g}" for at in ticks]}


def _nested(arms: Sequence[object], least: float, step: float) -> list[float]:
    """Sizes from the first arm's, the largest, down: arms that coincide are all seen, one around the other."""
    step = min(step, 4.0 * step / len(arms)) if arms else step
    return [least + step * index for index in reversed(range(len(arms)))]


def _bars(value: float, low: float | None, high: float | None) -> dict[str, Any]:
    below, above = (0.0 if bound is None else abs(value - bound) for bound in (low, high))
    return {"type": "data", "symmetric": False, "array": [above], "arrayminus": [below], "thickness": 1}


def _colours(arms: Sequence[object]) -> list[str]:
    return [PALETTE[index % len(PALETTE)] for index in range(len(arms))]


def _said(text: str) -> str:
    return html.escape(text)


def _dressed(figure: go.Figure, height: int, legend_px: int = 8) -> go.Figure:
    """Without a background or ink of its own: the page's are used, light or dark."""
    figure.update_layout(
        template="none", height=height, paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 70, "r": 32, "t": 20, "b": 50},
        legend={"orientation": "h", "y": 1.0 + legend_px / height, "yanchor": "bottom", "itemsizing": "constant"},
        font={"family": "system-ui, sans-serif", "size": 13},
    )
    return figure
