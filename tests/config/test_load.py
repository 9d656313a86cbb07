"""Configurations from TOML and mappings: one with every key, bad files, random junk, and the built-in tables."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncrouter._config.builtin_catalog import catalog
from asyncrouter._config.catalog import Model, Price, Provider
from asyncrouter._config.config import Chain, Config, Defaults, Hedge, Retry, Step
from asyncrouter._config.load import builtin, config_from_mapping, config_from_toml, load, with_tables
from asyncrouter._errors import ConfigError
from asyncrouter._repr import visible
from tests.helpers.planted import KEY as SECRET

EXAMPLE = """
default_provider = "openrouter"
unknown_task = "default"
[providers.local]
wire = "openai"
base_url = "http://127.0.0.1:8080/v1"
key = "env:LOCAL_KEY"
headers = { X-Title = "my app" }
[models.small]
provider = "local"
id = "smollm2"
context = 8192
max_output = 1024
usd_per_mtok = { input = 0.1, output = 0.2 }
drop = ["temperature"]
max_concurrent = 8
[defaults]
connect = 5.0
first_token = "auto"
idle = "auto"
total = 120.0
deadline = 300.0
retry = { attempts = 2, base = 0.25, cap = 8.0, patience = 2.0 }
on_refusal = "raise"
breaker = "auto"
max_response_bytes = 67108864
wire_stream = "auto"
[tasks.coding]
models = ["small", "anthropic/claude-3.5-sonnet", { model = "openai/gpt-4-turbo", total = 20.0 }]
hedge = { after = 1.5 }
deadline = 60.0
params = { temperature = 0.2 }
[tiers]
budget = ["small"]
standard = ["anthropic/claude-3.5-sonnet"]
"""

MEANT = Config(
    unknown_task="default",
    providers={
        "local": Provider(base_url="http://127.0.0.1:8080/v1", key="env:LOCAL_KEY", headers={"X-Title": "my app"}),
    },
    models={
        "small": Model(
            provider="local", id="smollm2", context=8192, max_output=1024, usd_per_mtok=Price(input=0.1, output=0.2),
            drop=("temperature",), max_concurrent=8,
        ),
    },
    tasks={
        "coding": Chain(
            ["small", "anthropic/claude-3.5-sonnet", Step(model="openai/gpt-4-turbo", total=20.0)],
            hedge={"after": 1.5}, deadline=60.0, params={"temperature": 0.2},
        ),
    },
    tiers={"budget": Chain(["small"]), "standard": Chain(["anthropic/claude-3.5-sonnet"])},
)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "router.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(source: Mapping[str, object]) -> ConfigError:
    """The error that a mapping causes."""
    with pytest.raises(ConfigError) as caught:
        config_from_mapping(source)
    return caught.value


def test_a_file_a_mapping_and_dataclasses_say_the_same(tmp_path: Path) -> None:
    """The three forms give equal configurations; the path of a file may be text or a `Path`."""
    path = written(tmp_path, EXAMPLE)

    assert config_from_toml(path) == MEANT
    assert config_from_toml(str(path)) == MEANT
    assert config_from_mapping(tomllib.loads(EXAMPLE)) == MEANT
    assert list(config_from_toml(path).tiers) == ["budget", "standard"]


def test_a_mapping_may_hold_dataclasses() -> None:
    """In Python mappings and dataclasses may be mixed."""
    mixed = {"unknown_task": "default", "providers": dict(MEANT.providers), "models": dict(MEANT.models),
             "defaults": Defaults(), "tasks": dict(MEANT.tasks),
             "tiers": {"budget": ["small"], "standard": MEANT.tiers["standard"]}}

    assert config_from_mapping(mixed) == MEANT


def test_none_in_a_file_is_no_limit() -> None:
    """The text "none" means `None` for a limit that may be that, and only there; TOML has no null."""
    config = config_from_mapping({
        "defaults": {"total": "none", "deadline": "none", "hedge": {"after": 2, "cap": "none"}},
        "tasks": {"a": {"models": [{"model": "x/y", "idle": "none"}], "hedge": "none", "deadline": "none",
                        "params": {"reasoning_effort": "none"}}},
    })

    chain = config.tasks["a"]
    assert (config.defaults.total, config.defaults.deadline, config.defaults.hedge) == (None, None, Hedge(after=2))
    assert (chain.models[0], chain.hedge, chain.deadline) == (Step(model="x/y", idle=None), None, None)
    assert chain.params == {"reasoning_effort": "none"}


def test_a_partial_table_keeps_the_other_defaults() -> None:
    """`retry = { attempts = 3 }` leaves the pauses as they are; a number for a hedge is its delay."""
    config = config_from_mapping({"defaults": {"retry": {"attempts": 3}, "hedge": 1.5}})

    assert config.defaults == Defaults(retry=Retry(attempts=3), hedge=Hedge(after=1.5))


def test_a_task_may_change_a_part_of_the_default_hedge() -> None:
    """A task's hedge needs no delay if the defaults have one."""
    config = config_from_mapping({
        "defaults": {"hedge": 1.5}, "tasks": {"a": {"models": ["x/y"], "hedge": {"same": True}}}})

    assert config.tasks["a"].hedge == {"same": True}


