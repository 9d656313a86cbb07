"""`asyncrouter check`: keys, ids, retired models, calls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from asyncrouter.sim import Act
from tests.helpers.planted import KEY

if TYPE_CHECKING:
    import pytest

    from tests.helpers.commandline import Desk

CHEAP = """
default_provider = "sim"
[providers.sim]
base_url = "{base_url}"
[models]
dear = {{ provider = "sim", id = "d", usd_per_mtok = {{ input = 2.0, output = 2.0 }} }}
cheap = {{ provider = "sim", id = "c", usd_per_mtok = {{ input = 1.0, output = 1.0 }} }}
unpriced = {{ provider = "sim", id = "u" }}
"""


def test_a_configuration_that_is_fit(desk: Desk) -> None:
    """What was read, a line for each provider and model, status 0; nothing is sent."""
    done = desk.run("check")

    assert (done.status, done.err) == (0, "")
    assert "asyncrouter.toml: 2 tasks, 2 tiers, 2 models\n" in done.out
    lines = [line.split() for line in done.out.splitlines()]
    assert ["ok", "sim", desk.base_url, "PLANTED_KEY", "is", "set"] in lines
    assert ["ok", "a", "task", "default,", "task", "coding,", "tier", "standard"] in lines
    assert "look  b      window and price unknown: say context and usd_per_mtok under [models]" in done.out
    assert not desk.world.seen


def test_keys_are_looked_for_and_never_shown(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing one makes the configuration unusable: status 2. One that is set is only said to be."""
    Path("asyncrouter.toml").unlink()

    done = desk.run("check")
    assert done.status == 2
    assert "wrong  openrouter  https://openrouter.ai/api/v1  OPENROUTER_API_KEY is not set" in done.out

    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)
    done = desk.run("check")
    assert done.status == 0
    assert "ok  openrouter  https://openrouter.ai/api/v1  OPENROUTER_API_KEY is set" in done.out
    assert "0123456789" not in done.out


def test_retired_ids_come_with_their_successors(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first tables: what is gone, since when, and what replaced it; worth a look, not wrong."""
    Path("asyncrouter.toml").unlink()
    monkeypatch.setenv("OPENROUTER_API_KEY", KEY)

    done = desk.run("check", "--tables", "classic")

    assert done.status == 0
    told = {line.split()[1]: line for line in done.out.splitlines() if line.startswith("look")}
    assert len(told) == 8
    assert told["openai/gpt-4-turbo"].endswith("  retired 2026-10-23: use openai/gpt-6.1-sol")
    assert told["deepseek/deepseek-coder"].endswith("  superseded: use deepseek/deepseek-v4-flash")


def test_one_cheap_call_a_provider(desk: Desk) -> None:
    """--call asks the cheapest model for a few tokens, once, and says how long it took and what it cost."""
    desk.write(CHEAP)
    desk.world.model("c", Act(text="ok", usage={"prompt_tokens": 10, "completion_tokens": 2}))

    done = desk.run("check", "--call")

    assert done.status == 0, done.err
    [seen] = desk.world.seen
    assert (seen.model, seen.body["max_tokens"]) == ("c", 16)
    [line] = [line for line in done.out.splitlines() if "answered in" in line]
    assert line.startswith("ok  sim   cheap answered in 0.")
    assert line.endswith(" s, $0.000012")


def test_a_call_that_fails(desk: Desk) -> None:
    """Status 1 and the reason, in one line; it is not tried again."""
    desk.write(CHEAP)
    desk.world.model("c", Act(status=500, message="down"))

    done = desk.run("check", "--call")

    assert (done.status, done.err) == (1, "")
    assert "wrong  sim   All models failed: cheap: down (HTTP 500)\n" in done.out
    assert len(desk.world.seen) == 1


def test_a_provider_without_its_key_is_not_called(desk: Desk) -> None:
    """It has been said already that the key is missing."""
    desk.write(CHEAP.replace("[models]", 'key = "env:SIM_API_KEY"\n[models]'))

    done = desk.run("check", "--call")

    assert done.status == 2
    assert "SIM_API_KEY is not set" in done.out
    assert not desk.world.seen


def test_a_provider_of_which_nothing_is_used(desk: Desk) -> None:
    """It is listed, and there is nothing to call."""
    desk.write(CHEAP + '[providers.idle]\nbase_url = "http://127.0.0.1:9/v1"\n')
    desk.world.model("c", Act(text="ok"))

    done = desk.run("check", "--call")

    assert done.status == 0
    assert "look  idle  no model of it is used here" in done.out


def test_an_empty_file_is_worth_a_look(desk: Desk) -> None:
    """It can be read, but a call without a task would fail."""
    desk.write("")

    done = desk.run("check")

    assert (done.status, done.err) == (0, "")
    assert "look  default  no task default: a call has to name a task, tier, chain or model\n" in done.out


def test_a_default_task_is_not_worth_a_word(desk: Desk) -> None:
    """The file's own, or a table's."""
    assert "no task default" not in desk.run("check").out
    desk.write("")
    assert "no task default" not in desk.run("check", "--tables", "current").out
