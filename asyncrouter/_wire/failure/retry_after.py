"""Reads how many seconds a provider asks us to wait, in every form in which providers write it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

Wall = Callable[[], float]
"""The wall clock, in seconds since the epoch: waits given as dates need it, and tests bring their own."""

RELAYED = "llm_provider-"
"""How the names of headers begin that LiteLLM's proxy passes on from a provider."""

_LARGEST_NUMBER = 1e18
"""Numbers from here on are nonsense, and integers beyond the range of `float` would raise."""

_FIRST_DATE = 1e9
"""Numbers from here on (September 2001) are seconds since the epoch; as a wait they would be 31 years."""

_FIRST_DATE_IN_MILLISECONDS = 1e11
"""Numbers from here on are milliseconds since the epoch; as seconds they would lie after the year 5000."""

_NUMBER = re.compile(r"[+-]?([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_UNIT = r"(?:[mµun]s|milliseconds?|s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:ours?|rs?)?|d(?:ays?)?)(?![a-z])"
_TERM = rf"[0-9]+(?:\.[0-9]+)?\s*{_UNIT}\s*"
_DURATION = re.compile(rf"-?(?:{_TERM})+", re.IGNORECASE)
_ONE_TERM = re.compile(r"(?<![0-9])([0-9]+(?:\.[0-9]+)?)\s*([a-zµ]+)\s*", re.IGNORECASE)
_REQUEST_TO_WAIT = re.compile(
    rf"\b(?:(?:try again|retry|wait)\s+(?:(?:in|after|for)\s+)?|(?:available|resets?)\s+(?:in|after)\s+)"
    rf"(?:about\s+)?((?:{_TERM})+)", re.IGNORECASE
)
_RESETS = ("x-ratelimit-reset", f"{RELAYED}x-ratelimit-reset", "ratelimit-reset")
"""Names of the headers that say when a limit is over, in the order in which they count."""
WAITS = ("retry_after", "retry_after_seconds", "retryAfter", "resets_in_seconds", "estimated_time")
"""Names of the fields of an error that hold seconds."""
_LONGEST = 200
"""Characters of a pause or an instant at most. A header may have 64 KB of digits, over which these expressions take
minutes; what is longer is none."""
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "mi": 60.0, "m": 60.0, "s": 1.0, "h": 3600.0, "d": 86400.0}
"""Seconds in a unit, by its first two letters or its first one."""


def parse_retry_after(value: object, wall: Wall) -> float | None:
    """Seconds from now: a number, a Go duration ("1m2.5s"), an HTTP-date or an ISO 8601 instant.

    0.0 for an instant in the past, `None` for what cannot be read.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _not_negative(float(value)) if abs(value) < _LARGEST_NUMBER else None
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return _not_negative(float(text))
    if _DURATION.fullmatch(text):
        return 0.0 if text.startswith("-") else _duration(text)
    instant = _instant(text)
    return None if instant is None else _not_negative(instant - wall())


def retry_after_in_headers(headers: Mapping[str, str], wall: Wall) -> float | None:
    """Seconds in the headers: `retry-after-ms` (OpenAI and Azure) before `Retry-After` (RFC 9110, 10.2.3).

    A relay's own headers count before those that it passes on from the provider.
    """
    for prefix in ("", RELAYED):
        millis = parse_retry_after(headers.get(f"{prefix}retry-after-ms"), wall)
        wait = millis / 1000.0 if millis is not None else parse_retry_after(headers.get(f"{prefix}retry-after"), wall)
        if wait is not None:
            return wait
    return None


def retry_after_in_error(error: Mapping[str, object], wall: Wall) -> float | None:
    """Seconds in an error object.

    OpenRouter: `availability.retry_after` and `metadata.headers`. Google: a `RetryInfo` among the `details`. OpenAI's
    subscriptions: `resets_in_seconds`, `resets_at`. Hugging Face: `estimated_time` of a model that is being loaded.
    Gateways: `retry_after` in one of several spellings.
    """
    availability, metadata, details = error.get("availability"), error.get("metadata"), error.get("details")
    candidates: list[object] = [error.get(name) for name in WAITS]
    candidates += (_in_milliseconds(error.get(name)) for name in ("retry_after_ms", "retryAfterMs"))
    candidates.append(_until(error.get("resets_at"), wall))
    if isinstance(availability, dict):
        candidates.append(availability.get("retry_after"))
    if isinstance(metadata, dict):
        candidates += (metadata.get("retry_after"), metadata.get("retry_after_seconds"))
        if isinstance(headers := metadata.get("headers"), dict):
            lower = {str(name).lower(): value for name, value in headers.items()}
            candidates += (lower.get("retry-after"), reset_in_headers(lower, wall))
    if isinstance(details, list):
        candidates += (detail.get("retryDelay") for detail in details if isinstance(detail, dict))
    waits = (parse_retry_after(candidate, wall) for candidate in candidates)
    return next((wait for wait in waits if wait is not None), None)


def _in_milliseconds(value: object) -> object:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST_NUMBER
    return value / 1000.0 if is_number else None  # type: ignore[operator]


def retry_after_in_text(text: str) -> float | None:
    """Seconds in a sentence: "Please try again in 5.289s", "retry after 60 seconds"."""
    found = _REQUEST_TO_WAIT.search(text)
    return _duration(found[1]) if found else None


def reset_in_headers(headers: Mapping[str, object], wall: Wall) -> float | None:
    """Seconds until `X-RateLimit-Reset`, or `RateLimit-Reset`, as drafts of the IETF call it.

    The unit of the first is undocumented: epoch seconds and milliseconds are both seen.
    """
    return _until(next(filter(None, map(headers.get, _RESETS)), None), wall)


def _until(reset: object, wall: Wall) -> float | None:
    """Seconds until an instant that may be written in epoch seconds or milliseconds, or as a span."""
    seconds = parse_retry_after(reset, wall)
    if seconds is None or seconds < _FIRST_DATE:
        return seconds
    return _not_negative((seconds / 1000.0 if seconds > _FIRST_DATE_IN_MILLISECONDS else seconds) - wall())


def _duration(text: str) -> float | None:
    total = 0.0
    for amount, unit in _ONE_TERM.findall(text):
        word = unit.lower()
        total += float(amount) * (1e-3 if word.startswith("milli") else _UNITS.get(word[:2], _UNITS.get(word[:1], 0.0)))
    return _not_negative(total)


def _instant(text: str) -> float | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None


def _not_negative(seconds: float) -> float | None:
    return max(0.0, seconds) if math.isfinite(seconds) else None
