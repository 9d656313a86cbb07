"""Reads the token counts of Chat Completions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._types import Usage
from asyncrouter._wire.fields import cost_in, count_in, object_in, tier_in

if TYPE_CHECKING:
    from collections.abc import Mapping

_CACHE_READS = ("prompt_cache_hit_tokens", "cached_tokens")
"""Names of the tokens that were read from the cache, beside the other counts: DeepSeek's and Moonshot's."""

_WRITES = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
"""Names of the tokens that were written into the cache, among the details of a prompt's."""


def read_usage(usage: Mapping[str, object] | None, tier: object = None) -> Usage | None:
    """The counts as `Usage`, `None` when there are none.

    `tier` is the completion's `service_tier`. A total that is more than its parts counts reasoning, which xAI leaves
    out of the completion, and bills as output.
    """
    if usage is None:
        return None
    if not isinstance(usage.get("prompt_tokens"), (int, float)):
        if not isinstance(usage.get("input_tokens"), (int, float)):
            return None
        usage = _renamed(usage)
    prompt, completion = count_in(usage, "prompt_tokens"), count_in(usage, "completion_tokens")
    total, hidden = usage.get("total_tokens"), 0
    if isinstance(total, (int, float)) and total > prompt + completion:
        hidden = max(0, count_in(usage, "total_tokens") - prompt - completion)
    details, more = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    cached = count_in(details, "cached_tokens") if details else 0
    if not cached and not usage.keys().isdisjoint(_CACHE_READS):
        cached = next(filter(None, (count_in(usage, name) for name in _CACHE_READS)), 0)
    reasoning = count_in(more, "reasoning_tokens") if more else 0
    read = Usage(prompt, completion + hidden, cached, reasoning or hidden)
    # Most answers have none of these, and a look costs less than reading.
    if (type(details) is dict and not details.keys().isdisjoint(_WRITES)) or "cache_creation_input_tokens" in usage:
        _read_cache_writes(read, usage)
    if (tier := usage.get("service_tier") or tier) is not None and tier != "default":
        read.service_tier = tier_in(tier)
    if usage.get("is_byok") is True and "cost" in usage and cost_in(usage) is None:
        read.service_tier = "byok"
    return read


def _renamed(usage: Mapping[str, object]) -> Mapping[str, object]:
    """The counts of a relay that passes on another API's, under the names of this one.

    Anthropic's input is without what was read from the cache and written into it.
    """
    read, written = count_in(usage, "cache_read_input_tokens"), count_in(usage, "cache_creation_input_tokens")
    asked = count_in(usage, "input_tokens") + read + written
    return {
        "prompt_tokens": asked, "completion_tokens": usage.get("output_tokens"),
        "prompt_tokens_details": {"cached_tokens": read} if read else usage.get("input_tokens_details"),
        "completion_tokens_details": usage.get("output_tokens_details"), **usage,
    }


def _read_cache_writes(read: Usage, usage: Mapping[str, object]) -> None:
    """OpenAI and OpenRouter count them as `cache_write_tokens`, LiteLLM and Alibaba nearly as Anthropic does."""
    details = object_in(usage, "prompt_tokens_details")
    counts = (*(count_in(details, name) for name in _WRITES), count_in(usage, "cache_creation_input_tokens"))
    read.cache_write_tokens = next(filter(None, counts), 0)
    if read.cache_write_tokens:
        for split in (object_in(details, "cache_creation_token_details"), object_in(usage, "cache_creation")):
            read.cache_write_1h_tokens = read.cache_write_1h_tokens or count_in(split, "ephemeral_1h_input_tokens")
