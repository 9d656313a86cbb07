"""Ids find their entry of the built-in catalogue: exactly, or by the family they name."""

from __future__ import annotations

import pytest

from asyncrouter import Model, Provider
from asyncrouter._config.builtin_catalog import catalog
from asyncrouter._config.names import find_model

MINE = {"eu": Provider(base_url="https://api.anthropic.com/v1", wire="anthropic"),
        "local": Provider(base_url="http://127.0.0.1:8000/v1")}


def found(name: str) -> Model:
    return find_model(name, models={}, providers=MINE, default="openrouter")


def entry(provider: str, model_id: str) -> Model:
    return catalog().models[provider, model_id]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("anthropic:claude-haiku-4-5-20251001", ("anthropic", "claude-haiku-4-5")),
        ("anthropic:claude-haiku-4-5-latest", ("anthropic", "claude-haiku-4-5")),
        ("anthropic:claude-opus-5-5-20260915", ("anthropic", "claude-opus-5-5")),
        ("anthropic:claude-opus-latest", ("anthropic", "claude-opus-5-5")),
        ("openai:gpt-6-luna-2026-09-22", ("openai", "gpt-6-luna")),
        ("gemini:models/gemini-3.8-flash-preview", ("gemini", "gemini-3.8-flash")),
        ("mistral:mistral-large-latest", ("mistral", "mistral-large-4")),
        ("openrouter:~anthropic/claude-sonnet-latest", ("openrouter", "anthropic/claude-sonnet-5.5")),
        ("anthropic/claude-opus-5-5", ("openrouter", "anthropic/claude-opus-5.5")),
        ("eu:claude-opus-5-5", ("anthropic", "claude-opus-5-5")),  # another account at the same address
        ("eu:claude-opus-5-5-20260915", ("anthropic", "claude-opus-5-5")),
    ],
)
def test_an_id_finds_the_entry_of_its_model(name: str, known: tuple[str, str]) -> None:
    """Dated, aliased and written with other separators: what the model drops, its limits and its price are known."""
    model, expected = found(name), entry(*known)

    assert (model.drop, model.context, model.max_output, model.usd_per_mtok) == (
        expected.drop, expected.context, expected.max_output, expected.usd_per_mtok)


@pytest.mark.parametrize(
    "name",
    ["anthropic:claude-opus-9", "openai:gpt-6-luna-mini", "gemini:gemini-3.8-flash-lite", "local:claude-opus-5-5",
     "anthropic:my-claude", "together:gpt-oss-7b"],
)
def test_another_model_finds_nothing(name: str) -> None:
    """A newer version, another size and another provider are other models: nothing is guessed."""
    model = found(name)

    assert (model.drop, model.context, model.max_output) == ((), None, None)


@pytest.mark.parametrize("variant", [":free", ":nitro", ":floor"])
def test_a_variant_has_a_price_of_its_own(variant: str) -> None:
    """OpenRouter's variants are the same model at another price, which the reply tells."""
    model = found(f"meta-llama/llama-3.1-8b-instruct{variant}")
    claude = found(f"anthropic/claude-opus-5.5{variant}")

    assert model.usd_per_mtok != entry("openrouter", "meta-llama/llama-3.1-8b-instruct").usd_per_mtok
    assert (claude.context, claude.max_output) == (1_000_000, 128_000)
    assert claude.usd_per_mtok != entry("openrouter", "anthropic/claude-opus-5.5").usd_per_mtok


def test_the_exact_id_comes_first() -> None:
    """Every entry of the catalogue is found under its own id."""
    for provider, model_id in catalog().models:
        model, expected = found(f"{provider}:{model_id}"), entry(provider, model_id)
        assert (model.context, model.successor, model.drop) == (expected.context, expected.successor, expected.drop)


def test_what_the_configuration_says_counts() -> None:
    """Only what it leaves out is taken from the catalogue."""
    mine = {"m": Model(provider="anthropic", id="claude-haiku-4-5-20251001", context=7, drop=("top_k",))}
    model = find_model("m", models=mine, providers={}, default="openrouter")

    assert (model.context, model.drop, model.max_output) == (7, ("top_k",), 64_000)
