"""Names of keyword arguments: other libraries' names, credentials and typos are found before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import Chain, Config, ConfigError, Event, Notice, Router, Step
from asyncrouter._config.parameter_names import ARGUMENTS, KNOWN, USE_INSTEAD
from tests.helpers.planted import KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter.sim import Clock, World


def refusal(clock: Clock, world: World, **asking: Any) -> str:
    """The `TypeError` that `chat()`, `stream()` and `explain()` raise alike for these arguments; nothing is sent."""
    world.model("a")

    async def scenario() -> set[str]:
        async with Router(world.config(), transport=world.transport()) as router:
            with pytest.raises(TypeError) as chatted:
                await router.chat("x", model="a", **asking)
            with pytest.raises(TypeError) as streamed:
                async with router.stream("x", model="a", **asking):
                    pass
            with pytest.raises(TypeError) as explained:
                router.explain(model="a", **asking)
            return {str(chatted.value), str(streamed.value), str(explained.value)}

    [message] = clock.run(scenario())
    assert not world.seen
    return message


@pytest.mark.parametrize(("name", "ours"), [
    ("api_key", 'key = "env:NAME"'), ("api_base", "base_url of a Provider"), ("base_url", "base_url of a Provider"),
    ("max_retries", "retry="), ("num_retries", "retry="), ("timeout", "deadline="), ("fallbacks", "chain="),
    ("extra_body", "params={…}"), ("extra_query", "query of a Provider"), ("response_model", "response_format="),
    ("messages", "prompt, the first argument"), ("api_version", "base_url of a Provider"), ("retries", "retry="),
    ("request_timeout", "deadline="), ("fallback_models", "chain="), ("output_type", "response_format="),
    ("model_kwargs", "params={…}"), ("task_type", "task="),
    ("default_headers", "headers="),
    ("callbacks", "listeners="),
    ("listeners", "listeners= of the Router"),
    ("transport", "transport= of the Router"),
])  # fmt: skip
def test_a_foreign_name_is_answered_with_ours(clock: Clock, world: World, name: str, ours: str) -> None:
    """A keyword of another library is a `TypeError` that names what to use here, and shows no value."""
    message = refusal(clock, world, **{name: KEY})

    assert message.startswith(f"{name}= is not a parameter here; use ")
    assert ours in message
    assert KEY not in message


@pytest.mark.parametrize("name", [
    "api_key", "apikey", "apiKey", "api_token", "openai_api_key", "anthropicApiKey", "aws_secret_access_key",
    "aws_access_key_id", "azure_ad_token", "azure_ad_token_provider", "vertex_credentials", "access_token", "token",
    "password", "authorization", "key", "auth", "jwt", "cookie", "private_key", "passphrase", "service_account_info",
    "hf_token", "githubToken",
])  # fmt: skip
def test_a_credential_is_no_parameter(clock: Clock, world: World, name: str) -> None:
    """Neither as a keyword nor in `params` or its `extra_body`, whose fields would go to every provider."""
    cure = 'use key = "env:NAME" of its Provider'

    assert cure in refusal(clock, world, **{name: KEY})
    assert cure in refusal(clock, world, params={"seed": 1, name: KEY})
    assert KEY not in refusal(clock, world, params={"extra_body": {name: KEY}})


@pytest.mark.parametrize("table", ["litellm_params", "model_kwargs", "client_config"])
def test_a_credential_in_a_table_of_another_library(clock: Clock, world: World, table: str) -> None:
    """Its fields would go to every provider, too."""
    message = refusal(clock, world, params={table: {"api_key": KEY}})

    assert message.startswith(f"params: '{table}.api_key' is a credential; use ")


def test_a_credential_in_headers_among_parameters(clock: Clock, world: World) -> None:
    """`params` with another library's table of headers is refused where that holds a credential."""
    message = refusal(clock, world, params={"extra_headers": {"Authorization": f"Bearer {KEY}"}})

    assert message.startswith("params: 'extra_headers.Authorization' is a credential; use ")


@pytest.mark.parametrize("make", [
    lambda params: Step(model="a", params=params),
    lambda params: Chain(["a"], params=params),
    lambda params: Router({"tasks": {"default": {"models": ["v/a"], "params": params}}}),
])  # fmt: skip
def test_a_credential_in_a_configuration(make: Any) -> None:
    """Parameters of a step, a chain or a file hold no credential: a `ConfigError` with its path, not its value."""
    with pytest.raises(ConfigError) as caught:
        make({"temperature": 0.1, "api_key": "sk-12345678"})

    assert "params.api_key: expected no credential" in str(caught.value)
    assert "12345678" not in f"{caught.value} {caught.value.value}"


@pytest.mark.parametrize("name", [
    "prompt_cache_key", "stop_token_ids", "allowed_token_ids", "max_tokens", "safety_identifier", "eos_token",
    "logit_bias", "token_count", "keys", "author",
])  # fmt: skip
def test_a_name_that_only_looks_like_a_credential(clock: Clock, world: World, name: str) -> None:
    """A parameter whose name merely holds such a word is sent."""
    assert sent(clock, world, params={name: 1}) == {name: 1}


@pytest.mark.parametrize("name", ["fallbacks", "timeout", "extra_body", "base_url", "retries", "deadline", "dealine"])
def test_params_send_any_name(clock: Clock, world: World, name: str) -> None:
    """`params` is how a provider's parameter is sent whose name means something else as a keyword."""
    assert sent(clock, world, params={name: {"a": 1}}) == {name: {"a": 1}}


