"""The two places a command writes to: what they can show, and text that is safe to show there."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_UNBOUNDED = 10_000


class Screen(Console):
    """A console that leaves it to us how a command ends whose reader has gone."""

    def on_broken_pipe(self) -> None:
        """Called while the `BrokenPipeError` is being handled: pass it on."""
        raise  # noqa: PLE0704  -- see above


def screen(*, stderr: bool = False, width: int | None = None) -> Screen:
    """Standard output, or standard error, as it is now. Colour follows the terminal and NO_COLOR."""
    return Screen(stderr=stderr, width=width, highlight=False, emoji=False, markup=False)


def safe(text: str) -> str:
    """`text` without control characters: what a model or a provider says must not move the cursor or ring."""
    return _CONTROL.sub("", text)


def tell(message: str, *, cure: str | None = None, style: str = "red") -> None:
    """One message on standard error, and what helps."""
    told = Text.assemble(("asyncrouter", style), ": ", safe(message))
    if cure is not None:
        told.append(f"\n  {cure}", "dim")
    screen(stderr=True).print(told, soft_wrap=True)


def write(text: str) -> None:
    """Text on standard output at once: as it is into a pipe, made safe for a terminal."""
    sys.stdout.write(safe(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


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
