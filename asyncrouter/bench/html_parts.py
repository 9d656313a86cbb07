"""Parts that the sections of report.html share: texts, figures with their intervals, charts."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from asyncrouter import visible
from asyncrouter.bench.formatting import figure

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from asyncrouter.bench.report import ArmReport

_CONFIG = {"responsive": True, "displayModeBar": False}
"""plotly's: charts follow the width of the window and have no tool bar."""


def shown(text: str, *, lines: bool = False) -> str:
    """A text as HTML: nothing in it is markup, and nothing in it is hidden. `lines` keeps its line breaks."""
    return escape(visible(text, lines=lines))


def cell(name: str, arm: ArmReport) -> str:
    """One measure of an arm, with its interval in small letters."""
    estimate = arm.measures.get(name)
    text = shown(figure(name, estimate))
    if estimate is None or not estimate.enough:
        return text
    bounds = figure(name, estimate, interval=True).partition(" ")[2]
    return f"{text}<small>{shown(bounds)}</small>" if bounds else text


def chart_html(chart: go.Figure, name: str) -> str:
    """A chart as HTML; `name` is the id of its element."""
    text: str = chart.to_html(full_html=False, include_plotlyjs=False, config=_CONFIG, div_id=name)
    return text