def test_an_entry_of_a_well_known_provider_may_be_partial() -> None:
    """An entry without an address adds to the known provider; one with an address does not get the known key."""
    config = config_from_mapping({"providers": {
        "openrouter": {"headers": {"X-Title": "my app"}}, "openai": {"base_url": "http://127.0.0.1/v1"}}})

    known, own = config.provider("openrouter"), config.provider("openai")
    assert (known.base_url, known.key) == ("https://openrouter.ai/api/v1", "env:OPENROUTER_API_KEY")
    assert known.headers == {"X-Title": "my app"}
    assert (own.base_url, own.key) == ("http://127.0.0.1/v1", None)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"task": {}}, "task: unknown key 'task'; did you mean 'tasks'?"),
        ({"x-y z": {}}, "\"x-y z\": unknown key 'x-y z'; known: default_provider, unknown_task, providers, models, "
                        "defaults, tasks, tiers, budget"),
        ({3: {}}, "expected text as a key, got 3"),
        ({"tasks": ["a/b"]}, "tasks: expected a table, got a list"),
        ({"tasks": {"coding": []}}, "tasks.coding.models: expected a list of at least one model, got an empty list"),
        ({"tasks": {"coding": "a/b"}}, "tasks.coding.models: expected a list of at least one model, got 'a/b'"),
        ({"tasks": {"coding": {}}}, "tasks.coding.models: is required"),
        ({"tasks": {"coding": {"models": ["a/b"], "dealine": 3}}},
         "tasks.coding.dealine: unknown key 'dealine'; did you mean 'deadline'?"),
        ({"tasks": {"coding": {"models": ["a/b", "c/d", {"model": "e/f", "total": "20s"}]}}},
         "tasks.coding.models[2].total: expected seconds, got '20s'"),
        ({"tasks": {"code it": ["a/b", {"model": "e/f", "total": -1}]}},
         "tasks.\"code it\".models[1].total: expected seconds above 0 (no limit is None, \"none\" in a file), got -1"),
        ({"tasks": {"coding": ["opnai:gpt"]}},
         "tasks.coding.models[0]: unknown provider 'opnai'; did you mean 'openai'?"),
        ({"tiers": {"budget": ["a/b", "smal"]}, "models": {"small": {"provider": "openai", "id": "x"}}},
         "tiers.budget.models[1]: unknown model 'smal'; did you mean 'small'?"),
        ({"models": {"small": {"id": "x"}}}, "models.small.provider: is required"),
        ({"models": {"small": {"provider": "openai", "id": "x", "usd_per_mtok": {"input": 1}}}},
         "models.small.usd_per_mtok.output: is required"),
        ({"models": {"small": {"provider": "openai", "id": "x", "usd_per_mtok": {"input": 1, "output": float("nan")}}}},
         "models.small.usd_per_mtok.output: expected US dollars, got nan"),
        ({"models": {"a/b c": {"provider": "openai", "id": "x", "context": True}}},
         'models."a/b c".context: expected a whole number, 1 or more, got True'),
        ({"models": {"small": 3}}, "models.small: expected a table, got 3"),
        ({"defaults": {"retry": "3"}}, "defaults.retry: expected Retry(attempts=3), {\"attempts\": 3} or 3, got '3'"),
        ({"defaults": {"retry": {"cap": float("inf")}}}, "defaults.retry.cap: expected seconds, got inf"),
        ({"defaults": {"hedge": {"budget": 0.1}}}, "defaults.hedge.after: is required"),
        ({"defaults": {"idle": 0}},
         'defaults.idle: expected seconds above 0 (no limit is None, "none" in a file), got 0'),
        ({"defaults": []}, "defaults: expected a table, got an empty list"),
        ({"providers": {"local": {"wire": "openai"}}}, "providers.local.base_url: is required"),
        ({"providers": {"local": {"url": "http://x"}}},
         "providers.local.url: unknown key 'url'; did you mean 'base_url'?"),
        ({"models": {"m": {"provider": "openai", "id": "m", "price": 3}}},
         "models.m.price: unknown key 'price'; did you mean 'usd_per_mtok'?"),
    ],
)
def test_an_error_says_where(source: Mapping[str, object], message: str) -> None:
    """Its path is that of the value, written as in the file."""
    assert str(refused(source)) == message


