"""What the name of a model stands for: entries, providers, known providers, and addresses as people write them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from asyncrouter import Chain, Config, ConfigError, Event, Model, Notice, Provider, Router
from asyncrouter._config.load import config_from_toml
from asyncrouter._config.plan import resolve
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from asyncrouter._config.catalog import WireName
    from asyncrouter.sim import Clock, World

HOME = Provider(base_url="http://127.0.0.1:11434/v1")
CONFIG = Config(
    default_provider="home", providers={"home": HOME, "b": HOME},
    models={"big": Model(provider="b", id="big-2026", max_concurrent=3), "other": Model(provider="home", id="o")},
)
KEYS = ("MISTRAL_API_KEY", "OPENAI_API_KEY", "XAI_API_KEY", "AZURE_OPENAI_API_KEY")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key of a known provider is set."""
    for name in (*KEYS, "AZURE_OPENAI_ENDPOINT", "AWS_REGION", "AWS_DEFAULT_REGION", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("name", "provider", "id_"), [
    ("big", "b", "big-2026"), ("b:big", "b", "big-2026"), ("b:huge", "b", "huge"), ("home:big", "home", "big"),
    ("home:other", "home", "o"), ("b:other", "b", "other"), ("llama3", "home", "llama3"),
    ("mistral:7b", "home", "mistral:7b"), ("openai:gpt-x", "home", "openai:gpt-x"), ("mistral::7b", "mistral", "7b"),
    ("openrouter:a/b", "openrouter", "a/b"), ("vllm:llama", "vllm", "llama"), ("qwen3:8b", "home", "qwen3:8b"),
])  # fmt: skip
def test_what_a_name_stands_for(name: str, provider: str, id_: str) -> None:
    """An entry, an entry with its provider, a configured provider's id, a known provider's if its key is set, an id."""
    model = CONFIG.model(name)

    assert (model.provider, model.id, model.name) == (provider, id_, name)


def test_an_entry_named_with_its_provider_keeps_its_settings() -> None:
    """`b:big` is the entry, with its limits."""
    assert CONFIG.model("b:big").max_concurrent == 3


def test_a_known_provider_counts_where_its_key_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the key `mistral:7b` is Mistral's; with openrouter as default provider it is in any case."""
    assert Config().model("mistral:7b").provider == "mistral"
    monkeypatch.setenv("MISTRAL_API_KEY", "k-12345678")

    assert CONFIG.model("mistral:7b").provider == "mistral"


def test_an_id_with_a_providers_name_is_said_once(clock: Clock, world: World) -> None:
    """A notice says how the name was read, and how the provider is named."""
    world.model("mistral:7b", Act(text="hi"))
    events: list[Event] = []

    async def scenario() -> None:
        async with Router(world.config(), transport=world.transport(), listeners=[events.append]) as router:
            await router.chat("x", model="mistral:7b")
            await router.chat("y", chain=["mistral:7b"])

    clock.run(scenario())
    assert [event for event in events if isinstance(event, Notice)] == [Notice(
        "mistral:7b",
        "model 'mistral:7b' is read as an id of sim, for the key of mistral is not set; "
        "'mistral::7b' names the provider",
    )]


@pytest.mark.parametrize(("name", "variables", "base_url"), [
    ("azure:gpt-4o", {"AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com/"}, "https://me.openai.azure.com/openai/v1"),
    ("azure:gpt-4o", {"AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com/openai/v1"},
     "https://me.openai.azure.com/openai/v1"),
    ("bedrock:m", {"AWS_REGION": "eu-west-1"}, "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1"),
    ("bedrock:m", {"AWS_DEFAULT_REGION": "us-west-2"}, "https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1"),
    ("vertex:google/gemini-x", {"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_CLOUD_LOCATION": "us-central1"},
     "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/endpoints/openapi"),
    ("xai:grok-5", {}, "https://api.x.ai/v1"), ("cerebras:m", {}, "https://api.cerebras.ai/v1"),
    ("ollama:llama3:8b", {}, "http://127.0.0.1:11434/v1"), ("lmstudio:m", {}, "http://127.0.0.1:1234/v1"),
])  # fmt: skip
def test_more_providers_need_no_entry(
    monkeypatch: pytest.MonkeyPatch, name: str, variables: dict[str, str], base_url: str
) -> None:
    """Some have an address of their own for every account, which is in the environment."""
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)

    [step] = resolve(Config(), model=name).steps

    assert (step.provider.name, step.model.id) == tuple(name.split(":", 1))
    assert step.provider.base_url == base_url


