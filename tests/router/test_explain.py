"""`Router.explain`: the plan of a call, as fields and as text."""

from __future__ import annotations

import asyncio

from asyncrouter import ExplainedStep, Hedge, Price, Step
from asyncrouter.sim import Act, Clock, World
from tests.helpers.routers import models_asked, router_of


def test_explain_says_what_a_call_would_do(world: World) -> None:
    """Steps, timeouts, standing and prices are fields; nothing is sent, and the router is not opened."""
    models = {"a": {"provider": "sim", "id": "a", "usd_per_mtok": {"input": 0.5, "output": 2}}}
    router = router_of(world, models=models, defaults={"idle": "none"})

    plan = router.explain(chain=["a", Step(model="b", total=20.0)], deadline=30, hedge=1.5)

    assert (plan.task, plan.deadline, plan.hedge) == (None, 30, "after 1.5 s")
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
        " 1  a (sim): held for 20.00 s more: slow down; connect 5 s, first_token 30 s, idle 30 s, total 120 s; "
        "$0.5 in, $2 out a million tokens; wire openai\n"
        " 2  b (sim): ready; connect 5 s, first_token 30 s, idle 30 s, total 120 s; price unknown; wire openai"
    )
