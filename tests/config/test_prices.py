"""Where a price comes from: the provider's report, the configuration, the catalogue, genai-prices, or nowhere."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from asyncrouter import Model, Price, Router, Usage
from asyncrouter._config import list_prices
from asyncrouter._config.builtin_catalog import catalog
from asyncrouter._config.load import load
from asyncrouter.prices import look_up
from asyncrouter.sim import Act

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncrouter.sim import Clock, World

SIM = {"base_url": "https://sim.test/v1"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """What was asked of the list; it knows one price."""
    questions: list[tuple[str, str]] = []

    def look_up(base_url: str, model: str) -> Price | None:
        questions.append((base_url, model))
        return Price(input=1.0, output=2.0) if model == "listed" else None

    monkeypatch.setattr(list_prices, "_look_up", lambda: look_up)
    list_prices.list_price.cache_clear()
    yield questions
    list_prices.list_price.cache_clear()


def test_the_list_is_asked_once_for_a_model_that_nobody_else_prices(asked: list[tuple[str, str]]) -> None:
    """With the provider's address; also when it knows nothing."""
    config = load({"default_provider": "sim", "providers": {"sim": SIM}})

    assert Price(input=1.0, output=2.0) == config.model("listed").usd_per_mtok == config.model("listed").usd_per_mtok
    assert config.model("unlisted").usd_per_mtok is config.model("unlisted").usd_per_mtok is None
    assert asked == [("https://sim.test/v1", "listed"), ("https://sim.test/v1", "unlisted")]


def test_the_configuration_goes_before_the_catalogue_and_that_before_the_list(asked: list[tuple[str, str]]) -> None:
    """Neither is asked for what is known already."""
    mine = {"provider": "sim", "id": "listed", "usd_per_mtok": {"input": 3.0, "output": 4.0}}
    config = load({"providers": {"sim": SIM}, "models": {"mine": mine}})

    assert config.model("mine").usd_per_mtok == Price(input=3.0, output=4.0)
    assert catalog().models["openai", "gpt-6-luna"].usd_per_mtok == config.model("openai:gpt-6-luna").usd_per_mtok
    assert asked == []


def test_nobody_lists_the_prices_of_this_house(asked: list[tuple[str, str]]) -> None:
    """A server without TLS is one's own."""
    config = load({"default_provider": "sim", "providers": {"sim": {"base_url": "http://127.0.0.1:8080/v1"}}})

    assert config.model("listed").usd_per_mtok is None
    assert asked == []


def test_a_listed_price_is_what_a_call_costs(asked: list[tuple[str, str]], world: World, clock: Clock) -> None:
    """In the reply; what the provider reports goes before it."""
    world.model("listed", Act(text="one two"), Act(text="one two", cost=0.5))
    world.model("unlisted", Act(text="one two"))

    async def scenario() -> list[tuple[float | None, Usage | None]]:
        async with Router(world.config(providers={"sim": SIM}), transport=world.transport()) as router:
            replies = [await router.chat("hi", model=model) for model in ("listed", "listed", "unlisted")]
            return [(reply.cost_usd, reply.usage) for reply in replies]

    (listed, usage), (reported, _), (unlisted, _) = clock.run(scenario())
    assert usage is not None
    assert (usage.input_tokens * 1.0 + usage.output_tokens * 2.0) / 1e6 == listed
    assert (reported, unlisted) == (0.5, None)


def test_without_the_extra_a_price_stays_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is imported, and nothing fails."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "genai_prices" else find_spec(name))
    list_prices._look_up.cache_clear()
    list_prices.list_price.cache_clear()

    assert list_prices.list_price("https://api.openai.com/v1", "gpt-5.5") is None
    list_prices._look_up.cache_clear()
    list_prices.list_price.cache_clear()


def test_the_door_says_what_to_install() -> None:
    """One line."""
    code = "import sys; sys.modules['genai_prices'] = None; import asyncrouter.prices"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "ImportError: asyncrouter.prices needs genai-prices: pip install 'asyncrouter[prices]'" in done.stderr


def test_the_list_by_itself() -> None:
    """Prices of short prompts by address and id, cached input too; a model it does not have is none."""
    assert look_up("https://api.openai.com/v1", "gpt-5.5") == Price(input=5.0, output=30.0, cached_input=0.5)
    assert look_up("https://api.openai.com/v1", "gpt-6-luna") == Price(input=0.1, output=0.5, cached_input=0.01)
    assert look_up("https://api.openai.com/v1", "no-such-model") is None
    assert look_up("https://h.test/v1", "gpt-5.5") is None


def test_the_catalogue_agrees_with_the_list() -> None:
    """Its prices are taken from there: each model of each known provider costs the same in both."""
    known = catalog()
    wrong = []
    for (provider, model), entry in known.models.items():
        listed, ours = look_up(known.providers[provider].base_url, model), entry.usd_per_mtok
        if ours is not None and listed is not None:
            cached = ours.input if ours.cached_input is None else ours.cached_input
            if (ours.input, ours.output, cached) != (listed.input, listed.output, listed.cached_input):
                wrong.append((provider, model))

    assert wrong == []


def test_a_model_that_is_given_whole_is_taken_as_it_is(asked: list[tuple[str, str]]) -> None:
    """Nothing is looked up for it."""
    config = load({"providers": {"sim": SIM}})

    assert config.model(Model(provider="sim", id="listed")).usd_per_mtok is None
    assert asked == []


def test_what_a_model_refuses_is_known() -> None:
    """Anthropic's models from 4.7 on take no sampling, nor do OpenAI's that always reason; what a configuration says
    about its own model stands.
    """
    mine = {"provider": "anthropic", "id": "claude-opus-5-5", "drop": ["stop"]}
    config = load({"models": {"mine": mine}})

    sampling = ("temperature", "top_p", "top_k")
    drops = {name: model.drop for (provider, name), model in catalog().models.items() if provider == "anthropic"}
    others = {name for name, dropped in drops.items() if sampling != dropped}
    assert others == {"claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5"}
    assert sampling == config.model("anthropic:claude-opus-4-7").drop == config.model("anthropic:claude-fable-5").drop
    assert () == config.model("anthropic:claude-sonnet-4-6").drop == config.model("openai:gpt-6-luna").drop
    assert config.model("openai:gpt-6-astra").drop == ("temperature", "top_p", "logprobs", "top_logprobs")
    assert config.model("anthropic:claude-haiku-4-5").drop == ("reasoning", "reasoning_effort")
    assert config.model("mine").drop == ("stop",)
