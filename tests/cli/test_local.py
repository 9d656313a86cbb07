"""`asyncrouter local`: the small real model, by the same name as everything else."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from asyncrouter.local import __main__ as module
from tests.helpers.planted import KEY

if TYPE_CHECKING:
    from tests.helpers.commandline import Desk


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
def test_it_is_the_module_s_own_command(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, arguments: list[str], passed: list[str]
) -> None:
    """What `python -m asyncrouter.local` would be given; its status is ours."""
    given: list[list[str]] = []

    def main(arguments: list[str]) -> int:
        given.append(arguments)
        return 1

    monkeypatch.setattr(module, "main", main)

    assert desk.run("local", *arguments).status == 1
    assert [passed] == given


def test_a_key_on_the_command_line_is_refused(desk: Desk) -> None:
    """Usage errors are 2 here too, and the key is not repeated."""
    done = desk.run("local", "--key", KEY)

    assert done.status == 2
    assert "--key: expected env:NAME" in done.err
    assert KEY not in done.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--port", "99999"], "port must be from 0 to 65535, got 99999"),
        (["--serve", "Hello"], "--serve asks nothing: leave it out, or the prompt"),
        ([" "], "PROMPT is empty"),
    ],
)
def test_what_cannot_be_used_is_told_as_everywhere(desk: Desk, arguments: list[str], told: str) -> None:
    """One line with our name before it, status 2, nothing started."""
    assert desk.run("local", *arguments) == (2, "", f"asyncrouter: {told}\n")


def test_a_port_in_use(desk: Desk) -> None:
    """One line instead of what llama.cpp has to say."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert desk.run("local", "--serve", "--port", str(port)) == (2, "", f"asyncrouter: port {port} is in use\n")
