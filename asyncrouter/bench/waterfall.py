"""The chart of an arm's slowest calls: every attempt a bar over the seconds of its call."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import plotly.graph_objects as go

from asyncrouter.bench.chart_style import as_text, attempt_text, styled

if TYPE_CHECKING:
    from asyncrouter.bench.arm_run import ArmRun
    from asyncrouter.bench.rows import AttemptRow, Row

GREY = "#a3a3a3"
"""The colour of attempts that were cancelled, or have no outcome."""
OUTCOMES = {
    "won": "#10b981", "failed": "#ef4444", "superseded": "#eab308", "cancelled": GREY, "not_accepted": "#a855f7",
}
"""The colour of a bar, by the outcome of its attempt."""
CALLS = 8
"""Calls that are drawn; at most half of them are failed ones."""


class _Part(NamedTuple):
    """One part of a bar: until the first content, or after it. Seconds since the call was due."""

    name: str
    start: float
    end: float
    opacity: float


def waterfall(arm: ArmRun) -> go.Figure:
    """The slowest calls of an arm, failed ones first; a bar is pale until the first content, solid after it."""
    rows, chart, in_legend = _slowest(arm), go.Figure(), set[str]()
    for row in rows:
        for index, attempt in enumerate(row.sent):
            outcome = attempt.outcome or "cancelled"
            for part in _parts(attempt, row):
                chart.add_bar(
                    x=[part.end - part.start], base=[part.start], y=[_label(row, index, attempt)], orientation="h",
                    name=outcome, legendgroup=outcome, showlegend=outcome not in in_legend,
                    marker={"color": OUTCOMES.get(outcome, GREY), "opacity": part.opacity}, width=0.72,
                    hovertext=attempt_text(attempt, part.name), hovertemplate="%{hovertext}<extra></extra>",
                )
                in_legend.add(outcome)
    chart.update_layout(barmode="overlay")
    chart.update_xaxes(title="seconds since the call was due")
    chart.update_yaxes(autorange="reversed", automargin=True)
    return styled(chart, 120 + 22 * sum(len(row.sent) for row in rows))


def _slowest(arm: ArmRun) -> list[Row]:
    rows = sorted(arm.measured, key=lambda row: (row.ok, row.scheduled - row.ended))
    failed = [row for row in rows if not row.ok][: CALLS // 2]
    return [*failed, *[row for row in rows if row.ok][: CALLS - len(failed)]]


def _parts(attempt: AttemptRow, row: Row) -> list[_Part]:
    late = row.started - row.scheduled
    sent, ended = (attempt.sent or 0.0) + late, (attempt.ended or row.ended - row.started) + late
    first = ended if attempt.first is None else attempt.first + late
    parts = [_Part("silent", sent, first, 0.4), _Part("answering", first, ended, 1.0)]
    return [part for part in parts if part.end > part.start]


def _label(row: Row, index: int, attempt: AttemptRow) -> str:
    return f"#{row.number}/{index + 1} {as_text(attempt.model)} ({attempt.cause})"
