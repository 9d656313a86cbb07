"""`asyncrouter models`: the models of the configuration, and those that a provider lists."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from asyncrouter.sim import Act

if TYPE_CHECKING:
    from tests.helpers.commandline import Shell


def test_the_models_of_the_configuration(shell: Shell) -> None:
    """Entries and models of chains are listed once each, with window, prices, tasks and tiers."""
    done = shell.run("models")

    assert (done.status, done.err) == (0, "")
    _, first, second = done.out.splitlines()
    assert first == "a      sim       1,000   1e+06   2e+06    task default, task coding, tier standard"
    assert second == "b      sim       –       –       –        task default, task coding, tier budget"


def test_retired_models_have_their_successors(shell: Shell) -> None:
    """The date and the successor stand at the end of the line."""
    Path("asyncrouter.toml").unlink()

    lines = shell.run("models", "--tables", "classic").out.splitlines()

    [opus] = [line for line in lines if line.startswith("anthropic/claude-3-opus ")]
    assert opus.endswith("retired 2026-01-05: use anthropic/claude-opus-5.5")


def test_only_one_provider_s(shell: Shell) -> None:
    """--provider leaves out the others; an unknown name is an error."""
    idle = shell.run("models", "--provider", "groq")
    assert (idle.status, len(idle.out.splitlines())) == (0, 1)
    assert "no model of groq is an entry or in a chain; --remote asks what it serves" in idle.err
    done = shell.run("models", "--provider", "grok")
    assert done.status == 2
    assert "unknown provider 'grok'" in done.err


def test_what_the_provider_lists_now(shell: Shell) -> None:
    """--remote prints one id a line, for other programs to read."""
    for name in ("a", "vendor/b:free"):
        shell.world.model(name, Act())

    assert shell.run("models", "--remote") == (0, "a\nvendor/b:free\n", "")


def test_a_provider_that_does_not_answer(shell: Shell) -> None:
    """Status 1 and the reason."""
    shell.write('default_provider = "sim"\n[providers.sim]\nbase_url = "http://127.0.0.1:9/v1"\n')

    done = shell.run("models", "--remote")

    assert (done.status, done.out) == (1, "")
    assert "127.0.0.1:9 refused the connection" in done.err