@pytest.mark.parametrize(
    "source",
    [
        {"providers": {"local": {"base_url": "http://x", "key": SECRET}}},
        {"providers": {"openrouter": {"key": SECRET}}},
        {"providers": {"local": {"base_url": "http://x", "api_key": SECRET}}},
        {"providers": {"local": {"base_url": "http://x", "headers": {"Authorization": f"Bearer {SECRET}"}}}},
        {"providers": {"local": {"base_url": "http://x", "headers": {"x-api-key": SECRET}}}},
        {"providers": {"local": SECRET}},
        {"providers": [{"key": SECRET}]},
    ],
)
def test_a_key_in_a_file_is_refused_without_being_shown(source: Mapping[str, object]) -> None:
    """A key belongs in the environment; the error about one in a file does not repeat it."""
    error = refused(source)

    assert SECRET not in f"{error} {error!r} {error.__cause__!r} {error.__context__!r}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tasks.coding]\nmodels = [\"a/b\"\n", "is not TOML: Unclosed array (at end of document)"),
        ("a = 1\nb = = 2\n", "is not TOML: Invalid value (at line 2, column 5)"),
        ("x = " + "9" * 5000, "is not TOML: Exceeds the limit (4300 digits) for integer string conversion"),
        ("x = " + "[" * 5000, "is not TOML: "),
    ],
)
def test_a_broken_file_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    """The error has the name of the file as its path, and the parser's message."""
    path = written(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        config_from_toml(path)

    assert caught.value.path == str(path)
    assert caught.value.message[: len(message)] == message


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """The mark with which some editors begin a file is ignored."""
    path = written(tmp_path, "\ufeff" + EXAMPLE)

    assert config_from_toml(path) == MEANT


def test_a_file_that_cannot_be_read_is_a_config_error(tmp_path: Path) -> None:
    """A file that is missing, a directory or not UTF-8 is a `ConfigError` with the name of the file."""
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'a = "\xe9"')

    for path, reason in [(tmp_path / "no.toml", "cannot be read: No such file or directory"),
                         (tmp_path, "cannot be read: Is a directory"),
                         (latin, "is not UTF-8: byte 5 is 0xe9"), ("\0", "is not TOML: embedded null byte")]:
        with pytest.raises(ConfigError) as caught:
            config_from_toml(path)
        assert str(caught.value) == f"{visible(str(path))}: {reason}"


WORDS = st.sampled_from([
    "default_provider", "unknown_task", "providers", "models", "defaults", "tasks", "tiers", "local", "base_url",
    "wire", "key", "headers", "query", "proxy", "ca", "provider", "id", "name", "context", "max_output",
    "usd_per_mtok", "input", "output", "drop", "rpm", "connect", "first_token", "idle", "total", "deadline",
    "retry", "attempts", "base", "cap", "hedge", "after", "budget", "same", "on_refusal", "breaker",
    "max_response_bytes", "wire_stream", "params", "model", "coding", "none", "env:KEY", "openai", "openai:x",
    "a/b", "p95", "auto", "http://x/v1", "http://[", "stream",
])
SCALARS = st.one_of(
    WORDS, st.text(), st.none(), st.booleans(), st.integers(), st.floats(), st.binary(), st.dates(), st.just(10**400),
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text() | st.integers(), inner, max_size=4),
    max_leaves=12,
)
TABLES = st.dictionaries(WORDS, JUNK, max_size=4)
SHAPED = st.fixed_dictionaries({}, optional={
    "default_provider": JUNK,
    "providers": st.dictionaries(WORDS, TABLES, max_size=2),
    "models": st.dictionaries(WORDS, TABLES, max_size=2),
    "defaults": TABLES,
    "tasks": st.dictionaries(WORDS, TABLES | st.lists(TABLES | WORDS, max_size=3), max_size=2),
    "tiers": st.dictionaries(WORDS, st.lists(TABLES | WORDS, max_size=3), max_size=2),
})


@settings(max_examples=200, deadline=None)
@given(SHAPED | st.dictionaries(WORDS | st.text() | st.integers(), JUNK, max_size=4) | JUNK)
def test_junk_loads_or_is_a_config_error(junk: object) -> None:
    """Whatever is given, nothing but a `ConfigError` is raised, and it can be printed."""
    try:
        config_from_mapping(junk)  # type: ignore[arg-type]
    except ConfigError as error:
        message = str(error)
    else:
        message = "loads"

    assert message


