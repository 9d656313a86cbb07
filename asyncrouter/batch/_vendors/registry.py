"""Which batch API a provider has."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from asyncrouter.batch._vendors.anthropic import Anthropic
from asyncrouter.batch._vendors.gemini import Gemini
from asyncrouter.batch._vendors.openai import OpenAI
from asyncrouter.batch._vendors.openrouter import OpenRouter

if TYPE_CHECKING:
    from asyncrouter import Provider
    from asyncrouter.batch._vendors.api import Vendor

VENDORS: dict[str, Vendor] = {each.name: each for each in (OpenAI(), Anthropic(), Gemini(), OpenRouter())}
"""By name, which is that of `Provider.batch`."""
HOSTS = {
    "api.openai.com": "openai", "eu.api.openai.com": "openai", "us.api.openai.com": "openai",
    "api.anthropic.com": "anthropic", "generativelanguage.googleapis.com": "gemini", "openrouter.ai": "openrouter",
}
"""The vendor at each address."""


def vendor_of(provider: Provider) -> Vendor | None:
    """The batch API of a provider: as its configuration says, else by its address; `None` for none."""
    name = provider.batch
    if name == "auto":
        name = HOSTS.get(urlsplit(provider.base_url).hostname or "", "none")  # type: ignore[assignment]  # a vendor's
    return VENDORS.get(name)
