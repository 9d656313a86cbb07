"""Translates the token counts of generateContent into those of Chat Completions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._wire.fields import count_in, tier_in

if TYPE_CHECKING:
    from asyncrouter._types import Message


def write_counts(counts: Message | None) -> Message | None:
    """`usageMetadata` as a `usage`: thoughts count as output, the results of Google's own tools as input."""
    if counts is None or not ("promptTokenCount" in counts or "candidatesTokenCount" in counts):
        return None
    prompt = count_in(counts, "promptTokenCount") + count_in(counts, "toolUsePromptTokenCount")
    said, thoughts = count_in(counts, "candidatesTokenCount"), count_in(counts, "thoughtsTokenCount")
    # A total that is more than its parts counts thoughts that have no count of their own.
    thoughts += max(0, count_in(counts, "totalTokenCount") - prompt - said - thoughts)
    completion = said + thoughts
    usage: Message = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": count_in(counts, "cachedContentTokenCount")},
        "completion_tokens_details": {"reasoning_tokens": thoughts},
    }
    if (tier := _tier(counts)) is not None:
        usage["service_tier"] = tier
    return usage


def _tier(counts: Message) -> str | None:
    """`serviceTier` of the Gemini API, or Vertex AI's `trafficType`: ON_DEMAND, ON_DEMAND_FLEX, PROVISIONED_…"""
    traffic = tier_in(counts.get("trafficType")) or ""
    traffic = "" if traffic.endswith("unspecified") else traffic.removeprefix("on_demand_")
    return tier_in(counts.get("serviceTier")) or traffic or None
