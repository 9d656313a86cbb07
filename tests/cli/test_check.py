"""`asyncrouter check`: keys, model ids, retired models, calls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from asyncrouter.sim import Act
from tests.helpers.planted import KEY

if TYPE_CHECKING:
    import pytest

    from tests.helpers.commandline import Shell

CHEAP = """
default_provider = "sim"
[providers.sim]
base_url = "{base_url}"
[models]
dear = {{ provider = "sim", id = "d", usd_per_mtok = {{ input = 2.0, output = 2.0 }} }}
cheap = {{ provider = "sim", id = "c", usd_per_mtok = {{ input = 1.0, output = 1.0 }} }}
unpriced = {{ provider = "sim", id = "u" }}
"""


def test_a_usable_configuration(shell: Shell) -> None:
    """It prints what was read and a line for each provider and model; status 0, and nothing is sent."""
    done = shell.run("check")

    assert (done.status, done.err) == (0, "")
    assert "asyncrouter.toml: 2 tasks, 2 tiers, 2 models\n" in done.out
    lines = [line.split() for line in done.out.splitlines()]
    assert ["ok", "sim", shell.base_url, "PLANTED_KEY", "is", "set"] in lines
    assert ["ok", "a", "task", "default,", "task", "coding,", "tier", "standard"] in lines
    assert "warn  b      window and price unknown: set context and usd_per_mtok under [models]" in done.out
    assert not shell.world.seen


def test_keys_are_checked_and_never_shown(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing key is an error and status 2; of one that is set, only that it is set is printed."""
    Path("asyncrouter.toml").unlink()

    done = shell.run("check")
    assert done.status == 2
    assert "error  openrouter  https://openrouter.ai/api/v1  OPENROUTER_API_KEY is not set" in done.out

    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    done = shell.run("check")
    assert done.status == 0
    assert "ok  openrouter  https://openrouter.ai/api/v1  OPENROUTER_API_KEY is set" in done.out
    assert "0123456789" not in done.out


def test_retired_ids_come_with_their_successors(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A retired model is a warning with its date and its successor."""
    Path("asyncrouter.toml").unlink()
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)

    done = shell.run("check", "--tables", "classic")

    assert done.status == 0
    warnings = {line.split()[1]: line for line in done.out.splitlines() if line.startswith("warn")}
    assert len(warnings) == 8
    assert warnings["openai/gpt-4-turbo"].endswith("  retired 2026-10-23: use openai/gpt-6.1-sol")
    assert warnings["deepseek/deepseek-coder"].endswith("  superseded: use deepseek/deepseek-v4-flash")


def test_one_cheap_call_a_provider(shell: Shell) -> None:
    """--call asks the cheapest model of a provider for a few tokens, and prints seconds and cost."""
    shell.write(CHEAP)
    shell.world.model("c", Act(text="ok", usage={"prompt_tokens": 10, "completion_tokens": 2}))

    done = shell.run("check", "--call")

    assert done.status == 0, done.err
    [seen] = shell.world.seen
    assert (seen.model, seen.body["max_tokens"]) == ("c", 16)
    [line] = [line for line in done.out.splitlines() if "answered in" in line]
    assert line.startswith("ok  sim   cheap answered in 0.")
    assert line.endswith(" s, $0.000012")


def test_a_call_that_fails(shell: Shell) -> None:
    """Status 1 and the reason, in one line; the call is not retried."""
    shell.write(CHEAP)
    shell.world.model("c", Act(status=500, message="down"))

    done = shell.run("check", "--call")

    assert (done.status, done.err) == (1, "")
    assert "error  sim   All models failed: cheap: down (HTTP 500)\n" in done.out
    assert len(shell.world.seen) == 1


def test_a_provider_without_its_key_is_not_called(shell: Shell) -> None:
    """Its missing key is the only error."""
    shell.write(CHEAP.replace("[models]", 'key = "env:SIM_API_KEY"\n[models]'))

    done = shell.run("check", "--call")

    assert done.status == 2
    assert "SIM_API_KEY is not set" in done.out
    assert not shell.world.seen


def test_a_provider_without_used_models(shell: Shell) -> None:
    """It is listed with a warning, and not called."""
    shell.write(CHEAP + '[providers.idle]\nbase_url = "http://127.0.0.1:9/v1"\n')
    shell.world.model("c", Act(text="ok"))

    done = shell.run("check", "--call")

    assert done.status == 0
    assert "warn  idle  none of its models is used here" in done.out


def test_an_empty_file_is_a_warning(shell: Shell) -> None:
    """It can be read, but a call that names no models would fail."""
    shell.write("")

    done = shell.run("check")

    assert (done.status, done.err) == (0, "")
    assert "warn  default  no task default: a call has to name a task, tier, chain or model\n" in done.out


def test_a_default_task_is_no_warning(shell: Shell) -> None:
    """It may be the file's own, or a built-in table's."""
    assert "no task default" not in shell.run("check").out
    shell.write("")
    assert "no task default" not in shell.run("check", "--tables", "current").out
