"""Draws a trace: a bar for each attempt over the seconds of the call, with its outcome and its cost below."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from asyncrouter import visible
from asyncrouter.cli._format import count, dollars

if TYPE_CHECKING:
    from rich.console import Console

    from asyncrouter import Attempt, Trace

_MIN_BAR = 8
"""Columns of a bar at least: with fewer, a start and an end cannot be told apart."""


class Glyphs(NamedTuple):
    """The characters of a bar: before the first content, after it, and at the end for each outcome."""

    silent: str
    answering: str
    ends: dict[str | None, str]


_FINE = Glyphs("╌", "━", {"won": "✓", "failed": "✗", "not_accepted": "≠", "not_sent": "○"})
_PLAIN = Glyphs("-", "=", {"won": "*", "failed": "x", "not_accepted": "!", "not_sent": "o"})
_OTHER_ENDS = "│", "|"
"""The end of a bar with any other outcome, for both sets of characters."""

_STYLES = {
    "won": "green", "failed": "red", "not_accepted": "magenta", "superseded": "yellow", "cancelled": "yellow",
    "not_sent": "dim",
}
_OUTCOMES = {
    "won": "answered", "failed": "failed", "not_accepted": "not accepted", "superseded": "superseded",
    "cancelled": "cancelled", "not_sent": "not sent", None: "unfinished",
}


def draw(trace: Trace, console: Console) -> None:
    """Draw a trace on a console, as wide as it is."""
    width = console.width
    glyphs, other_end = (_PLAIN, _OTHER_ENDS[1]) if console.options.ascii_only else (_FINE, _OTHER_ENDS[0])
    names = min(max((len(visible(attempt.model)) for attempt in trace.attempts), default=0), width // 3)
    bar = max(width - names - 6, _MIN_BAR)
    total = max([trace.seconds, *(attempt.ended or 0.0 for attempt in trace.attempts)]) or 1e-3
    if trace.attempts:
        console.print(Text(" " * (names + 6) + scale(total, bar), "dim"), no_wrap=True, overflow="crop")
    for attempt in trace.attempts:
        line = Text(f"{attempt.number:>2}  ")
        line.append(_shortened(visible(attempt.model), names).ljust(names + 2), "bold")
        line.append_text(_bar(attempt, total, bar, glyphs, other_end))
        line.rstrip()
        console.print(line, no_wrap=True, overflow="crop")
        _print(console, Text(_description(attempt), "dim"), width, indent=4)
    _print(console, _summary(trace), width)


def _print(console: Console, text: Text, width: int, indent: int = 0) -> None:
    """Print text folded between words, every line indented, without trailing blanks."""
    for line in text.wrap(console, width - indent):
        line.rstrip()
        console.print(Text(" " * indent) + line)


def scale(total: float, cells: int) -> str:
    """An axis of `total` seconds over so many columns: a label at 0 and at round numbers of seconds."""
    step = _round_step(total * 8 / cells)
    columns = [" "] * cells
    for index in range(int(total / step) + 1):
        label = f"{index * step:g}" + (" s" if index == 0 else "")
        at = _cell(index * step, total, cells)
        if at + len(label) <= cells:
            columns[at : at + len(label)] = label
    return "".join(columns).rstrip()


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20 … (and of their tenths, hundredths …) that is at least `least`."""
    unit = 10.0 ** math.floor(math.log10(least))
    return round(next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= least * 0.999), 12)


def _cell(at: float, total: float, cells: int) -> int:
    return min(int(at / total * cells), cells - 1)


def _bar(attempt: Attempt, total: float, cells: int, glyphs: Glyphs, other_end: str) -> Text:
    """The bar of an attempt: from sending to the first content, then its content, then the sign of its outcome."""
    style = _STYLES.get(attempt.outcome or "", "dim")
    began, ended = _span(attempt, total)
    first, last = _cell(began, total, cells), _cell(ended, total, cells)
    content = last if attempt.first_content is None else max(first, _cell(attempt.first_content, total, cells))
    bar = Text(" " * first)
    bar.append(glyphs.silent * (content - first), "dim")
    bar.append(glyphs.answering * (last - content), style)
    bar.append(glyphs.ends.get(attempt.outcome, other_end), style)
    return bar


def _span(attempt: Attempt, total: float) -> tuple[float, float]:
    ended = total if attempt.ended is None else attempt.ended
    began = next((at for at in (attempt.sent, attempt.queued) if at is not None), ended)
    return began, ended


def _description(attempt: Attempt) -> str:
    began, ended = _span(attempt, attempt.ended or 0.0)
    outcome = _OUTCOMES[attempt.outcome]
    if attempt.outcome != "not_sent":
        outcome += f" after {ended - began:.2f} s"
    at = "" if attempt.member is None else f" at {visible(attempt.member)}"
    parts = [f"{attempt.cause}{at}: {outcome}"]
    if attempt.first_content is not None:
        parts.append(f"first content after {attempt.first_content - began:.2f} s")
    if attempt.usage is not None:
        parts.append(f"{attempt.usage.input_tokens} + {attempt.usage.output_tokens} tokens")
    if attempt.cost_usd != 0.0:
        parts.append(dollars(attempt.cost_usd, estimated=attempt.cost_estimated))
    text = ", ".join(parts) + (f"; because {visible(attempt.why)}" if attempt.why else "")
    return text if attempt.error is None else f"{text}: {visible(attempt.error.message)}"


def _summary(trace: Trace) -> Text:
    winner = next((attempt.model for attempt in trace.attempts if attempt.outcome == "won"), None)
    result, style = ("no answer", "red") if winner is None else (f"{visible(winner)} answered", "green")
    paid = dollars(trace.cost_usd, estimated=trace.cost_estimated)
    return Text.assemble(
        (result, f"bold {style}"), f" after {trace.seconds:.2f} s, {count(len(trace.attempts), 'attempt')}, {paid}"
    )


def _shortened(name: str, cells: int) -> str:
    """The end of a long name: it says more than the beginning, which is the provider."""
    return name if len(name) <= cells else f"…{name[-(cells - 1) :]}"
