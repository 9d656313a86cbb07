"""What is peculiar about the hosts that serve the Responses API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from asyncrouter._wire.responses.kept import Origin

if TYPE_CHECKING:
    from asyncrouter._config.catalog import Provider

_RESTARTS_CALL_IDS: Final = re.compile(r"bedrock-mantle\.[^/]+\.api\.aws")
"""Hosts whose tool calls are numbered from call_0 in every answer (pydantic/pydantic-ai#6536)."""

_NO_REASONING_IDS: Final = re.compile(r"(?:[^/]+\.)?api\.x\.ai")
"""Hosts to which reasoning goes back without an id (docs.x.ai, "Encrypted reasoning content")."""


def origin_of(provider: Provider) -> Origin:
    """Where a request to this provider goes; the model is not known yet."""
    parts = urlsplit(provider.base_url)
    host = parts.hostname or ""
    return Origin(
        parts.netloc.rpartition("@")[2].lower(),
        provider.name,
        takes_reasoning_ids=_NO_REASONING_IDS.fullmatch(host) is None,
        restarts_call_ids=_RESTARTS_CALL_IDS.fullmatch(host) is not None,
    )
