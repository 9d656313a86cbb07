"""The plan of a call: which models, in what order, and which settings take precedence."""

import pytest

from asyncrouter._config.catalog import Model, Price, Provider
from asyncrouter._config.config import Chain, Config, Defaults, Hedge, Retry, Step
from asyncrouter._config.load import builtin
from asyncrouter._config.plan import Plan, PlannedStep, resolve
from asyncrouter._errors import ConfigError

LOCAL = Provider(name="local", base_url="http://127.0.0.1:8080/v1")


def priced(name: str, price: float | None) -> Model:
    rates = None if price is None else Price(input=price / 2, output=price / 2)
    return Model(provider="local", id=name, usd_per_mtok=rates)


def config(**fields: object) -> Config:
    """A configuration with models of known and unknown prices, on one provider that is the default."""
    return Config(**{
        "default_provider": "local",
        "providers": {"local": LOCAL},
        "models": {
            "small": priced("small-id", 1), "middle": priced("middle-id", 4), "large": priced("large-id", 9),
            "cheap": priced("cheap-id", 2), "same": priced("same-id", 4), "dear": priced("dear-id", 5),
            "unpriced": priced("unpriced-id", None),
        },
        "tiers": {"budget": Chain(["small"]), "standard": Chain(["middle"]), "premium": Chain(["large"])},
        **fields,
    })


def names(plan: Plan) -> list[str]:
    return [step.name for step in plan.steps]


def test_a_plan_has_every_setting_merged() -> None:
    """A task with settings of its own, over defaults, exact to the last field."""
    plan = resolve(config(
        defaults=Defaults(connect=3, retry=Retry(attempts=3)),
        tasks={"coding": Chain(
            ["small", Step(model="openai::gpt-x", total=20, retry={"cap": 1}, params={"seed": 1})],
            hedge={"after": 1.5}, deadline=60, params={"temperature": 0.2}, idle=None, on_refusal="next",
        )},
    ), task="coding")

    small = Model(name="small", provider="local", id="small-id", usd_per_mtok=Price(input=0.5, output=0.5))
    first = PlannedStep(
        name="small", model=small, provider=LOCAL, connect=3, first_token=30.0, idle=None, total=120.0,
        retry=Retry(attempts=3), on_refusal="next", max_response_bytes=67_108_864, streams=True, params={},
    )
    second = PlannedStep(
        name="openai::gpt-x", model=Model(name="openai::gpt-x", provider="openai", id="gpt-x"),
        provider=Provider(name="openai", base_url="https://api.openai.com/v1", key="env:OPENAI_API_KEY"),
        connect=3, first_token=30.0, idle=None, total=20, retry=Retry(attempts=3, cap=1), on_refusal="next",
        max_response_bytes=67_108_864, streams=True, params={"seed": 1},
    )
    assert plan == Plan(
        task="coding", failure_message="All coding models failed", steps=(first, second), params={"temperature": 0.2},
        hedge=Hedge(after=1.5), deadline=60, warning=None, ordinary=2,
    )


def test_without_arguments_it_is_the_default_task() -> None:
    """A call that names no models uses the task `default`; if there is none, the error says what to give."""
    plan = resolve(config(tasks={"default": Chain(["small"])}))

    assert names(plan) == ["small"]
    assert (plan.task, plan.failure_message, plan.warning) == ("default", "All default models failed", None)
    with pytest.raises(ConfigError) as caught:
        resolve(config())
    assert str(caught.value) == "task: there is no task named default: a call has to name a task, tier, chain or model"


def test_an_unknown_task_uses_the_default_chain_under_its_own_name() -> None:
    """The trace, the error and the warning have the name of the task that was asked for."""
    plan = resolve(config(tasks={"default": Chain(["small"], deadline=7)}), task="defaullt")

    assert (plan.task, names(plan), plan.deadline) == ("defaullt", ["small"], 7)
    assert plan.failure_message == "task 'defaullt': every model failed"
    assert plan.warning == (
        "unknown task 'defaullt' (did you mean 'default'?): taking the chain of \"default\""
    )


