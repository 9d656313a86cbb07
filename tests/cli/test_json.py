"""`--json` of the commands that show something: objects with what the tables have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from asyncrouter import Router, bench, local
from asyncrouter.cli._app import app
from asyncrouter.cli.local import _json
from asyncrouter.sim import Act
from tests.helpers.commandline import spawn

if TYPE_CHECKING:
    from asyncrouter.sim import Clock
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


def test_explain_with_automatic_limits(shell: Shell) -> None:
    """A limit that is "auto", and the deadline of the configuration, are numbers, too."""
    plan = json.loads(shell.run("explain", "--task", "coding", "--json").out)

    assert (plan["deadline"], plan["steps"][0]["first_token"], plan["steps"][0]["idle"]) == (300.0, 30.0, 30.0)


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


# ── every command ────────────────────────────────────────────────────────────────────────────────────────────────────


def leaves(group: click.Group, *path: str) -> list[tuple[tuple[str, ...], click.Command]]:
    """The commands of a group and of its groups, by what is typed for them."""
    context = click.Context(group)
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name in group.list_commands(context):
        inner = group.get_command(context, name)
        assert inner is not None
        found += leaves(inner, *path, name) if isinstance(inner, click.Group) else [((*path, name), inner)]
    return found


def test_every_command_has_it() -> None:
    """Every command, those of bench included, has an option `--json`."""
    without = [path for path, one in leaves(app) if not any("--json" in option.opts for option in one.params)]

    assert len(leaves(app)) >= 12
    assert without == []


@pytest.mark.parametrize(("name", "known"), [("scenarios", "outage"), ("measures", "p99_e2e")])
def test_lists_of_bench(shell: Shell, name: str, known: str) -> None:
    """Scenarios and measures are an object by name, each with its text."""
    done = shell.run("bench", name, "--json")

    assert (done.status, done.err) == (0, "")
    assert isinstance(json.loads(done.out)[name][known], str)


RUN = ("bench", "run", "--scenario", "flaky", "--calls", "60", "--arm", "one: chain=primary,secondary")


def test_a_run_of_bench(shell: Shell) -> None:
    """It prints what report.json holds, and nothing else; files are written all the same."""
    done = shell.run(*RUN, "--json", "--out", "report")

    assert done.status == 0
    assert json.loads(done.out) == json.loads(Path("report/report.json").read_text())


def test_a_comparison(shell: Shell) -> None:
    """Each change has its arm, measure, figures, interval and verdict; the status is the same."""
    shell.run(*RUN, "--out", "a")

    done = shell.run("bench", "compare", "a", "a", "--fail-if-worse", "--json")

    changes = json.loads(done.out)["changes"]
    success = next(one for one in changes if one["name"] == "success")
    assert (done.status, done.err) == (0, "")
    assert (success["arm"], success["before"] == success["after"], success["verdict"]) == ("one", True, "same")


def test_a_replay(shell: Shell, clock: Clock) -> None:
    """Each policy has its settings, its hedge delay, its measures and its warnings."""
    shell.world.model("a", lambda request, random: Act(text="ok", first_token=0.1 + random.random()))
    shell.world.model("b", Act(text="ok"))

    async def record() -> None:
        config, transport = shell.world.config(), shell.world.transport()
        async with Router(config, transport=transport, listeners=[bench.JsonlTrace("trace.jsonl")]) as router:
            for _ in range(120):
                await router.chat("x", chain=["a", "b"])

    clock.run(record())
    done = shell.run("bench", "replay", "trace.jsonl", "--hedge", "none,0.5", "--json")

    policies = json.loads(done.out)["policies"]
    assert done.status == 0
    assert [(one["hedge"], one["hedge_after"], one["measures"]["success"]["value"]) for one in policies] == [
        (None, None, 1.0), (None, None, 1.0), (0.5, 0.5, 1.0)]  # the first: as they were recorded


def test_a_real_answer(shell: Shell) -> None:
    """`demo` and `local` print the answer with its trace as `chat` does (2 s: each starts a model)."""
    for name, causes in (("demo", ["first", "retry", "fallback", "hedge"]), ("local", ["first", "retry", "fallback"])):
        done = spawn(name, "Say hello.", "--json")

        answer = json.loads(done.out)
        assert (done.status, bool(answer["text"]), answer["error"]) == (0, True, None), done.err
        assert [attempt["cause"] for attempt in answer["trace"]["attempts"]] == causes


def test_a_server_of_the_local_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """`local --serve --json` prints its address and the tables that lead to it, on one line."""
    monkeypatch.setattr(local.Server, "base_url", "http://127.0.0.1:8123/v1")
    document = json.loads(_json(local.serve()))

    assert document == {
        "base_url": "http://127.0.0.1:8123/v1",
        "providers": {"local": {"base_url": "http://127.0.0.1:8123/v1"}},
        "models": {"smollm2": {"provider": "local", "id": "smollm2"}},
    }
