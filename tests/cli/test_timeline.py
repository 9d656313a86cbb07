"""The drawing of a trace: exact, at any width, with or without colour."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from asyncrouter import Attempt, ConnectionFailed, NotSent, Trace, Usage
from asyncrouter.cli._timeline import draw, scale


def raced() -> Trace:
    """A refused connection, a request that was not sent, a silent model, and the hedge that answered."""
    return Trace("demo", 0.0, seconds=1.0, attempts=[
        Attempt(1, "dead", "p", "first", "failed", ConnectionFailed("h:1 refused"), queued=0.0, sent=0.0, ended=0.0),
        Attempt(2, "keyless", "p", "fallback", "not_sent", NotSent("K is not set"), queued=0.0, ended=0.0),
        Attempt(3, "silent", "p", "fallback", "superseded", sent=0.0, ended=0.75, cost_usd=0.5, cost_estimated=True),
        Attempt(4, "sound", "p", "hedge", "won", sent=0.5, first_content=0.75, ended=1.0, usage=Usage(16, 8)),
    ])


def drawn(trace: Trace, width: int, encoding: str = "utf-8", **options: object) -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    draw(trace, Console(file=file, width=width, highlight=False, markup=False, **options))  # type: ignore[arg-type]
    file.seek(0)
    return file.read().splitlines()


def test_a_race() -> None:
    """There is a bar for each attempt, its outcome in words below, and a line for the call."""
    assert drawn(raced(), 40) == [
        "             0 s          0.5          1",
        " 1  dead     ✗",
        "    first: failed after 0.00 s: h:1",
        "    refused",
        " 2  keyless  ○",
        "    fallback: not sent: K is not set",
        " 3  silent   ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌│",
        "    fallback: superseded after 0.75 s,",
        "    about $0.5",
        " 4  sound                 ╌╌╌╌╌╌╌━━━━━━✓",
        "    hedge: answered after 0.50 s, first",
        "    content after 0.25 s, 16 + 8 tokens",
        "sound answered after 1.00 s, 4 attempts,",
        "about $0.5",
    ]


def test_members_and_reasons() -> None:
    """An attempt at a pool names the member, a hedge or rescue says why it was started."""
    late = "pool: no content for 3.1 s; usual 0.6 s, 99.9 %: 1.2 s"
    trace = Trace(None, 0.0, seconds=4.0, attempts=[
        Attempt(1, "pool", "p", "first", "superseded", sent=0.0, ended=4.0, member="p:a"),
        Attempt(2, "pool", "q", "rescue", "won", sent=3.1, ended=4.0, member="q:a", why=late),
    ])

    assert drawn(trace, 120)[2::2] == [
        "    first at p:a: superseded after 4.00 s",
        f"    rescue at q:a: answered after 0.90 s; because {late}",
    ]


def test_an_ascii_terminal() -> None:
    """Bars are drawn with characters that every terminal has."""
    lines = drawn(raced(), 40, "ascii")

    assert [lines[6], lines[9]] == [" 3  silent   --------------------|", " 4  sound                 -------======*"]


@pytest.mark.parametrize("width", [60, 100, 180])
def test_a_wide_terminal_is_used(width: int) -> None:
    """The axis and the longest bar reach the last column, and a message is on one line where it fits."""
    lines = drawn(raced(), width)

    assert max(map(len, lines)) == width
    assert "    first: failed after 0.00 s: h:1 refused" in lines


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    """Text is folded, and bars are cut."""
    assert max(map(len, drawn(raced(), width))) <= width


def test_colour_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets colour, unless NO_COLOR is set."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32m" in "".join(drawn(raced(), 80, force_terminal=True, color_system="standard"))
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32m" not in "".join(drawn(raced(), 80, force_terminal=True, color_system="standard"))


def test_a_call_without_an_attempt() -> None:
    """There is only the line for the call."""
    assert drawn(Trace(None, 0.0, seconds=0.25), 80) == ["no answer after 0.25 s, 0 attempts, $0"]


def test_long_names_keep_their_ends() -> None:
    """The beginning is cut off first."""
    attempt = Attempt(1, "openrouter:vendor/model-7", "p", "first", "won", ended=1.0)
    trace = Trace(None, 0.0, seconds=1.0, attempts=[attempt])

    assert drawn(trace, 45)[1].startswith(" 1  …vendor/model-7")


def test_a_provider_s_message_cannot_move_the_cursor() -> None:
    """Its control characters are shown as escapes."""
    trace = raced()
    trace.attempts[0].error = ConnectionFailed("no\x1b[2J\x07pe")

    assert drawn(trace, 80)[2] == r"    first: failed after 0.00 s: no\x1b[2J\x07pe"


@pytest.mark.parametrize(
    ("total", "cells", "axis"),
    [
        (1.0, 20, "0 s       0.5      1"),
        (1.3, 60, "0 s      0.2      0.4      0.6      0.8       1        1.2"),
        (30.0, 30, "0 s       10        20"),
        (0.004, 40, "0 s       0.001     0.002     0.003"),
    ],
)
def test_the_axis_has_round_seconds(total: float, cells: int, axis: str) -> None:
    """Labels are steps of 1, 2 or 5, at least eight columns apart."""
    assert scale(total, cells) == axis
