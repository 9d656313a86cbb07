"""Prices from pydantic's genai-prices, the extra `prices`: a list of some thousand models that ships with the package.

With the extra installed the router asks it by itself, once for each model whose price neither the configuration nor
the catalogue has. Nothing is downloaded: a newer package has newer prices.
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
"""UTC. Some prices depend on it (DeepSeek): this is one of the dear ones, so that no cost is told too low."""
_TOKENS = 1000
"""What prices are asked for: long prompts cost more at some vendors; this, like the catalogue, is about short ones."""


def look_up(base_url: str, model: str) -> Price | None:
    """What a provider's model costs today, for short prompts; `None` when the list does not have it."""
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
