"""The chart of quality against cost, as a plotly figure; against latency where nothing costs anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from asyncrouter.bench.chart_style import arm_colours, as_text, error_bars, styled
from asyncrouter.bench.formatting import figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.bench.choice import Choice
    from asyncrouter.bench.report import ArmReport
    from asyncrouter.bench.stats import Estimate

HEIGHT = 380
"""Height of the chart in pixels."""
SPREAD = 8.0
"""Largest cost over smallest from which the axis is logarithmic: on a linear one the small ones would coincide."""
MARGIN = 0.04
"""Quality shown below the lowest interval and above the highest."""


def quality_chart(choice: Choice, arms: Sequence[ArmReport]) -> go.Figure:
    """Every arm by what it costs and how good it is: up and to the left is better. A line joins the Pareto front."""
    axis = "usd_per_1000" if _all_known(arms, "usd_per_1000") else "p50_e2e"
    drawn = [(arm, colour, arm.measures["quality"], arm.measures[axis])
             for arm, colour in zip(arms, arm_colours(arms), strict=True) if _known(arm, axis)]
    front = {one.arm for one in choice.standings if one.beaten_by is None}
    chart = go.Figure()
    line = sorted((x.value or 0.0, quality.value) for arm, _, quality, x in drawn if arm.name in front)
    chart.add_scatter(x=[x for x, _ in line], y=[y for _, y in line], mode="lines", name="Pareto front",
                      line={"color": "#94a3b8", "width": 1.5, "dash": "dot"}, hoverinfo="skip")
    for arm, colour, quality, x in drawn:
        chart.add_scatter(
            x=[x.value], y=[quality.value], mode="markers",
            name=as_text(arm.name) + ("" if arm.name in front else ", beaten"),
            marker={"color": colour, "size": 13, "symbol": "circle" if arm.name in front else "circle-open",
                    "line": {"width": 2, "color": colour}},
            error_x=error_bars(x.value or 0.0, x.low, x.high),
            error_y=error_bars(quality.value or 0.0, quality.low, quality.high),
            hovertemplate=f"quality {figure('quality', quality, interval=True)}<br>$ for 1,000 calls "
                          f"{figure('usd_per_1000', arm.measures.get('usd_per_1000'))}<br>p50 "
                          f"{figure('p50_e2e', arm.measures.get('p50_e2e'))} s",
        )
    title = "USD for 1,000 calls" if axis == "usd_per_1000" else "p50 latency, seconds"
    chart.update_xaxes(title=title, **_scale([x.value or 0.0 for _, _, _, x in drawn]))
    chart.update_yaxes(title="quality", tickformat=".0%", range=_range([quality for _, _, quality, _ in drawn]))
    return styled(chart, HEIGHT)


def _scale(values: Sequence[float]) -> dict[str, Any]:
    low, high = min(values, default=0.0), max(values, default=0.0)
    if low > 0.0 and high / low >= SPREAD:
        return {"type": "log", "tickformat": "~g", "dtick": "D2"}
    return {"rangemode": "tozero", "tickformat": "~g"}


def _range(qualities: Sequence[Estimate]) -> list[float]:
    low = min((one.low or 0.0 for one in qualities), default=0.0)
    high = max((one.high or 1.0 for one in qualities), default=1.0)
    return [low - MARGIN, high + MARGIN]


def _known(arm: ArmReport, axis: str) -> bool:
    return all((one := arm.measures.get(name)) is not None and one.value is not None for name in ("quality", axis))


def _all_known(arms: Sequence[ArmReport], axis: str) -> bool:
    """Whether the measure is known of every arm that was judged, and not 0 for all of them."""
    values = [one.value for arm in arms if _known(arm, "quality") and (one := arm.measures.get(axis)) is not None]
    return bool(values) and None not in values and any(values)