@pytest.mark.parametrize(("name", "message"), [
    ("azure:gpt-4o", "provider azure needs AZURE_OPENAI_ENDPOINT in the environment"),
    ("bedrock:m", "provider bedrock needs AWS_REGION in the environment"),
    ("vertex:m", "provider vertex needs GOOGLE_CLOUD_PROJECT in the environment, such as my-project"),
    ("azur:gpt-4o", "unknown provider 'azur'; did you mean 'azure'?"),
    ("antropic:claude", "unknown provider 'antropic'; did you mean 'anthropic'?"),
])  # fmt: skip
def test_a_provider_that_is_not_there(name: str, message: str) -> None:
    """It is an error, also where another provider is the default one, and never an id of that."""
    with pytest.raises(ConfigError) as caught:
        Config().model(name)

    assert str(caught.value).startswith(message)


def test_each_missing_variable_has_an_example_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that needs two says what the one looks like that is missing."""
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "my-own")

    with pytest.raises(ConfigError) as caught:
        Config().model("vertex:m")

    assert str(caught.value) == "provider vertex needs GOOGLE_CLOUD_LOCATION in the environment, such as us-central1"


def test_azure_with_a_key_and_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another provider is the default one, the variable that is missing is named."""
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k-12345678")

    with pytest.raises(ConfigError, match="needs AZURE_OPENAI_ENDPOINT"):
        CONFIG.model("azure:gpt-4o")


@pytest.mark.parametrize(("given", "kept"), [
    ("http://h/v1/chat/completions", "http://h/v1"), ("http://h/v1/chat/completions/", "http://h/v1"),
    ("http://h/v1/responses", "http://h/v1"), ("http://h/v1/messages", "http://h/v1"), ("http://h/v1/", "http://h/v1"),
    ("http://h/v1/embeddings", "http://h/v1"), ("http://h/v1/models", "http://h/v1"), ("http://h", "http://h"),
    ("http://h/completions-api/v1", "http://h/completions-api/v1"), ("http://h/v1/chat", "http://h/v1/chat"),
])  # fmt: skip
def test_an_address_with_the_path_of_a_call(given: str, kept: str) -> None:
    """The path that a wire adds itself is left out; any other stays."""
    assert Provider(base_url=given).base_url == kept


@pytest.mark.parametrize(("given", "wire", "kept"), [
    ("https://r.openai.azure.com", "auto", "https://r.openai.azure.com/openai/v1"),
    ("https://r.openai.azure.com/openai/", "openai", "https://r.openai.azure.com/openai/v1"),
    ("https://r.services.ai.azure.com/", "responses", "https://r.services.ai.azure.com/openai/v1"),
    ("https://r.openai.azure.com/openai/v1", "auto", "https://r.openai.azure.com/openai/v1"),
    ("https://r.openai.azure.com/api/v2", "openai", "https://r.openai.azure.com/api/v2"),
    ("https://r.services.ai.azure.com", "anthropic", "https://r.services.ai.azure.com"),
    ("https://azure.com.example", "openai", "https://azure.com.example"),
])  # fmt: skip
def test_a_bare_azure_address(given: str, wire: WireName, kept: str) -> None:
    """The address of an Azure resource gets the path of its OpenAI API; another path, wire or host stays as it is."""
    assert Provider(base_url=given, wire=wire).base_url == kept


def test_certificates_lie_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative `ca` is relative to the folder of the file, wherever the program runs; an absolute one stays."""
    folder = tmp_path / "conf"
    folder.mkdir()
    path = folder / "router.toml"
    path.write_text(
        '[providers.p]\nbase_url = "http://h/v1"\nca = "certs/ca.pem"\n[providers.q]\nbase_url = "http://h/v1"\n'
        'ca = "/etc/ca.pem"\n[providers.r]\nbase_url = "http://h/v1"\nca = "none"\n'
    )
    monkeypatch.chdir(tmp_path)

    providers = config_from_toml("conf/router.toml").providers

    assert [providers[name].ca for name in "pqr"] == [str(Path("conf/certs/ca.pem")), "/etc/ca.pem", None]


@pytest.mark.parametrize("given", [None, "default", "error"])
def test_an_unknown_task_in_python(given: Any) -> None:
    """The default chain with one warning, unless the configuration says "error"; not given is as "default"."""
    config = Config(unknown_task=given, tasks={"default": Chain(["v/a"])})

    if given == "error":
        with pytest.raises(ConfigError, match="unknown task 'nope'"):
            resolve(config, task="nope")
    else:
        assert resolve(config, task="nope").warning is not None
