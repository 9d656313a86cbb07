"""Where a request to the Responses API goes, and what is peculiar about the host."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from asyncrouter._config.hosts import serves_both_apis
from asyncrouter._wire.origin import origin_of
from asyncrouter._wire.vendors import foreign_parameters

if TYPE_CHECKING:
    from asyncrouter._config.catalog import Provider
    from asyncrouter._wire.origin import Origin
    from asyncrouter._wire.responses.lost_reasoning import LostReasoning

_RESTARTS_CALL_IDS: Final = re.compile(r"bedrock-mantle\.[^/]+\.api\.aws")
"""Hosts whose tool calls are numbered from call_0 in every answer (pydantic/pydantic-ai#6536)."""

_XAI: Final = re.compile(r"(?:[^/]+\.)?api\.x\.ai")
"""The hosts of xAI, to which reasoning goes back without an id (docs.x.ai, "Encrypted reasoning content")."""

_OWN_PARAMETERS: Final = frozenset({"context_management", "reasoning"})
"""Parameters of the Responses API that other APIs have under the same name."""


class Target(NamedTuple):
    """Where a request goes. The defaults are those of a host about which nothing is known."""

    origin: Origin
    """The host, the provider and the model."""
    tells_cuts: bool = False
    """Whether its answers say themselves that they were cut by the limit of tokens."""
    takes_reasoning_ids: bool = True
    """Whether reasoning items go back with their id."""
    restarts_call_ids: bool = False
    """Whether the ids of tool calls begin anew in every answer."""
    foreign: frozenset[str] = frozenset()
    """Parameters of other vendors' APIs, which it refuses."""
    lost: LostReasoning | None = None
    """The reasoning that it could not read."""

    def for_model(self, model_id: str) -> Target:
        """The same for a model."""
        return self._replace(origin=self.origin._replace(model=model_id))


def target_of(provider: Provider, lost: LostReasoning | None = None) -> Target:
    """Where requests to this provider go; the model is added for each of them."""
    origin, host = origin_of(provider), urlsplit(provider.base_url).hostname or ""
    if not serves_both_apis(provider.base_url):
        return Target(origin, lost=lost)
    is_xai = _XAI.fullmatch(host) is not None
    foreign = foreign_parameters("openai", "xai") if is_xai else foreign_parameters("openai")
    return Target(
        origin, tells_cuts=True, takes_reasoning_ids=not is_xai, foreign=foreign - _OWN_PARAMETERS,
        restarts_call_ids=_RESTARTS_CALL_IDS.fullmatch(host) is not None, lost=lost,
    )
