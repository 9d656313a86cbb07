"""Prices that neither the configuration nor the catalogue has: those of an optional package, where it is installed."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncrouter._config.catalog import Price

_DOOR = "asyncrouter.prices"
"""What knows the package. It stands above all this, so it is not imported but found by its name, when it is needed."""


@lru_cache(maxsize=1000)
def price_elsewhere(base_url: str, model: str) -> Price | None:
    """What the model at this address costs, asked once; `None` when nobody knows, or nothing is installed to ask.

    The first question that has to be asked loads the package: half a second. `import asyncrouter.prices` takes that
    out of the first call.
    """
    if not base_url.startswith("https://"):  # on this machine or in this house: no list has its prices
        return None
    look_up = _look_up()
    return None if look_up is None else look_up(base_url, model)


@cache
def _look_up() -> Callable[[str, str], Price | None] | None:
    from importlib import import_module
    from importlib.util import find_spec

    if find_spec("genai_prices") is None:
        return None
    found: Callable[[str, str], Price | None] = import_module(_DOOR).look_up
    return found
