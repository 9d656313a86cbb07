"""report.html: one file that needs no network, readable in light and in dark."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from asyncrouter import visible
from asyncrouter.bench import charts
from asyncrouter.bench.chart_style import PALETTE
from asyncrouter.bench.definitions import DEFINITIONS, definition
from asyncrouter.bench.formatting import columns, figure
from asyncrouter.bench.verdicts import method, verdicts
from asyncrouter.bench.waterfall import waterfall

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go

    from asyncrouter.bench.arm_run import RunData
    from asyncrouter.bench.report import ArmReport, Report

MANY_ARMS = 5
"""Arms up to which intervals stand beside their figures; with more of them they stand below."""
_CONFIG = {"responsive": True, "displayModeBar": False}
"""plotly's: charts follow the width of the window and have no tool bar."""


def page(report: Report, run: RunData) -> str:
    """The text of report.html."""
    return Template(files("asyncrouter.bench").joinpath("page.html").read_text(encoding="utf-8")).substitute(
        title=_shown(_title(report)),
        subtitle=_shown(_subtitle(report)),
        verdicts="".join(f"<p class=verdict>{_shown(text)}</p>"
                         for text in verdicts(report.changes, report.arms[0].name)),
        method=_shown(method(report.changes, paired=True) or "95 % intervals"),
        warnings="".join(f"<p class=warning>{_shown(warning)}</p>" for warning in report.warnings),
        table=_table(report.arms),
        tail=_chart(charts.tail(run.arms), "tail"),
        timeline=_chart(charts.timeline(run.arms), "timeline"),
        cost=_chart(charts.cost(report), "cost"),
        waterfalls="".join(
            f"<details{' open' if number == 0 else ''}><summary>{_shown(arm.name)}</summary>"
            f"{_chart(waterfall(arm), f'waterfall-{number}')}</details>"
            for number, arm in enumerate(run.arms)
        ),
        errors=_errors(report.arms),
        all=_all_measures(report.arms),
        environment=_definition_list({**report.environment, **_set(report.settings)}),
        plotly=charts.script(),
    )


def _shown(text: str) -> str:
    return escape(visible(text))


def _title(report: Report) -> str:
    return f"{report.settings['scenario'] or 'Benchmark'}: {', '.join(arm.name for arm in report.arms)}"


def _subtitle(report: Report) -> str:
    calls = max((arm.measures["calls"].value or 0.0 for arm in report.arms), default=0.0)
    scenario = report.settings["scenario"]
    where = f"scenario {scenario}, virtual time" if scenario else "real time"
    return f"{calls:,.0f} calls an arm, {where}, seed {report.settings['seed']}; the first arm is the baseline"


def _table(arms: Sequence[ArmReport]) -> str:
    """The short table: a column for each arm, a line for each measure that at least one arm has."""
    head = "".join(f"<th><i style='background:{PALETTE[at % len(PALETTE)]}'></i>{_shown(arm.name)}"
                   for at, arm in enumerate(arms))
    labels = columns(arms)
    lines = {name: [_cell(name, arm) for arm in arms] for name in labels}
    rows = "".join(
        f"<tr><th title='{_shown(definition(name))}'>{_shown(labels[name])}<td>{'<td>'.join(cells)}"
        for name, cells in lines.items() if any(cell != "–" for cell in cells)
    )
    many = " class=many" if len(arms) > MANY_ARMS else ""
    return f"<table{many}><thead><tr><th>{head}</thead><tbody>{rows}</tbody></table>"


def _cell(name: str, arm: ArmReport) -> str:
    estimate = arm.measures.get(name)
    text = _shown(figure(name, estimate))
    if estimate is None or not estimate.enough:
        return text
    bounds = figure(name, estimate, interval=True).partition(" ")[2]
    return f"{text}<small>{_shown(bounds)}</small>" if bounds else text


def _errors(arms: Sequence[ArmReport]) -> str:
    parts = []
    for arm in arms:
        lines: dict[str, Mapping[str, object]] = {
            "answered by": {name: f"{share:.1%}" for name, share in arm.served_by.items()},
            "models asked": {f"{depth}": f"{count:,} calls" for depth, count in arm.depths.items()},
            "failed calls": arm.errors,
            "failed attempts": arm.attempt_errors,
        }
        entries = "".join(
            f"<dt>{label}<dd>{_shown(', '.join(f'{name}: {value}' for name, value in values.items()))}"
            for label, values in lines.items() if values
        )
        parts.append(f"<section><h3>{_shown(arm.name)}</h3><dl>{entries}</dl></section>")
    return "".join(parts)


def _all_measures(arms: Sequence[ArmReport]) -> str:
    head = "".join(f"<th>{_shown(arm.name)}" for arm in arms)
    rows = "".join(
        f"<tr><th>{_shown(name)}<td class=text>{_shown(text)}"
        + "".join(f"<td>{_shown(figure(name, arm.measures.get(name), interval=True))}" for arm in arms)
        for name, text in DEFINITIONS.items() if any(name in arm.measures for arm in arms)
    )
    return f"<table><thead><tr><th>measure<th>definition{head}</thead><tbody>{rows}</tbody></table>"


def _definition_list(values: Mapping[str, object]) -> str:
    return "".join(f"<dt>{_shown(name)}<dd>{_shown(str(value))}" for name, value in values.items())


def _set(settings: Mapping[str, object]) -> dict[str, object]:
    """The settings that were given."""
    return {name: value for name, value in settings.items() if value not in (None, {}, [])}


def _chart(chart: go.Figure, name: str) -> str:
    text: str = chart.to_html(full_html=False, include_plotlyjs=False, config=_CONFIG, div_id=name)
    return text
