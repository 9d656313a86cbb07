"""Settings given with a call: timeouts, `on_refusal`, `on_context`, and parameters for one provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import AllModelsFailed, AttemptTimeout, ConfigError, Model, Refused, Router, Step
from asyncrouter.sim import Act
from tests.helpers.failing import HEALTHY, ONCE, OTHER, SILENT, ask, models_sent, play, script

if TYPE_CHECKING:
    from asyncrouter.sim import Clock, World

REFUSES = Act(status=400, code="content_filter", message="no")
TOO_LONG = Act(status=400, code="context_length_exceeded", message="This model's maximum context length is 10 tokens.")
SLOW = Act(tokens=3, first_token=0.5, gap=5.0)


@pytest.mark.parametrize(("act", "clocks", "name", "seconds"), [
    (SILENT, {"first_token": 1.5}, "first_token", 1.5), (SLOW, {"idle": 2.0}, "idle", 2.5),
    (SLOW, {"total": 4.0}, "total", 4.0), (Act(fault="hang", at="connect"), {"connect": 0.75}, "connect", 0.75),
])  # fmt: skip
def test_a_call_may_set_each_timeout(
    clock: Clock, world: World, act: Act, clocks: Any, name: str, seconds: float
) -> None:
    """It holds for every attempt of the call, and ends it at that very instant."""
    script(world, act, HEALTHY)

    reply = play(clock, world, lambda router: ask(router, chain=["a", "b"], retry=ONCE, **clocks))

    [first, _] = reply.trace.attempts
    assert isinstance(first.error, AttemptTimeout)
    assert (first.error.clock, first.ended, models_sent(reply)) == (name, seconds, ["a", "b"])


def test_a_streams_timeouts_too(clock: Clock, world: World) -> None:
    """`stream()` takes them as `chat()` does."""
    script(world, SILENT, HEALTHY)

    async def scenario(router: Router) -> float:
        async with router.stream("x", chain=["a", "b"], retry=ONCE, first_token=1.5) as stream:
            async for _ in stream:
                pass
        return stream.trace.attempts[0].ended or 0.0

    assert play(clock, world, scenario) == 1.5


def test_a_steps_own_timeout_takes_precedence(clock: Clock, world: World) -> None:
    """From the strongest: the step's, the call's, the task's, the default."""
    script(world, SILENT, SILENT, HEALTHY)
    tasks = {"t": {"models": [{"model": "a", "first_token": 1.0}, "b", "c"], "first_token": 9.0}}

    async def scenario(router: Router) -> tuple[list[float | None], list[float | None]]:
        given = router.explain(task="t", first_token=2.0).steps
        plain = router.explain(task="t").steps
        return [step.first_token for step in given], [step.first_token for step in plain]

    assert play(clock, world, scenario, tasks=tasks) == ([1.0, 2.0, 2.0], [1.0, 9.0, 9.0])


def test_none_is_no_timeout(clock: Clock, world: World) -> None:
    """`first_token=None` waits for an answer that begins later than the default allows."""
    script(world, Act(first_token=60.0))

    reply = play(clock, world, lambda router: ask(router, chain=["a"], first_token=None))

    assert reply.trace.attempts[0].first_content == pytest.approx(60.0, abs=0.5)


def test_a_calls_own_timeout_blames_nobody(clock: Clock, world: World) -> None:
    """Impatient calls do not take a healthy model out for the others."""
    script(world, Act(first_token=1.0), HEALTHY)

    async def scenario(router: Router) -> tuple[Any, list[str]]:
        results = [await ask(router, chain=["a", "b"], prompt=str(n), retry=ONCE, first_token=0.5) for n in range(5)]
        return results[0].trace.attempts[0].scope, models_sent(await ask(router, chain=["a", "b"]))

    assert play(clock, world, scenario) == ("call", ["a"])


@pytest.mark.parametrize(("wrong", "message"), [
    ({"total": 0}, "total: expected seconds above 0"), ({"idle": "20s"}, "idle: expected seconds, "),
    ({"connect": -1}, "connect: expected seconds above 0"), ({"first_token": True}, "first_token: expected seconds"),
    ({"on_refusal": "ask"}, 'on_refusal: expected "raise" or "next", got \'ask\''),
    ({"on_context": ""}, "on_context: expected text, got ''"), ({"on_context": 7}, "on_context: expected text, got 7"),
    ({"on_context": "sim:"}, "on_context: expected provider:id, got 'sim:'"),
])  # fmt: skip
def test_a_setting_that_cannot_be_used(clock: Clock, world: World, wrong: Any, message: str) -> None:
    """It is a `ConfigError` that names it, from `chat()`, `stream()` and `explain()`; nothing is sent."""
    script(world, HEALTHY)

    async def scenario(router: Router) -> set[str]:
        with pytest.raises(ConfigError) as chatted:
            await router.chat("x", chain=["a"], **wrong)
        with pytest.raises(ConfigError) as streamed:
            router.stream("x", chain=["a"], **wrong)
        with pytest.raises(ConfigError) as explained:
            router.explain(chain=["a"], **wrong)
        return {str(chatted.value), str(streamed.value), str(explained.value)}

    [said] = play(clock, world, scenario)

    assert said.startswith(message)
    assert not world.seen


