"""Pictures and tables: the only module that knows what a screen can show."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.text import Text

_UNBOUNDED = 10_000


class Screen(Console):
    """A console that leaves it to us how a command ends whose reader has gone."""

    def on_broken_pipe(self) -> None:
        """Called while the `BrokenPipeError` is being handled: pass it on."""
        raise


def screen(*, stderr: bool = False, width: int | None = None) -> Screen:
    """Standard output, or standard error, as it is now. Colour follows the terminal and NO_COLOR."""
    return Screen(stderr=stderr, width=width, highlight=False, emoji=False, markup=False)


def write_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """A table on standard output: folded to a terminal's width, a line for each row into a pipe."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    terminal = screen()
    if terminal.is_terminal:
        terminal.print(table)
        return
    wide = screen(width=_UNBOUNDED)
    with wide.capture() as captured:
        wide.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
