"""Output of commands: answers on standard output, messages on standard error.

What a model or a provider sends must not control the terminal, nor pretend to be something else. In messages, tables
and progress nothing is hidden: control characters and marks of direction are written as escapes. An answer is text for
a reader, in which marks of direction may be right: to a terminal it goes without control characters, into a pipe as it
is.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys

import click

from asyncrouter import visible

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters but tab and newline."""


def printable(text: str) -> str:
    """An answer without control characters."""
    return _CONTROL.sub("", text)


def print_error(message: str, *, hint: str | None = None) -> None:
    """Print an error on standard error, and below it what to do about it."""
    _print(message, "red", hint)


def print_warning(message: str) -> None:
    """Print a warning, or a note on how a command goes, on standard error."""
    _print(message, "yellow", None)


def print_note(message: str) -> None:
    """Print what a reader may want to know, and need not act on, on standard error."""
    _echo(f"{click.style('asyncrouter', dim=True)}: {visible(message)}")


def write(text: str) -> None:
    """Write text to standard output at once: unchanged into a pipe, without control characters to a terminal."""
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def _print(message: str, colour: str, hint: str | None) -> None:
    text = f"{click.style('asyncrouter', fg=colour)}: {visible(message, lines=True)}"
    if hint is not None:
        text += f"\n  {click.style(visible(hint, lines=True), dim=True)}"
    _echo(text)


def _echo(text: str) -> None:
    with contextlib.suppress(OSError):  # where standard error cannot be written, nobody can be told
        click.echo(text, err=True, color=False if os.environ.get("NO_COLOR") else None)
