"""How long a provider asks us to wait, in every form in which providers write it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

Wall = Callable[[], float]
"""The wall clock, seconds since the epoch: dates need it, and tests bring their own."""

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_UNIT = r"(?:[mµun]s|milliseconds?|s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:ours?|rs?)?|d(?:ays?)?)(?![a-z])"
_TERM = rf"[0-9]+(?:\.[0-9]+)?\s*{_UNIT}\s*"
_DURATION = re.compile(rf"-?(?:{_TERM})+", re.IGNORECASE)
_ONE_TERM = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-zµ]+)\s*", re.IGNORECASE)
_TOLD = re.compile(rf"\b(?:try again|retry|wait)\s+(?:(?:in|after|for)\s+)?(?:about\s+)?((?:{_TERM})+)", re.IGNORECASE)
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "mi": 60.0, "m": 60.0, "s": 1.0, "h": 3600.0, "d": 86400.0}


def parse_pause(value: object, wall: Wall) -> float | None:
    """Seconds from now: a number, a Go duration ("1m2.5s"), an HTTP-date or an ISO 8601 instant.

    What lies in the past is 0.0; what cannot be read is `None`.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _clamp(float(value)) if abs(value) < 1e18 else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return _clamp(float(text))
    if _DURATION.fullmatch(text):
        return 0.0 if text.startswith("-") else _duration(text)
    instant = _instant(text)
    return None if instant is None else _clamp(instant - wall())


def pause_in_headers(headers: Mapping[str, str], wall: Wall) -> float | None:
    """What the headers ask for: `retry-after-ms` (OpenAI's kind) before `Retry-After` (RFC 9110, 10.2.3)."""
    millis = parse_pause(headers.get("retry-after-ms"), wall)
    return millis / 1000.0 if millis is not None else parse_pause(headers.get("retry-after"), wall)


def pause_in_error(error: Mapping[str, object], wall: Wall) -> float | None:
    """What an error object asks for.

    OpenRouter: `availability.retry_after` and `metadata.headers`. Google: a `RetryInfo` among the `details`.
    """
    availability, metadata, details = error.get("availability"), error.get("metadata"), error.get("details")
    candidates: list[object] = [error.get("retry_after")]
    if isinstance(availability, dict):
        candidates.append(availability.get("retry_after"))
    if isinstance(metadata, dict):
        candidates += (metadata.get("retry_after"), metadata.get("retry_after_seconds"))
        if isinstance(headers := metadata.get("headers"), dict):
            named = {str(name).lower(): value for name, value in headers.items()}
            candidates += (named.get("retry-after"), reset_in_headers(named, wall))
    if isinstance(details, list):
        candidates += (detail.get("retryDelay") for detail in details if isinstance(detail, dict))
    pauses = (parse_pause(candidate, wall) for candidate in candidates)
    return next((pause for pause in pauses if pause is not None), None)


def pause_in_text(text: str) -> float | None:
    """What a sentence asks for: "Please try again in 5.289s", "retry after 60 seconds"."""
    told = _TOLD.search(text)
    return _duration(told[1]) if told else None


def reset_in_headers(headers: Mapping[str, object], wall: Wall) -> float | None:
    """Seconds until `X-RateLimit-Reset`. Its unit is undocumented: epoch seconds and milliseconds are both seen."""
    reset = parse_pause(headers.get("x-ratelimit-reset"), wall)
    if reset is None or reset < 1e9:
        return reset
    return _clamp((reset / 1000.0 if reset > 1e11 else reset) - wall())


def _duration(text: str) -> float | None:
    total = 0.0
    for amount, unit in _ONE_TERM.findall(text):
        word = unit.lower()
        total += float(amount) * (1e-3 if word.startswith("milli") else _UNITS.get(word[:2], _UNITS.get(word[:1], 0.0)))
    return _clamp(total)


def _instant(text: str) -> float | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None


def _clamp(seconds: float) -> float | None:
    return max(0.0, seconds) if math.isfinite(seconds) else None
