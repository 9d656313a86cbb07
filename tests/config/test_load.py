"""From TOML and mappings to a configuration: the design's example, bad files, junk, and the tables that ship."""

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
first_token = 30.0
idle = 30.0
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
    with pytest.raises(ConfigError) as caught:
        config_from_mapping(source)
    return caught.value


def test_a_file_a_mapping_and_dataclasses_say_the_same(tmp_path: Path) -> None:
    """The design's example, in its three forms; a path may be a string or a Path."""
    path = written(tmp_path, EXAMPLE)

    assert MEANT == config_from_toml(path) == config_from_toml(str(path))
    assert config_from_mapping(tomllib.loads(EXAMPLE)) == MEANT
    assert list(config_from_toml(path).tiers) == ["budget", "standard"]


def test_a_mapping_may_hold_dataclasses() -> None:
    """In Python the two forms mix."""
    mixed = {"providers": dict(MEANT.providers), "models": dict(MEANT.models), "defaults": Defaults(),
             "tasks": dict(MEANT.tasks), "tiers": {"budget": ["small"], "standard": MEANT.tiers["standard"]}}

    assert config_from_mapping(mixed) == MEANT


def test_none_in_a_file_is_no_limit() -> None:
    """TOML has no null; where a limit may be none, the word says so, and nowhere else."""
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
    """`retry = { attempts = 3 }` says nothing about pauses; a number for a hedge is its delay."""
    config = config_from_mapping({"defaults": {"retry": {"attempts": 3}, "hedge": 1.5}})

    assert config.defaults == Defaults(retry=Retry(attempts=3), hedge=Hedge(after=1.5))


def test_a_task_may_change_a_part_of_the_default_hedge() -> None:
    """A hedge without a delay is complete when the defaults have one."""
    config = config_from_mapping({
        "defaults": {"hedge": 1.5}, "tasks": {"a": {"models": ["x/y"], "hedge": {"same": True}}}})

    assert config.tasks["a"].hedge == {"same": True}


def test_an_entry_of_a_well_known_provider_may_be_partial() -> None:
    """Without an address of its own it adds to what is known; with one it stands alone, so no key goes elsewhere."""
    config = config_from_mapping({"providers": {
        "openrouter": {"headers": {"X-Title": "my app"}}, "openai": {"base_url": "http://127.0.0.1/v1"}}})

    known, own = config.provider("openrouter"), config.provider("openai")
    assert (
        known.base_url, known.key, known.headers) == ("https://openrouter.ai/api/v1", "env:OPENROUTER_API_KEY", {"X-Title": "my app"})
    assert (own.base_url, own.key) == ("http://127.0.0.1/v1", None)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"task": {}}, "task: unknown key 'task'; did you mean 'tasks'?"),
        ({"x-y z": {}}, "\"x-y z\": unknown key 'x-y z'; known: default_provider, unknown_task, providers, models, "
                        "defaults, tasks, tiers"),
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
        ({"defaults": {"retry": 3}}, 'defaults.retry: expected Retry(attempts=3) or {"attempts": 3}, got 3'),
        ({"defaults": {"retry": {"cap": float("inf")}}}, "defaults.retry.cap: expected seconds, got inf"),
        ({"defaults": {"hedge": {"budget": 0.1}}}, "defaults.hedge.after: is required"),
        ({"defaults": {"idle": 0}},
         'defaults.idle: expected seconds above 0 (no limit is None, "none" in a file), got 0'),
        ({"defaults": []}, "defaults: expected a table, got an empty list"),
        ({"providers": {"local": {"wire": "openai"}}}, "providers.local.base_url: is required"),
        ({"providers": {"local": {"url": "http://x"}}},
         "providers.local.url: unknown key 'url'; known: name, base_url, wire, key, headers, query, proxy, ca"),
    ],
)
def test_a_complaint_says_where(source: Mapping[str, object], message: str) -> None:
    """The path leads to the value as one would write it in the file."""
    assert message == str(refused(source))


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
    """A key belongs into the environment; the complaint does not spread it."""
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
    """What the parser says, after the file's name."""
    path = written(tmp_path, text)

    with pytest.raises(ConfigError) as caught:
        config_from_toml(path)

    assert str(path) == caught.value.path
    assert message == caught.value.message[: len(message)]


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """Some editors put one there."""
    path = written(tmp_path, "\ufeff" + EXAMPLE)

    assert config_from_mapping(tomllib.loads(EXAMPLE)) == config_from_toml(path)


