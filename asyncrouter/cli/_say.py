"""What a command says: the answer on standard output, a message on standard error, both safe to show."""

from __future__ import annotations

import os
import re
import sys

import click

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def safe(text: str) -> str:
    """`text` without control characters: what a model or a provider says must not move the cursor or ring."""
    return _CONTROL.sub("", text)


def tell(message: str, *, cure: str | None = None, style: str = "red") -> None:
    """One message on standard error, and what helps."""
    told = f"{click.style('asyncrouter', fg=style)}: {safe(message)}"
    if cure is not None:
        told += f"\n  {click.style(cure, dim=True)}"
    click.echo(told, err=True, color=False if os.environ.get("NO_COLOR") else None)


def write(text: str) -> None:
    """Text on standard output at once: as it is into a pipe, made safe for a terminal."""
    sys.stdout.write(safe(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()
