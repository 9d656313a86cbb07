"""The command group `asyncrouter`: its commands, found without importing them, and its exit status."""

from __future__ import annotations

import importlib
import io
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from asyncrouter.cli._exit import run_command

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "chat": "Send a prompt and print the answer.",
    "batch": "Answer a file of prompts; finished rows are never asked again.",
    "explain": "Show what a call would do, without sending anything.",
    "serve": "Serve OpenAI's HTTP API, answered by chains.",
    "models": "List the models of the configuration, or those a provider lists now.",
    "check": "Check the configuration: keys, model ids, retired models, calls.",
    "bench": "Compare chains by measurement, and estimate from recorded calls.",
    "local": "Run a small real model on this machine.",
    "demo": "Watch a chain survive two failures: no key, no account, no network.",
}
"""The commands, in the order in which a newcomer meets them, with their line in the help. Each is the attribute
`command` of the module of that name."""


class CommandLine(click.Group):
    """A group that imports a command when it is used, and turns its failure into a message and an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; `None` for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"asyncrouter.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments before the name of the command. An option that belongs to a command is an error there."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            place = f"{ctx.command_path} COMMAND {error.option_name}"
            message = f"{error.message} A command's options stand behind its name: {place}"
            raise click.NoSuchOption(error.option_name, message, error.possibilities, ctx) from None

    def invoke(self, ctx: click.Context) -> NoReturn:
        """Run a command, and exit with its status."""
        _replace_unencodable_characters()
        ctx.exit(run_command(lambda: super(CommandLine, self).invoke(ctx)))


@click.group(
    cls=CommandLine,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog="""\b
Exit status: 0 done, 1 no model answered, 2 wrong usage or configuration, 130 interrupted.

\b
Completion in your shell (bash; also zsh_source, fish_source):
  eval "$(_ASYNCROUTER_COMPLETE=bash_source asyncrouter)"
""",
)
@click.version_option(package_name="asyncrouter", message="%(prog)s %(version)s")
def app() -> None:
    """Run chains of language models: the first complete answer wins, with a trace of every attempt.

    The configuration is the file of --config (behind the command's name), else of $ASYNCROUTER_CONFIG, else
    ./asyncrouter.toml, else the built-in tasks and tiers, which go through OpenRouter and need OPENROUTER_API_KEY.

    \b
    Begin with:
      asyncrouter demo
      asyncrouter chat "Write a haiku about fallbacks." --task creative
    """


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line (`None`: with this process's arguments); always raises `SystemExit` with the status."""
    # A command ends inside; this is for a help that cannot be written.
    sys.exit(run_command(lambda: app.main(arguments, prog_name="asyncrouter", complete_var="_ASYNCROUTER_COMPLETE")))


def _replace_unencodable_characters() -> None:
    """Print a question mark for what the terminal's encoding lacks, instead of losing the answer."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
