"""Short ways to write settings: `retry=3`, `Hedge(1.5)`, `Step("m")`, quantiles of a hedge, and `system=`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import Chain, Config, Defaults, Hedge, Retry, Router, Step
from asyncrouter._config.load import load
from asyncrouter._config.plan import resolve
from asyncrouter._policies.hedge_budget import HedgeBudget
from asyncrouter._policies.lateness import late_first
from asyncrouter._policies.memory import Usual
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World


@pytest.mark.parametrize("retry", [3, {"attempts": 3}])
def test_a_number_of_tries_is_a_retry(retry: Any) -> None:
    """With a call, on a chain, on a step and in a file; the other fields keep what holds around it."""
    file = load({"tasks": {"t": {"models": ["a/b"], "retry": retry}}, "defaults": {"retry": {"base": 0.5}}})
    expected = Retry(3, base=0.5)

    assert resolve(file, task="t").steps[0].retry == expected
    assert resolve(file, model="a/b", retry=retry).steps[0].retry == expected
    assert resolve(file, chain=Chain(["a/b"], retry=retry)).steps[0].retry == expected
    assert resolve(file, chain=[Step("a/b", retry=retry)]).steps[0].retry == expected
    assert resolve(load({"defaults": {"retry": 3}}), model="a/b").steps[0].retry == Retry(3)


def test_a_number_of_tries_holds(clock: Clock, world: World) -> None:
    """`retry=3` sends three requests to a model that fails, `retry=1` one."""
    world.model("a", Act(status=500))

    async def scenario() -> list[int]:
        counts = []
        async with Router(world.config(), transport=world.transport(), seed=1) as router:
            for retry in (3, 1):
                with pytest.raises(Exception, match="All models failed"):
                    await router.chat("x", chain=["a"], retry=retry)
                counts.append(len(world.seen))
                world.seen.clear()
        return counts

    assert clock.run(scenario()) == [3, 1]


def test_the_first_field_may_stand_alone() -> None:
    """A hedge's delay, a step's model and a retry's tries need no keyword; every other field does."""
    assert Hedge(1.5) == Hedge(after=1.5)
    assert Hedge("p99", budget=0.1) == Hedge(after="p99", budget=0.1)
    assert Step("m", total=20) == Step(model="m", total=20)
    assert Retry(3) == Retry(attempts=3)
    for make in (lambda: Hedge(1.5, 0.1), lambda: Step("m", 20), lambda: Retry(3, 0.1)):
        with pytest.raises(TypeError, match="positional argument"):
            make()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(("name", "quantile"), [
    ("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999),
])  # fmt: skip
def test_a_hedge_may_name_any_upper_quantile(name: str, quantile: float) -> None:
    """As a hedge of a call, a chain and a file; `explain()` and the plan show it."""
    hedge = Hedge(name)

    assert hedge.quantile == pytest.approx(quantile)
    assert resolve(Config(), model="a/b", hedge=name).hedge == hedge
    assert resolve(load({"tasks": {"t": {"models": ["a/b"], "hedge": name}}}), task="t").hedge == hedge
    assert Router().explain(chain=["a/b", "c/d"], hedge=name).hedge == f"after {name}"
    assert Hedge(1.5).quantile is None
    assert load({"defaults": {"hedge": name}}) == Config(defaults=Defaults(hedge=hedge))


def test_each_quantile_has_its_own_delay() -> None:
    """With a full budget "p50" is late at the median, "p95" and "p99" later; with few samples none is."""
    usual, budget = Usual(), HedgeBudget(1.0)

    assert late_first(Hedge("p99"), budget, usual, usual) == 8.0
    assert late_first(Hedge("p99", cap=3.0), budget, usual, usual) == 3.0
    for number in range(1, 1001):
        usual.first.add(number / 1000, 0.0)
    delays = [late_first(Hedge(name, budget=1.0), budget, usual, usual) for name in ("p50", "p90", "p95", "p99")]
    assert delays == pytest.approx([0.5, 0.9, 0.95, 0.99], rel=0.05)


def test_a_small_budget_still_bounds_the_quantile() -> None:
    """What a budget of 1 % cannot pay for is not late, whatever quantile is named."""
    usual, budget = Usual(), HedgeBudget(0.01)
    for number in range(1, 1001):
        usual.first.add(number / 1000, 0.0)

    assert late_first(Hedge("p50", budget=0.01), budget, usual, usual) == pytest.approx(0.99, rel=0.05)


HI = {"role": "user", "content": "hi"}
BE = {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(("prompt", "messages"), [
    ("hi", [BE, HI]), ([HI], [BE, HI]), ((HI,), [BE, HI]),
    ([{"role": "system", "content": "Be kind."}, HI], [BE, {"role": "system", "content": "Be kind."}, HI]),
])  # fmt: skip
def test_system_is_the_first_message(clock: Clock, world: World, prompt: Any, messages: list[object]) -> None:
    """It stands before the prompt, and before a system message that is there; streamed or not."""
    world.model("a")

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            await router.chat(prompt, model="a", system="Be brief.")
            async with router.stream(prompt, model="a", system="Be brief.") as stream:
                async for _ in stream:
                    pass
            await router.chat(prompt, model="a", system=None)

    clock.run(scenario())
    plain = [HI] if prompt == "hi" else list(prompt)
    assert [seen.body["messages"] for seen in world.seen] == [messages, messages, plain]


def test_system_is_text(clock: Clock, world: World) -> None:
    """Anything else is a `TypeError`, before anything is sent."""
    world.model("a")

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            with pytest.raises(TypeError, match="system: expected text, got dict"):
                await router.chat("hi", model="a", system=BE)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="system: expected text, got list"):
                router.stream("hi", model="a", system=[BE])  # type: ignore[arg-type]

    clock.run(scenario())
    assert not world.seen
