"""What is known of hosts: which serve OpenAI's Responses API as well, and where Azure's API stands.

The first are those that serve it beside Chat Completions, and do it well enough to choose between the two.

Others serve it too (OpenRouter, llama.cpp, vLLM …), but without an advantage over Chat Completions, or not wholly:
there it is used where the configuration says `wire = "responses"`.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

_AZURE: Final = re.compile(r"https?://[^/]+\.(?:openai|services\.ai|cognitiveservices)\.azure\.com(?:/openai)?/*")
"""An Azure resource's address without the path of its API, as its portal shows it."""
_ADDRESSES: Final = re.compile(
    r"(?:[a-z]+\.)?api\.openai\.com/v1"
    r"|[^/]+\.(?:openai|services\.ai|cognitiveservices)\.azure\.com/openai/v1"
    r"|bedrock-runtime\.[^/]+\.amazonaws\.com/openai/v1"
    r"|bedrock-mantle\.[^/]+\.api\.aws/(?:openai/)?v1"
    r"|(?:[^/]+\.)?api\.x\.ai/v1"
)
"""Host and path of OpenAI (its regions have hosts of their own), Azure's v1 API, both of Bedrock's, and xAI."""


def serves_both_apis(base_url: str) -> bool:
    """Whether a provider at this address serves Chat Completions and the Responses API."""
    parts = urlsplit(base_url)
    return _ADDRESSES.fullmatch(f"{parts.hostname or ''}{parts.path.rstrip('/')}") is not None


def with_azure_path(base_url: str) -> str:
    """Append `/openai/v1`, where Azure's API stands, to the bare address of an Azure resource; keep others."""
    return f"{base_url.rstrip('/').removesuffix('/openai')}/openai/v1" if _AZURE.fullmatch(base_url) else base_url
