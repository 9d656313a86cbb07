"""A trace as a picture: a bar for each attempt over the seconds of the call, what became of it, what it cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from asyncrouter.cli._say import safe
from asyncrouter.cli._words import count, dollars

if TYPE_CHECKING:
    from rich.console import Console

    from asyncrouter import Attempt, Trace

_WIDEST = 100
"""Columns after which a picture is not easier to read for being wider."""
_LEAST_BAR = 8


class Glyphs(NamedTuple):
    """What a bar is drawn with: silence, an answer coming, and an end for each outcome."""

    silent: str
    answering: str
    ends: dict[str | None, str]


_FINE = Glyphs("╌", "━", {"won": "✓", "failed": "✗", "not_accepted": "≠", "not_sent": "○"})
_PLAIN = Glyphs("-", "=", {"won": "*", "failed": "x", "not_accepted": "!", "not_sent": "o"})
_CUT = "│", "|"

_STYLES = {
    "won": "green", "failed": "red", "not_accepted": "magenta", "superseded": "yellow", "cancelled": "yellow",
    "not_sent": "dim",
}
_SAID = {
    "won": "answered", "failed": "failed", "not_accepted": "not accepted", "superseded": "overtaken",
    "cancelled": "cancelled", "not_sent": "not sent", None: "left",
}


def draw(trace: Trace, console: Console) -> None:
    """Draw it on a console, as wide as that is."""
    width = min(console.width, _WIDEST)
    glyphs, cut = (_PLAIN, _CUT[1]) if console.options.ascii_only else (_FINE, _CUT[0])
    names = min(max((len(attempt.model) for attempt in trace.attempts), default=0), width // 3)
    bar = max(width - names - 6, _LEAST_BAR)
    total = max([trace.seconds, *(attempt.ended or 0.0 for attempt in trace.attempts)]) or 1e-3
    if trace.attempts:
        console.print(Text(" " * (names + 6) + scale(total, bar), "dim"), no_wrap=True, overflow="crop")
    for attempt in trace.attempts:
        line = Text(f"{attempt.number:>2}  ")
        line.append(_shortened(safe(attempt.model), names).ljust(names + 2), "bold")
        line.append_text(_bar(attempt, total, bar, glyphs, cut))
        line.rstrip()
        console.print(line, no_wrap=True, overflow="crop")
        _print(console, Text(_told(attempt), "dim"), width, indent=4)
    _print(console, _summary(trace), width)


def _print(console: Console, text: Text, width: int, indent: int = 0) -> None:
    """Folded between words, every line as far in as the first, and no blanks behind them for a pipe to keep."""
    for line in text.wrap(console, width - indent):
        line.rstrip()
        console.print(Text(" " * indent) + line)


def scale(total: float, cells: int) -> str:
    """An axis for `total` seconds over so many characters: a mark at 0 and at round seconds."""
    step = _round_step(total * 8 / cells)
    marks = [" "] * cells
    for index in range(int(total / step) + 1):
        said = f"{index * step:g}" + (" s" if index == 0 else "")
        at = _cell(index * step, total, cells)
        if at + len(said) <= cells:
            marks[at : at + len(said)] = said
    return "".join(marks).rstrip()


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20 … (or of their tenths …) that is at least `least`."""
    unit = 10.0 ** math.floor(math.log10(least))
    return round(next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= least * 0.999), 12)


def _cell(at: float, total: float, cells: int) -> int:
    return min(int(at / total * cells), cells - 1)


def _bar(attempt: Attempt, total: float, cells: int, glyphs: Glyphs, cut: str) -> Text:
    """Silence from its sending to the first content, then the answer, then the sign of its end."""
    style = _STYLES.get(attempt.outcome or "", "dim")
    began, ended = _span(attempt, total)
    first, last = _cell(began, total, cells), _cell(ended, total, cells)
    content = last if attempt.first_content is None else max(first, _cell(attempt.first_content, total, cells))
    bar = Text(" " * first)
    bar.append(glyphs.silent * (content - first), "dim")
    bar.append(glyphs.answering * (last - content), style)
    bar.append(glyphs.ends.get(attempt.outcome, cut), style)
    return bar


def _span(attempt: Attempt, total: float) -> tuple[float, float]:
    ended = total if attempt.ended is None else attempt.ended
    began = next((at for at in (attempt.sent, attempt.queued) if at is not None), ended)
    return began, ended


def _told(attempt: Attempt) -> str:
    began, ended = _span(attempt, attempt.ended or 0.0)
    said = _SAID[attempt.outcome]
    if attempt.outcome != "not_sent":
        said += f" after {ended - began:.2f} s"
    words = [f"{attempt.cause}: {said}"]
    if attempt.first_content is not None:
        words.append(f"first content after {attempt.first_content - began:.2f} s")
    if attempt.usage is not None:
        words.append(f"{attempt.usage.input_tokens} + {attempt.usage.output_tokens} tokens")
    if attempt.cost_usd != 0.0:
        words.append(dollars(attempt.cost_usd, estimated=attempt.cost_estimated))
    told = ", ".join(words)
    return told if attempt.error is None else f"{told}: {safe(attempt.error.message)}"


def _summary(trace: Trace) -> Text:
    winner = next((attempt.model for attempt in trace.attempts if attempt.outcome == "won"), None)
    ended, style = ("no answer", "red") if winner is None else (f"{safe(winner)} answered", "green")
    paid = dollars(trace.cost_usd, estimated=trace.cost_estimated)
    return Text.assemble(
        (ended, f"bold {style}"), f" after {trace.seconds:.2f} s, {count(len(trace.attempts), 'attempt')}, {paid}"
    )


def _shortened(name: str, cells: int) -> str:
    """The end of a long name tells more than its beginning."""
    return name if len(name) <= cells else f"…{name[-(cells - 1) :]}"
