"""`asyncrouter local`: the small real model, by the same name as everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asyncrouter.local import __main__ as module

if TYPE_CHECKING:
    from commandline import Desk


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

    assert 1 == desk.run("local", *arguments).status
    assert [passed] == given


def test_a_key_on_the_command_line_is_refused(desk: Desk) -> None:
    """Usage errors are 2 here too, and the key is not repeated."""
    done = desk.run("local", "--key", "sk-secret")

    assert 2 == done.status
    assert "--key: expected env:NAME" in done.err
    assert "sk-secret" not in done.err
