"""`asyncrouter explain`: the plan of a call, with nothing sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.helpers.commandline import Shell


def test_the_plan_of_a_task(shell: Shell) -> None:
    """It prints deadline and hedge, then the steps in order with state, timeouts and prices, then a legend."""
    done = shell.run("explain", "--task", "coding", "--deadline", "20")

    assert (done.status, done.err) == (0, "")
    head, columns, first, second, _, timeouts, price = done.out.splitlines()
    assert head == "coding: deadline 20 s, hedge after 1.5 s  (asyncrouter.toml)"
    assert columns == "   model  provider  state  timeouts         price"
    assert first == "1  b      sim       ready  5/auto/auto/120  –/–"
    assert second == "2  a      sim       ready  5/auto/auto/7.5  1e+06/2e+06"
    assert timeouts == "timeouts: connect / first token / idle / total, seconds"
    assert price == "price: input / output, dollars for a million tokens"
    assert not shell.world.seen


def test_a_missing_key_is_the_state_of_a_model(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named once; with a key the model is ready. A blank key is a missing one."""
    monkeypatch.setenv("GROQ_API_KEY", " ")
    asked = ("explain", "--chain", "groq::openai/gpt-oss-20b,groq::openai/gpt-oss-120b")
    done = shell.run(*asked)
    assert done.out.count("  no key  ") == 2
    assert done.out.endswith("\nno key: GROQ_API_KEY is not set\n")

    monkeypatch.setenv("GROQ_API_KEY", "gsk")
    done = shell.run(*asked)
    assert (done.out.count("  ready  "), done.out.count("no key")) == (2, 0)


def test_no_limits(shell: Shell) -> None:
    """`none` removes a limit."""
    head = shell.run("explain", "--task", "coding", "--deadline", "none", "--hedge", "none").out.splitlines()[0]

    assert head == "coding: deadline none, hedge none  (asyncrouter.toml)"


@pytest.mark.parametrize(("hedge", "said"), [("auto", "where it is worth its price"), ("p95", "after p95"),
                                             ("1.5", "after 1.5 s")])  # fmt: skip
def test_each_way_to_hedge_can_be_typed(shell: Shell, hedge: str, said: str) -> None:
    """`--hedge` takes what `hedge=` of a call takes."""
    head = shell.run("explain", "--task", "coding", "--hedge", hedge).out.splitlines()[0]

    assert head == f"coding: deadline 300 s, hedge {said}  (asyncrouter.toml)"


def test_options_that_contradict_one_another(shell: Shell) -> None:
    """The error is that of a call."""
    done = shell.run("explain", "--chain", "a", "--tier", "budget")

    assert done.status == 2
    assert "tier, chain and model each say which models are tried: give one of them" in done.err


def test_which_api_of_a_provider_that_serves_two(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for each such model says which one is asked, and why."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk")
    done = shell.run("explain", "--chain", "openai:gpt-6.1-sol,a,openai:gpt-4.1")

    assert done.out.splitlines()[-2:] == [
        "openai:gpt-6.1-sol is asked on the wire responses: "
        "a reasoning model goes on where it was if its reasoning goes back",
        "openai:gpt-4.1 is asked on the wire openai: "
        "not known as a reasoning model, and nothing in the call needs another API",
    ]


def test_a_known_providers_name_in_an_id_is_said(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its key is not set the name is read as an id of the default provider, with a warning."""
    monkeypatch.delenv("GROQ_API_KEY", raising=False)

    done = shell.run("explain", "--model", "groq:openai/gpt-oss-20b")

    assert done.status == 0
    assert "is read as an id of sim, for the key of groq is not set; 'groq::openai/gpt-oss-20b' names" in done.err
