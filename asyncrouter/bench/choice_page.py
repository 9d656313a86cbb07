"""The section of report.html on quality: which arm to choose and why, the Pareto front, and the answers themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter.bench.answers import prompt_text
from asyncrouter.bench.chart_style import PALETTE
from asyncrouter.bench.choice_chart import quality_chart
from asyncrouter.bench.choice_text import CHOSEN, choice_method, choice_sentences, place, table_columns
from asyncrouter.bench.definitions import definition
from asyncrouter.bench.html_parts import cell, chart_html, shown
from asyncrouter.bench.quality import lowest, scorer_names
from asyncrouter.files import json_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncrouter.bench.arm_run import RunData
    from asyncrouter.bench.choice import Choice
    from asyncrouter.bench.report import Report
    from asyncrouter.bench.rows import Row

MAX_PROMPTS = 24
"""Prompts whose answers are shown: enough to see what goes wrong; all of them are in answers.jsonl."""
CONCERNING = ("scorer ", "the run was stopped early")
"""How warnings begin that concern the choice: they stand below it, as well as among all warnings."""
MAX_CHARACTERS = 400
"""Characters of a prompt or an answer that are shown."""


def choice_section(report: Report, run: RunData) -> str:
    """The HTML of the section, "" for a run whose answers were not judged."""
    choice = report.choice
    if choice is None:
        return ""
    first, *others = choice_sentences(choice, report.arms)
    return (
        "<h2>Which one is good enough?</h2>"
        f"<p class=verdict><b>{shown(first)}</b></p>"
        + "".join(f"<p class=verdict>{shown(text)}</p>" for text in others)
        + "".join(f"<p class=warning>{shown(text)}</p>" for text in report.warnings if text.startswith(CONCERNING))
        + f"<div class=wide>{_table(choice, report)}</div><p>{shown(choice_method(report))}</p>"
        + chart_html(quality_chart(choice, report.arms), "quality")
        + _answers(run)
        + "<h2>All figures, beside the baseline</h2>"
    )


def _table(choice: Choice, report: Report) -> str:
    """A line for each arm: where it stands, and its figures with their intervals. Narrow pages show it as a list."""
    labels = {name: shown(label) for name, label in table_columns(report.arms).items()}
    head = "".join(f"<th title='{shown(definition(name))}'>{label}" for name, label in labels.items())
    rows = ""
    for at, arm in enumerate(report.arms):
        stands = place(choice, arm.name)
        name = f"<i style='background:{PALETTE[at % len(PALETTE)]}'></i>{shown(arm.name)}"
        figures = "".join(f"<td data-label='{label}'>{cell(one, arm)}" for one, label in labels.items())
        good = " good" if stands == CHOSEN else ""
        rows += f"<tr><th>{name}<td class='place{good}'>{shown(stands)}{figures}"
    return f"<table class='many choice'><thead><tr><th>arm<th>stands{head}</thead><tbody>{rows}</tbody></table>"


def _answers(run: RunData) -> str:
    """The answers to prompts that not every arm got right, the first of each arm; nothing where all are right."""
    scorers = scorer_names(run)
    by_prompt: dict[int, list[Row]] = {}
    for arm in run.arms:
        seen: set[int] = set()
        for row in arm.measured:
            if row.prompt is not None and row.prompt not in seen:
                seen.add(row.prompt)
                by_prompt.setdefault(row.prompt, []).append(row)
    wrong = {prompt: rows for prompt, rows in by_prompt.items()
             if any((lowest(row, scorers) or 0.0) < 1.0 for row in rows)}
    if not wrong or not run.samples:
        return ""
    chosen = sorted(wrong, key=lambda prompt: -sum((lowest(row, scorers) or 0.0) < 1.0 for row in wrong[prompt]))
    parts = "".join(_prompt(run, prompt, wrong[prompt], scorers) for prompt in chosen[:MAX_PROMPTS])
    count = f"{len(wrong):,} of {len(by_prompt):,} prompts"
    shown_of = "" if len(wrong) <= MAX_PROMPTS else f", {MAX_PROMPTS} of them here, those that most arms miss first"
    return (f"<details class=answers><summary>Answers that missed a check: {count}{shown_of}</summary>"
            f"<div class=grid style='padding:0 1rem 1rem'>{parts}</div></details>")


def _prompt(run: RunData, prompt: int, rows: Sequence[Row], scorers: Sequence[str]) -> str:
    sample = run.samples[prompt]
    expected = "" if sample.expected is None else f"<p><small>expected</small> {_text(sample.expected)}</p>"
    answers = ""
    for row in rows:
        missed = [name for name in scorers if (row.scores.get(name) or 0.0) < 1.0] if row.ok else []
        verdict = "✓" if row.ok and not missed else f"✗ {', '.join(missed) or row.outcome}"
        answers += f"<p><small>{shown(row.arm)} {shown(verdict)}</small> {_text(row.answer or '')}</p>"
    return f"<section><h3>{_text(prompt_text(sample))}</h3>{expected}{answers}</section>"


def _text(given: object) -> str:
    """A prompt or an answer with its line breaks, cut short; anything else as JSON."""
    text = given if isinstance(given, str) else json_bytes(given).decode()
    return shown(text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…", lines=True)