@pytest.mark.parametrize(
    "fields",
    [{"unknown_task": "error", "tasks": {"default": Chain(["small"]), "coding": Chain(["small"])}},
     {"tasks": {"coding": Chain(["small"])}}],
)
def test_an_unknown_task_may_be_an_error(fields: dict[str, object]) -> None:
    """It is one if the configuration says so, or has no task `default`."""
    with pytest.raises(ConfigError) as caught:
        resolve(config(**fields), task="codign")

    assert str(caught.value) == "task: unknown task 'codign'; did you mean 'coding'?"


def test_a_tier_is_all_tiers_up_to_it() -> None:
    """The cheapest tier comes first, and the trace has the name of the one that was asked for."""
    plan = resolve(config(), tier="standard")

    assert names(plan) == ["small", "middle"]
    assert (plan.task, plan.failure_message) == ("standard", "All budget-appropriate models failed")


def test_a_model_of_a_cheaper_tier_is_not_repeated_in_a_dearer_one() -> None:
    """It keeps its first place; within one tier a model may stand twice, as in any chain."""
    tiers = {"budget": Chain(["small", "small"]), "premium": Chain(["local:small-id", "large"])}

    assert names(resolve(config(tiers=tiers), tier="premium")) == ["small", "small", "large"]


def test_the_tier_asked_for_gives_the_settings_of_the_call() -> None:
    """Deadline, hedge and parameters are those of the tier that is named; each step keeps the timeouts of its own."""
    plan = resolve(config(tiers={
        "budget": Chain(["small"], deadline=5, params={"seed": 1}, total=3),
        "standard": Chain(["middle"], deadline=50, hedge=2, params={"top_p": 0.5}),
    }), tier="standard")

    assert (plan.deadline, plan.hedge, plan.params) == (50, Hedge(after=2), {"top_p": 0.5})
    assert [step.total for step in plan.steps] == [3, 120.0]


def test_an_unknown_tier_names_the_tiers() -> None:
    """A tier bounds what a call costs, so no other one is used for an unknown one."""
    with pytest.raises(ConfigError) as caught:
        resolve(config(), tier="standart")

    assert str(caught.value) == "tier: unknown tier 'standart'; the tiers are budget, standard, premium"


def test_an_unknown_tier_of_a_configuration_without_tiers() -> None:
    """The error says that there are none."""
    with pytest.raises(ConfigError) as caught:
        resolve(Config(), tier="standard")

    assert str(caught.value) == "tier: unknown tier 'standard'; the configuration has no tiers"


@pytest.mark.parametrize(
    ("models", "tier", "left"),
    [
        (["large", "middle", "small"], "standard", ["middle", "small"]),
        (["large", "middle", "small"], "premium", ["large", "middle", "small"]),
        (["same", "cheap", "dear", "unpriced"], "standard", ["same", "cheap"]),
        (["cheap", "dear"], "premium", ["cheap", "dear"]),
        (["large", "unpriced"], "standard", ["small", "middle"]),
        (["dear", "local:middle-id"], "standard", ["local:middle-id"]),
    ],
)
def test_a_task_within_a_tier(models: list[str], tier: str, left: list[str]) -> None:
    """Models of higher tiers are left out, those in no tier go by price; if none is left, the tiers' own are used."""
    plan = resolve(config(tasks={"coding": Chain(models, deadline=9, params={"seed": 1})}), task="coding", tier=tier)

    assert names(plan) == left
    assert (plan.task, plan.failure_message) == ("coding", "All coding models failed")
    assert (plan.deadline, plan.params) == (9, {"seed": 1})


def test_a_model_of_a_cheap_and_a_dear_tier_counts_as_cheap() -> None:
    """The lowest tier in which it stands is the one that counts."""
    tiers = {"budget": Chain(["small"]), "premium": Chain(["large", "small"])}
    tasks = {"a": Chain(["small", "large"])}

    assert names(resolve(config(tiers=tiers, tasks=tasks), task="a", tier="budget")) == ["small"]


