"""The commands there are, found without importing any of them, and how a command ends: its exit status."""

from __future__ import annotations

import importlib
import io
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from asyncrouter.cli._endings import ended

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "chat": "Ask, and print the answer.",
    "batch": "Answer a file of prompts; none lost, none paid twice.",
    "explain": "Show what a call would do; nothing is sent.",
    "models": "List the models known here, or those a provider lists now.",
    "check": "Look the configuration over: keys, ids, retired models, calls.",
    "bench": "Measure chains beside one another, and replay recorded calls.",
    "local": "Run a small real model on this machine.",
    "demo": "Watch a chain survive: no key, no account, no network.",
}
"""Each is a module here with a `command`; the line is its help's first."""


class CommandLine(click.Group):
    """A group whose commands are imported when they are used, and whose failures become a line and a status."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"asyncrouter.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What each does, without importing it."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> NoReturn:
        """Run a command, and exit with its status."""
        _replace_what_cannot_be_encoded()
        ctx.exit(ended(lambda: super(CommandLine, self).invoke(ctx)))


@click.group(
    cls=CommandLine,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Exit status: 0 answered, 1 all models failed, 2 usage or configuration, 130 interrupted.

\b
Completion in your shell (bash; also zsh_source, fish_source):
  eval "$(_ASYNCROUTER_COMPLETE=bash_source asyncrouter)"
""",
)
@click.version_option(package_name="asyncrouter", message="%(prog)s %(version)s")
def app() -> None:
    """Ask the best language model that answers in time: chains, hedges, and a trace of why.

    The configuration is --config, else the file that $ASYNCROUTER_CONFIG names, else ./asyncrouter.toml, else the
    built-in tables, which go through OpenRouter and need OPENROUTER_API_KEY.

    \b
    Begin with:
      asyncrouter demo
      asyncrouter chat "Write a haiku about fallbacks." --task creative
    """


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line (`None`: with this process's arguments); always ends in `SystemExit` with its status."""
    # A command ends inside; this is for a help that cannot be written.
    sys.exit(ended(lambda: app.main(arguments, prog_name="asyncrouter", complete_var="_ASYNCROUTER_COMPLETE")))


def _replace_what_cannot_be_encoded() -> None:
    """An answer in letters that the terminal's encoding lacks is printed with question marks, not lost."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
