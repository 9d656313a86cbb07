"""`asyncrouter local`: the small real model as a subcommand."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from asyncrouter.local import __main__ as module
from tests.helpers.planted import KEY

if TYPE_CHECKING:
    from tests.helpers.commandline import Shell


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        ([], []),
        (["Hello"], ["--", "Hello"]),
        (["--", "--serve"], ["--", "--serve"]),
        (["--serve", "--port", "8080", "--slots", "2", "--context", "512", "--key", "env:K"],
         ["--port=8080", "--slots=2", "--context=512", "--key=env:K", "--serve"]),
    ],
)
def test_arguments_are_passed_to_the_module(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, arguments: list[str], passed: list[str]
) -> None:
    """`python -m asyncrouter.local` gets the same arguments, and its status is returned."""
    given: list[list[str]] = []

    def main(arguments: list[str], describe: object) -> int:
        assert describe is None
        given.append(arguments)
        return 1

    monkeypatch.setattr(module, "main", main)

    assert shell.run("local", *arguments).status == 1
    assert given == [passed]


def test_a_key_on_the_command_line_is_refused(shell: Shell) -> None:
    """It is a usage error that does not repeat the key."""
    done = shell.run("local", "--key", KEY)

    assert done.status == 2
    assert "--key: expected env:NAME" in done.err
    assert KEY not in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "99999"], "port must be from 0 to 65535, got 99999"),
        (["--serve", "Hello"], "--serve asks nothing: leave it out, or the prompt"),
        ([" "], "PROMPT is empty"),
    ],
)
def test_a_wrong_argument_is_one_line(shell: Shell, arguments: list[str], message: str) -> None:
    """Status 2, and nothing is started."""
    assert shell.run("local", *arguments) == (2, "", f"asyncrouter: {message}\n")


def test_a_port_in_use(shell: Shell) -> None:
    """It is one line instead of the output of llama.cpp."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert shell.run("local", "--serve", "--port", str(port)) == (2, "", f"asyncrouter: port {port} is in use\n")
