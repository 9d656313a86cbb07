"""report.html: one file that needs no network, readable in light and in dark."""

from __future__ import annotations

from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from asyncrouter.bench import charts
from asyncrouter.bench.chart_style import PALETTE
from asyncrouter.bench.choice_page import choice_section
from asyncrouter.bench.definitions import DEFINITIONS, definition
from asyncrouter.bench.formatting import columns, figure
from asyncrouter.bench.html_parts import cell, chart_html, shown
from asyncrouter.bench.run_in_words import load_in_words, slo_in_words, world_in_words
from asyncrouter.bench.verdicts import method, verdicts
from asyncrouter.bench.waterfall import waterfall

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncrouter.bench.arm_run import RunData
    from asyncrouter.bench.report import ArmReport, Report

MANY_ARMS = 5
"""Arms up to which intervals stand beside their figures; with more of them they stand below."""


def page(report: Report, run: RunData) -> str:
    """The text of report.html."""
    return Template(files("asyncrouter.bench").joinpath("page.html").read_text(encoding="utf-8")).substitute(
        title=shown(_title(report)),
        subtitle=shown(_subtitle(report)),
        choice=choice_section(report, run),
        verdicts="".join(f"<p class=verdict>{shown(text)}</p>"
                         for text in verdicts(report.changes, report.arms[0].name)),
        method=shown(method(report.compared, paired=True) or "95 % intervals"),
        warnings="".join(f"<p class=warning>{shown(warning)}</p>" for warning in report.warnings),
        table=_table(report.arms),
        tail=chart_html(charts.tail(run.arms), "tail"),
        timeline=chart_html(charts.timeline(run.arms), "timeline"),
        cost=chart_html(charts.cost(report), "cost"),
        waterfalls="".join(
            f"<details{' open' if number == 0 else ''}><summary>{shown(arm.name)}</summary>"
            f"{chart_html(waterfall(arm), f'waterfall-{number}')}</details>"
            for number, arm in enumerate(run.arms)
        ),
        errors=_errors(report.arms),
        all=_all_measures(report.arms),
        environment=_definition_list({**report.environment, **_set(report.settings)}),
        plotly=charts.script(),
    )


def _title(report: Report) -> str:
    return f"{report.settings['scenario'] or 'Benchmark'}: {', '.join(arm.name for arm in report.arms)}"


def _subtitle(report: Report) -> str:
    settings = report.settings
    calls = max((arm.measures["calls"].value or 0.0 for arm in report.arms), default=0.0)
    load, slo = (value if isinstance(value := settings.get(name), dict) else {} for name in ("load", "slo"))
    warmup = f" after {settings['warmup']} of warm-up" if settings.get("warmup") else ""
    baseline = "; the first arm is the baseline" if len(report.arms) > 1 else ""
    parts = (f"{calls:,.0f} calls an arm{warmup}", load_in_words(load), world_in_words(settings["scenario"]),
             slo_in_words(slo), f"seed {settings['seed']}")
    return "; ".join(part for part in parts if part) + baseline


def _table(arms: Sequence[ArmReport]) -> str:
    """The short table: a column for each arm, a line for each measure that at least one arm has."""
    head = "".join(f"<th><i style='background:{PALETTE[at % len(PALETTE)]}'></i>{shown(arm.name)}"
                   for at, arm in enumerate(arms))
    labels = columns(arms)
    lines = {name: [cell(name, arm) for arm in arms] for name in labels}
    rows = "".join(
        f"<tr><th title='{shown(definition(name))}'>{shown(labels[name])}<td>{'<td>'.join(cells)}"
        for name, cells in lines.items() if any(cell != "–" for cell in cells)
    )
    many = " class=many" if len(arms) > MANY_ARMS else ""
    return f"<table{many}><thead><tr><th>{head}</thead><tbody>{rows}</tbody></table>"


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
            f"<dt>{label}<dd>{shown(', '.join(f'{name}: {value}' for name, value in values.items()))}"
            for label, values in lines.items() if values
        )
        parts.append(f"<section><h3>{shown(arm.name)}</h3><dl>{entries}</dl></section>")
    return "".join(parts)


def _all_measures(arms: Sequence[ArmReport]) -> str:
    head = "".join(f"<th>{shown(arm.name)}" for arm in arms)
    rows = "".join(
        f"<tr><th>{shown(name)}<td class=text>{shown(text)}"
        + "".join(f"<td>{shown(figure(name, arm.measures.get(name), interval=True))}" for arm in arms)
        for name, text in DEFINITIONS.items() if any(name in arm.measures for arm in arms)
    )
    return f"<table><thead><tr><th>measure<th class=text>definition{head}</thead><tbody>{rows}</tbody></table>"


def _definition_list(values: Mapping[str, object]) -> str:
    return "".join(f"<dt>{shown(name)}<dd>{shown(str(value))}" for name, value in values.items())


def _set(settings: Mapping[str, object]) -> dict[str, object]:
    """The settings that were given."""
    return {name: value for name, value in settings.items() if value not in (None, {}, [])}