def sent(clock: Clock, world: World, **asking: Any) -> Mapping[str, object]:
    """The parameters that arrive."""
    world.model("a")

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport()) as router:
            await router.chat("x", model="a", **asking)

    clock.run(scenario())
    [seen] = world.seen
    fixed = {"model", "messages", "stream", "stream_options"}
    return {name: value for name, value in seen.body.items() if name not in fixed}


@pytest.mark.parametrize(("name", "meant"), [
    ("tasks", "task"), ("Task", "task"), ("dead_line", "deadline"), ("deadLine", "deadline"), ("retyr", "retry"),
    ("header", "headers"), ("hegde", "hedge"), ("param", "params"), ("chian", "chain"),
])  # fmt: skip
def test_a_misspelt_argument_is_found(clock: Clock, world: World, name: str, meant: str) -> None:
    """One edit from an argument of ours, or other capitals and underscores: a `TypeError` with the name meant."""
    words = f"{name}=: did you mean {meant}=? (params={{{name!r}: …}} sends it to the provider)"

    assert refusal(clock, world, **{name: 1}) == words


def notices(clock: Clock, world: World, *calls: Mapping[str, Any], **config: Any) -> list[str]:
    """The notices of calls with these arguments, over one router."""
    world.model("a")
    events: list[Event] = []

    async def scenario() -> None:
        async with Router(world.config(**config), transport=world.transport(), listeners=[events.append]) as router:
            for asking in calls:
                await router.chat("x", **asking)

    clock.run(scenario())
    return [event.text for event in events if isinstance(event, Notice)]


def words(name: str, meant: str) -> str:
    """The notice of a misspelt parameter."""
    return f"parameter {name!r}: no provider is known to have it; did you mean {meant!r}? It is sent as it is"


@pytest.mark.parametrize(("name", "meant"), [
    ("temprature", "temperature"), ("max_token", "max_tokens"), ("maxTokens", "max_tokens"), ("tool", "tools"),
    ("reasoning_efort", "reasoning_effort"), ("seeed", "seed"), ("topk_", "top_k"), ("max_tokenss", "max_tokens"),
])  # fmt: skip
def test_a_misspelt_parameter_is_said_once(clock: Clock, world: World, name: str, meant: str) -> None:
    """It is sent, for a provider may have it; and one notice says what was probably meant, however many calls."""
    calls = [{"model": "a", name: 0}, {"model": "a", "params": {name: 0}}, {"model": "a", name: 1}]

    said = notices(clock, world, *calls)

    assert [seen.body[name] for seen in world.seen] == [0, 0, 1]
    assert said == [words(name, meant)]


def test_a_misspelt_parameter_of_a_file_or_a_step(clock: Clock, world: World) -> None:
    """Those of a task and of a step are looked at, too."""
    tasks = {"warm": {"models": [{"model": "a", "params": {"top_pp": 1}}], "params": {"temprature": 1}}}

    said = notices(clock, world, {"task": "warm"}, {"task": "warm"}, tasks=tasks)

    assert sorted(said) == sorted([words("temprature", "temperature"), words("top_pp", "top_p")])


@pytest.mark.parametrize("name", ["my_own_switch", "m", "nn", "enable_foo", "temperature_decay_rate"])
def test_a_parameter_that_is_near_to_none(clock: Clock, world: World, name: str) -> None:
    """It is sent, and nothing is said: no list of providers' parameters is complete."""
    assert notices(clock, world, {"model": "a", name: 1}) == []
    assert world.seen[0].body[name] == 1


@pytest.mark.parametrize("name", sorted(KNOWN - {"models"}))
def test_no_known_parameter_is_taken_for_another_name(name: str) -> None:
    """Real parameters are neither foreign names nor arguments of ours."""
    assert name not in {*USE_INSTEAD, *ARGUMENTS}


def test_the_readme_and_the_help_have_the_same_arguments() -> None:
    """The list of our own names is what `chat()` takes."""
    assert set(ARGUMENTS) == set(Router.chat.__annotations__) - {"prompt", "provider_params", "return"}


def test_a_configuration_still_takes_any_other_parameter() -> None:
    """Parameters of a file are not limited to known names."""
    config = Config(tasks={"default": Chain(["v/a"], params={"my_own_switch": True, "timeout": 3})})

    assert config.tasks["default"].params == {"my_own_switch": True, "timeout": 3}


@pytest.mark.parametrize(("name", "said"), [
    ("timeout", "timeout= is not a parameter here; use deadline= (the whole call), or connect=, first_token=, idle= "
                "and total= (each attempt), in chat() or with_options()"),
    ("base_url", "base_url= is not a parameter here; use base_url of a Provider in the configuration; a model of it is "
                 "named provider:id"),
    ("hedge", "hedge= is an argument of chat(); for all calls: router.with_options(hedge=…)"),
    ("confg", "confg=: did you mean config=?"),
    ("colour", "colour= is not a parameter here; use one of config, tables, transport, listeners, seed, wall, shared"),
])  # fmt: skip
def test_a_keyword_that_the_router_does_not_have_is_refused_with_the_place_where_it_belongs(
    name: str, said: str
) -> None:
    """`Router(timeout=3)` is a `TypeError` that says where that is set."""
    with pytest.raises(TypeError) as raised:
        Router(**{name: 3})  # type: ignore[arg-type]  # what is tested
    assert str(raised.value) == f"Router(): {said}"


def test_a_key_that_is_given_to_the_router_is_refused_and_not_shown() -> None:
    """`Router(api_key=…)` says how keys are configured, and no part of the error holds the key."""
    with pytest.raises(TypeError, match=r'use key = "env:NAME" of its Provider'):  # what its frames hold: conftest
        Router(api_key=KEY)  # type: ignore[arg-type]  # what is tested
