"""Reads the token counts of the Messages API, which counts fresh, cached and cache-writing input apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._types import Usage
from asyncrouter._wire.fields import count_in, tier_in

if TYPE_CHECKING:
    from asyncrouter._types import Message


def has_both_counts(counts: Message) -> bool:
    """Whether input and output are counted; half a count would make a wrong price."""
    return all(isinstance(counts.get(name), int) for name in ("input_tokens", "output_tokens"))


def read_counts(counts: Message) -> Usage:
    """The counts as `Usage`, whose input is all three kinds together."""
    split = counts.get("cache_creation")
    hour = count_in(split, "ephemeral_1h_input_tokens")
    both = hour + count_in(split, "ephemeral_5m_input_tokens")
    cached, written = count_in(counts, "cache_read_input_tokens"), count_in(counts, "cache_creation_input_tokens")
    written = written or both
    reasoning = count_in(counts.get("output_tokens_details"), "thinking_tokens")
    fresh, output = count_in(counts, "input_tokens"), count_in(counts, "output_tokens")
    return Usage(fresh + written + cached, output, cached, reasoning, written, min(hour, written), _tier(counts))


def _tier(counts: Message) -> str | None:
    """The tier that sets the price. "priority" is capacity bought in advance here, not the dearer tier of others."""
    fast = tier_in(counts.get("speed"))  # fast mode, which has its own prices
    tier = fast or tier_in(counts.get("service_tier"))
    return "committed" if tier == "priority" else tier


def write_counts(counts: Message) -> Message:
    """The counts as the `usage` of Chat Completions; `cache_write_tokens` is OpenRouter's field."""
    usage = read_counts(counts)
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": usage.cache_write_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
