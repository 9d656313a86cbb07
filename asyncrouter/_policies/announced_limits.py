"""Rate limits that a provider announces in the headers of its responses."""

from __future__ import annotations

import re
from math import inf
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADERS = (
    "x-ratelimit-{what}-{unit}", "anthropic-ratelimit-{unit}-{what}",
    "llm_provider-x-ratelimit-{what}-{unit}", "llm_provider-anthropic-ratelimit-{unit}-{what}",
)
"""Names of the headers: OpenAI's, which most vendors share, Anthropic's, and both as LiteLLM's proxy passes them on.
Groq's limit of requests is a day's; read as a minute's it limits nothing, and does no harm."""
MIN_LIMIT = {"requests": 1.0, "tokens": 100.0}
"""Units a minute below which a limit is nonsense: nobody sells less, and it would lock the model."""
READ_EVERY_SECONDS = 1.0
"""Seconds between two readings of a model's headers: limits change rarely, and a reading costs as much as all other
bookkeeping of an attempt together."""

_NAMES = {
    unit: tuple(
        tuple(name.format(what=what, unit=unit) for what in ("limit", "remaining", "reset")) for name in HEADERS
    )
    for unit in ("requests", "tokens")
}
_TERM = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?")
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}


class AnnouncedLimit(NamedTuple):
    """Units a minute; what is left of them, and the seconds until all is there again, `None` where not announced."""

    per_minute: float
    remaining: float | None = None
    reset: float | None = None


class AnnouncedLimits(NamedTuple):
    """The limits of requests and of tokens; `None` for what was not announced."""

    requests: AnnouncedLimit | None
    tokens: AnnouncedLimit | None


_LONGEST = 100
"""Characters of a duration at most: a header may have 64 KB of digits, which would be searched again and again."""


def read_limits(headers: Mapping[str, str]) -> AnnouncedLimits:
    """The limits that these headers announce."""
    return AnnouncedLimits(_limit(headers, "requests"), _limit(headers, "tokens"))


def _limit(headers: Mapping[str, str], unit: str) -> AnnouncedLimit | None:
    for limit, remaining, reset in _NAMES[unit]:
        per_minute = _number(headers.get(limit))
        if per_minute is not None and per_minute >= MIN_LIMIT[unit]:
            return AnnouncedLimit(per_minute, _number(headers.get(remaining)), _seconds(headers.get(reset)))
    return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else -1.0
    except ValueError:
        return None
    return number if 0.0 <= number < inf else None


def _seconds(text: str | None) -> float | None:
    """A duration ("1m2.5s", "6ms", "3"); `None` for an instant (Anthropic's), whose clock is not ours."""
    if text is None or ":" in text or len(text) > _LONGEST:
        return None
    terms = _TERM.findall(text)
    return sum(float(amount) * _UNITS[unit] for amount, unit in terms) if terms else None
