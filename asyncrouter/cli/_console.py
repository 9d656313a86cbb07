"""rich's console and tables, set up for terminals and pipes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from asyncrouter import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.text import Text

_PIPE_WIDTH = 10_000
"""Columns of a table that goes into a pipe: so many that no line is folded."""


class _PipeConsole(Console):
    """A console that raises `BrokenPipeError`; rich would exit, with a status of its own."""

    def on_broken_pipe(self) -> None:
        """Called while the `BrokenPipeError` is being handled: raise it again."""
        raise


def make_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console on standard output or standard error; `width` in columns, `None`: the terminal's.

    Colour follows the terminal and NO_COLOR.
    """
    return _PipeConsole(stderr=stderr, width=width, highlight=False, emoji=False, markup=False)


def write_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Write a table to standard output: folded to the width of a terminal, one line for each row into a pipe."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(visible(column), overflow="fold")
    for row in rows:
        table.add_row(*(visible(cell) if isinstance(cell, str) else cell for cell in row))
    console = make_console()
    if console.is_terminal:
        console.print(table)
        return
    wide = make_console(width=_PIPE_WIDTH)
    with wide.capture() as captured:
        wide.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
