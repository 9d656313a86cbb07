"""report.html: one file, no network, light and dark."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from asyncrouter.bench import figures
from asyncrouter.bench.measures import DEFINITIONS
from asyncrouter.bench.words import COLUMNS, figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import plotly.graph_objects as go

    from asyncrouter.bench.report import ArmReport, Report
    from asyncrouter.bench.result import Run

_CONFIG = {"responsive": True, "displayModeBar": False}


def page(report: Report, run: Run) -> str:
    """The whole page."""
    return Template(files("asyncrouter.bench").joinpath("page.html").read_text(encoding="utf-8")).substitute(
        title=escape(_title(report)),
        subtitle=escape(_subtitle(report)),
        warnings="".join(f"<p class=warning>{escape(warning)}</p>" for warning in report.warnings),
        table=_table(report.arms),
        tail=_drawn(figures.tail(run.arms), "tail"),
        timeline=_drawn(figures.timeline(run.arms), "timeline"),
        cost=_drawn(figures.cost(report), "cost"),
        waterfalls="".join(
            f"<details{' open' if number == 0 else ''}><summary>{escape(arm.name)}</summary>"
            f"{_drawn(figures.waterfall(arm), f'waterfall-{number}')}</details>"
            for number, arm in enumerate(run.arms)
        ),
        errors=_errors(report.arms),
        all=_all(report.arms),
        environment=_pairs({**report.environment, **_flat(report.settings)}),
        plotly=figures.script(),
    )


def _title(report: Report) -> str:
    return f"{report.settings['scenario'] or 'Benchmark'}: {', '.join(arm.name for arm in report.arms)}"


def _subtitle(report: Report) -> str:
    calls = max((arm.measures["calls"].value or 0.0 for arm in report.arms), default=0.0)
    scenario = report.settings["scenario"]
    where = f"scenario {scenario}, virtual time" if scenario else "real time"
    return f"{calls:,.0f} calls an arm, {where}, seed {report.settings['seed']}; the first arm is the baseline"


def _table(arms: Sequence[ArmReport]) -> str:
    """A line for each measure that has something to say, as in the terminal: arms are few, measures many."""
    head = "".join(f"<th><i style='background:{figures.PALETTE[at % len(figures.PALETTE)]}'></i>{escape(arm.name)}"
                   for at, arm in enumerate(arms))
    lines = {name: [_cell(name, arm) for arm in arms] for name in COLUMNS}
    rows = "".join(
        f"<tr><th title='{escape(DEFINITIONS[name])}'>{escape(COLUMNS[name])}<td>{'<td>'.join(cells)}"
        for name, cells in lines.items() if any(cell != "–" for cell in cells)
    )
    return f"<table{' class=many' if len(arms) > 5 else ''}><thead><tr><th>{head}</thead><tbody>{rows}</tbody></table>"


def _cell(name: str, arm: ArmReport) -> str:
    estimate = arm.measures.get(name)
    told = escape(figure(name, estimate))
    if estimate is None or not estimate.enough:
        return told
    bounds = figure(name, estimate, interval=True).partition(" ")[2]
    return f"{told}<small>{escape(bounds)}</small>" if bounds else told


def _errors(arms: Sequence[ArmReport]) -> str:
    parts = []
    for arm in arms:
        lines: dict[str, Mapping[str, object]] = {
            "answered by": {name: f"{share:.1%}" for name, share in arm.served_by.items()},
            "models asked": {f"{depth}": f"{count:,} calls" for depth, count in arm.depths.items()},
            "failed calls": arm.errors,
            "failed attempts": arm.attempt_errors,
        }
        told = "".join(
            f"<dt>{label}<dd>{escape(', '.join(f'{name}: {value}' for name, value in values.items()))}"
            for label, values in lines.items() if values
        )
        parts.append(f"<section><h3>{escape(arm.name)}</h3><dl>{told}</dl></section>")
    return "".join(parts)


def _all(arms: Sequence[ArmReport]) -> str:
    head = "".join(f"<th>{escape(arm.name)}" for arm in arms)
    rows = "".join(
        f"<tr><th>{escape(name)}<td class=text>{escape(text)}"
        + "".join(f"<td>{escape(figure(name, arm.measures.get(name), interval=True))}" for arm in arms)
        for name, text in DEFINITIONS.items() if any(name in arm.measures for arm in arms)
    )
    return f"<table><thead><tr><th>measure<th>definition{head}</thead><tbody>{rows}</tbody></table>"


def _pairs(values: Mapping[str, object]) -> str:
    return "".join(f"<dt>{escape(name)}<dd>{escape(str(value))}" for name, value in values.items())


def _flat(settings: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in settings.items() if value not in (None, {}, [])}


def _drawn(drawing: go.Figure, name: str) -> str:
    text: str = drawing.to_html(full_html=False, include_plotlyjs=False, config=_CONFIG, div_id=name)
    return text
