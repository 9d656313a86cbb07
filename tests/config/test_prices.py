"""Where the price of a model comes from: the configuration, the catalogue, genai-prices, or nowhere."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
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
    from datetime import tzinfo

    from asyncrouter.sim import Clock, World

SIM = {"base_url": "https://sim.test/v1"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """The models that were looked up in the price list, which has one price."""
    questions: list[tuple[str, str]] = []

    def look_up(base_url: str, model: str) -> Price | None:
        questions.append((base_url, model))
        return Price(input=1.0, output=2.0) if model == "listed" else None

    monkeypatch.setattr(list_prices, "_look_up", lambda: look_up)
    list_prices.list_price.cache_clear()
    yield questions
    list_prices.list_price.cache_clear()


def test_a_model_without_a_price_is_looked_up_once(asked: list[tuple[str, str]]) -> None:
    """It is looked up by the address of its provider, and not again, whether the list has it or not."""
    config = load({"default_provider": "sim", "providers": {"sim": SIM}})

    assert [config.model("listed").usd_per_mtok for _ in range(2)] == [Price(input=1.0, output=2.0)] * 2
    assert [config.model("unlisted").usd_per_mtok for _ in range(2)] == [None, None]
    assert asked == [("https://sim.test/v1", "listed"), ("https://sim.test/v1", "unlisted")]


def test_the_configuration_precedes_the_catalogue_and_that_the_list(asked: list[tuple[str, str]]) -> None:
    """A model whose price is known already is not looked up."""
    mine = {"provider": "sim", "id": "listed", "usd_per_mtok": {"input": 3.0, "output": 4.0}}
    config = load({"providers": {"sim": SIM}, "models": {"mine": mine}})

    assert config.model("mine").usd_per_mtok == Price(input=3.0, output=4.0)
    assert config.model("openai:gpt-6-luna").usd_per_mtok == catalog().models["openai", "gpt-6-luna"].usd_per_mtok
    assert asked == []


def test_a_server_without_tls_is_not_looked_up(asked: list[tuple[str, str]]) -> None:
    """A server at an http:// address is the user's own, and no list has its prices."""
    config = load({"default_provider": "sim", "providers": {"sim": {"base_url": "http://127.0.0.1:8080/v1"}}})

    assert config.model("listed").usd_per_mtok is None
    assert asked == []


def test_a_listed_price_is_what_a_call_costs(asked: list[tuple[str, str]], world: World, clock: Clock) -> None:
    """The reply's cost is tokens times the listed price, unless the provider reports what it charged."""
    world.model("listed", Act(text="one two"), Act(text="one two", cost=0.5))
    world.model("unlisted", Act(text="one two"))

    async def scenario() -> list[tuple[float | None, Usage | None]]:
        async with Router(world.config(providers={"sim": SIM}), transport=world.transport()) as router:
            replies = [await router.chat("hi", model=model) for model in ("listed", "listed", "unlisted")]
            return [(reply.cost_usd, reply.usage) for reply in replies]

    (listed, usage), (reported, _), (unlisted, _) = clock.run(scenario())
    assert usage is not None
    assert listed == (usage.input_tokens * 1.0 + usage.output_tokens * 2.0) / 1e6
    assert (reported, unlisted) == (0.5, None)


def test_without_the_extra_a_price_stays_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """If genai-prices is not installed, a model that is not priced elsewhere has no price."""
    monkeypatch.setattr(list_prices, "find_spec", lambda name: None)
    list_prices._look_up.cache_clear()
    list_prices.list_price.cache_clear()

    assert list_prices.list_price("https://api.openai.com/v1", "gpt-5.5") is None
    list_prices._look_up.cache_clear()
    list_prices.list_price.cache_clear()


def test_the_module_says_what_to_install() -> None:
    """Importing `asyncrouter.prices` without the extra names the command that installs it."""
    code = "import sys; sys.modules['genai_prices'] = None; import asyncrouter.prices"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "ImportError: asyncrouter.prices needs genai-prices: pip install 'asyncrouter[prices]'" in done.stderr


def test_the_list_has_long_prompts_and_tiers() -> None:
    """It has prices by address and id, with cache, long prompts and tiers; an unknown model or address has none."""
    long = Price(input=10.0, output=45.0, cached_input=1.0)
    half = Price(
        input=2.5, output=15.0, cached_input=0.25, long_context_tokens=272_000,
        long_context=Price(input=5.0, output=22.5, cached_input=0.5),
    )
    assert look_up("https://api.openai.com/v1", "gpt-5.5") == Price(
        input=5.0, output=30.0, cached_input=0.5, long_context_tokens=272_000, long_context=long,
        tiers={"flex": half, "priority": Price(input=12.5, output=75.0, cached_input=1.25), "batch": half},
    )
    assert look_up("https://api.openai.com/v1", "no-such-model") is None
    assert look_up("https://h.test/v1", "gpt-5.5") is None


def test_the_list_has_anthropics_cache_writes() -> None:
    """Those kept for an hour have their own price; "fast" is its fast mode."""
    listed = look_up("https://api.anthropic.com/v1", "claude-opus-5-5")

    assert listed is not None
    assert (listed.cache_write, listed.cache_write_1h, listed.tiers["fast"].output) == (5.0, 8.0, 40.0)


def test_the_catalogue_agrees_with_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each model of each well-known provider cost the same in the catalogue and in genai-prices on the day on which the
    catalogue was verified, long prompts and tiers included.
    """
    known = catalog()

    class Verified(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Verified:
            return cls(known.verified.year, known.verified.month, known.verified.day, tzinfo=tz)

    monkeypatch.setattr("asyncrouter.prices.datetime", Verified)
    wrong = []
    for (provider, model), entry in known.models.items():
        listed, ours = look_up(known.providers[provider].base_url, model), entry.usd_per_mtok
        if ours is not None and listed is not None and ours != listed:
            wrong.append((provider, model))

    assert wrong == []


def test_the_price_of_a_model_object_is_not_looked_up(asked: list[tuple[str, str]]) -> None:
    """A `Model` given in Python is used as it is."""
    config = load({"providers": {"sim": SIM}})

    assert config.model(Model(provider="sim", id="listed")).usd_per_mtok is None
    assert asked == []


def test_the_catalogue_knows_which_parameters_a_model_refuses() -> None:
    """Anthropic's models from 4.7 on take no sampling parameters, nor do OpenAI's that always reason; the `drop` of a
    configuration's own model takes precedence.
    """
    mine = {"provider": "anthropic", "id": "claude-opus-5-5", "drop": ["stop"]}
    config = load({"models": {"mine": mine}})

    sampling = ("temperature", "top_p", "top_k")
    drops = {name: model.drop for (provider, name), model in catalog().models.items() if provider == "anthropic"}
    others = {name for name, dropped in drops.items() if sampling != dropped}
    assert others == {"claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5"}
    assert config.model("anthropic:claude-opus-4-7").drop == sampling
    assert config.model("anthropic:claude-fable-5").drop == sampling
    assert config.model("anthropic:claude-sonnet-4-6").drop == ()
    assert config.model("openai:gpt-6-luna").drop == ()
    assert config.model("openai:gpt-6-astra").drop == ("temperature", "top_p", "logprobs", "top_logprobs")
    assert config.model("anthropic:claude-haiku-4-5").drop == ("reasoning", "reasoning_effort")
    assert config.model("mine").drop == ("stop",)