def test_a_file_that_cannot_be_read_is_a_config_error(tmp_path: Path) -> None:
    """Missing, a directory, not text: always the error of the configuration, with the file's name."""
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'a = "\xe9"')

    for path, reason in [(tmp_path / "no.toml", "cannot be read: No such file or directory"),
                         (tmp_path, "cannot be read: Is a directory"),
                         (latin, "is not UTF-8: byte 5 is 0xe9"), ("\0", "is not TOML: embedded null byte")]:
        with pytest.raises(ConfigError) as caught:
            config_from_toml(path)
        assert str(caught.value) == f"{path}: {reason}"


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
    """Whatever is given, nothing but a ConfigError comes out, and it can be printed."""
    try:
        config_from_mapping(junk)  # type: ignore[arg-type]
    except ConfigError as error:
        told = str(error)
    else:
        told = "loads"

    assert told


def test_the_catalogue_is_dated_and_sound() -> None:
    """Every model in it stands with a known provider, and whatever was switched off names what replaced it."""
    shipped = catalog()

    assert shipped.verified.isoformat() == "2026-11-23"
    assert list(shipped.providers) == [
        "openrouter", "openai", "anthropic", "gemini", "deepseek", "groq", "mistral", "together", "fireworks",
    ]
    assert {provider for provider, _ in shipped.models} - set(shipped.providers) == set()
    for (provider, _), model in shipped.models.items():
        assert model.retired is None or (provider, model.successor) in shipped.models
        assert model.max_output is not None or shipped.providers[provider].wire != "anthropic"


def test_classic_is_the_founding_document_s_to_the_letter() -> None:
    """Its tasks and tiers, in its order."""
    classic = builtin("classic")
    cheap = ("anthropic/claude-3-haiku", "openai/gpt-3.5-turbo", "meta-llama/llama-3.1-8b-instruct")

    assert {
        "coding": ("anthropic/claude-3.5-sonnet", "openai/gpt-4-turbo", "deepseek/deepseek-coder"),
        "creative": ("anthropic/claude-3-opus", "openai/gpt-4-turbo", "meta-llama/llama-3.1-70b-instruct"),
        "fast": cheap,
        "default": ("anthropic/claude-3.5-sonnet", "openai/gpt-4-turbo"),
    } == {name: chain.models for name, chain in classic.tasks.items()}
    assert [
        ("budget", cheap),
        ("standard", ("anthropic/claude-3.5-sonnet", "openai/gpt-4-turbo")),
        ("premium", ("anthropic/claude-3-opus", "openai/gpt-4")),
    ] == [(name, chain.models) for name, chain in classic.tiers.items()]


def test_current_is_each_classic_model_s_successor() -> None:
    """The same tasks and tiers with today's models; all of them are in the catalogue with window and price."""
    models = catalog().models
    successor = {name: model.successor or name for (at, name), model in models.items() if at == "openrouter"}
    classic, current = builtin("classic"), builtin("current")

    for old, new in [(classic.tasks, current.tasks), (classic.tiers, current.tiers)]:
        assert {name: tuple(successor[str(model)] for model in chain.models) for name, chain in old.items()} == {
            name: chain.models for name, chain in new.items()}
        for chain in new.values():
            found = [current.model(name) for name in chain.models if isinstance(name, str)]
            assert all(model.context and model.usd_per_mtok and not model.retired for model in found)


def test_which_table_a_router_uses() -> None:
    """Without a source `current`, with one none; by name either way."""
    own = {"tasks": {"default": ["x/y"]}}

    assert builtin("current") == load() == load(None, "current") == load({}, "current")
    assert builtin("classic") == load(None, "classic")
    assert Config() == load(None, None) == load({})
    assert Config(tasks={"default": Chain(["x/y"])}) == load(own) == load(Config(tasks={"default": Chain(["x/y"])}))
    assert load(own, "classic").tasks["default"].models == ("x/y",)
    assert builtin("classic").tasks["coding"] == load(own, "classic").tasks["coding"]


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
    """A wrong source, a table nobody knows, and a tier whose place among the built-in ones nobody knows."""
    with pytest.raises(ConfigError) as caught:
        load(source, table)  # type: ignore[arg-type]

    assert message == str(caught.value)


def test_tiers_over_a_table_keep_one_order() -> None:
    """Naming some replaces them where they stand; naming all says the order."""
    some = load({"tiers": {"standard": ["x/y"]}}, "current")
    every = load({"tiers": {"free": ["x/y"], "budget": ["x/z"], "standard": ["x/y"], "premium": ["x/y"]}}, "current")

    assert [(name, len(c.models)) for name, c in some.tiers.items()] == [("budget", 3), ("standard", 1), ("premium", 2)]
    assert list(every.tiers) == ["free", "budget", "standard", "premium"]


def test_a_table_speaks_of_openrouter_whatever_the_default_provider_is() -> None:
    """A configuration whose bare ids are local still gets the table's models from OpenRouter."""
    local = {"local": Provider(base_url="http://127.0.0.1/v1")}
    config = with_tables(Config(default_provider="local", providers=local), "current")

    names = [name for chain in config.tasks.values() for name in chain.models if isinstance(name, str)]
    assert {config.model(name).provider for name in names} == {"openrouter"}