def test_a_call_may_go_on_after_a_refusal(clock: Clock, world: World) -> None:
    """`on_refusal="next"` asks the next model, "raise" raises though the file says "next"; a step's own wins."""
    script(world, REFUSES, HEALTHY)

    async def scenario(router: Router) -> list[Any]:
        asking: dict[str, Any] = {"chain": ["a", "b"], "retry": ONCE}
        return [
            models_sent(await ask(router, on_refusal="next", **asking)),
            type(await ask(router, on_refusal="raise", **asking)),
            models_sent(await ask(router, **asking)),
            type(await ask(router, on_refusal="next", retry=ONCE, chain=[Step("a", on_refusal="raise"), "b"])),
        ]

    results = play(clock, world, scenario, defaults={"on_refusal": "next"})

    assert results == [["a", "b"], Refused, ["a", "b"], Refused]


# ── a prompt that is too long ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("given", [
    {"on_context": "big"}, {"task": "named"}, {"on_context": "reserve"}, {"on_context": Model(provider="sim", id="d")},
])  # fmt: skip
@pytest.mark.parametrize("streamed", [False, True])
def test_a_long_prompt_goes_to_the_model_for_it(
    clock: Clock, world: World, given: dict[str, Any], streamed: bool
) -> None:
    """`on_context` names a model, or a task, that is asked next; with a call or in the file, streamed or not."""
    script(world, TOO_LONG, HEALTHY, HEALTHY, HEALTHY)
    models = {"big": {"provider": "sim", "id": "d"}}
    tasks = {"named": {"models": ["a", "b"], "on_context": "big"}, "reserve": ["big"]}
    asking = given if "task" in given else {"chain": ["a", "b"], **given}

    async def scenario(router: Router) -> Any:
        if not streamed:
            return (await ask(router, **asking)).trace
        async with router.stream("x", **asking) as stream:
            async for _ in stream:
                pass
        return stream.trace

    trace = play(clock, world, scenario, models=models, tasks=tasks)

    assert [seen.body["model"] for seen in world.seen] == ["a", "d"]
    assert [attempt.cause for attempt in trace.attempts] == ["first", "fallback"]


def test_the_chain_goes_on_after_the_model_for_long_prompts(clock: Clock, world: World) -> None:
    """If that one fails too, the rest of the chain is tried; a model that stands in both is asked once."""
    script(world, TOO_LONG, HEALTHY, Act(status=400), HEALTHY)

    async def scenario(router: Router) -> list[list[str]]:
        both = await ask(router, chain=["a", "c", "b"], on_context="c", retry=ONCE)
        last = await ask(router, chain=["c", "a", "b"], on_context="c", retry=ONCE)
        return [models_sent(both), models_sent(last)]

    assert play(clock, world, scenario) == [["a", "c", "b"], ["c", "a", "b"]]


def test_a_prompt_that_fits_never_sees_it(clock: Clock, world: World) -> None:
    """Any other failure passes it by, also when every model fails; so does `on_context=None` with a call."""
    script(world, Act(status=400), Act(status=400), HEALTHY)
    defaults = {"on_context": "c"}

    async def scenario(router: Router) -> list[Any]:
        failed = await ask(router, chain=["a", "b"], retry=ONCE)
        script(world, TOO_LONG, Act(status=400), HEALTHY)
        without = await ask(router, chain=["a", "b"], retry=ONCE, on_context=None)
        return [type(failed), models_sent(failed), type(without), models_sent(without)]

    assert play(clock, world, scenario, defaults=defaults) == [AllModelsFailed, ["a", "b"], AllModelsFailed, ["a", "b"]]


def test_a_prompt_beyond_a_minutes_tokens_is_too_long(clock: Clock, world: World) -> None:
    """So is a request larger than a whole minute's limit, which another model may have room for."""
    limit = Act(status=429, message="Request too large for a: Limit 30000, Requested 36055.")
    script(world, limit, HEALTHY, HEALTHY)

    reply = play(clock, world, lambda router: ask(router, chain=["a", "b"], on_context="c"))

    assert models_sent(reply) == ["a", "c"]


def test_a_model_for_long_prompts_with_a_small_window_is_passed_over(clock: Clock, world: World) -> None:
    """Its window is known to be no larger than that of the model that refused: it is not asked."""
    script(world, TOO_LONG, HEALTHY, HEALTHY)
    windows = {"a": 100, "b": 900, "c": 100}
    models = {name: {"provider": "sim", "id": name, "context": size} for name, size in windows.items()}

    reply = play(clock, world, lambda router: ask(router, chain=["a", "b"], on_context="c"), models=models)

    assert models_sent(reply) == ["a", "b"]
    assert "no larger than a's" in str(reply.trace)


