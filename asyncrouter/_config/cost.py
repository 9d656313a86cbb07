"""The cost of an attempt: prices times tokens, as the provider counted them or as estimated from the request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncrouter._config.tokens import json_tokens, prompt_tokens, text_tokens
from asyncrouter._types import Usage

if TYPE_CHECKING:
    from asyncrouter._config.catalog import Model
    from asyncrouter._config.price import Price
    from asyncrouter._types import Call, Reply

CACHE_WRITE = 1.25
"""What a token costs that is written into the cache, in prices of input, if nothing else is known: so it is at
Anthropic (kept for five minutes) and at OpenAI since GPT-6."""
CACHE_WRITE_1H = 2.0
"""The same for a token that is kept for an hour (Anthropic)."""
DEAR_TIER = 2.5
"""What a token costs at a tier whose price is not known, in standard prices: priority costs twice as much at OpenAI,
and two and a half times as much for GPT-5.5."""
CHEAP_TIERS = frozenset({"flex", "batch", "scale", "committed", "provisioned_throughput", "offpeak", "byok"})
"""Tiers that cost no more than the standard one, whose price stands for theirs where theirs is not known: slower ones,
capacity that is bought in advance, and a key of the caller's own."""
_SAME_TIER = {"fast": "priority", "priority": "fast"}
"""OpenAI has renamed its tier "priority" to "fast"; replies have both names."""


def cost_of(model: Model, usage: Usage) -> tuple[float | None, bool]:
    """US dollars for these tokens, and whether that is an estimate, because the price of a part is not known.

    `None` if the model has no price at all. What is not known is taken to be dear rather than cheap.
    """
    standard = model.usd_per_mtok
    if standard is None:
        return None, False
    rates, factor, estimated = _at_tier(standard, usage.service_tier)
    while rates.long_context is not None and usage.input_tokens > (rates.long_context_tokens or 0):
        rates = rates.long_context
    cached_rate = rates.input if rates.cached_input is None else rates.cached_input
    fresh = max(0, usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens)
    usd = fresh * rates.input + usage.cached_tokens * cached_rate + usage.output_tokens * rates.output
    if usage.cache_write_tokens:
        written, unknown = _cache_writes(rates, usage)
        usd, estimated = usd + written, estimated or unknown
    return usd * factor / 1e6, estimated


def estimate(model: Model, call: Call, reply: Reply | None) -> float | None:
    """US dollars that an attempt without a usage report may have cost: its prompt, and what was written until it ended.

    `None` if the price of the model is unknown. It counts at the tier that was asked for if that is a dear one.
    """
    written = 0.0
    if reply is not None:
        written = text_tokens(reply.text) + text_tokens(reply.reasoning)
        written += sum(json_tokens(tool_call) for tool_call in reply.tool_calls)
    asked = call.params_for(model.provider).get("service_tier")
    tier = asked if isinstance(asked, str) and asked in _SAME_TIER else None
    return cost_of(model, Usage(prompt_tokens(call), int(written), service_tier=tier))[0]


def _at_tier(standard: Price, tier: str | None) -> tuple[Price, float, bool]:
    """The price at a tier, what to multiply it by, and whether that is a guess."""
    if tier is None:
        return standard, 1.0, False
    at_tier = standard.tiers.get(tier) or standard.tiers.get(_SAME_TIER.get(tier, tier))
    if at_tier is not None:
        return at_tier, 1.0, False
    return standard, 1.0 if tier in CHEAP_TIERS else DEAR_TIER, True


def _cache_writes(rates: Price, usage: Usage) -> tuple[float, bool]:
    """What the tokens cost that were written into the cache, in millionths of a dollar, and whether it is a guess."""
    hour = usage.cache_write_1h_tokens
    minutes = max(0, usage.cache_write_tokens - hour)
    rate = rates.input * CACHE_WRITE if rates.cache_write is None else rates.cache_write
    hour_rate = rates.input * CACHE_WRITE_1H if rates.cache_write_1h is None else rates.cache_write_1h
    unknown = (minutes > 0 and rates.cache_write is None) or (hour > 0 and rates.cache_write_1h is None)
    return minutes * rate + hour * hour_rate, unknown and rates.input > 0
