"""Rate limits that a provider announces in the headers of its responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADERS = (
    ("x-ratelimit-limit-requests", "x-ratelimit-limit-tokens"),
    ("anthropic-ratelimit-requests-limit", "anthropic-ratelimit-tokens-limit"),
    ("llm_provider-x-ratelimit-limit-requests", "llm_provider-x-ratelimit-limit-tokens"),
    ("llm_provider-anthropic-ratelimit-requests-limit", "llm_provider-anthropic-ratelimit-tokens-limit"),
)
"""Names of the headers for requests and for tokens a minute: OpenAI's, which most vendors share, and Anthropic's; and
both as LiteLLM's proxy passes them on.
Groq's limit of requests is a day's; read as a minute's it limits nothing, and does no harm."""
READ_EVERY_SECONDS = 1.0
"""Seconds between two readings of a model's headers: limits change rarely, and a reading costs as much as all other
bookkeeping of an attempt together."""


class AnnouncedLimits(NamedTuple):
    """Requests and tokens a minute; `None` for what was not announced."""

    requests: float | None
    tokens: float | None


def read_limits(headers: Mapping[str, str]) -> AnnouncedLimits:
    """The limits that these headers announce."""
    found = AnnouncedLimits(None, None)
    for requests, tokens in HEADERS:
        if requests in headers or tokens in headers:
            found = AnnouncedLimits(
                _number(headers.get(requests)) or found.requests, _number(headers.get(tokens)) or found.tokens
            )
    return found


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