def test_a_tier_without_prices_allows_nothing_by_price() -> None:
    """A model in no tier is left out if there is no price to compare its own with."""
    tiers = {"budget": Chain(["unpriced"])}
    free = config(tiers=tiers, models={"unpriced": priced("u", None), "free": priced("f", 0)},
                  tasks={"a": Chain(["free"])})

    assert names(resolve(free, task="a", tier="budget")) == ["unpriced"]


def test_a_chain_brings_its_models_and_a_task_the_rest() -> None:
    """The task adds parameters, deadline and hedge, but not its timeouts; the chain's own take precedence."""
    tasks = {"coding": Chain(["small"], deadline=60, hedge=1.5, params={"seed": 1, "top_p": 1}, total=9)}
    bare = resolve(config(tasks=tasks), task="coding", chain=["large", Step(model="middle", total=20), "unpriced"])
    chain = Chain(["large"], deadline=5, hedge=None, params={"seed": 2})
    own = resolve(config(tasks=tasks), task="coding", chain=chain)

    assert (bare.task, bare.failure_message) == ("coding", "All coding models failed")
    assert names(bare) == ["large", "middle", "unpriced"]
    assert (bare.deadline, bare.hedge, bare.params) == (60, Hedge(after=1.5), {"seed": 1, "top_p": 1})
    assert [step.total for step in bare.steps] == [120.0, 20, 120.0]
    assert (own.deadline, own.hedge, own.params) == (5, None, {"seed": 2, "top_p": 1})


def test_a_model_is_a_chain_of_one() -> None:
    """It is given by name or as an object; without a task the trace has no name."""
    plans = [resolve(config(), model=given) for given in (
        "local:x:mini", Model(provider="local", id="x"), Step(model="small"))]

    assert [names(plan) for plan in plans] == [["local:x:mini"], ["x"], ["small"]]
    assert [(plan.task, plan.failure_message) for plan in plans] == [(None, "All models failed")] * 3


def test_models_are_given_in_one_way_only() -> None:
    """Tier, chain and model exclude one another."""
    for ways in ({"tier": "budget", "model": "small"}, {"tier": "budget", "chain": ["small"]},
                 {"chain": ["small"], "model": "small"}):
        with pytest.raises(ValueError, match="tier, chain and model each say which models are tried: give one of them"):
            resolve(config(), **ways)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"model": "opnai:x"}, "model: unknown provider 'opnai'; did you mean 'openai'?"),
        ({"model": ""}, "model: expected text, got ''"),
        ({"model": Model(provider="nowhere", id="x")}, "model.provider: unknown provider 'nowhere'; known: local, "
         "openrouter, openai, anthropic, gemini, deepseek, groq, mistral, together, fireworks, xai, cerebras, ollama, "
         "vllm, lmstudio, azure, bedrock, vertex"),
        ({"chain": []}, "chain.models: expected a list of at least one model, got an empty list"),
        ({"chain": "small"}, "chain.models: expected a list of at least one model, got 'small'"),
        ({"chain": ["small", "opnai:x"]}, "chain.models[1]: unknown provider 'opnai'; did you mean 'openai'?"),
        ({"chain": ["small", {"model": "small", "total": "20s"}]},
         "chain.models[1].total: expected seconds, got '20s'"),
        ({"deadline": "60"}, "deadline: expected seconds, got '60'"),
        ({"deadline": 0}, 'deadline: expected seconds above 0 (no limit is None, "none" in a file), got 0'),
        ({"hedge": {"budget": 0.5}}, "hedge.after: is required"),
        ({"hedge": -1}, "hedge.after: expected seconds above 0, got -1"),
        ({"retry": {"attempts": 0}}, "retry.attempts: expected a whole number, 1 or more, got 0"),
        ({"retry": 3.5}, 'retry: expected Retry(attempts=3), {"attempts": 3} or 3, got 3.5'),
        ({"task": ""}, "task: expected text, got ''"),
        ({"task": 3}, "task: expected text, got 3"),
        ({"tier": ["budget"]}, "tier: unknown tier a list; the tiers are budget, standard, premium"),
    ],
)
def test_arguments_of_a_call_are_checked_as_a_file_is(asked: dict[str, object], message: str) -> None:
    """The error has the name of the argument as its path."""
    with pytest.raises(ConfigError) as caught:
        resolve(config(tasks={"default": Chain(["small"])}), **asked)

    assert str(caught.value) == message


