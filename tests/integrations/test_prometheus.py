"""Metrics, read back from Prometheus' text format."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from asyncrouter import AllModelsFailed, Pool
from asyncrouter.integrations.prometheus import Prometheus
from asyncrouter.sim import Act
from tests.helpers.routers import router_of
from tests.helpers.simulated import PROMPT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from asyncrouter import Router
    from asyncrouter.sim import Clock, World

LABELS = ("task", "model", "member", "kind", "provider", "cause", "outcome", "error")
"""The order in which labels stand here; the format sorts them by name."""
Samples = dict[tuple[str, ...], float]


def sorted_labels(labels: Mapping[str, str]) -> list[str]:
    """The values of labels in the order of `LABELS`."""
    return [labels[name] for name in LABELS if name in labels]


def counted(clock: Clock, world: World, use: Callable[[Router], Awaitable[Any]]) -> Samples:
    """The samples above 0 after a use of a router: name and labels, but for buckets and dates."""
    metrics = Prometheus(CollectorRegistry())

    async def scenario() -> None:
        async with router_of(world, metrics) as router:
            await use(router)

    clock.run(scenario())
    families = text_string_to_metric_families(metrics.text().decode())
    return {
        (sample.name.removeprefix("asyncrouter_"), *sorted_labels(sample.labels)): sample.value
        for family in families for sample in family.samples
        if sample.value and not sample.name.endswith(("_bucket", "_created"))
    }


def test_a_call_that_falls_back(clock: Clock, world: World) -> None:
    """Calls by task, attempts by model, cause, outcome and error, tokens and dollars once."""
    world.model("a", Act(status=500, first_token=1.0))
    world.model("b", Act(text="one two", first_token=2.0, gap=1.0, cost=0.5))
    found = counted(clock, world, lambda router: router.chat(PROMPT, chain=["a", "b"], retry=1))

    assert found == {
        ("calls_total", "", "answered"): 1.0, ("call_seconds_count", ""): 1.0, ("call_seconds_sum", ""): 4.0,
        ("attempts_total", "a", "", "sim", "first", "failed", "ServerFailed"): 1.0,
        ("attempts_total", "b", "", "sim", "fallback", "won", ""): 1.0,
        ("attempt_seconds_count", "a"): 1.0, ("attempt_seconds_sum", "a"): 1.0,
        ("attempt_seconds_count", "b"): 1.0, ("attempt_seconds_sum", "b"): 3.0,
        ("first_content_seconds_count", "b"): 1.0, ("first_content_seconds_sum", "b"): 2.0,
        ("tokens_total", "b", "input"): 3.0, ("tokens_total", "b", "output"): 2.0, ("cost_usd_total", "b"): 0.5,
    }


def test_a_hedged_call(clock: Clock, world: World) -> None:
    """The one that lost is counted as that."""
    world.model("a", Act(text="one", first_token=10.0))
    world.model("b", Act(text="two", first_token=1.0))
    found = counted(clock, world, lambda router: router.chat("hi", chain=["a", "b"], hedge=2.0))

    assert found["attempts_total", "a", "", "sim", "first", "superseded", ""] == 1.0
    assert found["attempts_total", "b", "", "sim", "hedge", "won", ""] == 1.0


def test_members_of_a_pool_are_counted_apart(clock: Clock, world: World) -> None:
    """The model is the pool; the member is the place that was asked."""
    world.model("a", Act(status=500))
    world.model("b", Act(text="one"))
    pool = Pool(["sim:a", "sim-gemini:b"], pick="first", name="pool")
    found = counted(clock, world, lambda router: router.chat(PROMPT, chain=[pool], retry=1))

    assert {names for names in found if names[0] == "attempts_total"} == {
        ("attempts_total", "pool", "sim:a", "sim", "first", "failed", "ServerFailed"),
        ("attempts_total", "pool", "sim-gemini:b", "sim-gemini", "fallback", "won", ""),
    }


@pytest.mark.parametrize(("act", "outcome"), [
    (Act(status=500), "AllModelsFailed"), (Act(fault="hang"), "cancelled"), (Act(text=PROMPT, gap=9.0), "left"),
])
def test_calls_without_an_answer(clock: Clock, world: World, act: Act, outcome: str) -> None:
    """Failed, cancelled or left early; none is in flight any more."""
    world.model("a", act)

    async def use(router: Router) -> None:
        if outcome == "left":
            async with router.stream("hi", model="a"):
                pass
        elif outcome == "cancelled":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(router.chat("hi", model="a"), 1.0)
        else:
            with pytest.raises(AllModelsFailed):
                await router.chat("hi", model="a")

    found = counted(clock, world, use)

    assert [key for key in found if key[0].startswith("calls")] == [("calls_total", "", outcome)]


def test_calls_in_flight(clock: Clock, world: World) -> None:
    """Those that are running, at the moment of the look."""
    world.model("a", Act(text=PROMPT, gap=9.0))
    metrics = Prometheus(CollectorRegistry())

    async def scenario() -> bytes:
        async with router_of(world, metrics) as router, router.stream("hi", model="a"):
            return metrics.text()

    assert b"asyncrouter_calls_in_flight 1.0" in clock.run(scenario())
