"""What the charts of a report have in common: colours, sizes, axes, and how names are written on them."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

from asyncrouter import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from asyncrouter.bench.rows import AttemptRow

PALETTE = ("#3b82f6", "#f97316", "#10b981", "#a855f7", "#ef4444", "#eab308", "#06b6d4", "#ec4899")
"""The colours of the arms, in their order: readable on white and on black. The ninth arm has the first one again."""
_DISTINCT_SIZES = 4
"""Arms with sizes of their own; more of them share the same range in smaller steps."""


def arm_colours(arms: Sequence[object]) -> list[str]:
    """A colour for each arm."""
    return [PALETTE[index % len(PALETTE)] for index in range(len(arms))]


def nested_sizes(arms: Sequence[object], least: float, step: float) -> list[float]:
    """A size for each arm, the first arm's the largest: arms that coincide are all visible, one around the other."""
    step = min(step, _DISTINCT_SIZES * step / len(arms)) if arms else step
    return [least + step * index for index in reversed(range(len(arms)))]


def error_bars(value: float, low: float | None, high: float | None) -> dict[str, Any]:
    """Error bars of an interval, as plotly takes them; an end that is `None` has no bar."""
    below, above = (0.0 if bound is None else abs(value - bound) for bound in (low, high))
    return {"type": "data", "symmetric": False, "array": [above], "arrayminus": [below], "thickness": 1}


def log_seconds(values: Sequence[float], height: int) -> dict[str, Any]:
    """A logarithmic axis, `height` pixels long, labelled with seconds in full: plotly writes 0.2 as a bare "2".

    It has a decade at least, so that small differences look small. The more pixels a decade has, the more labels fit.
    """
    drawn = [value for value in values if value > 0.0]  # a logarithmic axis has no 0
    low, high = min(drawn, default=1.0), max(drawn, default=1.0)
    if high < 10.0 * low:
        low, high = low * (high / low / 10.0) ** 0.5, high * (10.0 * low / high) ** 0.5
    decade = height / max(0.1, math.log10(high / low))
    steps = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8) if decade > 700 else (1, 2, 5) if decade > 110 else (1,)
    ticks = [step * 10.0**power for power in range(-4, 6) for step in steps]
    margin = 0.04 * math.log10(high / low)
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{at:g}" for at in ticks],
            "range": [math.log10(low) - margin, math.log10(high) + margin]}


def as_text(name: str) -> str:
    """A name as text: plotly reads some HTML in labels, and nothing in it is hidden."""
    return html.escape(visible(name))


def attempt_text(attempt: AttemptRow, part: str = "") -> str:
    """An attempt in one line, for the box that shows when the pointer is over it."""
    at = "" if attempt.member is None else f" at {as_text(attempt.member)}"
    text = f"{attempt.cause} {as_text(attempt.model)}{at}: {attempt.outcome}"
    if attempt.error is not None:
        text += f" ({attempt.error}{f', {attempt.clock}' if attempt.clock else ''})"
    if attempt.cost_usd:
        text += f", ${attempt.cost_usd:.6f}"
    return f"{text}, {part}" if part else text


def styled(chart: go.Figure, height: int, legend_px: int = 8) -> go.Figure:
    """The chart without background or text colour of its own: the page has both, light and dark."""
    chart.update_layout(
        template="none", height=height, paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 70, "r": 32, "t": 20, "b": 50},
        legend={"orientation": "h", "y": 1.0 + legend_px / height, "yanchor": "bottom", "itemsizing": "constant"},
        font={"family": "system-ui, sans-serif", "size": 13},
    )
    return chart
