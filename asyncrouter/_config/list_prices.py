"""Prices from the optional package genai-prices, for models whose price neither configuration nor catalogue has."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from asyncrouter._events import MAX_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter._config.price import Price

_PRICES_MODULE = "asyncrouter.prices"
"""The module that knows the package. It lies in a higher layer, so it is imported by its name, when first needed."""


@lru_cache(maxsize=MAX_NAMES)
def list_price(base_url: str, model: str) -> Price | None:
    """The list price of a model at this address; `None` if the list does not have it or the package is missing.

    The first call that needs the list imports the package, which takes half a second; `import asyncrouter.prices` does
    so earlier.
    """
    if not base_url.startswith("https://"):  # a server on this machine or in this network is in no price list
        return None
    look_up = _look_up()
    return None if look_up is None else look_up(base_url, model)


@cache
def _look_up() -> Callable[[str, str], Price | None] | None:
    if find_spec("genai_prices") is None:
        return None
    found: Callable[[str, str], Price | None] = import_module(_PRICES_MODULE).look_up
    return found