def test_the_catalogue_is_dated_and_sound() -> None:
    """Every model in it has a known provider, and every retired one a successor."""
    shipped = catalog()

    assert shipped.verified.isoformat() == "2026-11-23"
    assert list(shipped.providers) == [
        "openrouter", "openai", "anthropic", "gemini", "deepseek", "groq", "mistral", "together", "fireworks",
        "xai", "cerebras", "ollama", "vllm", "lmstudio",
    ]
    assert {provider for provider, _ in shipped.models} - set(shipped.providers) == set()
    for (provider, _), model in shipped.models.items():
        assert model.retired is None or (provider, model.successor) in shipped.models
        assert model.max_output is not None or shipped.providers[provider].wire != "anthropic"


def test_the_table_classic_stays_as_it_is() -> None:
    """It has these tasks and tiers, in this order, because users of the first snippet rely on them."""
    classic = builtin("classic")
    cheap = ("anthropic/claude-3-haiku", "openai/gpt-3.5-turbo", "meta-llama/llama-3.1-8b-instruct")

    assert {name: chain.models for name, chain in classic.tasks.items()} == {
        "coding": ("anthropic/claude-3.5-sonnet", "openai/gpt-4-turbo", "deepseek/deepseek-coder"),
        "creative": ("anthropic/claude-3-opus", "openai/gpt-4-turbo", "meta-llama/llama-3.1-70b-instruct"),
        "fast": cheap,
        "default": ("anthropic/claude-3.5-sonnet", "openai/gpt-4-turbo"),
    }
    assert [(name, chain.models) for name, chain in classic.tiers.items()] == [
        ("budget", cheap),
        ("standard", ("anthropic/claude-3.5-sonnet", "openai/gpt-4-turbo")),
        ("premium", ("anthropic/claude-3-opus", "openai/gpt-4")),
    ]


def test_current_is_each_classic_model_s_successor() -> None:
    """`current` has the tasks and tiers of `classic` with newer models, whose window and price are known."""
    models = catalog().models
    successor = {name: model.successor or name for (at, name), model in models.items() if at == "openrouter"}
    classic, current = builtin("classic"), builtin("current")

    for old, new in [(classic.tasks, current.tasks), (classic.tiers, current.tiers)]:
        assert {name: chain.models for name, chain in new.items()} == {
            name: tuple(successor[str(model)] for model in chain.models) for name, chain in old.items()
        }
        for chain in new.values():
            found = [current.model(name) for name in chain.models if isinstance(name, str)]
            assert all(model.context and model.usd_per_mtok and not model.retired for model in found)


def test_which_table_a_router_uses() -> None:
    """It is `current` without a configuration, and none with one, unless it is named."""
    own = {"tasks": {"default": ["x/y"]}}

    assert [load(), load(None, "current"), load({}, "current")] == [builtin("current")] * 3
    assert load(None, "classic") == builtin("classic")
    assert [load(None, None), load({})] == [Config()] * 2
    assert load(own) == Config(tasks={"default": Chain(["x/y"])})
    assert load(Config(tasks={"default": Chain(["x/y"])})) == load(own)
    assert load(own, "classic").tasks["default"].models == ("x/y",)
    assert load(own, "classic").tasks["coding"] == builtin("classic").tasks["coding"]


@pytest.mark.parametrize(
    ("source", "table", "message"),
    [
        ("router.toml", "current",
         "expected a Config or a mapping (a file is read by Router.from_toml), got 'router.toml'"),
        (None, "classics", "tables: unknown table 'classics'; did you mean 'classic'?"),
        ({"tiers": {"free": ["x/y"]}}, "current",
         "tiers: expected all tiers in their order: where is free among budget, standard, premium?"),
    ],
)
def test_what_does_not_fit_the_tables_is_refused(source: object, table: str, message: str) -> None:
    """A wrong source, an unknown table, or a tier without a place among the built-in ones is a `ConfigError`."""
    with pytest.raises(ConfigError) as caught:
        load(source, table)  # type: ignore[arg-type]

    assert str(caught.value) == message


def test_tiers_over_a_table_keep_one_order() -> None:
    """Giving some of the table's tiers replaces them in their places; giving all of them and more sets the order."""
    some = load({"tiers": {"standard": ["x/y"]}}, "current")
    every = load({"tiers": {"free": ["x/y"], "budget": ["x/z"], "standard": ["x/y"], "premium": ["x/y"]}}, "current")

    assert [(name, len(c.models)) for name, c in some.tiers.items()] == [("budget", 3), ("standard", 1), ("premium", 2)]
    assert list(every.tiers) == ["free", "budget", "standard", "premium"]


def test_a_table_s_models_are_openrouter_s_whatever_the_default_provider_is() -> None:
    """A configuration with another default provider still gets the models of the table from OpenRouter."""
    local = {"local": Provider(base_url="http://127.0.0.1/v1")}
    config = with_tables(Config(default_provider="local", providers=local), "current")

    names = [name for chain in config.tasks.values() for name in chain.models if isinstance(name, str)]
    assert {config.model(name).provider for name in names} == {"openrouter"}
