"""`python -m asyncrouter.sim`: its help and its usage errors."""

from __future__ import annotations

import socket
import tomllib
from textwrap import dedent

import pytest

from asyncrouter import Router
from asyncrouter.sim.__main__ import MODELS, main


def test_a_port_in_use_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert main(["--port", str(port)]) == 2

    assert capsys.readouterr().err == f"python -m asyncrouter.sim: port {port} is in use\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "late"], "--model late: expected NAME=JSON"),
        (["--model", '={"tokens": 1}'], "expected NAME=JSON"),
        (["--model", "late=3"], "--model late=3: expected a JSON object, got 3"),
        (["--port", "99999"], "--port: must be from 0 to 65535, got 99999"),
    ],
)
def test_a_wrong_argument_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """The message has the option and what was expected."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_its_help_has_the_models_and_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    """It lists every built-in model, and a router takes the TOML that it prints."""
    with pytest.raises(SystemExit):
        main(["--help"])
    helped = capsys.readouterr().out

    assert all(f"{name}  {what}" in helped for name, (what, _) in MODELS.items())
    config = tomllib.loads(dedent(helped[helped.index("  [providers.sim]") :]))
    assert [step.model for step in Router(config).explain().steps] == ["sim:flaky", "sim:fast"]
