"""What published prices come to, for cache, long prompts and tiers: to the cent, and as genai-prices counts it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from genai_prices import Usage as ListedUsage
from genai_prices import calc_price

from asyncrouter import Model, Usage
from asyncrouter._config.builtin_catalog import catalog
from asyncrouter._config.cost import cost_of
from asyncrouter.prices import look_up


class Example(NamedTuple):
    """An answer's tokens, what it costs by the vendor's own price page, and what genai-prices is told besides."""

    provider: str
    model: str
    usage: Usage
    usd: float
    context: dict[str, str] | None = None


M = 1_000_000
EXAMPLES = {
    # platform.claude.com, "Prompt caching": write 1.25 and 2 times the input, read a tenth.
    "Anthropic, written for five minutes": Example(
        "anthropic", "claude-haiku-4-5", Usage(110_000, 2_000, 0, 0, 100_000),
        (10_000 * 1.0 + 100_000 * 1.25 + 2_000 * 5.0) / M),
    "Anthropic, written for an hour": Example(
        "anthropic", "claude-sonnet-5", Usage(500_000, 10_000, 0, 0, 400_000, 300_000),
        (100_000 * 2.0 + 100_000 * 2.5 + 300_000 * 4.0 + 10_000 * 10.0) / M),
    "Anthropic, read": Example(
        "anthropic", "claude-opus-5-5", Usage(900_000, 50_000, 800_000),
        (100_000 * 4.0 + 800_000 * 0.2 + 50_000 * 20.0) / M),
    "Anthropic, batch": Example(
        "anthropic", "claude-opus-5-5", Usage(900_000, 50_000, 800_000, service_tier="batch"),
        (100_000 * 2.0 + 800_000 * 0.1 + 50_000 * 10.0) / M, {"processing": "batch"}),
    "Anthropic, fast mode": Example(
        "anthropic", "claude-opus-5-5", Usage(100_000, 50_000, service_tier="fast"),
        (100_000 * 8.0 + 50_000 * 40.0) / M, {"speed": "fast"}),
    "Anthropic, a long prompt": Example(
        "anthropic", "claude-haiku-5-5", Usage(900_000, 100_000, 500_000, 0, 100_000),
        (300_000 * 0.5 + 500_000 * 0.05 + 100_000 * 0.625 + 100_000 * 2.5) / M),
    # openai.com/api/pricing: cache writes since GPT-6, prompts over 272,000 tokens, flex, priority, batch.
    "OpenAI, written and read": Example(
        "openai", "gpt-6.1-sol", Usage(250_000, 20_000, 100_000, 5_000, 50_000),
        (100_000 * 2.0 + 100_000 * 0.1 + 50_000 * 2.5 + 20_000 * 10.0) / M),
    "OpenAI, a long prompt": Example(
        "openai", "gpt-6.1-sol", Usage(300_000, 20_000, 100_000),
        (200_000 * 4.0 + 100_000 * 0.2 + 20_000 * 15.0) / M),
    "OpenAI, at the step": Example(
        "openai", "gpt-6.1-sol", Usage(272_000, 0), 272_000 * 2.0 / M),
    "OpenAI, flex": Example(
        "openai", "gpt-6-astra", Usage(200_000, 40_000, 100_000, service_tier="flex"),
        (100_000 * 5.0 + 100_000 * 0.5 + 40_000 * 25.0) / M, {"service_tier": "flex"}),
    "OpenAI, priority, a long prompt": Example(
        "openai", "gpt-6-astra", Usage(400_000, 10_000, service_tier="priority"),
        (400_000 * 40.0 + 10_000 * 150.0) / M, {"service_tier": "priority"}),
    "OpenAI, priority by its new name": Example(
        "openai", "gpt-6-luna", Usage(200_000, 100_000, service_tier="fast"),
        (200_000 * 0.2 + 100_000 * 1.0) / M, {"service_tier": "fast"}),
    # ai.google.dev/gemini-api/docs/pricing; not in the catalogue, so from the list.
    "Google, a long prompt": Example(
        "gemini", "gemini-2.5-pro", Usage(300_000, 20_000, 100_000),
        (200_000 * 2.5 + 100_000 * 0.25 + 20_000 * 15.0) / M),
    "DeepSeek, read": Example(
        "deepseek", "deepseek-v4-pro", Usage(500_000, 100_000, 400_000),
        (100_000 * 1.32 + 400_000 * 0.044 + 100_000 * 3.96) / M),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_published_example(name: str) -> None:
    """The catalogue's price, or else the list's, comes to what the vendor's page says and to what genai-prices says."""
    provider, model, usage, usd, context = EXAMPLES[name]
    base_url = catalog().providers[provider].base_url
    known = catalog().models.get((provider, model))
    entry = known or Model(provider=provider, id=model, usd_per_mtok=look_up(base_url, model))
    listed = calc_price(
        ListedUsage(
            input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, cache_read_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens, cache_write_1h_tokens=usage.cache_write_1h_tokens or None,
        ),
        model, provider_api_url=base_url, price_context=context,
        genai_request_timestamp=datetime(2026, 11, 23, 9, tzinfo=UTC),
    )

    assert float(listed.total_price) == pytest.approx(usd, abs=1e-9)
    assert cost_of(entry, usage) == (pytest.approx(usd, abs=1e-9), False)
