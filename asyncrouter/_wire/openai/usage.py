"""What an answer took and cost, as the hosts count it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._types import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_usage(usage: Mapping[str, object] | None) -> Usage | None:
    """Token counts in one shape. `prompt_cache_hit_tokens` is DeepSeek's name for the cached ones."""
    if usage is None or not isinstance(usage.get("prompt_tokens"), (int, float)):
        return None
    cached = count(usage.get("prompt_tokens_details"), "cached_tokens") or count(usage, "prompt_cache_hit_tokens")
    reasoning = count(usage.get("completion_tokens_details"), "reasoning_tokens")
    return Usage(count(usage, "prompt_tokens"), count(usage, "completion_tokens"), cached, reasoning)


def read_cost(usage: object) -> float | None:
    """US dollars charged, as OpenRouter reports them."""
    cost = usage.get("cost") if isinstance(usage, dict) else None
    return float(cost) if isinstance(cost, (int, float)) and not isinstance(cost, bool) and 0 <= cost < 2**63 else None


def count(counts: object, name: str) -> int:
    """A number of tokens; 0 where none is told."""
    value = counts.get(name) if isinstance(counts, dict) else None
    return int(value) if isinstance(value, (int, float)) and 0 <= value < 2**63 else 0
