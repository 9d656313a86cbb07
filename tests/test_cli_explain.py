"""`asyncrouter explain`: the plan, and nothing sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest
    from commandline import Desk


def test_the_plan_of_a_task(desk: Desk) -> None:
    """Its deadline and hedge, its steps in order with clocks, standing and prices; nothing is sent."""
    done = desk.run("explain", "--task", "coding", "--deadline", "20")

    assert (0, "") == (done.status, done.err)
    head, columns, first, second = done.out.splitlines()
    assert "coding: deadline 20 s, hedge after 1.5 s  (asyncrouter.toml)" == head
    assert ["model", "provider", "standing", "connect", "first", "idle", "total", "$/M", "in", "$/M", "out"] == (
        columns.split()
    )
    assert "1  b      sim       ready     5 s      30 s   30 s  120 s  –       –" == first
    assert "2  a      sim       ready     5 s      30 s   30 s  7.5 s  1e+06   2e+06" == second
    assert not desk.world.seen


def test_a_key_that_is_not_set_is_how_a_model_stands(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named; once it is set the model is ready. A blank one is none."""
    for value, standing in [(" ", "GROQ_API_KEY is not set"), ("gsk", "ready")]:
        monkeypatch.setenv("GROQ_API_KEY", value)
        assert standing in desk.run("explain", "--model", "groq:openai/gpt-oss-20b").out


def test_no_limits(desk: Desk) -> None:
    """`none` takes a limit away."""
    head = desk.run("explain", "--task", "coding", "--deadline", "none", "--hedge", "none").out.splitlines()[0]

    assert "coding: deadline none, hedge none  (asyncrouter.toml)" == head


def test_a_choice_that_cannot_be_made(desk: Desk) -> None:
    """The same errors as those of a call."""
    done = desk.run("explain", "--chain", "a", "--tier", "budget")

    assert 2 == done.status
    assert "tier, chain and model each say which models are tried: give one of them" in done.err
