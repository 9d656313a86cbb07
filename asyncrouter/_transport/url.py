"""URLs, parsed once for all requests that have the same one, and the passwords in those of proxies."""

from __future__ import annotations

import base64
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


def split_proxy(text: str) -> tuple[URL, dict[str, str] | None]:
    """The address of a proxy, and the header field with its user and password (RFC 7617), `None` without any.

    aiohttp takes both in one URL, but shows that URL when it speaks of a connection. Raises `aiohttp.InvalidURL`.
    """
    url = parse_url(text)
    if url.raw_user is None and url.raw_password is None:
        return url, None
    pair = f"{url.user or ''}:{url.password or ''}".encode("utf-8", "replace")
    return url.with_user(None), {"Proxy-Authorization": f"Basic {base64.b64encode(pair).decode()}"}
