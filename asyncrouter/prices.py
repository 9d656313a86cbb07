"""Prices of models from the package genai-prices (the extra `prices`), a list of some thousand models.

If it is installed, the router looks up each model whose price neither the configuration nor the built-in catalogue has,
once. Nothing is downloaded: newer prices come with a newer version of the package.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from asyncrouter import Price

try:
    from genai_prices import Usage, calc_price
except ImportError:
    raise ImportError("asyncrouter.prices needs genai-prices: pip install 'asyncrouter[prices]'") from None

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["look_up"]

_HOUR = 9
"""The hour (UTC) whose prices are used where they depend on it (DeepSeek): one of the dear ones, so that no cost comes
out too low."""
_TOKENS = 1000
"""Tokens of the prompt whose price is looked up. Long prompts cost more at some vendors; like the built-in catalogue,
this uses the price of short ones."""


def look_up(base_url: str, model: str) -> Price | None:
    """The price of a provider's model today, for short prompts; `None` if the list does not have it.

    `base_url` is the provider's, as in `Provider`; `model` is the provider's id of the model.
    """
    today = datetime.now(UTC).replace(hour=_HOUR)

    def usd_per_mtok(usage: Usage, part: str) -> float:
        found = calc_price(usage, model, provider_api_url=base_url, genai_request_timestamp=today)
        price: Decimal = getattr(found, part)
        return float(price * (1_000_000 // _TOKENS))

    try:
        return Price(
            input=usd_per_mtok(Usage(input_tokens=_TOKENS), "input_price"),
            output=usd_per_mtok(Usage(output_tokens=_TOKENS), "output_price"),
            cached_input=usd_per_mtok(Usage(input_tokens=_TOKENS, cache_read_tokens=_TOKENS), "input_price"),
        )
    except LookupError:
        return None
