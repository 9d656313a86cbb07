"""`--json` of the commands that show something: objects with what the tables have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from asyncrouter.sim import Act

if TYPE_CHECKING:
    from tests.helpers.commandline import Shell


def test_explain(shell: Shell) -> None:
    """One object with the plan; prices are numbers."""
    done = shell.run("explain", "--task", "coding", "--deadline", "9", "--json")

    plan = json.loads(done.out)
    assert (done.status, done.err) == (0, "")
    assert {name: plan[name] for name in ("task", "deadline", "hedge", "on_context")} == {
        "task": "coding", "deadline": 9.0, "hedge": "after 1.5 s", "on_context": [],
    }
    steps = [(step["model"], step["total"], step["usd_per_mtok"]) for step in plan["steps"]]
    assert steps == [("b", 120.0, None), ("a", 7.5, {"input": 1000000.0, "output": 2000000.0})]


def test_models(shell: Shell) -> None:
    """One object a line for each model, with the tasks and tiers that use it."""
    done = shell.run("models", "--json")

    found = {one["model"]: one for one in map(json.loads, done.out.splitlines())}
    assert (done.status, done.err) == (0, "")
    assert (found["a"]["context"], found["a"]["usd_per_mtok"]) == (1000, {"input": 1000000.0, "output": 2000000.0})
    assert ("coding" in str(found["b"]["used_by"]), found["b"]["usd_per_mtok"]) == (True, None)


def test_models_of_a_provider_now(shell: Shell) -> None:
    """With --remote an object has the id alone."""
    shell.world.model("a")
    shell.world.model("b")

    done = shell.run("models", "--remote", "--json")

    assert sorted(json.loads(line)["id"] for line in done.out.splitlines()) == ["a", "b"]


@pytest.mark.parametrize("call", [False, True])
def test_check(shell: Shell, call: bool) -> None:
    """One object with every finding; the status is the same as without it."""
    shell.world.model("a", Act(text="ok"))

    done = shell.run("check", "--json", *(["--call"] if call else []))

    found = json.loads(done.out)["findings"]
    assert done.status == 0
    assert [one["verdict"] for one in found if one["kind"] == "provider"] == ["ok"]
    assert any(one["kind"] == "call" for one in found) == call


def test_check_finds_missing_certificates(shell: Shell) -> None:
    """A `ca` that is not there is an error, with its path beside the file."""
    path = Path("asyncrouter.toml")
    path.write_text(path.read_text().replace("[providers.sim]\n", '[providers.sim]\nca = "no/ca.pem"\n'))

    done = shell.run("check", "--json", "--config", "asyncrouter.toml")

    texts = [one["text"] for one in json.loads(done.out)["findings"] if one["verdict"] == "error"]
    assert done.status == 2
    assert [text.partition("  ")[2] for text in texts] == ["ca: there is no file no/ca.pem"]


def test_reply_headers(shell: Shell) -> None:
    """`chat --reply-headers` prints them on standard error, beside the answer."""
    shell.world.model("a", Act(text="ok", headers={"X-Region": "eu-1", "Set-Cookie": "secret"}))

    done = shell.run("chat", "Hello", "--model", "a", "--reply-headers")

    assert (done.status, done.out) == (0, "ok\n")
    assert "x-region: eu-1\n" in done.err
    assert "secret" not in done.err


def test_a_trace_in_json_has_its_id(shell: Shell) -> None:
    """`chat --json` has the call's id, and no header fields."""
    shell.world.model("a", Act(text="ok", headers={"X-Region": "eu-1"}))

    done = shell.run("chat", "Hello", "--model", "a", "--json")

    assert len(json.loads(done.out)["trace"]["id"]) == 24
    assert "eu-1" not in done.out
