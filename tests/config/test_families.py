"""A model's family, read from its id, whoever serves it and however the id is dressed."""

from __future__ import annotations

import pytest

from asyncrouter._config.families import NEWEST, family_of


@pytest.mark.parametrize(("model_id", "expected"), [
    ("gpt-6.1-sol", ("openai", "gpt", (6, 1), ("sol",))),
    ("gpt-6-sol-2026-09-22", ("openai", "gpt", (6, 0), ("sol",))),
    ("gpt-4o-mini", ("openai", "gpt", (4, 0), ("o", "mini"))),
    ("gpt-4.1", ("openai", "gpt", (4, 1), ())),
    ("gpt-4-32k", ("openai", "gpt", (4, 0), ("32k",))),
    ("gpt-4-0613", ("openai", "gpt", (4, 0), ("0613",))),
    ("gpt-5.1-codex-max", ("openai", "gpt", (5, 1), ("codex", "max"))),
    ("gpt-oss-120b", ("openai", "gpt-oss", NEWEST, ("120b",))),
    ("o1", ("openai", "o", (1, 0), ())),
    ("o4-mini-deep-research-2025-06-26", ("openai", "o", (4, 0), ("mini", "deep", "research"))),
    ("codex-mini-latest", ("openai", "codex", NEWEST, ("mini", "latest"))),
    ("claude-opus-5-5", ("anthropic", "opus", (5, 5), ())),
    ("claude-haiku-4-5-20251001", ("anthropic", "haiku", (4, 5), ())),
    ("claude-3-5-sonnet-20241022", ("anthropic", "sonnet", (3, 5), ())),
    ("claude-3-opus-20240229", ("anthropic", "opus", (3, 0), ())),
    ("gemini-3.8-flash", ("google", "gemini", (3, 8), ("flash",))),
    ("gemini-4-argon", ("google", "gemini", (4, 0), ("argon",))),
    ("grok-4.20-0309-reasoning", ("xai", "grok", (4, 20), ("0309", "reasoning"))),
    ("grok-4-0709", ("xai", "grok", (4, 0), ("0709",))),
    ("deepseek-v4-flash", ("deepseek", "deepseek", (4, 0), ("flash",))),
    ("mistral-large-4", ("mistral", "mistral", (4, 0), ("large",))),
    ("qwen/qwen3-32b", ("qwen", "qwen", (3, 0), ("32b",))),
    ("qwen2.5-coder:7b", ("qwen", "qwen", (2, 5), ("coder",))),
])
def test_an_id_is_read_into_vendor_name_version_and_tags(model_id: str, expected: tuple[object, ...]) -> None:
    """As the vendor itself writes it, dated or not."""
    assert family_of(model_id) == expected


@pytest.mark.parametrize(("model_id", "plain"), [
    ("openai/gpt-6-sol", "gpt-6-sol"),  # OpenRouter
    ("openai/gpt-6-sol:nitro", "gpt-6-sol"),
    ("anthropic/claude-opus-5.5", "claude-opus-5-5"),
    ("openai.gpt-6-sol", "gpt-6-sol"),  # Bedrock
    ("us.anthropic.claude-opus-4-6-v1:0", "claude-opus-4-6"),
    ("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
    ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5"),
    ("claude-opus-4@20250514", "claude-opus-4"),  # Vertex
    ("publishers/google/models/gemini-3.8-flash@001", "gemini-3.8-flash"),
    ("databricks-gpt-6-1-sol", "gpt-6.1-sol"),  # Databricks
    ("gpt-35-turbo", "gpt-3.5-turbo"),  # Azure
    ("accounts/fireworks/models/gpt-5p1-mini", "gpt-5.1-mini"),  # Fireworks' dots
    ("ft:gpt-4.1-mini-2025-04-14:org::abc", "gpt-4.1-mini"),  # fine-tuned
    ("GPT-6-Sol", "gpt-6-sol"),
])
def test_what_surrounds_an_id_does_not_change_the_family(model_id: str, plain: str) -> None:
    """Resellers, regions, dates, variants and fine-tuning stand around the same model."""
    assert family_of(model_id) == family_of(plain)
    assert family_of(plain) is not None


@pytest.mark.parametrize(("model_id", "name"), [
    ("~anthropic/claude-opus-latest", "opus"), ("gpt-latest", "gpt"), ("~openai/gpt-sol-latest", "gpt"),
    ("gemini-flash-latest", "gemini"), ("grok-latest", "grok"),
])
def test_an_alias_without_a_number_counts_as_the_newest(model_id: str, name: str) -> None:
    """Whatever it points to now, the rules of the newest version are the closest guess."""
    family = family_of(model_id)

    assert family is not None
    assert (family.name, family.version) == (name, NEWEST)


@pytest.mark.parametrize("model_id", [
    "my-deployment", "smollm2", "gpt-image-2", "gpt-realtime-2.1", "gpt-audio", "chatgpt-4o-latest", "claude-2.1",
    "openrouter/auto", "foo2-mini", "", "/", "o", "gpt-", "text-embedding-3-large", "gpt-live-latest",
])
def test_an_id_without_a_known_family_has_none(model_id: str) -> None:
    """Azure's deployments may have any name; what is not recognised gets no rules."""
    assert family_of(model_id) is None


@pytest.mark.parametrize(("model_id", "kind"), [
    ("gemini-2.0-flash-001", ("flash",)), ("gemini-3.8-flash-preview-09-2026", ("flash",)),
    ("claude-haiku-4-5-latest", ()), ("gpt-6-luna", ("luna",)), ("gemini-3.8-flash-lite", ("flash", "lite")),
])
def test_an_edition_is_no_other_kind(model_id: str, kind: tuple[str, ...]) -> None:
    """Dates, numbers and words such as "preview" name an edition of the same model."""
    family = family_of(model_id)

    assert family is not None
    assert family.kind == kind
