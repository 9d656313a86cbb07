"""The pictures of a report, as plotly figures: only this module knows plotly."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

try:
    import plotly.graph_objects as go
    from plotly.offline import get_plotlyjs
    from plotly.subplots import make_subplots
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError("a written report needs plotly: pip install 'asyncrouter[bench]'") from missing

from asyncrouter.bench.measures import times
from asyncrouter.bench.stats import rank

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
MARKS = {"answered": "circle", "fallback": "triangle-up", "hedge won": "diamond", "hedged": "diamond-open",
         "failed": "x"}
TAILS = ((0.5, "p50"), (0.9, "p90"), (0.95, "p95"), (0.99, "p99"), (0.999, "p99.9"), (0.9999, "p99.99"))
MOST_POINTS = 1200
"""Ordinary calls drawn in the time line of one arm; those with a story are all drawn."""
SLOWEST = 8


def script() -> str:
    """plotly.js, for the page that shows the figures."""
    text: str = get_plotlyjs()
    return text


def tail(arms: Sequence[ArmRun]) -> go.Figure:
    """Seconds to the answer at every quantile, the axis stretched towards the tail; failed calls are never reached."""
    figure = go.Figure()
    for arm, colour in zip(arms, _colours(arms), strict=True):
        for name, dash in (("e2e", "solid"), ("service", "dot")):
            sample = sorted(times(name, arm.measured))
            shares = [share for share in _shares(len(sample)) if sample[rank(share, len(sample))] < float("inf")]
            figure.add_scatter(
                x=[1.0 / (1.0 - share) for share in shares], y=[sample[rank(share, len(sample))] for share in shares],
                mode="lines", line={"color": colour, "dash": dash, "width": 2.5 if dash == "solid" else 1.2},
                name=_said(arm.name if name == "e2e" else f"{arm.name}, service"), legendgroup=arm.name,
                visible=True if name == "e2e" else "legendonly", customdata=[f"{share:.3%}" for share in shares],
                hovertemplate="%{y:.3f} s at %{customdata}",
            )
    ticks = [(1.0 / (1.0 - share), text) for share, text in TAILS]
    figure.update_xaxes(type="log", tickvals=[at for at, _ in ticks], ticktext=[text for _, text in ticks],
                        title="share of the calls answered within")
    figure.update_yaxes(type="log", title="seconds from the scheduled start", dtick="D2")
    return _dressed(figure, 440)


def timeline(arms: Sequence[ArmRun]) -> go.Figure:
    """Every call at its scheduled instant, with what happened to it; one row an arm, on one scale."""
    figure = make_subplots(rows=len(arms), cols=1, shared_xaxes=True, shared_yaxes="all", vertical_spacing=0.03)
    shown: set[str] = set()
    for number, (arm, colour) in enumerate(zip(arms, _colours(arms), strict=True), 1):
        for kind, rows in _by_story(arm.measured).items():
            plain = kind == "answered"
            figure.add_scatter(
                x=[row.scheduled for row in rows], y=[max(row.ended - row.scheduled, 1e-4) for row in rows],
                mode="markers", name=kind, legendgroup=kind, showlegend=kind not in shown, row=number, col=1,
                marker={"symbol": MARKS[kind], "size": 4 if plain else 8, "opacity": 0.45 if plain else 0.95,
                        "color": colour if plain else _STORY[kind]},
                text=[_told(row) for row in rows], hovertemplate="%{text}<extra></extra>",
            )
            shown.add(kind)
        figure.update_yaxes(type="log", title=_said(arm.name), row=number, col=1)
    figure.update_xaxes(title="seconds since the run began", row=len(arms), col=1)
    return _dressed(figure, 130 + 150 * len(arms))


def cost(report: Report) -> go.Figure:
    """Dollars for 1,000 calls against p99: down and to the left is better. Bars are 95 % intervals."""
    figure = go.Figure()
    for arm, colour in zip(report.arms, _colours(report.arms), strict=True):
        money, slow = arm.measures.get("usd_per_1000"), arm.measures.get("p99_e2e")
        if money is None or slow is None or money.value is None or slow.value is None:
            continue
        figure.add_scatter(
            x=[money.value], y=[slow.value], mode="markers+text", text=[_said(arm.name)], textposition="top center",
            name=_said(arm.name), marker={"color": colour, "size": 13},
            error_x=_bars(money.value, money.low, money.high), error_y=_bars(slow.value, slow.low, slow.high),
            hovertemplate="$%{x:.4f} for 1,000 calls, p99 %{y:.3f} s",
        )
    figure.update_xaxes(title="USD for 1,000 calls", tickprefix="$")
    figure.update_yaxes(title="p99 of the seconds to the answer", rangemode="tozero")
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


_STORY = {"fallback": "#f59e0b", "hedge won": "#10b981", "hedged": "#64748b", "failed": "#ef4444"}


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
    return f"{row.number}.{index + 1} {attempt.cause} {_said(attempt.model)}"


def _shares(n: int) -> list[float]:
    """Quantiles to draw: dense towards the tail, up to the largest value but one."""
    most = max(2.0, float(n))
    return [1.0 - most ** (-step / 120.0) for step in range(121)] if n else []


def _bars(value: float, low: float | None, high: float | None) -> dict[str, Any]:
    below, above = (0.0 if bound is None else abs(value - bound) for bound in (low, high))
    return {"type": "data", "symmetric": False, "array": [above], "arrayminus": [below], "thickness": 1}


def _colours(arms: Sequence[object]) -> list[str]:
    return [PALETTE[index % len(PALETTE)] for index in range(len(arms))]


def _said(text: str) -> str:
    return html.escape(text)


def _dressed(figure: go.Figure, height: int) -> go.Figure:
    """Without a background or ink of its own: the page's are used, light or dark."""
    figure.update_layout(
        template="none", height=height, paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 70, "r": 20, "t": 20, "b": 50}, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        font={"family": "system-ui, sans-serif", "size": 13},
    )
    return figure
