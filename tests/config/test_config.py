"""The dataclasses of a configuration: what they refuse, with which messages, and that they copy what they are given."""

import copy
import math
import pickle
from collections.abc import Callable
from datetime import date

import pytest

from asyncrouter._config.catalog import Model, Price, Provider
from asyncrouter._config.config import NOT_GIVEN, Chain, Config, Defaults, Hedge, Retry, Step
from asyncrouter._errors import ConfigError, RouterError
from tests.helpers.planted import KEY as SECRET

NO_LIMIT = '(no limit is None, "none" in a file)'
URL = "expected a URL that begins with http:// or https:// and has a host"
HEDGE = 'expected a table like { after = 1.5 }, seconds, "p95" or "auto" (no hedge is None, "none" in a file)'


def model(**fields: object) -> Model:
    return Model(**{"provider": "openai", "id": "m", **fields})


def provider(**fields: object) -> Provider:
    return Provider(**{"base_url": "http://127.0.0.1:8080/v1", **fields})


BAD = [
    (lambda: Step(model="a/b", total="20s"), "total: expected seconds, got '20s'"),
    (lambda: Step(model="a/b", total=0), f"total: expected seconds above 0 {NO_LIMIT}, got 0"),
    (lambda: Step(model="a/b", idle=-1.5), f"idle: expected seconds above 0 {NO_LIMIT}, got -1.5"),
    (lambda: Step(model="a/b", connect=math.nan), "connect: expected seconds, got nan"),
    (lambda: Step(model="a/b", first_token=math.inf), f"first_token: expected seconds {NO_LIMIT}, got inf"),
    (lambda: Step(model="a/b", total=True), "total: expected seconds, got True"),
    (lambda: Step(model="a/b", total=10**400), f"total: expected seconds, got 1{'0' * 17}...{'0' * 19}"),
    (lambda: Step(model="a/b", total=10**5000), "total: expected seconds, got an object of type int"),
    (lambda: Step(model=""), "model: expected text, got ''"),
    (lambda: Step(model=3), "model: expected text, got 3"),
    (lambda: Step("a/b", retry="3"), "retry: expected Retry(attempts=3), {\"attempts\": 3} or 3, got '3'"),
    (lambda: Step("a/b", retry=True), 'retry: expected Retry(attempts=3), {"attempts": 3} or 3, got True'),
    (lambda: Step("a/b", retry=0), "retry.attempts: expected a whole number, 1 or more, got 0"),
    (lambda: Step(model="a/b", retry={"attempts": 0}), "retry.attempts: expected a whole number, 1 or more, got 0"),
    (lambda: Step(model="a/b", retry={"tries": 3}),
     "retry.tries: unknown key 'tries'; known: attempts, base, cap, patience"),
    (lambda: Step(model="a/b", retry={"attempt": 3}), "retry.attempt: unknown key 'attempt'; did you mean 'attempts'?"),
    (lambda: Step(model="a/b", on_refusal="stop"), 'on_refusal: expected "raise" or "next", got \'stop\''),
    (lambda: Step(model="a/b", max_response_bytes=1.5),
     "max_response_bytes: expected a whole number, 1 or more, got 1.5"),
    (lambda: Step(model="a/b", wire_stream="yes"), "wire_stream: expected true, false or \"auto\", got 'yes'"),
    (lambda: Step(model="a/b", wire_stream=1), 'wire_stream: expected true, false or "auto", got 1'),
    (lambda: Step(model="a/b", params=[1]), "params: expected a table of parameters, got a list"),
    (lambda: Step(model="a/b", params={"seed": math.nan}), "params.seed: expected what JSON can carry, got nan"),
    (lambda: Step(model="a/b", params={"n": 2**64}),
     "params.n: expected what JSON can carry, got 18446744073709551616"),
    (lambda: Step(model="a/b", params={"stop": ["a", "\ud800"]}),
     "params.stop[1]: expected what JSON can carry, got '\\ud800'"),
    (lambda: Step(model="a/b", params={"x": {"y z": date(2026, 1, 1)}}),
     'params.x."y z": expected what JSON can carry, got datetime.date(2026, 1, 1)'),
    (lambda: Step(model="a/b", params={3: 4}), "params: expected text as a key, got 3"),
    (lambda: Step(model="a/b", params={"stream": True}),
     "params.stream: is set by the router and cannot be a parameter"),
    (lambda: Chain([]), "models: expected a list of at least one model, got an empty list"),
    (lambda: Chain("gpt"), "models: expected a list of at least one model, got 'gpt'"),
    (lambda: Chain({"a/b"}), "models: expected a list of at least one model, got {'a/b'}"),
    (lambda: Chain(["a/b", 4]), "models[1]: expected a model's name or a table with `model`, got 4"),
    (lambda: Chain(["a/b", " "]), "models[1]: expected a model's name or a table with `model`, got ' '"),
    (lambda: Chain([{"model": "a/b", "total": "20s"}]), "models[0].total: expected seconds, got '20s'"),
    (lambda: Chain([{"total": 20}]), "models[0].model: is required"),
    (lambda: Chain([{"model": "a/b", "totl": 20}]), "models[0].totl: unknown key 'totl'; did you mean 'total'?"),
    (lambda: Chain(["a/b"], deadline=0.0), f"deadline: expected seconds above 0 {NO_LIMIT}, got 0.0"),
    (lambda: Chain(["a/b"], hedge="fast"), f"hedge: {HEDGE}, got 'fast'"),
    (lambda: Chain(["a/b"], hedge=True), f"hedge: {HEDGE}, got True"),
    (lambda: Chain(["a/b"], hedge=0), "hedge.after: expected seconds above 0, got 0"),
    (lambda: Chain(["a/b"], hedge={"after": "p9"}),
     "hedge.after: expected seconds, a quantile like \"p95\", or \"auto\", got 'p9'"),
    (lambda: Hedge("p100"), "after: expected seconds, a quantile like \"p95\", or \"auto\", got 'p100'"),
    (lambda: Chain(["a/b"], hedge={"budget": 2}), "hedge.budget: expected a share, 0 to 1, got 2"),
    (lambda: Hedge(after=None), 'after: expected seconds, a quantile like "p95", or "auto", got None'),
    (lambda: Hedge(after=1, same="no"), "same: expected true or false, got 'no'"),
    (lambda: Hedge(after="p95", cap=-1), f"cap: expected seconds above 0 {NO_LIMIT}, got -1"),
    (lambda: Retry(attempts=True), "attempts: expected a whole number, 1 or more, got True"),
    (lambda: Retry(base=-0.1), "base: expected seconds, 0 or more, got -0.1"),
    (lambda: Retry(patience="2s"), "patience: expected seconds, got '2s'"),
    (lambda: Defaults(deadline="none"), "deadline: expected seconds, got 'none'"),
    (lambda: Defaults(retry={"attempts": 1}), "retry: expected a Retry, got a table"),
    (lambda: Defaults(hedge=1.5), "hedge: expected a Hedge or None, got 1.5"),
    (lambda: Defaults(breaker="on"), 'breaker: expected "auto" or "off", got \'on\''),
    (lambda: Price(input=-1, output=0), "input: expected US dollars, 0 or more, got -1"),
    (lambda: Price(input=1, output="2"), "output: expected US dollars, got '2'"),
    (lambda: model(id=""), "id: expected text, got ''"),
    (lambda: model(context=0), "context: expected a whole number, 1 or more, got 0"),
    (lambda: model(usd_per_mtok=3), "usd_per_mtok: expected a table like { input = 0.1, output = 0.2 }, got 3"),
    (lambda: model(drop="temperature"), "drop: expected a list of parameter names, got 'temperature'"),
    (lambda: model(drop=["temperature", 3]), "drop[1]: expected text, got 3"),
    (lambda: model(rpm=0), f"rpm: expected a number above 0 {NO_LIMIT}, got 0"),
    (lambda: model(retired="2026-01-05"), "retired: expected a date, got '2026-01-05'"),
    (lambda: provider(base_url="localhost:8080"), f"base_url: {URL}, got 'localhost:8080'"),
    (lambda: provider(base_url="ftp://x"), f"base_url: {URL}, got 'ftp://x'"),
    (lambda: provider(base_url="http://"), f"base_url: {URL}, got 'http://'"),
    (lambda: provider(base_url="http://[::1"), f"base_url: {URL}, got 'http://[::1'"),
    (lambda: provider(base_url="http://x:port"), f"base_url: {URL}, got 'http://x:port'"),
    (lambda: provider(base_url="http://x/a b"), f"base_url: {URL}, got 'http://x/a b'"),
    (lambda: provider(wire="opnai"),
     'wire: expected "auto" or "openai" or "responses" or "anthropic" or "gemini", got \'opnai\''),
    (lambda: provider(name="a:b"), "name: expected a name of letters, digits, dots, dashes and underscores, got 'a:b'"),
    (lambda: provider(ca=3), "ca: expected text, got 3"),
    (lambda: provider(headers={"X Title": "x"}), "headers: expected a header's name, got 'X Title'"),
    (lambda: provider(headers={"": "x"}), "headers: expected a header's name, got ''"),
    (lambda: provider(headers={"Transfer-Encoding": "chunked"}),
     "headers: expected a header that the transport does not write itself, got 'Transfer-Encoding'"),
    (lambda: provider(headers={"X-A": "\ud800"}),
     "headers.X-A: expected Latin-1 text without control characters (the value is not shown: it may be secret)"),
    (lambda: provider(query={"a": "\ud800"}),
     "query.a: expected text that UTF-8 can express (the value is not shown: it may be secret)"),
    (lambda: Config(unknown_task="ignore"), 'unknown_task: expected "default" or "error", got \'ignore\''),
    (lambda: Config(default_provider="opnrouter"),
     "default_provider: unknown provider 'opnrouter'; did you mean 'openrouter'?"),
    (lambda: Config(default_provider=None), "default_provider: expected text, got None"),
    (lambda: Config(defaults={}), "defaults: expected Defaults, got a table"),
    (lambda: Config(tasks={"coding": ["a/b"]}), "tasks.coding: expected a Chain, got a list"),
    (lambda: Config(tasks={"": Chain(["a/b"])}), "tasks: expected text, got ''"),
    (lambda: Config(tasks={3: Chain(["a/b"])}), "tasks: expected text as a key, got 3"),
    (lambda: Config(models={"small": model(provider="opnai")}),
     "models.small.provider: unknown provider 'opnai'; did you mean 'openai'?"),
    (lambda: Config(models={"small": model(name="big")}),
     "models.small.name: expected 'small', as its key, or nothing, got 'big'"),
    (lambda: Config(providers={"a b": provider()}),
     "providers: expected a name of letters, digits, dots, dashes and underscores, got 'a b'"),
    (lambda: Config(tasks={"coding": Chain(["a/b"], hedge={"budget": 0.1})}), "tasks.coding.hedge.after: is required"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[message for _, message in BAD])
def test_what_cannot_be_carried_out_is_refused(make: Callable[[], object], message: str) -> None:
    """Each bad value is a `ConfigError` that says where it stands, what was expected and what stood there."""
    with pytest.raises(ConfigError) as caught:
        make()

    assert str(caught.value) == message


def test_a_config_error_carries_its_path_and_value() -> None:
    """A `ConfigError` has path and value as attributes, and is a `ValueError`."""
    with pytest.raises(ValueError) as caught:
        Config(tasks={"coding": Chain([Step(model="a/b"), {"model": "nowhere:x"}])})

    error = caught.value
    assert isinstance(error, RouterError)
    assert (error.path, error.value) == ("tasks.coding.models[1].model", "nowhere")


@pytest.mark.parametrize(
    "make",
    [
        lambda: provider(key=SECRET),
        lambda: provider(key=f"env:{SECRET} {SECRET}"),
        lambda: provider(key=SECRET.encode()),
        lambda: provider(base_url=f"https://user:{SECRET}@example.com/v1"),
        lambda: provider(base_url=f"user:{SECRET}@example.com"),
        lambda: provider(base_url=f"https://example.com/v1?key={SECRET}"),
        lambda: provider(base_url={"url": SECRET}),
        lambda: provider(proxy=f"socks5://user:{SECRET}@example.com"),
        lambda: provider(headers=[SECRET]),
        lambda: provider(headers={"X-Title": f"{SECRET}\n"}),
        lambda: provider(headers={"X-Title": [SECRET]}),
        lambda: provider(query={"key": [SECRET]}),
        lambda: Config(providers={"local": SECRET}),
        lambda: Config(providers=[SECRET]),
    ],
)
def test_no_error_holds_what_may_be_a_secret(make: Callable[[], object]) -> None:
    """A value that may be a key is in neither the message nor the error."""
    with pytest.raises(ConfigError) as caught:
        make()

    error = caught.value
    assert SECRET not in f"{error} {error!r} {error.args} {error.__cause__!r} {error.__context__!r}"
    assert "the value is not shown" in str(error)


def test_no_repr_shows_a_provider_s_secrets() -> None:
    """A configuration can be logged: headers, query and proxy, which may hold keys, are not shown."""
    local = provider(headers={"X-Key": SECRET}, query={"key": SECRET}, proxy=f"http://u:{SECRET}@proxy:3128")

    assert SECRET not in repr(Config(providers={"local": local}))


def test_a_key_comes_from_the_environment_or_a_function() -> None:
    """Both forms are kept as they are; no key is read when a provider is made."""
    def key() -> str:
        raise AssertionError("read too early")

    assert provider(key="env:NO_SUCH_KEY").key == "env:NO_SUCH_KEY"
    assert provider(key=key).key is key


def test_a_base_url_loses_its_last_slash() -> None:
    """A base URL may end in a slash, to which no second one is added in requests."""
    assert provider(base_url="http://[::1]:8080/v1/").base_url == "http://[::1]:8080/v1"


def test_zero_is_a_valid_pause_and_a_valid_price() -> None:
    """Pauses and prices may be 0; only timeouts may not."""
    assert Retry(base=0, cap=0, patience=0).patience == 0
    assert Price(input=0, output=0).output == 0


def test_what_the_caller_changes_later_changes_no_configuration() -> None:
    """Every mapping and list is copied when it is given, parameters with all that is nested in them."""
    params: dict[str, object] = {"response_format": {"type": "text"}, "stop": ["a"]}
    retry, hedge, models, headers = {"attempts": 3}, {"after": 1.5}, ["a/b"], {"X-Title": "t"}
    chain = Chain(models, params=params, retry=retry, hedge=hedge)
    local = provider(headers=headers)
    tasks, providers = {"coding": chain}, {"local": local}
    config = Config(tasks=tasks, providers=providers)
    before = copy.deepcopy(config)

    params["response_format"]["type"] = "json"  # type: ignore[index]
    params["stop"].append("b")  # type: ignore[attr-defined]
    for table in (params, retry, hedge, headers, tasks, providers):
        table.clear()
    models.append("c/d")

    assert config == before
    assert config.tasks["coding"].params == {"response_format": {"type": "text"}, "stop": ["a"]}


def test_a_configuration_survives_pickling() -> None:
    """Worker processes get an equal configuration."""
    config = Config(
        providers={"local": provider()},
        models={"small": model(provider="local", usd_per_mtok=Price(input=1, output=2))},
        tasks={"coding": Chain(["small", Step(model="small", total=None)], hedge=Hedge(after=1))},
    )

    again = pickle.loads(pickle.dumps(config))

    assert again == config
    assert again.tasks["coding"].deadline is NOT_GIVEN


def test_parameters_nest_250_levels_at_most() -> None:
    """Parameters that are nested too deeply for JSON, or contain themselves, are refused when they are given."""
    circle: list[object] = []
    circle.append(circle)

    with pytest.raises(ConfigError, match="expected at most 250 levels of nesting"):
        Step(model="a/b", params={"x": circle})


CONFIG = Config(
    providers={"local": provider()},
    models={
        "small": Model(provider="local", id="smollm2", context=8192),
        "openai/gpt-6-luna": Model(provider="openai", id="gpt-6-luna", max_concurrent=8),
    },
)
LOCAL = Config(default_provider="local", providers={"local": provider()})


def test_a_key_function_is_given_and_not_called() -> None:
    """What an async one returns when it is called is no key; the error says what to do, and shows nothing."""
    async def key() -> str:
        return "of-a-test"

    called = key()
    with pytest.raises(ConfigError) as caught:
        Provider(base_url="https://a.test", key=called)  # type: ignore[arg-type]
    called.close()

    assert str(caught.value) == (
        "key: expected the function itself, not what calling it returned (the value is not shown: it may be secret)"
    )


@pytest.mark.parametrize(
    ("config", "name", "found"),
    [
        (CONFIG, "small", ("local", "smollm2")),
        (CONFIG, "openai/gpt-6-luna", ("openai", "gpt-6-luna")),
        (CONFIG, "openai/gpt-6-astra", ("openrouter", "openai/gpt-6-astra")),
        (CONFIG, "openrouter:openai/gpt-6-luna", ("openrouter", "openai/gpt-6-luna")),
        (CONFIG, "openai:gpt-x", ("openai", "gpt-x")),
        (CONFIG, "local:phi3:mini", ("local", "phi3:mini")),
        (CONFIG, "meta-llama/x:free", ("openrouter", "meta-llama/x:free")),
        (CONFIG, "openai/x:free", ("openrouter", "openai/x:free")),
        (CONFIG, "~openai/gpt-latest", ("openrouter", "~openai/gpt-latest")),
        (LOCAL, "phi3:mini", ("local", "phi3:mini")),
        (LOCAL, "smollm2", ("local", "smollm2")),
        (LOCAL, "openrouter:a/b", ("openrouter", "a/b")),
    ],
)
def test_a_name_stands_for_a_model(config: Config, name: str, found: tuple[str, str]) -> None:
    """It is that of an entry, else `provider:id`, else an id of the default provider."""
    model = config.model(name)

    assert (model.provider, model.id, model.name) == (*found, name)


@pytest.mark.parametrize(
    ("config", "name", "message"),
    [
        (CONFIG, "smal", "unknown model 'smal'; did you mean 'small'?"),
        (CONFIG, "zzz", "unknown model 'zzz'; an id of OpenRouter's has the form vendor/model, "
                        "one of another provider provider:id"),
        (CONFIG, "google:x", "unknown provider 'google'; did you mean 'gemini'?"),
        (CONFIG, "grok:x", "unknown provider 'grok'; did you mean 'xai'?"),
        (CONFIG, "opneai:gpt-x", "unknown provider 'opneai'; did you mean 'openai'?"),
        (CONFIG, "opnai:gpt-x", "unknown provider 'opnai'; did you mean 'openai'?"),
        (CONFIG, "locall:x", "unknown provider 'locall'; did you mean 'local'?"),
        (CONFIG, "x:vendor/y", "unknown provider 'x'; known: openrouter, openai, anthropic, gemini, deepseek, groq, "
                               "mistral, together, fireworks, xai, cerebras, ollama, "
                               "vllm, lmstudio, azure, bedrock, vertex, local"),
        (CONFIG, "openai:", "expected provider:id, got 'openai:'"),
        (LOCAL, "Groq:llama", "unknown provider 'Groq'; did you mean 'groq'?"),
    ],
)
def test_a_misspelt_name_is_refused(config: Config, name: str, message: str) -> None:
    """The error for an unknown name suggests the one that was probably meant."""
    with pytest.raises(ConfigError) as caught:
        config.model(name)

    assert str(caught.value) == message


def test_the_catalogue_fills_in_what_an_entry_leaves_out() -> None:
    """An entry of a well-known model keeps its window and price, and what the entry gives takes precedence."""
    luna = CONFIG.model("openai/gpt-6-luna")

    assert (luna.max_concurrent, luna.context) == (8, 1_050_000)
    price = luna.usd_per_mtok
    assert price is not None
    assert (price.input, price.output, price.cached_input, price.cache_write) == (0.1, 0.5, 0.01, 0.125)
    assert CONFIG.model("anthropic:claude-sonnet-5-5").max_output == 128_000
    assert CONFIG.model("small").context == 8192
    assert CONFIG.model("openai:gpt-x").usd_per_mtok is None


def test_a_model_object_is_taken_as_it_is() -> None:
    """Its provider must exist, and its id is its name unless it has one."""
    given = Model(provider="openai", id="gpt-6-luna")

    assert (CONFIG.model(given).name, CONFIG.model(given).context) == ("gpt-6-luna", None)
    with pytest.raises(ConfigError) as caught:
        CONFIG.model(Model(provider="nowhere", id="x"))
    assert caught.value.path == "provider"


def test_a_config_s_own_provider_precedes_the_well_known_one() -> None:
    """A provider named `openai` has the address and key of its entry and no others."""
    config = Config(providers={"openai": provider()})

    own = config.provider("openai")
    assert (own.name, own.base_url, own.key) == ("openai", "http://127.0.0.1:8080/v1", None)
    assert config.provider("openrouter").key == "env:OPENROUTER_API_KEY"
