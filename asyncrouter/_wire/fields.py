"""Fields of a provider's JSON, read without trusting their type."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncrouter._types import Message

_TOO_LARGE = 10**12
"""Tokens and dollars of one answer from which on they are nonsense: sums over 18 million such would not fit 64 bits."""

_TICKS = 10**10
"""xAI's ticks in a US dollar (litellm PR 36281: 2,709,000 ticks are $0.0002709)."""

_STANDARD = ("default", "standard", "standard_only", "auto", "on_demand", "unspecified")
"""What the standard tier is called: OpenAI, Anthropic, Anthropic's request, OpenAI's, Groq, Gemini."""
_LONGEST_TIER = 40
"""Characters of a tier's name that are kept: a name is one word."""


def object_in(document: Mapping[str, object], name: str) -> Message:
    """The object under `name`, empty when there is none."""
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def count_in(counts: object, name: str) -> int:
    """The number of tokens under `name`, 0 when there is none."""
    value = counts.get(name) if isinstance(counts, dict) else None
    return int(value) if isinstance(value, (int, float)) and 0 <= value < _TOO_LARGE else 0


def cost_in(usage: object) -> float | None:
    """The US dollars charged, as a provider writes them into its usage; `None` when it does not say all of it.

    OpenRouter: `cost`, which is its own share only where the caller has a key with the vendor ("BYOK"), whose share is
    beside it. Perplexity: the parts of a cost and their `total_cost`, with a fee for each request. xAI: ticks.
    """
    if not isinstance(usage, dict) or ("cost" not in usage and "cost_in_usd_ticks" not in usage):
        return None
    told = usage.get("cost")
    cost = _amount(told.get("total_cost") if isinstance(told, dict) else told)
    if cost is None:
        ticks = _amount(usage.get("cost_in_usd_ticks"))
        return None if ticks is None else ticks / _TICKS
    if usage.get("is_byok") is not True:
        return cost
    upstream = _amount(object_in(usage, "cost_details").get("upstream_inference_cost"))
    return None if upstream is None else cost + upstream


def tier_in(*places: object) -> str | None:
    """The service tier that the first of these values names; `None` for the standard tier, or for none."""
    for value in places:
        if isinstance(value, str) and (tier := value[:_LONGEST_TIER].strip().lower()):
            return None if tier in _STANDARD else tier
    return None


def _amount(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value < _TOO_LARGE else None


def grown_counts(held: Message | None, told: Message) -> Message:
    """The counts so far with those that are told now. What is empty takes nothing back, as some last chunks would."""
    if not held:
        return told
    news = {name: value for name, value in told.items() if value or (value is not None and name not in held)}
    return {**held, **news}
