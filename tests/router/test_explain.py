"""`Router.explain`: the plan of a call, as fields and as text."""

from __future__ import annotations

import asyncio

import pytest

from asyncrouter import AllModelsFailed, ExplainedStep, Hedge, Price, Step
from asyncrouter.sim import Act, Clock, World
from tests.helpers.routers import models_asked, router_of


def test_explain_says_what_a_call_would_do(world: World) -> None:
    """Steps, timeouts, standing and prices are fields; nothing is sent, and the router is not opened."""
    models = {"a": {"provider": "sim", "id": "a", "usd_per_mtok": {"input": 0.5, "output": 2}}}
    router = router_of(world, models=models, defaults={"idle": "none"})

    plan = router.explain(chain=["a", Step(model="b", total=20.0)], deadline=30, hedge=1.5)

    assert (plan.task, plan.deadline, plan.hedge) == (None, 30, "after 1.5 s")
    assert router.explain(chain=["a", "b"], hedge="auto").hedge == "where it is worth its price"
    assert plan.steps == (
        ExplainedStep("a", "sim", "ready", 5.0, 30.0, None, 120.0, Price(input=0.5, output=2), "openai"),
        ExplainedStep("b", "sim", "ready", 5.0, 30.0, None, 20.0, None, "openai"),
    )
    assert models_asked(world) == []
    assert "not opened" in repr(router)


def test_an_explanation_can_be_printed(clock: Clock, world: World) -> None:
    """`print(router.explain(…))` shows a line for the call and one for each step."""
    models = {"a": {"provider": "sim", "id": "a", "usd_per_mtok": {"input": 0.5, "output": 2}}}
    world.model("a", Act(status=429, retry_after=30, message="slow down"))
    world.model("b")

    async def scenario() -> str:
        async with router_of(world, models=models, tasks={"coding": ["a", "b"]}) as router:
            await router.chat("x", task="coding")
            await asyncio.sleep(10.0)
            return str(router.explain(task="coding", hedge=Hedge(after="p95")))

    assert clock.run(scenario()) == (
        "coding: deadline 300 s, hedge after p95\n"
        " 1  a (sim): held for 20.00 s more: slow down; connect 5 s, first_token auto (30 s or more), "
        "idle auto (30 s or more), total 120 s; "
        "$0.5 in, $2 out a million tokens; wire openai\n"
        " 2  b (sim): ready; connect 5 s, first_token auto (30 s or more), idle auto (30 s or more), total 120 s; "
        "price unknown; wire openai; first content usual 0.00432 s"
    )


def test_a_key_that_is_not_set_is_told(clock: Clock, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan and the health say so before the first call and after it; the variable is read again each time."""
    monkeypatch.delenv("SIM_KEY", raising=False)
    router = router_of(world, providers={"sim": {"key": "env:SIM_KEY"}}, tasks={"coding": ["a"]})
    world.model("a", Act(text="hi"))

    def standings() -> list[str]:
        return [router.explain(task="coding").steps[0].standing, router.health()["a"].standing]

    async def scenario() -> None:
        with pytest.raises(AllModelsFailed):
            await router.chat("x", task="coding")
        assert standings() == ["SIM_KEY is not set"] * 2
        monkeypatch.setenv("SIM_KEY", "of-a-test")
        assert standings() == ["ready"] * 2
        await router.chat("x", task="coding")
        monkeypatch.delenv("SIM_KEY")
        assert standings() == ["ready"] * 2  # the key that was read is kept
        await router.aclose()

    assert standings() == ["SIM_KEY is not set"] * 2
    clock.run(scenario())


def test_a_key_function_is_not_called_by_explain(world: World) -> None:
    """It may be slow, or cost something; nothing is said of its key."""
    def key() -> str:
        raise AssertionError("the key function was called")

    router = router_of(world, providers={"sim": {"key": key}})

    assert router.explain(model="a").steps[0].standing == "ready"
