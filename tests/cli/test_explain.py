"""`asyncrouter explain`: the plan, and nothing sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from tests.helpers.commandline import Desk


def test_the_plan_of_a_task(desk: Desk) -> None:
    """Its deadline and hedge, its steps in order with clocks, standing and prices; nothing is sent."""
    done = desk.run("explain", "--task", "coding", "--deadline", "20")

    assert (done.status, done.err) == (0, "")
    head, columns, first, second = done.out.splitlines()
    assert head == "coding: deadline 20 s, hedge after 1.5 s  (asyncrouter.toml)"
    assert columns == "   model  provider  standing  clocks       $/M"
    assert first == "1  b      sim       ready     5/30/30/120  –/–"
    assert second == "2  a      sim       ready     5/30/30/7.5  1e+06/2e+06"
    assert not desk.world.seen


def test_a_key_that_is_not_set_is_how_a_model_stands(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named once; when it is set the model is ready. A blank one is none."""
    monkeypatch.setenv("GROQ_API_KEY", " ")
    asked = ("explain", "--chain", "groq:openai/gpt-oss-20b,groq:openai/gpt-oss-120b")
    done = desk.run(*asked)
    assert done.out.count("  no key  ") == 2
    assert done.out.endswith("\nno key: GROQ_API_KEY is not set\n")

    monkeypatch.setenv("GROQ_API_KEY", "gsk")
    done = desk.run(*asked)
    assert (done.out.count("  ready  "), done.out.count("no key")) == (2, 0)


def test_no_limits(desk: Desk) -> None:
    """`none` takes a limit away."""
    head = desk.run("explain", "--task", "coding", "--deadline", "none", "--hedge", "none").out.splitlines()[0]

    assert head == "coding: deadline none, hedge none  (asyncrouter.toml)"


def test_a_choice_that_cannot_be_made(desk: Desk) -> None:
    """The same errors as those of a call."""
    done = desk.run("explain", "--chain", "a", "--tier", "budget")

    assert done.status == 2
    assert "tier, chain and model each say which models are tried: give one of them" in done.err
