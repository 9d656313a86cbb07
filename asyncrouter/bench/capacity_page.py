"""The page and the table of a sweep or of a search for the most load: levels, their figures, the saturation curve."""

from __future__ import annotations

import csv
import io
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

try:
    import plotly.graph_objects as go
except ModuleNotFoundError as _missing:
    raise ModuleNotFoundError("a written report needs plotly: pip install 'asyncrouter[bench]'") from _missing

from asyncrouter import visible
from asyncrouter.bench.capacity_table import COLUMNS, level_name, rows
from asyncrouter.bench.chart_style import PALETTE, log_seconds, styled
from asyncrouter.bench.charts import script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.bench.probes import By, Probe

HEIGHT = 420
"""Height of the chart in pixels."""
LINES = {"p50_ttft": "first token, p50", "p95_ttft": "first token, p95", "p50_e2e": "whole answer, p50",
         "p95_e2e": "whole answer, p95"}
"""The figures that are drawn, and their names."""


def capacity_page(title: str, verdict: str, settings: str, by: By, probes: Sequence[Probe], mark: float | None) -> str:
    """The text of the page; `mark` is the rate that the dotted line stands at."""
    cells = rows(by, probes)
    head = "".join(f"<th>{_shown(name)}" for name in (level_name(by), *COLUMNS.values()))
    body = "".join("<tr><td>" + "<td>".join(map(_shown, line)) for line in cells)
    table = f"<table><thead><tr>{head}</thead><tbody>{body}</tbody></table>"
    return Template(files("asyncrouter.bench").joinpath("capacity.html").read_text(encoding="utf-8")).substitute(
        title=_shown(title), verdict=_shown(verdict), settings=_shown(settings), table=table, plotly=script(),
        chart=curve(probes, mark).to_html(full_html=False, include_plotlyjs=False, div_id="curve",
                                          config={"responsive": True, "displayModeBar": False}),
    )


def curve(probes: Sequence[Probe], mark: float | None) -> go.Figure:
    """Latency against the answered rate, by rising level."""
    chart = go.Figure()
    ordered = sorted(probes, key=lambda one: one.level)
    for (name, label), colour in zip(LINES.items(), PALETTE, strict=False):
        points = [(one.rate, value, one.level) for one in ordered if (value := one.figures[name]) is not None]
        if points:
            x, y, levels = zip(*points, strict=True)
            chart.add_scatter(x=x, y=y, mode="lines+markers", name=label, line={"color": colour}, customdata=levels,
                              hovertemplate="level %{customdata:.4g}: %{y:.3f} s at %{x:.4g} a second")
    if mark is not None:
        chart.add_vline(x=mark, line={"dash": "dot", "color": "#94a3b8"})
    chart.update_xaxes(title="calls a second that were answered", rangemode="tozero")
    drawn = [value for line in chart.data for value in line.y]
    chart.update_yaxes(title="seconds, logarithmic", **log_seconds(drawn, HEIGHT))
    return styled(chart, HEIGHT)


def capacity_csv(probes: Sequence[Probe]) -> str:
    """A line for each level with every figure, for a spreadsheet; empty where a figure is not known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(probes[0].figures) if probes else []
    writer.writerow(["level", "calls", "seconds", "answered_per_second", *names])
    for one in probes:
        writer.writerow([one.level, one.calls, one.seconds, one.rate, *(one.figures[name] for name in names)])
    return text.getvalue()


def _shown(text: str) -> str:
    return escape(visible(text))
