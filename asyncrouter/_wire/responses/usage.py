"""Token counts of the Responses API, read for the router and written in Chat Completions' words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._types import Usage
from asyncrouter._wire.fields import cost_in, count_in, tier_in

if TYPE_CHECKING:
    from asyncrouter._types import Message


def read_usage(usage: Message | None, tier: object = None) -> Usage | None:
    """The counts, `None` where none are given. Input includes what was cached, output what was reasoned.

    `tier` is the response's `service_tier`. Where the total is more than both, the rest is reasoning that a host has
    not counted as output (xAI).
    """
    if usage is None or not isinstance(usage.get("input_tokens"), int | float):
        return None
    asked, answered = count_in(usage, "input_tokens"), count_in(usage, "output_tokens")
    details = usage.get("input_tokens_details")
    cached, written = count_in(details, "cached_tokens"), count_in(details, "cache_write_tokens")
    reasoned = count_in(usage.get("output_tokens_details"), "reasoning_tokens")
    untold = usage.get("is_byok") is True and "cost" in usage and cost_in(usage) is None
    output = max(answered, count_in(usage, "total_tokens") - asked)
    return Usage(asked, output, cached, reasoned, written, 0, "byok" if untold else tier_in(tier))


def write_usage(usage: Message) -> Message:
    """The counts as Chat Completions has them; `cache_write_tokens` and what else there is stand beside them."""
    read = read_usage(usage)
    if read is None:
        return usage
    counts: Message = {
        "prompt_tokens": read.input_tokens,
        "completion_tokens": read.output_tokens,
        "total_tokens": read.input_tokens + read.output_tokens,
        "prompt_tokens_details": {"cached_tokens": read.cached_tokens, "cache_write_tokens": read.cache_write_tokens},
        "completion_tokens_details": {"reasoning_tokens": read.reasoning_tokens},
    }
    known = {"input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details"}
    return {**counts, **{name: value for name, value in usage.items() if name not in known}}
