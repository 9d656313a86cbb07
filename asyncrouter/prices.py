"""Prices of models from the package genai-prices (the extra `prices`), a list of some thousand models.

If it is installed, the router looks up each model whose price neither the configuration nor the built-in catalogue has,
once. Nothing is downloaded: newer prices come with a newer version of the package.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING

from asyncrouter import Price

try:
    from genai_prices import Usage, calc_price
    from genai_prices.types import TieredPrices
except ImportError:
    raise ImportError("asyncrouter.prices needs genai-prices: pip install 'asyncrouter[prices]'") from None

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from genai_prices.types import ModelPrice

__all__ = ["look_up"]

_HOUR = 9
"""The hour (UTC) whose prices are used where they depend on it (DeepSeek): one of the dear ones, so that no cost comes
out too low."""
_CONTEXTS = {
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "fast": {"speed": "fast"},
    "batch": {"processing": "batch"},
}
"""What the list asks about a request, by our names of the tiers; "fast" is Anthropic's fast mode there."""
_PARTS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
}
"""The list's names of the parts of a price, by ours."""


def look_up(base_url: str, model: str) -> Price | None:
    """The price of a provider's model today, with its long prompts and tiers; `None` if the list does not have it.

    `base_url` is the provider's, as in `Provider`; `model` is the provider's id of the model.
    """
    today = datetime.now(UTC).replace(hour=_HOUR)

    def listed(context: dict[str, str] | None) -> ModelPrice:
        found = calc_price(
            Usage(), model, provider_api_url=base_url, genai_request_timestamp=today, price_context=context
        )
        return found.model_price

    try:
        standard = listed(None)
    except LookupError:
        return None
    variants = {name: listed(context) for name, context in _CONTEXTS.items()}
    tiers = {name: _price(variant) for name, variant in variants.items() if variant != standard}
    return _price(standard, tiers)


def _price(listed: ModelPrice, tiers: Mapping[str, Price] | None = None) -> Price:
    """Our price of one of the list's: a price for each step of the prompt's length."""
    rates = {name: getattr(listed, part) for name, part in _PARTS.items()}
    steps = sorted({tier.start for rate in rates.values() if isinstance(rate, TieredPrices) for tier in rate.tiers})
    price: Price | None = None
    for above, step in reversed(list(pairwise([0, *steps, inf]))):
        at_step = {name: _rate(rate, above) for name, rate in rates.items()}
        price = Price(
            input=at_step.pop("input") or 0.0,
            output=at_step.pop("output") or 0.0,
            **at_step,
            long_context_tokens=None if price is None else int(step),
            long_context=price,
            tiers=(tiers or {}) if above == 0 else {},
        )
    assert price is not None  # there is one step at least
    return price


def _rate(rate: Decimal | TieredPrices | None, above: float) -> float | None:
    """A rate for prompts of more than so many tokens; `None` if the list does not have it."""
    if isinstance(rate, TieredPrices):
        reached = [tier.price for tier in rate.tiers if tier.start <= above]
        return float(reached[-1] if reached else rate.base)
    return None if rate is None else float(rate)
