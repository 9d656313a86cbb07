"""URLs, parsed once for all requests that have the same one."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import aiohttp
from yarl import URL

from asyncrouter._credentials.secret import Sealed, reveal

MAX_URLS: Final = 256
"""URLs remembered: every model has one or two, and names of models can come from anywhere."""


@lru_cache(maxsize=MAX_URLS)
def parse_url(text: Sealed) -> URL:
    """The parsed URL. Raises `aiohttp.InvalidURL`, which does not repeat the text: it may hold a key."""
    try:
        return URL(reveal(text))
    except ValueError:
        raise aiohttp.InvalidURL("not a URL") from None