def test_a_hedge_does_not_start_the_model_for_long_prompts(clock: Clock, world: World) -> None:
    """A slow model is raced with the models of the chain alone."""
    script(world, Act(first_token=3.0), HEALTHY, HEALTHY)

    async def scenario(router: Router) -> list[list[str]]:
        alone = await ask(router, chain=["a"], on_context="c", hedge=1.0)
        raced = await ask(router, chain=["a", "b"], on_context="c", hedge=1.0)
        return [models_sent(alone), models_sent(raced)]

    assert play(clock, world, scenario) == [["a"], ["a", "b"]]


def test_the_plan_shows_the_model_for_long_prompts(clock: Clock, world: World) -> None:
    """`explain()` has it beside the steps, `health()` among the models."""

    async def scenario(router: Router) -> tuple[Any, ...]:
        plan = router.explain(task="t")
        shown = "if the prompt is too long: c (sim)" in str(plan)
        names = [[step.model for step in steps] for steps in (plan.steps, plan.on_context)]
        return *names, shown, "c" in router.health()

    script(world, HEALTHY, HEALTHY, HEALTHY)
    tasks = {"t": {"models": ["a", "b"], "on_context": "c"}}
    assert play(clock, world, scenario, tasks=tasks) == (["a", "b"], ["c"], True, True)


@pytest.mark.parametrize(("config", "message"), [
    ({"defaults": {"on_context": "nobody"}}, "defaults.on_context: unknown model 'nobody'"),
    ({"tasks": {"t": {"models": ["v/a"], "on_context": "nobody"}}}, "tasks.t.on_context: unknown model 'nobody'"),
    ({"tasks": {"t": {"models": ["v/a"], "on_context": 7}}}, "tasks.t.on_context: expected text, got 7"),
])  # fmt: skip
def test_an_unknown_model_for_long_prompts_is_found_at_load(config: Any, message: str) -> None:
    """The name is checked when the configuration is made."""
    with pytest.raises(ConfigError) as caught:
        Router(config)

    assert str(caught.value).startswith(message)


# ── parameters for one provider ──────────────────────────────────────────────────────────────────────────────────────


def test_parameters_for_one_provider(clock: Clock, world: World) -> None:
    """They go to its models alone, over those for all; the strongest are the step's own."""
    script(world, Act(status=400), Act(status=400), HEALTHY)
    params = {"seed": 1, "sim": {"service_tier": "flex", "seed": 2}, "other": {"top_k": 9}}
    chain = ["a", "other:b", Step("c", params={"service_tier": "default"})]

    asking: dict[str, Any] = {"chain": chain, "retry": ONCE, "params": params, "temperature": 0.5}
    play(clock, world, lambda router: ask(router, **asking), providers=OTHER)

    assert [arrived(seen) for seen in world.seen] == [
        {"temperature": 0.5, "seed": 2, "service_tier": "flex"}, {"temperature": 0.5, "seed": 1, "top_k": 9},
        {"temperature": 0.5, "seed": 2, "service_tier": "default"},
    ]


def arrived(seen: Any) -> dict[str, object]:
    """The parameters of a request."""
    fixed = {"model", "messages", "stream", "stream_options"}
    return {name: value for name, value in seen.body.items() if name not in fixed}


def test_a_task_may_have_parameters_for_one_provider(clock: Clock, world: World) -> None:
    """Those of a call take precedence over a task's, whether for one provider or for all."""
    script(world, HEALTHY)
    tasks = {"t": {"models": ["a"], "params": {"top_p": 0.1, "sim": {"seed": 1, "temperature": 0.1}}}}

    async def scenario(router: Router) -> None:
        await ask(router, task="t")
        await ask(router, task="t", temperature=0.7)
        await ask(router, task="t", params={"sim": {"seed": 3}})

    play(clock, world, scenario, tasks=tasks)

    assert [arrived(seen) for seen in world.seen] == [
        {"top_p": 0.1, "seed": 1, "temperature": 0.1}, {"top_p": 0.1, "seed": 1, "temperature": 0.7},
        {"top_p": 0.1, "seed": 3, "temperature": 0.1},
    ]


def test_a_table_under_another_name_is_a_parameter(clock: Clock, world: World) -> None:
    """Only a provider's name parts them: `provider` and `metadata` are sent as they are."""
    script(world, HEALTHY)
    params = {"provider": {"order": ["x"]}, "metadata": {"a": "b"}}

    play(clock, world, lambda router: ask(router, chain=["a"], params=params))

    assert arrived(world.seen[0]) == params


@pytest.mark.parametrize(("own", "message"), [
    ({"model": "x"}, "params['sim']: 'model' is set by the router; use model= or chain="),
    ({"api_key": "sk-12345678"}, "params['sim']: 'api_key' is a credential; use key = "),
])  # fmt: skip
def test_parameters_for_one_provider_are_checked(clock: Clock, world: World, own: Any, message: str) -> None:
    """They may be no field that the router writes, and no credential."""
    script(world, HEALTHY)

    async def scenario(router: Router) -> str:
        with pytest.raises(TypeError) as caught:
            await router.chat("x", chain=["a"], params={"sim": own})
        return str(caught.value)

    said = play(clock, world, scenario)

    assert said.startswith(message)
    assert "12345678" not in said
