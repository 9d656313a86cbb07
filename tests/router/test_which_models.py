"""Which models a call tries: by task, tier, chain or model, and what is refused before anything is sent."""

from __future__ import annotations

import logging

import pytest

from asyncrouter import AllModelsFailed, Chain, Config, ConfigError, DeadlineExceeded, Model, Reply, Step
from asyncrouter._config.plan import resolve
from asyncrouter.sim import Act, Clock, World
from tests.helpers.routers import models_asked, router_of

TASKS = {"default": ["a"], "coding": {"models": ["b", "c"], "params": {"temperature": 0.2}, "deadline": 9.0}}
TIERS = {"budget": ["a"], "standard": ["b"], "premium": ["c"]}


def plan(world: World, **asking: object) -> list[str]:
    """The models that a call would try."""
    explained = router_of(world, tasks=TASKS, tiers=TIERS).explain(**asking)  # type: ignore[arg-type]
    return [step.model for step in explained.steps]


def test_an_unknown_task_takes_the_default_chain(
    clock: Clock, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """It is answered by the chain of `default`, with one warning for each name, however often it is asked for."""
    world.model("a", Act(text="hi"))

    async def scenario() -> Reply:
        async with router_of(world, tasks=TASKS) as router:
            for _ in range(3):
                await router.chat("x", task="poetry", hedge=2.0)
                reply = await router.chat("x", task="poetry")
            await router.chat("x", task="prose")
            return reply

    with caplog.at_level(logging.WARNING, "asyncrouter"):
        reply = clock.run(scenario())
    assert (reply.text, reply.trace.task) == ("hi", "poetry")
    assert caplog.messages == [
        "unknown task 'poetry': taking the chain of \"default\"",
        "unknown task 'prose': taking the chain of \"default\"",
    ]


def test_an_unknown_task_may_be_an_error(clock: Clock, world: World) -> None:
    """With `unknown_task = "error"`, or without a task `default`, it is a `ConfigError`, and nothing is sent."""

    async def scenario() -> None:
        async with router_of(world, tasks=TASKS, unknown_task="error") as router:
            with pytest.raises(ConfigError, match=r"task: unknown task 'codinq'; did you mean 'coding'\?"):
                await router.chat("x", task="codinq")
        async with router_of(world, tasks={"coding": ["a"]}) as router:
            with pytest.raises(ConfigError, match="unknown task"):
                await router.chat("x", task="poetry")
            with pytest.raises(ConfigError, match="there is no task named default"):
                await router.chat("x")

    clock.run(scenario())
    assert models_asked(world) == []


def test_an_unknown_tier_names_the_tiers(clock: Clock, world: World) -> None:
    """It is a `ConfigError`, before anything is sent."""

    async def scenario() -> None:
        async with router_of(world, tiers=TIERS) as router:
            with pytest.raises(ConfigError) as caught:
                await router.chat("x", tier="deluxe")
        assert str(caught.value) == "tier: unknown tier 'deluxe'; the tiers are budget, standard, premium"

    clock.run(scenario())
    assert models_asked(world) == []


def test_without_arguments_it_is_the_default_task(world: World) -> None:
    """A call that names no models uses the task `default`."""
    assert plan(world) == ["a"]


def test_a_tier_is_the_tiers_up_to_it(world: World) -> None:
    """The cheapest tier comes first, the one that was asked for last."""
    assert plan(world, tier="budget") == ["a"]
    assert plan(world, tier="standard") == ["a", "b"]
    assert plan(world, tier="premium") == ["a", "b", "c"]


def test_a_task_within_a_tier(world: World) -> None:
    """It is the task's chain without the models above the tier; if none is left, the models of the tiers."""
    assert plan(world, task="coding", tier="standard") == ["b"]
    assert plan(world, task="coding", tier="premium") == ["b", "c"]
    assert plan(world, task="coding", tier="budget") == ["a"]


def test_model_and_chain_with_a_task(clock: Clock, world: World) -> None:
    """`model=` is a chain of one; a task beside it adds its parameters and its deadline."""
    world.model("z", Act(first_token=60.0))

    async def scenario() -> None:
        async with router_of(world, tasks=TASKS) as router:
            with pytest.raises(DeadlineExceeded):
                await router.chat("x", model="z", task="coding")
            assert clock.now == 9.0
            with pytest.raises(AllModelsFailed, match="no content within 1 s"):
                await router.chat("x", chain=[Step(model="z", first_token=1.0)], task="coding")

    clock.run(scenario())
    assert [seen.body["temperature"] for seen in world.seen] == [0.2, 0.2]


def test_models_are_given_in_one_way_only(clock: Clock, world: World) -> None:
    """`tier` with `chain` or `model`, or these two together, is a `ValueError`."""

    async def scenario() -> None:
        async with router_of(world, tasks=TASKS, tiers=TIERS) as router:
            for two in ({"tier": "budget", "model": "a"}, {"tier": "budget", "chain": ["a"]},
                        {"model": "a", "chain": ["a"]}):
                with pytest.raises(ValueError, match="give one of them"):
                    await router.chat("x", **two)  # type: ignore[arg-type]

    clock.run(scenario())
    assert models_asked(world) == []


def test_the_ways_of_naming_a_chain(clock: Clock, world: World) -> None:
    """A chain may mix names, `Step`s, `Model`s and mappings, in a list or a `Chain`."""
    world.model("a", Act(status=400))
    world.model("d", Act(text="hi"))
    models = ["a", Step(model="a"), Model(provider="sim", id="a"), {"model": "a"}, "sim:d"]

    async def scenario() -> list[Reply]:
        async with router_of(world) as router:
            listed = await router.chat("x", chain=models)  # type: ignore[arg-type]
            return [listed, await router.chat("x", chain=Chain(models))]  # type: ignore[arg-type]

    for reply in clock.run(scenario()):
        assert (reply.model, len(reply.trace.attempts)) == ("sim:d", 5)


@pytest.mark.parametrize(
    ("asking", "path"),
    [
        ({"chain": []}, "chain.models"),
        ({"chain": ["a", 3]}, "chain.models[1]"),
        ({"model": ""}, "model"),
        ({"model": "sin:x"}, "model"),
        ({"model": "a", "deadline": "20s"}, "deadline"),
        ({"model": "a", "deadline": -1}, "deadline"),
        ({"model": "a", "deadline": float("nan")}, "deadline"),
        ({"model": "a", "hedge": {"afer": 1}}, "hedge.afer"),
        ({"model": "a", "hedge": "soon"}, "hedge"),
        ({"model": "a", "retry": {"attempts": 0}}, "retry.attempts"),
        ({"task": 7}, "task"),
    ],
)
def test_arguments_that_cannot_be_used(clock: Clock, world: World, asking: dict[str, object], path: str) -> None:
    """`chat()`, `stream()` and `explain()` raise a `ConfigError` with the path, before anything is sent."""

    async def scenario() -> None:
        async with router_of(world, tasks=TASKS) as router:
            with pytest.raises(ConfigError) as caught:
                await router.chat("x", **asking)  # type: ignore[arg-type]
            with pytest.raises(ConfigError) as streamed:
                async with router.stream("x", **asking):  # type: ignore[arg-type]
                    pass
            with pytest.raises(ConfigError) as explained:
                router.explain(**asking)  # type: ignore[arg-type]
        assert [error.value.path for error in (caught, streamed, explained)] == [path] * 3

    clock.run(scenario())
    assert models_asked(world) == []


def test_a_deadline_of_none_is_no_limit(clock: Clock, world: World) -> None:
    """If none is given, the deadline is the default of 300 s; `None` is no limit at all."""
    world.model("a", Act(first_token=1000.0))
    step = Step(model="a", first_token=None, total=None)

    async def scenario() -> None:
        async with router_of(world) as router:
            with pytest.raises(DeadlineExceeded):
                await router.chat("x", chain=[step])
            assert clock.now == 300.0
            await router.chat("x", chain=[step], deadline=None)

    clock.run(scenario())
    assert clock.now == 1300.0


def test_a_call_that_names_models_is_planned_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain of names, a model or a hedge that is given with each call is not planned anew each time."""
    planned = []

    def noted(config: Config, **names: object) -> object:
        planned.append(names["chain"])
        return resolve(config, **names)

    monkeypatch.setattr("asyncrouter._config.plan_cache.resolve", noted)
    router = router_of(world)

    for _ in range(3):
        router.explain(chain=["a", "b"], hedge=1.5)
        router.explain(model="a")

    assert planned == [("a", "b"), None]


def test_true_is_not_one_second(world: World) -> None:
    """`True` is refused as a hedge, also after one of 1 second, which it equals, has been planned."""
    router = router_of(world)
    router.explain(model="a", hedge=1)

    with pytest.raises(ConfigError, match="hedge"):
        router.explain(model="a", hedge=True)
