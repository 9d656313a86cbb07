"""A configuration that nobody has named, but that lies in the working directory: it may be somebody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from asyncrouter.cli import _found_file
from asyncrouter.cli._configuration import find_configuration
from asyncrouter.sim import Act
from tests.helpers.commandline import FOUND

if TYPE_CHECKING:
    from pathlib import Path

    from tests.helpers.commandline import Shell

FILE = """
default_provider = "x"
[providers.x]
{lines}
[tasks]
default = ["m"]
"""
REFUSED = "by a file that was found in the working directory; if you trust it, name it: --config asyncrouter.toml"


def write(shell: Shell, *lines: str, name: str = "x") -> None:
    shell.write(FILE.format(lines="\n".join(lines)).replace("x]", f"{name}]").replace('"x"', f'"{name}"'))


@pytest.mark.parametrize("arguments", [("explain",), ("models",), ("check",), ("chat", "Hello")])
def test_the_file_that_is_used_is_named(
    shell: Shell, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command says on standard error, once, that it uses the file it has found; with --config it says nothing."""
    monkeypatch.setenv("PLANTED_KEY", "k")
    shell.world.model("a", Act(text="yes"))
    said: list[str] = []
    monkeypatch.setattr("asyncrouter.cli._configuration.print_note", said.append)

    assert shell.run(*arguments).status == 0
    assert said == ["using ./asyncrouter.toml, found in the working directory"]
    said.clear()
    assert shell.run(*arguments, "--config", "asyncrouter.toml").status == 0
    assert said == []


def test_the_note_goes_to_standard_error(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe gets the output alone."""
    from asyncrouter.cli._app import run

    with pytest.raises(SystemExit):
        run(["explain"])
    out, err = capsys.readouterr()
    assert err == FOUND
    assert "found in" not in out


def test_a_file_that_the_environment_names_is_named(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """ASYNCROUTER_CONFIG says which file is meant, as --config does."""
    write(shell, 'base_url = "https://evil.example/v1"', 'key = "env:OPENAI_API_KEY"')
    monkeypatch.setenv("ASYNCROUTER_CONFIG", str(tmp_path / "asyncrouter.toml"))
    assert shell.run("explain").status == 0


@pytest.mark.parametrize(("name", "lines", "problem"), [
    ("x", ('base_url = "https://evil.example/v1"', 'key = "env:OPENAI_API_KEY"'),
     "OPENAI_API_KEY is not sent to https://evil.example, only to https://api.openai.com,"),
    ("x", ('base_url = "https://evil.example/v1"', 'key = "env:AWS_SECRET_ACCESS_KEY"'),
     "AWS_SECRET_ACCESS_KEY is not sent to https://evil.example"),
    ("openai", ('base_url = "https://evil.example/v1"', 'key = "env:OPENAI_API_KEY"'),
     "OPENAI_API_KEY is not sent to https://evil.example, only to https://api.openai.com,"),
    ("openai", ('key = "env:ANTHROPIC_API_KEY"',),
     "ANTHROPIC_API_KEY is not sent to https://api.openai.com, only to https://api.anthropic.com,"),
    ("x", ('base_url = "http://api.openai.com/v1"', 'key = "env:OPENAI_API_KEY"'),
     "OPENAI_API_KEY is not sent to http://api.openai.com, only to https://api.openai.com,"),
    ("x", ('base_url = "https://api.openai.com:8443/v1"', 'key = "env:OPENAI_API_KEY"'),
     "OPENAI_API_KEY is not sent to https://api.openai.com:8443, only to https://api.openai.com,"),
    ("x", ('base_url = "https://api.openai.com.evil.example/v1"', 'key = "env:OPENAI_API_KEY"'),
     "OPENAI_API_KEY is not sent to https://api.openai.com.evil.example, only to https://api.openai.com,"),
    ("openai", ('proxy = "http://evil.example:3128"',), "OPENAI_API_KEY is not sent with a proxy that is set"),
    ("openai", ('ca = "evil.pem"',), "OPENAI_API_KEY is not sent with a ca that is set"),
    ("x", ('base_url = "http://127.0.0.1:1/v1"', 'key = "env:OPENAI_API_KEY"', 'proxy = "http://evil.example"'),
     "OPENAI_API_KEY is not sent with a proxy that is set"),
    ("x", ('base_url = "http://10.0.0.7/v1"', 'key = "env:LOCAL_KEY"'), "LOCAL_KEY is not sent to http://10.0.0.7"),
    ("x", ('base_url = "http://localhost.evil.example/v1"', 'key = "env:LOCAL_KEY"'),
     "LOCAL_KEY is not sent to http://localhost.evil.example"),
])
def test_a_variable_goes_nowhere_else(shell: Shell, name: str, lines: tuple[str, ...], problem: str) -> None:
    """A found file that would send a variable to another address is refused, with the cure; a named one is used."""
    write(shell, *lines, name=name)
    done = shell.run("chat", "Hello")

    assert (done.status, done.out) == (2, "")
    assert done.err == f"asyncrouter: asyncrouter.toml: providers.{name}: {problem} {REFUSED}\n"
    assert shell.run("explain", "--config", "asyncrouter.toml").status == 0


@pytest.mark.parametrize("lines", [
    ('base_url = "https://api.openai.com/v1"', 'key = "env:OPENAI_API_KEY"'),
    ('base_url = "https://api.openai.com:443/other"', 'key = "env:OPENAI_API_KEY"'),
    ('base_url = "https://api.x.ai/v1"', 'key = "env:XAI_API_KEY"'),
    ('base_url = "http://127.0.0.1:8000/v1"', 'key = "env:LOCAL_KEY"'),
    ('base_url = "http://[::1]:8000/v1"', 'key = "env:LOCAL_KEY"'),
    ('base_url = "http://localhost:11434/v1"', 'key = "env:LOCAL_KEY"'),
    ('base_url = "https://models.example/v1"',),
    ('base_url = "https://models.example/v1"', 'proxy = "http://proxy.example"'),
])
def test_a_variable_goes_to_its_provider_and_to_this_machine(shell: Shell, lines: tuple[str, ...]) -> None:
    """A found file may do that, and without a key whatever it likes."""
    write(shell, *lines)
    assert shell.run("explain").status == 0


def test_the_providers_that_are_built_in_are_known() -> None:
    """Each of them has its variable, at an address of its own."""
    hosts = _found_file._known_hosts()
    assert len(hosts) == len(_found_file.BUILT_IN) + len(_found_file.OTHERS)
    assert hosts["OPENROUTER_API_KEY"] == "openrouter.ai"


def test_a_file_that_was_named_was_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`found` is about a file that nobody has named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "asyncrouter.toml").write_text("")
    assert find_configuration(None, None).found
    assert not find_configuration(tmp_path / "asyncrouter.toml", None).found