def test_retries_of_a_step_override_the_call_s_and_those_the_task_s() -> None:
    """A mapping changes only the fields that it names."""
    plan = resolve(
        config(
            defaults=Defaults(retry=Retry(attempts=9, base=9, cap=9, patience=9)),
            tasks={"a": Chain(["small", Step(model="large", retry={"patience": 1})],
                              retry={"base": 5, "cap": 5, "patience": 5})},
        ),
        task="a", retry={"cap": 3, "patience": 3},
    )

    assert [step.retry for step in plan.steps] == [
        Retry(attempts=9, base=5, cap=3, patience=3), Retry(attempts=9, base=5, cap=3, patience=1),
    ]


@pytest.mark.parametrize(
    ("given", "deadline", "hedge"),
    [
        ({}, 60, Hedge(after=1.5, budget=0.5)),
        ({"deadline": None, "hedge": None}, None, None),
        ({"deadline": 5, "hedge": 3}, 5, Hedge(after=3, budget=0.5)),
        ({"hedge": "p95"}, 60, Hedge(after="p95", budget=0.5)),
        ({"hedge": {"same": True}}, 60, Hedge(after=1.5, budget=0.5, same=True)),
        ({"hedge": Hedge(after="p95")}, 60, Hedge(after="p95")),
    ],
)
def test_not_given_is_not_none(given: dict[str, object], deadline: float | None, hedge: Hedge | None) -> None:
    """`None` removes a limit, not giving one leaves it, and a part of a hedge changes that part."""
    defaults, tasks = Defaults(hedge=Hedge(after=9, budget=0.5)), {"a": Chain(["small"], deadline=60, hedge=1.5)}

    plan = resolve(config(defaults=defaults, tasks=tasks), task="a", **given)

    assert (plan.deadline, plan.hedge) == (deadline, hedge)


@pytest.mark.parametrize(
    ("settings", "hedge", "streams"),
    [
        ({}, None, True),
        ({"first_token": None}, None, True),
        ({"first_token": None, "idle": None}, None, False),
        ({"first_token": None, "idle": None}, 1.5, True),
        ({"first_token": None, "idle": None, "wire_stream": True}, None, True),
        ({"wire_stream": False}, 1.5, False),
    ],
)
def test_chat_streams_on_the_wire_when_a_timeout_or_a_hedge_needs_it(
    settings: dict[str, object], hedge: float | None, streams: bool
) -> None:
    """If `wire_stream` is "auto", a step streams when there is a limit on first token or idle time, or a hedge."""
    plan = resolve(config(), chain=[Step(model="small", **settings)], hedge=hedge)

    assert [step.streams for step in plan.steps] == [streams]


def test_the_built_in_tasks_within_the_built_in_tiers() -> None:
    """The cheapest coder of `current` is no dearer than its budget tier; models of `classic` have no known price."""
    current, classic = builtin("current"), builtin("classic")

    assert names(resolve(current, task="coding", tier="budget")) == ["deepseek/deepseek-v4-flash"]
    assert names(resolve(current, task="creative", tier="standard")) == [
        "openai/gpt-6.1-sol", "meta-llama/llama-3.3-70b-instruct",
    ]
    assert names(resolve(classic, tier="budget")) == names(resolve(classic, task="coding", tier="budget"))


@pytest.mark.parametrize("table", ["current", "classic"])
def test_every_built_in_name_resolves(table: str) -> None:
    """Every model of the built-in tables is one of OpenRouter, with its id as its name."""
    shipped = builtin(table)
    plans = [resolve(shipped, task=name) for name in shipped.tasks] + [resolve(shipped, tier="premium")]

    for step in (step for plan in plans for step in plan.steps):
        assert (step.provider.name, step.model.id) == ("openrouter", step.name)
